"""Beside others: the official plugin, signing by hand, wrappers on the client's class, and odd answers of S3."""

from __future__ import annotations

import contextlib
import datetime
import gc
import io
import logging
import pickle
import time
from collections import deque
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.signers import RequestSigner, S3PostPresigner

from access_grants_provider.exceptions import AccessGrantsError, MalformedAnswer

from .conftest import signers

URL = "https://data.s3.us-east-1.amazonaws.com/in/x"


@pytest.fixture
def session(grants, alice, register):
    session = grants.session(alice)
    session.provider = register(session)
    return session


@pytest.fixture
def strict(grants, alice, register):
    session = grants.session(alice)
    register(session, fallback="never")
    return session


# What others ask of a client


def test_get_credentials_of_a_covered_client_returns_the_callers_own(session, alice):
    s3 = session.client("s3")
    assert s3._get_credentials().access_key == alice.access_key_id


def test_get_credentials_of_a_registered_client_returns_the_callers_own(grants, alice, register):
    s3 = grants.session(alice).client("s3")
    register(s3)
    assert s3._get_credentials().access_key == alice.access_key_id


def test_beside_the_official_plugin_requests_are_signed_with_a_grant_and_ours_leaves_them_alone(grants, alice, session):
    official = pytest.importorskip(
        "aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin",
        reason="aws-s3-access-grants-boto3-plugin==1.3.0 is not installed",
    )
    s3 = session.client("s3")
    official.S3AccessGrantsPlugin(s3, customer_session=session._session).register()
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"
    s3.put_object(Bucket="data", Key="in/y", Body=b"2")
    assert {request.signer for request in grants.s3_requests() if request.operation != "HeadBucket"} == {"grant"}
    assert session.provider.stats().vended == 0
    assert session.provider.stats().unsupported == 2


# Signing by hand, through the client's signer


def sign(s3: Any) -> str:
    request = AWSRequest("GET", URL)
    s3._request_signer.sign("GetObject", request)
    return str(request.headers["Authorization"])


def presign(s3: Any) -> str:
    request = {"method": "GET", "url": URL, "headers": {}, "body": b"", "context": {}}
    return str(s3._request_signer.generate_presigned_url(request, operation_name="GetObject"))


def sign_with_a_signer_on_the_clients_emitter(s3: Any) -> str:
    # The emitter keeps no signer alive, and the signer no emitter: both belong to the client.
    caller = s3._request_signer._credentials
    signer = RequestSigner(s3.meta.service_model.service_id, "us-east-1", "s3", "s3v4", caller, s3.meta.events)
    request = AWSRequest("GET", URL)
    signer.sign("GetObject", request)
    return str(request.headers["Authorization"])


def post_with_a_presigner(s3: Any) -> str:
    form = S3PostPresigner(s3._request_signer).generate_presigned_post(
        {"method": "POST", "url": "https://data.s3.us-east-1.amazonaws.com/", "headers": {}, "body": {}, "context": {}},
        fields={},
        conditions=[],
        region_name="us-east-1",
    )
    return str(form["fields"])


BY_HAND = [sign, presign, sign_with_a_signer_on_the_clients_emitter, post_with_a_presigner]


@pytest.mark.parametrize("by_hand", BY_HAND)
def test_signing_by_hand_through_the_clients_signer_is_left_alone(grants, session, alice, by_hand):
    assert alice.access_key_id in by_hand(session.client("s3"))
    assert grants.control_calls() == 0


@pytest.mark.parametrize("by_hand", BY_HAND)
def test_signing_by_hand_through_the_clients_signer_is_refused_under_never(grants, strict, by_hand):
    with pytest.raises(AccessGrantsError):
        by_hand(strict.client("s3"))
    assert grants.control_calls() == 0


# What S3 refuses


def expiry_warnings(caplog) -> list[str]:
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [message for message in messages if "expired" in message]


def test_a_head_that_s3_answers_with_a_bare_400_is_no_expiry_for_20_keys_one_vend_and_no_untrue_warning(
    grants, session, caplog
):
    s3 = session.client("s3")
    s3.head_object(Bucket="data", Key="in/x")
    # As for an object under SSE-C that is asked for without its key. A HEAD's answer has no body.
    grants.fail("HeadObject", "InvalidRequest", status=400, times=None)
    for number in range(20):
        with pytest.raises(s3.exceptions.ClientError, match="400"):
            s3.head_object(Bucket="data", Key=f"in/{number}")
    assert grants.calls("GetDataAccess") == 1
    assert expiry_warnings(caplog) == []


def test_an_expired_grant_that_a_get_names_is_still_renewed_seconds_after_it_was_vended(grants, session):
    s3 = session.client("s3")
    s3.get_object(Bucket="data", Key="in/x")
    grants.fail("GetObject", "ExpiredToken")
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"
    assert grants.calls("GetDataAccess") == 2


