"""Signatures are recomputed: whatever is changed on the way is noticed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.auth import HmacV1Auth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from access_grants_provider.testing import Identity, LocalAccessGrants
from access_grants_provider.testing.http_messages import Request, Response

Change = Callable[[AWSRequest], None]


@pytest.fixture
def local(grants: Any, clock: Any) -> LocalAccessGrants:
    """A service of its own, asked without any transport; moto's buckets are those of `grants`."""
    grants.put("s3://sales/a b", b"content")
    return LocalAccessGrants(clock=clock)


def signed(
    identity: Identity,
    method: str = "GET",
    path: str = "/sales/a%20b",
    query: str = "",
    body: bytes = b"",
    service: str = "s3",
    headers: dict[str, str] | None = None,
    auth: Any = None,
) -> AWSRequest:
    url = f"https://{service}.us-east-1.amazonaws.com{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, data=body, headers=headers or {})
    request.context["payload_signing_enabled"] = True
    keys = Credentials(identity.access_key_id, identity.secret_access_key, identity.session_token)
    signer = auth or (S3SigV4Auth if service == "s3" else SigV4Auth)
    (signer(keys) if signer is HmacV1Auth else signer(keys, service, "us-east-1")).add_auth(request)
    return request


def send(local: LocalAccessGrants, request: Any) -> Response:
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    response = local.handle(
        Request(request.method, "https", parts.netloc, parts.path, parts.query, headers, request.data or b"")
    )
    assert response is not None
    return response


def code(response: Response) -> str:
    return response.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


def test_a_right_signature_is_accepted(local: LocalAccessGrants) -> None:
    assert send(local, signed(local.admin)).body == b"content"
    job = local.identity("job", session=True)
    local.allow(job, "s3://sales/*", "READ")
    assert send(local, signed(job)).body == b"content"


def _path(request: Any) -> None:
    request.url = request.url.replace("a%20b", "a%20c")


def _reencoded_path(request: Any) -> None:
    request.url = request.url.replace("a%20b", "%61%20b")


def _query(request: Any) -> None:
    request.url += "?acl"


def _header(request: Any) -> None:
    del request.headers["Range"]
    request.headers["Range"] = "bytes=0-3"


def _method(request: Any) -> None:
    request.method = "DELETE"


def _host(request: Any) -> None:
    request.url = request.url.replace("https://s3.", "https://other.s3.")


BOTH = [_path, _reencoded_path, _query, _method, _host]


@pytest.mark.parametrize(
    # SigV2 does not sign the header that is changed here.
    ("auth", "change"),
    [(S3SigV4Auth, _header), *((auth, change) for auth in (S3SigV4Auth, HmacV1Auth) for change in BOTH)],
)
def test_what_was_signed_cannot_be_changed(local: LocalAccessGrants, change: Change, auth: Any) -> None:
    request = signed(local.admin, headers={"Range": "bytes=0-1"}, auth=auth)
    change(request)
    response = send(local, request)
    assert (response.status, code(response)) == (403, "SignatureDoesNotMatch")


def test_the_body_cannot_be_changed(local: LocalAccessGrants) -> None:
    request = signed(local.admin, "PUT", body=b"what was meant")
    request.data = b"what was not meant"
    response = send(local, request)
    assert (response.status, code(response)) == (400, "XAmzContentSHA256Mismatch")
    del request.headers["X-Amz-Content-SHA256"]
    assert send(local, request).status == 403


def test_nothing_that_matters_can_be_added(local: LocalAccessGrants) -> None:
    request = signed(local.admin, "PUT", body=b"x")
    request.headers["x-amz-acl"] = "public-read"
    response = send(local, request)
    assert (response.status, code(response)) == (403, "AccessDenied")
    assert b"headers present in the request which were not signed" in response.body


def _with(identity: Identity, **changes: Any) -> Identity:
    fields = {name: getattr(identity, name) for name in identity.__dataclass_fields__}
    return Identity(**{**fields, **changes})


@pytest.mark.parametrize("auth", [S3SigV4Auth, HmacV1Auth])
def test_wrong_keys(local: LocalAccessGrants, auth: Any) -> None:
    job = local.identity("job", session=True)
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"access_key_id": "AKIAUNKNOWN"}, 403, "InvalidAccessKeyId"),
        ({"secret_access_key": "wrong"}, 403, "SignatureDoesNotMatch"),
        ({"session_token": "wrong"}, 400, "InvalidToken"),
        ({"session_token": None}, 400, "InvalidToken"),
    ]
    for changes, status, expected in cases:
        response = send(local, signed(_with(job, **changes), auth=auth))
        assert (response.status, code(response)) == (status, expected), changes
    response = send(local, signed(_with(local.admin, session_token="surplus"), auth=auth))
    assert code(response) == "InvalidToken"


