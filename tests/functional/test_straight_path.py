"""A warm request takes a straight path. It decides, and is mended, as any other request."""

from __future__ import annotations

import io

import botocore.exceptions
import pytest

from access_grants_provider.sdk.caller import handed_out

pytestmark = pytest.mark.alice("READ s3://data/in/*", objects={"s3://data/in/x": b"body"}, lifetime=3600)


@pytest.fixture
def s3(grants, register, alice):
    session = grants.session(alice)
    register(session, account_id=grants.account_id)
    return session.client("s3")


def read(s3, key="in/x"):
    return s3.get_object(Bucket="data", Key=key)["Body"].read()


@pytest.fixture
def warm(s3, control):
    """A client that has read the object twice."""
    assert [read(s3), read(s3)] == [b"body", b"body"]
    control()
    return s3


@pytest.fixture
def counted(monkeypatch, edge):
    """The operations of the requests that took the long path."""
    long_path = []
    signing_request = edge.hook._signing_request

    def looked(hook, request, operation, *rest):
        long_path.append(operation)
        return signing_request(hook, request, operation, *rest)

    monkeypatch.setattr(edge.hook, "_signing_request", looked)
    return long_path


def signers(grants):
    return [one.signer for one in grants.s3_requests()]


def test_a_warm_request_takes_it(warm, counted):
    assert read(warm) == b"body"
    warm.head_object(Bucket="data", Key="in/x")
    warm.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"}, ExpiresIn=60)
    assert counted == []


def test_refreshable_credentials_take_it_too(grants, register, alice, edge, counted):
    def refresh():
        keys = {"access_key": alice.access_key_id, "secret_key": alice.secret_access_key}
        return {**keys, "token": alice.session_token, "expiry_time": "2100-01-01T00:00:00Z"}

    session = edge.core_session()
    edge.bare(session)._credentials = edge.refreshable(refresh)
    register(session, account_id=grants.account_id)
    s3 = session.create_client("s3")
    read(s3)
    counted.clear()
    assert read(s3) == b"body"
    assert counted == []
    assert signers(grants)[-1] == "grant"


def test_a_second_identity_in_the_client_takes_nothing_of_the_first(grants, warm, edge):
    bob = grants.identity("bob")
    warm._request_signer._credentials = edge.whoever(lambda: bob)
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        read(warm)
    assert signers(grants)[-1] == "bob"


def test_keys_that_are_exchanged_in_place_are_another_caller(grants, warm, alice):
    bob = grants.identity("bob", session=True)
    credentials = warm._request_signer._credentials
    credentials.access_key, credentials.secret_key = bob.access_key_id, bob.secret_access_key
    credentials.token = bob.session_token
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        read(warm)
    assert signers(grants)[-1] == "bob"


def test_credentials_that_s3_no_longer_takes_are_renewed(grants, warm, control):
    grants.fail("GetObject", "ExpiredToken")
    assert read(warm) == b"body"
    assert control() == ["GetDataAccess"]


def test_a_retry_begins_clean(grants, warm, register, counted):
    grants.fail("GetObject", "InternalError")
    assert read(warm) == b"body"
    # The second attempt finds what the first has left and is decided anew.
    assert counted == ["GetObject"]


def test_a_request_with_credentials_of_its_own_keeps_them(grants, warm, edge):
    bob = grants.identity("bob")

    def give(request, **_):
        request.context.setdefault("signing", {})["request_credentials"] = edge.whoever(lambda: bob)

    warm.meta.events.register_first("before-sign.s3", give)
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        read(warm)
    assert signers(grants)[-1] == "bob"


def test_a_client_aimed_at_another_s3_is_left_alone_though_there_are_credentials(grants, warm, monkeypatch, edge):
    (hook,) = hooks_of(warm, edge)
    monkeypatch.setattr(hook, "shape", hook.shape._replace(foreign_url="https://minio.example:9000"))
    monkeypatch.setattr(hook, "foreign_endpoint", lambda *_: "it is not an endpoint of AWS")
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        read(warm)
    assert signers(grants)[-1] == "alice"


def hooks_of(s3, edge):
    handlers = getattr(s3.meta.events, "_emitter", s3.meta.events)._lookup_cache["before-sign.s3.GetObject"]
    return [one.__self__ for one in handlers if isinstance(getattr(one, "__self__", None), edge.hook)]


def test_an_unregistered_client_signs_as_the_caller(grants, register, alice):
    s3 = grants.session(alice).client("s3")
    provider = register(s3, account_id=grants.account_id)
    read(s3)
    provider.unregister()
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        read(s3)
    assert signers(grants)[-1] == "alice"


def test_a_url_for_longer_than_the_credentials_live_takes_others(grants, warm, control):
    warm.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"}, ExpiresIn=7200)
    assert control() == ["GetDataAccess"]


def test_a_cleared_provider_asks_again(grants, register, alice, control):
    session = grants.session(alice)
    provider = register(session, account_id=grants.account_id)
    s3 = session.client("s3")
    read(s3)
    control()
    provider.clear()
    assert read(s3) == b"body"
    assert control() == ["GetDataAccess"]


@pytest.mark.alice("READWRITE s3://data/in/*")
def test_a_parameter_that_no_grant_allows_is_seen(grants, s3):
    s3.create_multipart_upload(Bucket="data", Key="in/x")
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        s3.create_multipart_upload(Bucket="data", Key="in/x", Tagging="a=b")
    assert signers(grants) == ["grant", "alice"]


