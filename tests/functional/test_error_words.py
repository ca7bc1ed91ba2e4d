"""What a person reads who made one of the usual mistakes: what failed, whose credentials, and what to do."""

from __future__ import annotations

import gc
import logging

import pytest
from botocore import UNSIGNED
from botocore.config import Config

from access_grants_provider.core.listed_grants import ListedGrants, hint_from_grants
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.exceptions import (
    AccessDenied,
    CallerCredentialsError,
    ConfigurationError,
    MalformedAnswer,
    NoInstance,
    PermissionMissing,
    ServiceFailure,
)

EMEA = "READ on s3://data/emea/*"

pytestmark = pytest.mark.alice("READ s3://data/emea/*", objects=["s3://data/emea/x"])


@pytest.fixture
def refused(grants, register, alice):
    """Return the error of a request under ``fallback="never"``: ``refused("get_object", Key="x")``."""

    def make(operation, options=None, **params):
        s3 = grants.session(alice).client("s3")
        register(s3, fallback="never", **(options or {}))
        with pytest.raises(Exception) as caught:  # noqa: PT011  the tests say which
            getattr(s3, operation)(**{"Bucket": "data", **params})
        return caught.value

    return make


def test_a_denial_says_what_the_caller_has(refused):
    error = refused("get_object", Key="apac/x")
    assert isinstance(error, AccessDenied)
    assert error.grants == (EMEA,)
    assert error.code == "no-grant"
    assert "given by the program" in str(error)
    assert str(error).endswith(
        f"Your grants in this bucket: {EMEA}. "
        "Ask the owner of the S3 Access Grants instance for a grant that covers it [no-grant]"
    )


def test_a_denial_costs_no_more_where_the_caller_has_many_grants():
    target = GrantScope("data", "00500x", False)
    for many in (10, 9_999):
        listed = ListedGrants([("READ", GrantScope("data", f"{number:05}/", True)) for number in range(many)], 0.0)
        assert len(list(listed.nearest(target))) <= 6
        assert "Your grants in this bucket: READ on s3://data/00" in hint_from_grants([listed], "READ", target)


def test_a_remembered_denial_says_the_same(grants, register, alice):
    s3 = grants.session(alice).client("s3")
    register(s3, fallback="never")
    texts = []
    for key in ("apac/x", "apac/x"):
        with pytest.raises(AccessDenied) as caught:
            s3.get_object(Bucket="data", Key=key)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_only_the_nearest_of_many_grants_are_named(grants, refused, alice):
    for number in range(9):
        grants.grant(alice, f"s3://data/apac/{number}/*", "READ")
    error = refused("get_object", Key="apac/x")
    nearest = ", ".join(f"READ on s3://data/apac/{number}/*" for number in range(6, 9))
    assert f"Your grants in this bucket: {nearest} and 7 more." in str(error)


def test_read_where_write_was_asked_for(refused):
    error = refused("put_object", Key="emea/x", Body=b"")
    assert f"Your grants here give READ, not WRITE: {EMEA}." in str(error)


def test_a_copy_whose_grant_is_for_reading(refused):
    error = refused("copy_object", Key="emea/y", CopySource={"Bucket": "data", "Key": "emea/x"})
    assert f"Your grants here give READ, not READWRITE: {EMEA}." in str(error)


def test_a_copy_between_two_buckets(refused):
    error = refused("copy_object", Key="emea/y", CopySource={"Bucket": "other", "Key": "x"})
    assert error.code == "two-buckets"
    assert "no single grant covers two buckets. Copy with credentials that can read the one bucket" in str(error)


def test_a_missing_slash(refused):
    error = refused("list_objects_v2", Prefix="emea")
    assert "Your grant is on 's3://data/emea/*'. If you meant that folder, write the slash after its name." in str(
        error
    )


def test_no_grant_at_all(grants, refused):
    grants.bucket("other")
    grants.grant(grants.identity("somebody else"), "s3://other/*", "READ")
    assert "You have no grant in this bucket." in str(refused("get_object", Bucket="other", Key="x"))


def test_where_the_caller_may_not_list_only_the_advice_is_left(grants, refused, alice):
    grants.forbid(alice, "s3:ListCallerAccessGrants")
    error = refused("get_object", Key="apac/x")
    assert error.grants == ()
    assert error.hint == "Ask the owner of the S3 Access Grants instance for a grant that covers it"


def test_a_missing_bucket(refused):
    error = refused("get_object", Bucket="nope", Key="x")
    assert isinstance(error, AccessDenied)
    assert error.code == "no-bucket"
    assert "There is no bucket 'nope'. Check the name" in str(error)


@pytest.mark.alice
def test_no_instance_and_no_right_to_look_elsewhere(grants, refused, alice):
    grants.forbid(alice, "s3:GetAccessGrantsInstanceForPrefix")
    error = refused("get_object", Key="x")
    assert isinstance(error, NoInstance)
    assert "the caller may not call s3:GetAccessGrantsInstanceForPrefix" in str(error)


