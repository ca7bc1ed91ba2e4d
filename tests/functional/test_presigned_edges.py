"""Presigning with odd lengths of time, beside renewals and in odd contexts."""

from __future__ import annotations

import asyncio
import contextvars
import fractions
import urllib.parse

import pytest

USUAL = 900  # seconds; what is presigned for longer than half of it needs more


@pytest.fixture
def alice(grants):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/in/*", "READWRITE")
    return alice


@pytest.fixture
def s3(grants, register, alice):
    session = grants.session(alice)
    register(session, account_id=grants.account_id, duration_seconds=USUAL)
    return session.client("s3")


def presign(s3, seconds):
    return s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"}, ExpiresIn=seconds)


def durations(grants) -> list[int]:
    return [int(one.parameters["DurationSeconds"]) for one in grants.requests if one.operation == "GetDataAccess"]


@pytest.mark.parametrize("seconds", ["600", fractions.Fraction(600)])
def test_what_botocore_takes_for_a_number_of_seconds_is_one(grants, s3, seconds):
    """A number out of an environment variable, or one of numpy's."""
    presign(s3, seconds)
    assert durations(grants) == [1200]


@pytest.mark.parametrize("seconds", [10**400, float("inf"), float("nan"), -5, "soon"])
def test_what_is_no_length_of_time_is_left_to_botocore(grants, alice, register, seconds):
    def outcome(client):
        try:
            return urllib.parse.urlsplit(presign(client, seconds)).path
        except Exception as error:  # noqa: BLE001  whatever botocore raises
            return type(error), str(error)

    # Where the signature is version 4, and ExpiresIn is written as it is given.
    session = grants.session(alice)
    register(session, account_id=grants.account_id)
    covered = session.client("s3", region_name="eu-central-1")
    assert outcome(covered) == outcome(grants.session(alice).client("s3", region_name="eu-central-1"))


def test_a_url_waits_for_another_process_rather_than_end_early(grants, register, alice, clock, monkeypatch, tmp_path):
    """In the advisory window own credentials serve while another process renews them; not if they end too soon."""
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(tmp_path / "cache"))
    session = grants.session(alice)
    provider = register(session, account_id=grants.account_id, duration_seconds=USUAL, cache="disk")
    s3 = session.client("s3")
    presign(s3, 60)
    clock.forward(700)
    bare = getattr(provider, "bare", provider)
    disk, (who,) = bare.processes._disk, bare.processes._met
    bare.processes.lock_seconds = disk.lock_seconds = 0.1
    held = disk.lock(who, bare.processes._context, ("READ", ("data", "in/", True)), seconds=0)
    assert held.held
    presign(s3, 600)
    held.release()
    assert durations(grants) == [USUAL, 1200]


@pytest.mark.only("aiobotocore", reason="only a coroutine can be closed by somebody else")
def test_a_coroutine_that_is_dropped_in_the_middle_is_closed_in_silence(alice, grants, register):
    aiobotocore = pytest.importorskip("aiobotocore.session")
    session = aiobotocore.AioSession()
    session.set_credentials(alice.access_key_id, alice.secret_access_key, alice.session_token)
    register(session)

    async def main():
        async with session.create_client("s3") as s3:
            presigning = s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"})
            contextvars.Context().run(presigning.send, None)
            presigning.close()

    asyncio.run(main())