def test_expired_credentials(local: LocalAccessGrants, clock: Any) -> None:
    job = local.identity("job", session=True)
    local.allow(job, "s3://sales/*", "READ")
    newer = local.rotate(job)
    assert newer != job
    assert send(local, signed(job)).status == send(local, signed(newer)).status == 200
    local.expire(newer)
    response = send(local, signed(newer))
    assert (response.status, code(response)) == (400, "ExpiredToken")
    assert b"The provided token has expired." in response.body
    newest = local.rotate(job, expire=True)
    assert code(send(local, signed(job))) == "ExpiredToken"
    assert send(local, signed(newest)).status == 200
    assert local.identity("job", session=True) == newest


def test_the_clock_decides(local: LocalAccessGrants, clock: Any) -> None:
    for ahead, status in [(-901, 403), (-800, 200), (800, 200), (901, 403)]:
        clock.now = time.time() + ahead
        response = send(local, signed(local.admin))
        assert response.status == status
        assert status == 200 or code(response) == "RequestTimeTooSkewed"


def test_vended_credentials_end_with_the_clock(local: LocalAccessGrants, clock: Any) -> None:
    alice = local.identity("alice")
    local.grant(alice, "s3://sales/*", "READ")
    local.lifetime = 60
    query = "permission=READ&target=s3%3A%2F%2Fsales%2F%2A"
    asked = signed(
        alice,
        path="/v20180820/accessgrantsinstance/dataaccess",
        query=query,
        headers={"x-amz-account-id": local.account_id},
    )
    text = send(local, asked).body.decode()
    key, secret, token = (
        text.partition(f"<{name}>")[2].partition("<")[0] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    )
    held = Identity("held", local.account_id, key, secret, token, arn="")
    assert send(local, signed(held)).status == 200
    clock.forward(61)
    assert code(send(local, signed(held))) == "ExpiredToken"


def test_parameters_that_the_installed_botocore_may_not_know(local: LocalAccessGrants) -> None:
    alice = local.identity("alice")
    local.grant(alice, "s3://sales/*", "READ")
    query = "auditContext=why&instanceScope=ALL&permission=READ&target=s3%3A%2F%2Fsales%2F%2A"
    account = {"x-amz-account-id": local.account_id}
    response = send(
        local, signed(alice, path="/v20180820/accessgrantsinstance/dataaccess", query=query, headers=account)
    )
    assert f"<MatchedInstanceArn>{local.instance()}</MatchedInstanceArn>" in response.body.decode()
    assert local.requests[-1].parameters["AuditContext"] == "why"


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKIA/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
    ],
)
def test_malformed_authorizations(local: LocalAccessGrants, authorization: str) -> None:
    request = signed(local.admin)
    del request.headers["Authorization"]
    request.headers["Authorization"] = authorization
    response = send(local, request)
    assert (response.status, code(response)) == (400, "AuthorizationHeaderMalformed")


def test_a_signature_is_for_one_service(local: LocalAccessGrants) -> None:
    request = signed(
        local.admin,
        path="/v20180820/accessgrantsinstance",
        headers={"x-amz-account-id": local.account_id},
        auth=lambda keys, service, region: S3SigV4Auth(keys, "sts", region),
    )
    assert code(send(local, request)) == "SignatureDoesNotMatch"


def test_errors_in_the_words_of_each_service(local: LocalAccessGrants, clock: Any) -> None:
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    job = local.identity("job", session=True)

    def ask(identity: Identity) -> Response:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return send(local, signed(identity, "POST", "/", body=body, service="sts", headers=form))

    assert ask(job).status == 200
    for identity, expected in [
        (_with(job, access_key_id="ASIAUNKNOWN"), "InvalidClientTokenId"),
        (_with(job, session_token="wrong"), "InvalidClientTokenId"),
        (_with(job, secret_access_key="wrong"), "SignatureDoesNotMatch"),
    ]:
        assert (ask(identity).status, code(ask(identity))) == (403, expected)
    local.expire(job)
    assert (ask(job).status, code(ask(job))) == (403, "ExpiredToken")
    clock.forward(1000)
    assert code(ask(local.admin)) == "SignatureDoesNotMatch"
    control = signed(job, path="/v20180820/accessgrantsinstance", headers={"x-amz-account-id": local.account_id})
    response = send(local, control)
    assert (response.status, code(response)) == (400, "ExpiredToken")
    assert response.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<ErrorResponse><Error>')


def test_an_answer_to_head_has_no_body(local: LocalAccessGrants) -> None:
    response = send(local, signed(_with(local.admin, secret_access_key="wrong"), "HEAD"))
    assert (response.status, response.body) == (403, b"")


def test_other_services_are_let_through(local: LocalAccessGrants) -> None:
    service = botocore.session.Session().get_service_model("dynamodb")
    authorization = f"AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/{service.signing_name}/aws4_request"
    headers = {"authorization": f"{authorization}, SignedHeaders=host, Signature=0"}
    request = Request("POST", "https", "dynamodb.us-east-1.amazonaws.com", "/", headers=headers)
    assert local.handle(request) is None
