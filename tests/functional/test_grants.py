"""The caller's grants, listed page by page."""

from __future__ import annotations

import pytest

from access_grants_provider.exceptions import (
    ConfigurationError,
    MalformedAnswer,
    NoInstance,
    PermissionMissing,
    ServiceFailure,
)
from access_grants_provider.registration import provider_for
from access_grants_provider.testing import administration

pytestmark = [
    pytest.mark.only("botocore", reason="provider.grants() lists for sessions of boto3 and botocore alone"),
    pytest.mark.alice(
        *("READ s3://data/a/*", "READ s3://data/a/b/*", "READ s3://data/c", "READ s3://other/*"),
        "READWRITE s3://data/ab*",
    ),
]


@pytest.fixture(autouse=True)
def bucket_other(grants) -> None:
    # Before the grants of ``alice``: no grant without its bucket.
    grants.bucket("other")


@pytest.fixture
def provider(grants, alice):
    grants.grant(grants.identity("bob"), "s3://data/a/*", "WRITE")
    return provider_for(grants.session(alice))


def scopes(provider, target: str | None = None) -> list[str]:
    return sorted(grant.scope for grant in provider.grants(target))


def test_all_grants_of_the_caller_are_listed_and_nobody_elses(provider):
    listed = list(provider.grants())
    assert scopes(provider) == ["s3://data/a/*", "s3://data/a/b/*", "s3://data/ab*", "s3://data/c", "s3://other/*"]
    assert {(one.scope, one.permission) for one in listed} >= {("s3://data/ab*", "READWRITE"), ("s3://data/c", "READ")}
    assert {one.application for one in listed} <= {None, "NA", "ALL"}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("s3://data", ["s3://data/a/*", "s3://data/a/b/*", "s3://data/ab*", "s3://data/c"]),
        ("s3://data/a/", ["s3://data/a/*", "s3://data/a/b/*"]),
        ("s3://data/a/x", ["s3://data/a/*"]),
        ("s3://data/c", ["s3://data/c"]),
        ("s3://data/z/", []),
        ("s3://dat", []),
    ],
)
def test_with_a_target_those_are_listed_that_share_a_key_with_it(provider, target, expected):
    assert scopes(provider, target) == expected


def test_a_page_is_asked_for_when_it_is_reached(grants, provider, monkeypatch):
    monkeypatch.setattr(administration, "PAGE", 2)
    listed = provider.grants()
    assert grants.calls("ListCallerAccessGrants") == 0
    asked = [(next(listed), grants.calls("ListCallerAccessGrants"))[1] for _ in range(5)]
    assert asked == [1, 1, 2, 2, 3]
    assert list(listed) == []


def test_a_bucket_in_another_region_is_asked_about_there(grants, alice, provider):
    grants.bucket("far", region="eu-west-1")
    grants.grant(alice, "s3://far/x/*", "READ")
    assert scopes(provider, "s3://far/") == ["s3://far/x/*"]


def test_an_instance_of_another_account_is_found_by_the_bucket(grants, provider):
    carol = grants.identity("carol", account_id="999999999999")
    grants.share("999999999999")
    grants.grant(carol, "s3://data/in/*", "READ")
    stranger = provider_for(grants.session(carol))
    assert scopes(stranger, "s3://data/in/") == ["s3://data/in/*"]
    assert scopes(provider_for(grants.session(carol), account_id=grants.account_id)) == ["s3://data/in/*"]


def test_where_there_is_no_instance_the_error_says_where_it_was_looked_for(grants, provider):
    nobody = grants.identity("nobody", account_id="999999999999")
    grants.bucket("empty", region="eu-west-1")
    with pytest.raises(NoInstance, match="no S3 Access Grants instance of account 999999999999 in us-east-1"):
        list(provider_for(grants.session(nobody)).grants())
    with pytest.raises(NoInstance, match="in eu-west-1 to list the grants of bucket 'empty'"):
        list(provider.grants("s3://empty/"))


def test_who_may_not_list_is_told_what_to_allow(grants, alice, provider):
    grants.forbid(alice, "s3:ListCallerAccessGrants")
    with pytest.raises(PermissionMissing, match=r"may not list its grants .*\. Allow s3:ListCallerAccessGrants"):
        list(provider.grants("s3://data/"))


def test_an_outage_between_two_pages_is_an_error_and_no_shorter_list(grants, provider, monkeypatch):
    monkeypatch.setattr(administration, "PAGE", 2)
    listed = provider.grants("s3://data/")
    assert next(listed)
    grants.fail("ListCallerAccessGrants", "SomethingBroke", status=400)
    with pytest.raises(
        ServiceFailure, match=r"s3:ListCallerAccessGrants in us-east-1 for bucket 'data'.*SomethingBroke"
    ):
        list(listed)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"CallerAccessGrantsList": [], "NextToken": "MA=="}, "the token of the same page again"),
        ({"CallerAccessGrantsList": [{"Permission": "READ"}]}, "a grant without a Permission or a GrantScope"),
        ({"CallerAccessGrantsList": [{"GrantScope": "s3://data/*"}]}, "a grant without a Permission or a GrantScope"),
    ],
)
@pytest.mark.parametrize(("target", "about"), [(None, "all buckets"), ("s3://data/", "bucket 'data'")])
def test_an_answer_that_makes_no_sense_is_refused(grants, provider, answer, said, target, about):
    grants.tamper("ListCallerAccessGrants", lambda _: answer, times=None)
    purpose = rf"s3:ListCallerAccessGrants in us-east-1 for {about}, called as .*"
    whole = rf"{purpose} answered with {said}\. The response does not look like AWS"
    with pytest.raises(MalformedAnswer, match=whole):
        list(provider.grants(target))


def test_a_scope_of_an_unknown_form_is_listed_as_it_is_and_compared_with_no_target(grants, provider):
    entry = {"Permission": "READ", "GrantScope": "data/"}
    grants.tamper("ListCallerAccessGrants", lambda _: {"CallerAccessGrantsList": [entry]}, times=None)
    assert list(provider.grants()) == [("READ", "data/", None)]
    with pytest.raises(
        MalformedAnswer, match=r"malformed GrantScope: 'data/' .*\. The response does not look like AWS"
    ):
        list(provider.grants("s3://data/"))


def test_a_target_that_is_no_uri_is_refused_at_once(provider):
    with pytest.raises(ConfigurationError, match="target='data/' is not allowed"):
        provider.grants("data/")
    with pytest.raises(ConfigurationError, match="it is not a general purpose bucket"):
        provider.grants("s3://data--use1-az4--x-s3/")
