"""What is presigned is good for as long as was asked, or it is said when it ends."""

from __future__ import annotations

import asyncio
import fractions
import logging
import unittest.mock
import urllib.parse

import pytest

from access_grants_provider.sdk.presign_expiry import seconds_presigned_for

pytestmark = pytest.mark.alice("READWRITE s3://data/in/*")

HOUR = 3600
USUAL = 900  # seconds; what is presigned for longer than half of it needs more


@pytest.fixture
def s3(grants, register, alice):
    session = grants.session(alice)
    register(session, account_id=grants.account_id, duration_seconds=USUAL)
    return session.client("s3")


def presign(s3, seconds=None, key="in/x"):
    more = {} if seconds is None else {"ExpiresIn": seconds}
    return s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": key}, **more)


def key_id(url) -> str:
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    return (query.get("AWSAccessKeyId") or query["X-Amz-Credential"])[0].partition("/")[0]


def durations(grants) -> list[int]:
    return [int(one.parameters["DurationSeconds"]) for one in grants.requests if one.operation == "GetDataAccess"]


def test_a_url_for_a_short_time_takes_the_usual_credentials(grants, s3):
    presign(s3, 60)
    presign(s3, USUAL // 2)
    assert durations(grants) == [USUAL]


def test_a_url_for_longer_gets_credentials_that_last_and_serve_those_made_after_it(grants, s3, clock):
    first = presign(s3, 600)
    assert durations(grants) == [1200]
    clock.forward(599)
    assert key_id(presign(s3, 600)) == key_id(first)
    clock.forward(2)
    assert key_id(presign(s3, 600)) != key_id(first)
    assert durations(grants) == [1200, 1200]


def test_the_hour_that_is_botocores_default_is_an_hour(grants, s3):
    presign(s3)
    assert durations(grants) == [2 * HOUR]


def test_credentials_with_too_little_life_left_are_replaced_for_a_url_and_serve_on_until_then(grants, s3, clock):
    grants.put("s3://data/in/x", b"1")
    s3.get_object(Bucket="data", Key="in/x")
    clock.forward(500)
    presign(s3, 401)
    assert durations(grants) == [USUAL, USUAL]
    s3.get_object(Bucket="data", Key="in/x")
    assert len(durations(grants)) == 2


def test_a_url_longer_than_any_credentials_says_when_it_ends_once_a_bucket(grants, s3, caplog):
    caplog.set_level(logging.WARNING)
    presign(s3, 7 * 24 * HOUR)
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "for GetObject ends at " in warning.getMessage()
    assert "not after the 604800 s that were asked for" in warning.getMessage()
    presign(s3, 7 * 24 * HOUR, key="in/y")
    assert durations(grants) == [12 * HOUR]
    assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == 1


def test_where_the_role_allows_no_longer_sessions_the_usual_credentials_serve_and_it_is_said(grants, s3, caplog):
    grants.fail("GetDataAccess", "StsValidationError", status=400)
    presign(s3, 2 * HOUR)
    assert grants.calls("GetDataAccess") == 2
    assert "not after the 7200 s that were asked for" in caplog.text
    presign(s3, 2 * HOUR)
    assert grants.calls("GetDataAccess") == 2
    granted = [one for one in grants.requests if one.operation == "GetDataAccess"][-1]
    assert int(granted.parameters["DurationSeconds"]) == USUAL


def test_a_post_lasts_as_long_as_its_policy(grants, s3):
    s3.generate_presigned_post("data", "in/form", ExpiresIn=2 * HOUR)
    # The policy's end is written in whole seconds.
    assert durations(grants)[0] in (4 * HOUR, 4 * HOUR - 1)


def test_the_requests_after_a_presigned_one_are_not_presigned(grants, s3, clock):
    presign(s3, 600)
    grants.put("s3://data/in/x", b"1")
    clock.forward(601)
    s3.get_object(Bucket="data", Key="in/x")
    assert len(durations(grants)) == 1


def test_without_the_provider_the_signer_is_as_botocore_made_it(grants, register, alice):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    signer = s3._request_signer
    assert "generate_presigned_url" in vars(signer)
    # Another provider takes over, and the first one is gone before it.
    other = register(s3)
    provider.unregister()
    assert "generate_presigned_url" in vars(signer)
    other.unregister()
    assert "generate_presigned_url" not in vars(signer)


def test_a_method_that_a_program_has_put_on_the_signer_is_called_and_stays(grants, register, alice):
    s3 = grants.session(alice).client("s3")
    signer, asked = s3._request_signer, []
    own = signer.generate_presigned_url

    def theirs(**kwargs):
        asked.append(kwargs["expires_in"])
        return own(**kwargs)

    signer.generate_presigned_url = theirs
    provider = register(s3, account_id=grants.account_id, duration_seconds=USUAL)
    presign(s3, 600)
    assert asked == [600]
    assert durations(grants) == [1200]
    provider.unregister()
    assert signer.generate_presigned_url is theirs


def test_a_mock_in_place_of_the_signers_method_is_called_as_without_the_provider(s3):
    signer = type(s3._request_signer)
    with unittest.mock.patch.object(signer, "generate_presigned_url", new_callable=unittest.mock.MagicMock) as generate:
        generate.side_effect = NotImplementedError
        with pytest.raises(NotImplementedError):
            presign(s3, 600)
    assert generate.call_args.args == ()
    assert generate.call_args.kwargs.keys() == {"request_dict", "expires_in", "operation_name"}


def test_urls_made_at_once_are_asked_for_one_by_one(grants, s3):
    """What one of them is to be good for is no business of another, nor of the request that is signed between."""
    grants.put("s3://data/in/x", b"1")
    presign(s3, 600)
    s3.get_object(Bucket="data", Key="in/x")
    presign(s3, 60)
    presign(s3, 1300)
    assert durations(grants) == [1200, 2600]


@pytest.mark.parametrize("seconds", ["600", fractions.Fraction(600)])
def test_what_botocore_takes_for_a_number_of_seconds_is_one(grants, s3, seconds):
    """A number out of an environment variable, or one of numpy's."""
    presign(s3, seconds)
    assert durations(grants) == [1200]


@pytest.mark.versions
@pytest.mark.fast_cases(2)
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


@pytest.mark.only("aiobotocore", reason="only tasks interleave within a call")
def test_each_of_many_coroutines_asks_for_its_own_time(alice, grants, register):
    session = pytest.importorskip("aiobotocore.session").AioSession()
    session.set_credentials(alice.access_key_id, alice.secret_access_key, alice.session_token)
    register(session, account_id=grants.account_id, duration_seconds=USUAL)
    noted = []

    async def main():
        async with session.create_client("s3") as s3:
            s3.meta.events.register_last("before-sign.s3", lambda request, **_: noted.append(request.context))
            await asyncio.gather(
                *[
                    s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"}, ExpiresIn=seconds)
                    for seconds in (600, 60, 300)
                ]
            )

    asyncio.run(main())
    assert sorted(map(seconds_presigned_for, noted)) == [60, 300, 600]
