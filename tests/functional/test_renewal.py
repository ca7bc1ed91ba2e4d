"""Credentials are renewed in two windows, replaced when S3 takes them for expired, and never used past their end."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

LIFE = 400  # seconds: the advisory window opens after 300, the mandatory one after 350


@pytest.fixture
def scenario(grants, register):
    alice = grants.identity("alice")
    grant = grants.grant(alice, "s3://data/in/*", "READ")
    grants.put("s3://data/in/x", b"1")
    grants.lifetime = LIFE
    session = grants.session(alice)
    provider = register(session, account_id=grants.account_id)
    s3 = session.client("s3")
    s3.get_object(Bucket="data", Key="in/x")
    grants.forget_requests()
    return alice, grant, provider, s3


def get(s3) -> bytes:
    return s3.get_object(Bucket="data", Key="in/x")["Body"].read()


def test_before_the_advisory_window_nothing_is_asked(grants, clock, scenario):
    *_, s3 = scenario
    clock.forward(299)
    get(s3)
    assert grants.control_calls() == 0


def test_in_the_advisory_window_one_renews_and_the_others_go_on(grants, clock, scenario):
    *_, s3 = scenario
    clock.forward(301)
    with ThreadPoolExecutor(9) as pool, grants.hold("GetDataAccess") as held:
        first = pool.submit(get, s3)
        held.wait_for(1)
        # The renewal hangs, and eight others read on with what there is.
        assert [one.result() for one in [pool.submit(get, s3) for _ in range(8)]] == [b"1"] * 8
        held.release()
        assert first.result() == b"1"
    assert grants.calls("GetDataAccess") == 1
    clock.forward(299)
    get(s3)
    assert grants.calls("GetDataAccess") == 1


def test_a_failed_renewal_leaves_the_old_credentials_and_is_logged(grants, clock, scenario, caplog):
    *_, s3 = scenario
    clock.forward(301)
    grants.fail("GetDataAccess", "SomethingBroke", status=400)
    assert get(s3) == b"1"
    assert "were not renewed and stay in use" in caplog.text
    assert "SomethingBroke" in caplog.text
    get(s3)
    assert grants.calls("GetDataAccess") == 1


def test_a_grant_taken_away_leaves_the_old_credentials_till_the_mandatory_window(grants, clock, scenario):
    _, grant, _, s3 = scenario
    grants.revoke(grant)
    clock.forward(301)
    assert get(s3) == b"1"
    clock.forward(50)
    with pytest.raises(ClientError, match="AccessDenied"):
        get(s3)
    assert [one.signer for one in grants.s3_requests()] == ["grant", "alice"]


def test_in_the_mandatory_window_all_wait_for_one_renewal(grants, clock, scenario):
    *_, s3 = scenario
    clock.forward(351)
    with ThreadPoolExecutor(8) as pool, grants.hold("GetDataAccess") as held:
        started = [pool.submit(get, s3) for _ in range(8)]
        held.wait_for(1)
        assert grants.s3_requests() == []
        held.release()
        assert [one.result() for one in started] == [b"1"] * 8
    assert grants.calls("GetDataAccess") == 1


def test_a_renewal_that_fails_in_the_mandatory_window_raises(grants, clock, scenario):
    *_, s3 = scenario
    clock.forward(351)
    grants.fail("GetDataAccess", "SomethingBroke", status=400)
    with pytest.raises(Exception, match=r"s3:GetDataAccess in us-east-1 .*SomethingBroke"):
        get(s3)
    assert grants.s3_requests() == []


@pytest.mark.versions
@pytest.mark.fast_cases(3)
# InvalidAccessKeyId: the location's role was deleted and made anew.
@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"])
@pytest.mark.parametrize("operation", ["GetObject", "HeadObject"])
def test_credentials_that_s3_takes_for_expired_are_renewed_once(grants, clock, scenario, code, operation):
    *_, provider, s3 = scenario
    clock.forward(61)
    grants.fail(operation, code, status=400)
    call = {"GetObject": s3.get_object, "HeadObject": s3.head_object}[operation]
    assert call(Bucket="data", Key="in/x")["ContentLength"] == 1
    assert grants.calls("GetDataAccess") == 1
    assert provider.stats().recovered == 1


def test_the_second_refusal_stands(grants, scenario):
    *_, s3 = scenario
    grants.fail("GetObject", "ExpiredToken", status=400, times=2)
    with pytest.raises(ClientError, match="ExpiredToken"):
        get(s3)
    assert grants.calls("GetDataAccess") == 1


def test_the_callers_own_expired_token_is_not_ours_to_renew(grants, scenario):
    alice, _, provider, s3 = scenario
    grants.allow(alice, "s3://data/own/*", "READ")
    grants.fail("GetObject", "ExpiredToken", status=400)
    with pytest.raises(ClientError, match="ExpiredToken"):
        s3.get_object(Bucket="data", Key="own/x")
    assert provider.stats().recovered == 0


class Spent(io.BytesIO):
    """A body that can't be rewound once S3 has answered. Before it is sent over HTTP, botocore reads it to sign it."""

    answered = False

    def seek(self, *whereto: int) -> int:
        if self.answered:
            raise io.UnsupportedOperation("seek")
        return super().seek(*whereto)

    def note(self, **_: object) -> None:
        self.answered = True


