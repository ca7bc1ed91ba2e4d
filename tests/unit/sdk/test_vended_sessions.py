"""A client that signs with a grant's own session, which another process handed over, is left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from access_grants_provider import AccessGrantsProvider, Decision, VendedCredentials, register
from access_grants_provider.disk import VendedSessions, default_folder
from access_grants_provider.exceptions import ConfigurationError
from access_grants_provider.sdk.caller import handed_out
from access_grants_provider.testing import Identity, LocalAccessGrants, mock_access_grants

SCOPE, KEY = "s3://data/in/*", "in/x"


@pytest.fixture
def grants() -> Iterator[LocalAccessGrants]:
    with mock_access_grants() as running:
        running.bucket("data")
        running.put(f"s3://data/{KEY}", b"1")
        running.grant(running.identity("alice"), SCOPE, "READ")
        yield running


@pytest.fixture
def vended(grants: LocalAccessGrants, monkeypatch: pytest.MonkeyPatch) -> VendedCredentials:
    """Credentials of alice's grant, of another process. Nothing has been asked of the local service since."""
    credentials = register(grants.session(grants.identity("alice"))).credentials(SCOPE, "READ")
    grants.forget_requests()
    # This process knows what it has handed out itself.
    monkeypatch.setattr(handed_out, "_keys", {})
    return credentials


def hand_over(vended: VendedCredentials) -> None:
    """Remember the session as the command line does before it hands the session to a program."""
    sessions = VendedSessions(default_folder(), time.time)
    sessions.remember_session(vended.access_key, vended.expiration.timestamp())


class Program:
    """What the other process runs: a client that signs with a session, and that is registered."""

    def __init__(self, access_key: str, secret_key: str, token: str | None, **options: Any) -> None:
        session = botocore.session.Session()
        session.set_credentials(access_key, secret_key, token)
        self.decisions: list[Decision] = []
        self.provider: AccessGrantsProvider = register(session, on_decision=self.decisions.append, **options)
        self.s3: Any = session.create_client("s3", region_name="us-east-1")

    @classmethod
    def signing_with(cls, vended: VendedCredentials, **options: Any) -> Program:
        return cls(vended.access_key, vended.secret_key, vended.token, **options)

    def read(self) -> bytes:
        body: bytes = self.s3.get_object(Bucket="data", Key=KEY)["Body"].read()
        return body


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_its_requests_go_out_as_they_are_and_nothing_is_asked(
    grants: LocalAccessGrants, vended: VendedCredentials, fallback: str
) -> None:
    hand_over(vended)
    program = Program.signing_with(vended, fallback=fallback)
    assert [program.read(), program.read()] == [b"1", b"1"]
    assert [(one.operation, one.outcome, one.permission, one.source) for one in program.decisions] == [
        ("GetObject", "unsupported", None, None)
    ] * 2
    assert program.decisions[0].reason == "the client signs with a grant's credentials already"
    assert [one.access_key_id for one in grants.s3_requests()] == [vended.access_key] * 2
    assert grants.control_calls() == 0
    stats = program.provider.stats()
    assert (stats.unsupported, stats.control_calls) == (2, 0)


def test_explain_says_why(grants: LocalAccessGrants, vended: VendedCredentials) -> None:
    hand_over(vended)
    program = Program.signing_with(vended)
    program.read()
    assert program.provider.explain("get_object", Bucket="data", Key=KEY) == program.decisions[0]
    assert grants.control_calls() == 0


def test_it_has_no_credentials_to_give(grants: LocalAccessGrants, vended: VendedCredentials) -> None:
    hand_over(vended)
    program = Program.signing_with(vended, fallback="never")
    with pytest.raises(ConfigurationError, match=r"no credentials for 's3://data/in/\*'"):
        program.provider.credentials(SCOPE, "READ")
    assert grants.control_calls() == 0


def test_a_session_that_was_never_handed_over_is_asked_for_as_any_caller(
    grants: LocalAccessGrants, vended: VendedCredentials
) -> None:
    program = Program.signing_with(vended)
    program.read()
    assert program.decisions[0].outcome != "unsupported"
    assert grants.control_calls() > 0


def test_another_session_beside_it_is_asked_for(grants: LocalAccessGrants, vended: VendedCredentials) -> None:
    hand_over(vended)
    bob: Identity = grants.identity("bob", session=True)
    grants.grant(bob, SCOPE, "READ")
    program = Program(bob.access_key_id, bob.secret_access_key, bob.session_token)
    program.read()
    assert program.decisions[0].outcome == "granted"


def test_without_a_folder_to_look_into_the_caller_is_asked_for(
    grants: LocalAccessGrants, vended: VendedCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(vended)
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", "not/absolute")
    program = Program.signing_with(vended)
    program.read()
    assert program.decisions[0].outcome != "unsupported"
    assert grants.control_calls() > 0