def test_a_wrong_account_id_is_known_as_set(refused, monkeypatch):
    monkeypatch.setenv("S3_ACCESS_GRANTS_ACCOUNT_ID", "999988887777")
    error = refused("get_object", Key="emea/x")
    assert isinstance(error, NoInstance)
    assert "account_id is set to it in the environment variable S3_ACCESS_GRANTS_ACCOUNT_ID" in str(error)
    assert error.hint.startswith("Set account_id to the account that has the instance, or leave it out")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("SignatureDoesNotMatch", "The secret access key does not belong to this access key id"),
        ("InvalidClientTokenId", "This access key id does not exist"),
        ("ExpiredToken", "they have expired. Sign in again"),
    ],
)
def test_wrong_keys_and_an_ended_login_get_advice_of_their_own(grants, refused, code, advice):
    grants.fail("GetCallerIdentity", code, status=403, times=None)
    error = refused("get_object", Key="emea/x")
    assert isinstance(error, CallerCredentialsError)
    assert advice in error.hint
    assert "given by the program" in str(error)


def test_a_proxys_web_page_is_quoted(grants, refused):
    page = (
        b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><p>x-amz-security-token: secret</body></html>"
    )
    grants.answer("GetDataAccess", page, times=None)
    error = refused("get_object", Key="emea/x")
    assert isinstance(error, MalformedAnswer)
    assert "answered with a web page, 'Sign in'." in str(error)
    assert "secret" not in str(error)
    assert "http" in str(error)
    assert error.hint == "The response does not look like AWS's. Check endpoint_url and the proxy"


@pytest.mark.parametrize(
    "page",
    [
        b"<html><title>wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY</title><br></html>",
        b"<html><p>{'sessionToken': 'FwoGZXIvYXdzEExample'}</html>",
        b"no page & then b'<html><title>secret</title>",
    ],
)
def test_nothing_that_may_be_a_secret_is_quoted_of_a_page(grants, refused, page):
    grants.answer("GetDataAccess", page, times=None)
    text = str(refused("get_object", Key="emea/x"))
    assert not any(secret in text for secret in ("wJalr", "FwoGZ", "secret"))


def test_a_scope_forges_no_line_of_a_log(grants, refused, alice, caplog):
    grants.grant(alice, "s3://data/x\n2026 CRITICAL forged/*", "READ")
    with caplog.at_level(logging.WARNING):
        error = refused("get_object", Key="x")
    assert "\n" not in str(error)
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_a_web_page_with_an_error_status_is_no_failure_of_aws(grants, refused):
    grants.answer("GetDataAccess", b"<html>Forbidden by policy</html>", status=403, times=None)
    error = refused("get_object", Key="emea/x")
    assert isinstance(error, ServiceFailure)
    assert error.hint == "The response does not look like AWS's. Check endpoint_url and the proxy"


def test_a_forbidden_call_names_the_permission(grants, refused, alice):
    grants.forbid(alice, "s3:GetDataAccess")
    error = refused("get_object", Key="emea/x")
    assert isinstance(error, PermissionMissing)
    assert error.hint.startswith("Allow s3:GetDataAccess")


def test_the_first_refusal_in_a_bucket_is_a_warning(refused, caplog):
    # pandas and s3fs make "Forbidden" of the error.
    with caplog.at_level(logging.WARNING):
        error = refused("get_object", Key="apac/x")
    (record,) = caplog.records
    assert record.name == "access_grants_provider.fallbacks"
    assert record.getMessage() == f"S3 Access Grants: GetObject was refused, as fallback is 'never'. {error}"


def test_every_warning_begins_with_the_products_name(grants, register, alice, caplog, clock):
    grants.lifetime = 400
    s3 = grants.session(alice).client("s3")
    register(s3)
    s3.get_object(Bucket="data", Key="emea/x")
    grants.fail("GetDataAccess", "InternalFailure", status=400, times=None)
    clock.forward(301)
    with caplog.at_level(logging.WARNING):
        s3.get_object(Bucket="data", Key="emea/x")
    (record,) = caplog.records
    assert record.getMessage().startswith("S3 Access Grants: the credentials of")


def test_a_parameter_in_the_wrong_case(grants, register, alice):
    provider = register(grants.session(alice).client("s3"))
    with pytest.raises(ConfigurationError, match="Write Bucket= in place of bucket="):
        provider.explain("get_object", bucket="data", Key="x")


@pytest.mark.only("botocore", reason="boto3's session is asked")
def test_a_session_registered_after_its_client_is_told(grants, register, alice, caplog):
    session = grants.session(alice)
    early = session.client("s3")
    with caplog.at_level(logging.WARNING):
        register(session)
    (record,) = caplog.records
    assert "has made an S3 client before register()" in record.getMessage()
    early.close()


@pytest.mark.only("botocore", reason="boto3's session is asked")
def test_a_client_of_another_service_is_no_reason_to_warn(grants, register, alice, caplog):
    session = grants.session(alice)
    session.client("sts")
    session.client("s3")  # Nobody keeps it.
    unsigned = session.client("s3", config=Config(signature_version=UNSIGNED))
    foreign = session.client("s3", endpoint_url="http://minio:9000")
    gc.collect()
    with caplog.at_level(logging.WARNING):
        provider = register(session)
        kept = session.client("s3")
        register(session, fallback="never")
        # The provider asks for the bucket's region with a client of its own, which holds the session's loader too.
        assert provider.explain("get_object", Bucket="data", Key="apac/x").outcome == "denied"
        provider.unregister()
        kept.close()
        del kept
        gc.collect()
        again = register(session)
    assert again is not provider
    assert caplog.records == []
    unsigned.close()
    foreign.close()
