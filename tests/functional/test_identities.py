"""Two identities in one process share nothing, and the requester is whoever the client signs as."""

from __future__ import annotations

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from access_grants_provider.sdk.caller import masked_key

from .edge_botocore import keys_of

pytestmark = pytest.mark.alice("READ s3://data/a/*", objects={"s3://data/a/x": b"a"})


@pytest.fixture
def bob(grants):
    bob = grants.identity("bob", session=True)
    grants.grant(bob, "s3://data/b/*", "READ")
    grants.put("s3://data/b/x", b"b")
    return bob


def signed(grants) -> list[tuple[str | None, str | None]]:
    return [(one.signer, one.principal) for one in grants.s3_requests()]


def test_two_sessions_get_their_own_grants(grants, register, alice, bob):
    one, other = grants.session(alice), grants.session(bob)
    register(one)
    register(other)
    assert one.client("s3").get_object(Bucket="data", Key="a/x")["Body"].read() == b"a"
    assert other.client("s3").get_object(Bucket="data", Key="b/x")["Body"].read() == b"b"
    with pytest.raises(ClientError, match="AccessDenied"):
        other.client("s3").get_object(Bucket="data", Key="a/x")
    assert signed(grants) == [("grant", "alice"), ("grant", "bob"), ("bob", "bob")]


def test_a_client_made_with_explicit_keys_from_a_registered_session_asks_as_itself(grants, register, alice, bob):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3", **keys_of(bob))
    s3.get_object(Bucket="data", Key="b/x")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket="data", Key="a/x")
    session.client("s3").get_object(Bucket="data", Key="a/x")
    assert signed(grants) == [("grant", "bob"), ("bob", "bob"), ("grant", "alice")]
    assert len(provider.runtime.settings.states) == 2


def test_a_denial_of_one_identity_is_no_denial_of_the_other(grants, register, alice, bob):
    session = grants.session(bob)
    register(session)
    with pytest.raises(ClientError):
        session.client("s3").get_object(Bucket="data", Key="a/x")
    session.client("s3", **keys_of(alice)).get_object(Bucket="data", Key="a/x")
    assert signed(grants)[-1] == ("grant", "alice")


def test_a_known_access_key_with_a_wrong_secret_gets_nothing_of_what_is_remembered(grants, register, alice):
    session = grants.session(alice)
    register(session)
    session.client("s3").get_object(Bucket="data", Key="a/x")
    impostor = session.client("s3", aws_access_key_id=alice.access_key_id, aws_secret_access_key="guessed" * 6)
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        impostor.get_object(Bucket="data", Key="a/x")
    assert [one.signer for one in grants.s3_requests()] == ["grant"]


def test_what_was_vended_to_rotated_credentials_goes_with_them(grants, register, alice, edge):
    current = alice

    def refresh() -> dict[str, str]:
        return {
            "access_key": current.access_key_id,
            "secret_key": current.secret_access_key,
            "token": current.session_token,
            "expiry_time": "2100-01-01T00:00:00Z",
        }

    session = edge.core_session()
    credentials = edge.bare(session)._credentials = edge.refreshable(refresh)
    provider = register(session)
    s3 = session.create_client("s3")
    s3.get_object(Bucket="data", Key="a/x")
    current = grants.rotate(alice, expire=True)
    rotated = Credentials(current.access_key_id, current.secret_access_key, current.session_token)
    credentials._frozen_credentials = rotated.get_frozen_credentials()
    s3.get_object(Bucket="data", Key="a/x")
    vends = [one for one in grants.requests if one.operation == "GetDataAccess"]
    assert [one.access_key_id for one in vends] == [alice.access_key_id, current.access_key_id]
    assert len(provider.runtime.settings.states) == 1


def test_callers_that_ended_are_swept_with_what_was_vended_to_them(grants, register, alice, bob, edge, clock):
    callers, folders, current = 20, 5, None
    grants.lifetime = 60
    s3 = grants.session(alice).client("s3")
    s3._request_signer._credentials = edge.whoever(lambda: current)
    provider = register(s3, account_id=grants.account_id)
    for number in range(callers):
        current = grants.identity(f"worker-{number}", session=True)
        for folder in range(folders):
            grants.grant(current, f"s3://data/{number}-{folder}/*", "READ")
            assert provider.explain("get_object", Bucket="data", Key=f"{number}-{folder}/x").outcome == "granted"
    states = provider.runtime.settings.states
    assert sum(len(state.credentials) for state in states._states.values()) == callers * folders
    # Long enough for all of them to be swept; the local service takes no signature that is a quarter of an hour off.
    clock.forward(600)
    current = bob
    assert provider.explain("get_object", Bucket="data", Key="b/x").outcome == "granted"
    assert [(state.masked_key, len(state.credentials)) for state in states._states.values()] == [
        (masked_key(bob.access_key_id), 1)
    ]


def test_the_calls_are_signed_with_the_clients_own_credentials(grants, register, alice, bob):
    session = grants.session(alice)
    register(session)
    session.client("s3", **keys_of(bob)).get_object(Bucket="data", Key="b/x")
    assert {one.signer for one in grants.requests if one.is_control_call} == {"bob"}


def test_the_default_sessions_identity_is_never_asked_for(grants, register, alice, bob, edge, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bob.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bob.secret_access_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", bob.session_token)
    s3 = edge.session(alice).client("s3")
    register(s3)
    s3.get_object(Bucket="data", Key="a/x")
    assert {one.principal for one in grants.requests} == {"alice"}