def test_a_body_that_cannot_be_rewound_keeps_s3s_own_error(grants, register):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/in/*", "WRITE")
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    grants.fail("PutObject", "ExpiredToken", status=400)
    body = Spent(b"1")
    s3.meta.events.register("response-received.s3.PutObject", body.note)
    with pytest.raises(ClientError, match="ExpiredToken"):
        s3.put_object(Bucket="data", Key="in/x", Body=body)
    assert provider.stats().recovered == 0


@pytest.fixture
def nested(grants, register):
    """A grant whose location's role refuses ``in/secret/``, and a nested location whose role serves it."""
    alice = grants.identity("alice")
    grants.location("s3://data/in/*", denies=["s3://data/in/secret/*"])
    grants.grant(alice, "s3://data/in/*", "READ")
    grants.put("s3://data/in/x", b"1")
    grants.put("s3://data/in/secret/x", b"2")
    session = grants.session(alice)
    provider = register(session, account_id=grants.account_id)
    s3 = session.client("s3")
    get(s3)
    grants.forget_requests()
    return alice, provider, s3


def test_a_403_under_a_wider_scope_is_mended_by_a_nearer_grant(grants, nested):
    alice, provider, s3 = nested
    grants.location("s3://data/in/secret/*")
    grants.grant(alice, "s3://data/in/secret/*", "READ")
    assert s3.get_object(Bucket="data", Key="in/secret/x")["Body"].read() == b"2"
    assert [(one.scope, one.status) for one in grants.s3_requests()] == [
        ("s3://data/in/*", 403),
        ("s3://data/in/secret/*", 200),
    ]
    assert grants.calls("GetDataAccess") == 1
    assert provider.stats().recovered == 1
    # From now on the nearer grant is found at once, and the wider one goes on for its own keys.
    grants.forget_requests()
    s3.get_object(Bucket="data", Key="in/secret/x")
    get(s3)
    assert grants.control_calls() == 0


def test_a_403_without_a_nearer_grant_stands_and_is_asked_about_once(grants, nested):
    *_, s3 = nested
    for _ in range(3):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.get_object(Bucket="data", Key="in/secret/x")
    assert grants.calls("GetDataAccess") == 1
    assert {one.signer for one in grants.s3_requests()} == {"grant"}


def test_a_policy_that_refuses_every_key_does_not_double_the_calls(grants, nested):
    *_, s3 = nested
    for number in range(40):
        with pytest.raises(ClientError):
            s3.head_object(Bucket="data", Key=f"in/secret/{number}")
    assert grants.calls("GetDataAccess") == 16