def test_needs_retry_does_not_look_at_the_response_of_a_request_that_is_not_ours(session):
    """As in tests that stub the HTTP session: the status is compared for equality by botocore, and by nobody else."""
    s3 = session.client("s3")
    stubbed = SimpleNamespace(status_code=object(), headers={}, content=b"")
    request = {"context": {}, "url": URL, "method": "GET", "headers": {}, "body": b""}
    events = {"endpoint": s3._endpoint, "attempts": 1, "caught_exception": None}
    operation = s3.meta.service_model.operation_model("GetObject")
    s3.meta.events.emit(
        "needs-retry.s3.GetObject", response=(stubbed, {}), operation=operation, request_dict=request, **events
    )


# Wrappers that others laid on later

METHODS = ["upload_file", "download_file", "upload_fileobj", "download_fileobj"]


@pytest.mark.parametrize("name", METHODS)
def test_unregister_leaves_wrappers_of_others_in_place_that_were_laid_on_later(grants, alice, register, name):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    ours = getattr(type(s3), name)
    called = []

    def theirs(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return ours(*args, **kwargs)

    setattr(type(s3), name, theirs)
    provider.unregister()
    assert getattr(type(s3), name) is theirs
    source = io.BytesIO(b"2")
    if name == "upload_fileobj":
        s3.upload_fileobj(source, "data", "in/y")
    elif name == "download_fileobj":
        s3.download_fileobj("data", "in/x", source)
    else:
        with pytest.raises(Exception, match="nowhere"):
            getattr(s3, name)(Filename="/nowhere/at/all", Bucket="data", Key="in/x")
    assert called == [name]
    assert set(signers(grants, "PutObject") + signers(grants, "GetObject")) <= {"alice"}


def test_unregister_without_later_wrappers_leaves_the_class_as_it_was(grants, alice, register):
    session = grants.session(alice)
    before = {name: getattr(type(session.client("s3")), name) for name in METHODS}
    provider = register(session)
    s3 = session.client("s3")
    provider.unregister()
    assert {name: getattr(type(s3), name) for name in METHODS} == before


# Odd answers of Access Grants


@pytest.fixture
def far_west(monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("this system has no tzset")
    monkeypatch.setenv("TZ", "Pacific/Pago_Pago")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_an_expiration_in_the_year_9999_in_a_zone_west_of_utc_serves(grants, alice, session, far_west):
    def never_ending(answer: dict[str, Any]) -> dict[str, Any]:
        end = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
        return {**answer, "Credentials": {**answer["Credentials"], "Expiration": end}}

    grants.tamper("GetDataAccess", never_ending, times=None)
    s3 = session.client("s3")
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"
    assert signers(grants, "GetObject") == ["grant"]
    assert session.provider.credentials("s3://data/in/x").expiration.year == 9999
    assert session.provider.explain("get_object", Bucket="data", Key="in/x").expiration.year == 9999


def test_an_expiration_in_the_year_9999_written_in_a_western_zone_raises_no_bare_value_error(grants, alice, session):
    end = "9999-12-31T23:59:59-11:00"
    keys = "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    answer = (
        f"<GetDataAccessResult><Credentials>{keys}<Expiration>{end}</Expiration></Credentials>"
        "<MatchedGrantTarget>s3://data/in/*</MatchedGrantTarget></GetDataAccessResult>"
    )
    grants.answer("GetDataAccess", answer.encode(), times=None)
    # In UTC it is in the year 10000, which Python can't hold: it serves, or is refused as malformed.
    with contextlib.suppress(MalformedAnswer):
        assert session.provider.credentials("s3://data/in/x").access_key == "ASIA"


# Secrets


def test_vended_credentials_cannot_be_pickled(session):
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(session.provider.credentials("s3://data/in/x"))


def test_what_a_request_is_signed_with_cannot_be_pickled(session):
    s3 = session.client("s3")
    signed_with: list[Credentials] = []

    def keep(request: AWSRequest, **_: object) -> None:
        signed_with.append(request.context["signing"]["request_credentials"])

    s3.meta.events.register_last("before-sign.s3", keep)
    s3.get_object(Bucket="data", Key="in/x")
    (credentials,) = signed_with
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(credentials)


def test_nothing_that_a_provider_holds_can_be_pickled_with_a_secret_in_it(session):
    session.client("s3").get_object(Bucket="data", Key="in/x")
    secret = session.provider.credentials("s3://data/in/x").secret_key
    held = list(held_by(session.provider))
    assert secret in [part.secret_key for part in held if isinstance(part, Credentials)], "the walk has missed it"
    assert {type(part).__name__ for part in held if secret.encode() in pickled(part)} == set()


def held_by(root: object) -> Iterator[object]:
    """Yield the objects of this package, and the credentials, that are reachable from one of them."""
    seen: dict[int, object] = {}
    found = [root]
    while found:
        part = found.pop()
        if id(part) in seen or isinstance(part, (type, ModuleType)):
            continue
        seen[id(part)] = part
        ours = isinstance(part, Credentials) or str(type(part).__module__).startswith("access_grants_provider.")
        if ours:
            yield part
        if ours or isinstance(part, (dict, list, set, tuple, deque)):
            found += gc.get_referents(part)


def pickled(part: object) -> bytes:
    try:
        return pickle.dumps(part)
    except Exception:  # noqa: BLE001  raised by whatever in it can't be pickled; then nothing of it can
        return b""