@pytest.mark.alice("WRITE s3://data/in/*", objects={"s3://data/in/x": b"body"})
def test_a_deletion_on_a_condition_needs_more_than_write(grants, s3):
    s3.delete_object(Bucket="data", Key="in/y")
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="data", Key="in/x", IfMatch='"0"')
    assert signers(grants) == ["grant", "alice"]


@pytest.mark.alice("WRITE s3://data/in/*")
def test_a_positioned_file_is_not_sent_from_its_beginning_by_a_warm_request(grants, s3):
    s3.put_object(Bucket="data", Key="in/x", Body=b"warm")
    body = io.BytesIO(b"not this: but this")
    body.seek(10)
    grants.fail("PutObject", "ExpiredToken")
    with pytest.raises(botocore.exceptions.ClientError, match="ExpiredToken"):
        s3.put_object(Bucket="data", Key="in/x", Body=body)


def refused(s3, key="out/x"):
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        read(s3, key)


@pytest.fixture
def denied(s3, control):
    """A client that was denied an object twice."""
    refused(s3)
    refused(s3)
    control()
    return s3


def test_a_remembered_denial_takes_it(grants, denied, counted, control):
    refused(denied)
    denied.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "out/x"})
    assert counted == []
    assert signers(grants)[-1] == "alice"
    assert control() == []


def test_a_remembered_denial_is_counted_and_told_as_on_the_long_path(grants, register, alice, counted):
    told = []
    session = grants.session(alice)
    provider = register(session, account_id=grants.account_id, on_decision=told.append)
    s3 = session.client("s3")
    refused(s3)
    refused(s3)
    counted.clear()
    before = provider.stats().fallback
    refused(s3)
    assert counted == []
    assert provider.stats().fallback == before + 1
    assert told[-1] == told[-2]
    assert (told[-1].outcome, told[-1].target) == ("fallback", "s3://data/out/x")


@pytest.mark.alice("READ s3://data/in/*", objects={"s3://data/in/x": b"body", "s3://data/out/x": b"mine"})
def test_a_second_identity_in_the_client_is_not_denied_what_the_first_was(grants, denied, edge):
    bob = grants.identity("bob")
    grants.grant(bob, "s3://data/out/*", "READ")
    denied._request_signer._credentials = edge.whoever(lambda: bob)
    assert read(denied, "out/x") == b"mine"
    assert signers(grants)[-1] == "grant"


@pytest.mark.alice("READ s3://data/in/*", objects={"s3://data/in/x": b"body", "s3://data/out/x": b"mine"})
def test_keys_that_are_exchanged_in_place_are_not_denied_what_the_old_ones_were(grants, denied):
    bob = grants.identity("bob", session=True)
    grants.grant(bob, "s3://data/out/*", "READ")
    credentials = denied._request_signer._credentials
    credentials.access_key, credentials.secret_key = bob.access_key_id, bob.secret_access_key
    credentials.token = bob.session_token
    assert read(denied, "out/x") == b"mine"
    assert signers(grants)[-1] == "grant"


@pytest.mark.alice("READ s3://data/in/*", objects={"s3://data/in/x": b"x", "s3://data/in/y": b"y"}, lifetime=200)
def test_credentials_that_are_held_come_before_a_denial_in_their_advisory_window_too(grants, s3, clock):
    grants.fail("GetDataAccess", "AccessDenied", status=403, times=1)
    refused(s3, "in/x")
    refused(s3, "in/x")
    assert read(s3, "in/y") == b"y"
    assert read(s3, "in/x") == b"x"
    clock.forward(170)
    assert read(s3, "in/x") == b"x"
    assert signers(grants) == ["alice", "alice", "grant", "grant", "grant"]


def test_a_presigned_head_that_was_denied_is_warned_of_at_once(grants, register, alice, caplog):
    s3 = grants.session(alice).client("s3")
    provider = register(s3, account_id=grants.account_id)
    refused(s3)
    provider.runtime.notices.start_over()
    caplog.clear()
    s3.generate_presigned_url("head_object", Params={"Bucket": "data", "Key": "out/x"})
    assert "are signed with the caller's own credentials" in caplog.text


def test_a_caller_that_turns_out_to_be_a_grants_session_is_left_alone_though_it_was_denied(grants, register):
    bob = grants.identity("bob", session=True)
    session, told = grants.session(bob), []
    register(session, account_id=grants.account_id, on_decision=told.append)
    refused(session.client("s3"))
    handed_out.add(bob.access_key_id)
    refused(session.client("s3"))
    assert [decision.outcome for decision in told] == ["fallback", "unsupported"]


def test_a_denial_is_forgotten_in_time(grants, denied, alice, clock, control):
    grants.put("s3://data/out/x", b"mine")
    grants.grant(alice, "s3://data/out/*", "READ")
    refused(denied)
    clock.forward(301)
    assert read(denied, "out/x") == b"mine"
    assert "GetDataAccess" in control()


def test_a_remembered_denial_makes_no_flow(grants, s3, monkeypatch, edge, control):
    for _ in range(2):
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            read(s3, "out/x")
    control()
    monkeypatch.setattr(edge.hook, "_flow", lambda *_: pytest.fail("a flow was made"))
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        read(s3, "out/x")
    assert signers(grants)[-1] == "alice"
    assert control() == []
