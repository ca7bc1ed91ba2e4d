"""What happens without a grant: the table of fallbacks, what is remembered, what is said, what it costs."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.exceptions import (
    AccessDenied,
    CallerCredentialsError,
    NoInstance,
    PermissionMissing,
    ServiceFailure,
    Unreachable,
)

pytestmark = pytest.mark.alice(own=["READWRITE s3://data/own/*"], objects={"s3://data/own/x": b"own"})


def client(grants, register, identity, **options):
    s3 = grants.session(identity).client("s3")
    return register(s3, **options), s3


def no_grant(grants, alice):
    grants.grant(grants.identity("somebody else"), "s3://data/*", "READ")


def no_instance(grants, alice):
    pass


def not_permitted(grants, alice):
    grants.grant(alice, "s3://data/*", "READ")
    grants.forbid(alice, "s3:GetDataAccess")


def failing(grants, alice):
    grants.grant(alice, "s3://data/*", "READ")
    grants.fail("GetDataAccess", "InternalFailure", status=400, times=None)


def unreachable(grants, alice):
    grants.grant(alice, "s3://data/*", "READ")
    grants.answer("GetDataAccess", b"this is not XML", times=None)


def sts_failing(grants, alice):
    grants.grant(alice, "s3://data/*", "READ")
    grants.fail("GetCallerIdentity", "AccessDenied", status=403, times=None)


TABLE = [
    (no_grant, "own", "own", AccessDenied),
    (no_instance, "own", "own", NoInstance),
    (not_permitted, "own", "own", PermissionMissing),
    (failing, ServiceFailure, "own", ServiceFailure),
    (unreachable, ServiceFailure, "own", ServiceFailure),
    (sts_failing, ServiceFailure, "own", ServiceFailure),
]


@pytest.mark.parametrize(
    ("scenario", "fallback", "outcome"),
    [
        pytest.param(scenario, fallback, outcome, id=f"{scenario.__name__}-{fallback}")
        for scenario, *outcomes in TABLE
        for fallback, outcome in zip(("denied", "always", "never"), outcomes, strict=True)
    ],
)
def test_the_table_of_fallbacks(grants, register, alice, caplog, scenario, fallback, outcome):
    scenario(grants, alice)
    _, s3 = client(grants, register, alice, fallback=fallback)
    if outcome == "own":
        assert s3.get_object(Bucket="data", Key="own/x")["Body"].read() == b"own"
        assert [one.signer for one in grants.s3_requests()] == ["alice"]
        assert [one.levelname for one in caplog.records if "signed with the caller's own" in one.message] == ["WARNING"]
    else:
        with pytest.raises(outcome) as raised:
            s3.get_object(Bucket="data", Key="own/x")
        if issubclass(outcome, AccessDenied):
            assert type(raised.value) is outcome
        assert grants.s3_requests() == []


def test_a_denial_is_handled_like_s3s_own(grants, register, alice):
    no_grant(grants, alice)
    _, s3 = client(grants, register, alice, fallback="never")
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket="data", Key="own/x")
    assert raised.value.response["Error"]["Code"] == "AccessDenied"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert raised.value.operation_name == "GetObject"
    message = str(raised.value)
    assert "READ on 's3://data/own/x'" in message
    assert "Ask the owner" in message


def test_each_denial_is_a_new_exception(grants, register, alice):
    no_grant(grants, alice)
    _, s3 = client(grants, register, alice, fallback="never")
    raised = []
    for _ in range(3):
        with pytest.raises(AccessDenied) as caught:
            s3.get_object(Bucket="data", Key="own/x")
        raised.append(caught.value)
    assert len(set(map(id, raised))) == 3

    def depth(traceback) -> int:
        return 0 if traceback is None else 1 + depth(traceback.tb_next)

    assert len({depth(error.__traceback__) for error in raised}) == 1


def test_one_warning_a_bucket_says_which_why_and_what_helps(grants, register, alice, caplog):
    no_grant(grants, alice)
    grants.bucket("other")
    grants.allow(alice, "s3://other/*", "READ")
    _, s3 = client(grants, register, alice)
    caplog.set_level(logging.DEBUG, logger="access_grants_provider")
    for key in ("own/x", "own/y", "own/x"):
        with pytest.raises(ClientError) if key == "own/y" else pytest.MonkeyPatch.context():
            s3.get_object(Bucket="data", Key=key)
    s3.list_objects_v2(Bucket="other")
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "bucket 'data'" in warnings[0]
    assert "No grant gives the caller" in warnings[0]
    assert "Ask the owner" in warnings[0]
    assert "bucket 'other'" in warnings[1]
    assert sum("outcome='fallback'" in one.getMessage() for one in caplog.records) == 4


def test_a_missing_permission_is_named_in_the_warning(grants, register, alice, caplog):
    not_permitted(grants, alice)
    _, s3 = client(grants, register, alice)
    s3.get_object(Bucket="data", Key="own/x")
    assert "Allow s3:GetDataAccess" in caplog.text


def test_a_denial_is_remembered_for_five_minutes(grants, register, alice, clock, control):
    no_grant(grants, alice)
    _, s3 = client(grants, register, alice)
    control()
    s3.get_object(Bucket="data", Key="own/x")
    assert "GetDataAccess" in control()
    s3.get_object(Bucket="data", Key="own/x")
    clock.forward(299)
    s3.get_object(Bucket="data", Key="own/x")
    assert control() == []
    grants.grant(alice, "s3://data/own/*", "READ")
    clock.forward(2)
    s3.get_object(Bucket="data", Key="own/x")
    assert grants.s3_requests()[-1].signer == "grant"
    assert control() == ["GetDataAccess"]


def test_a_denial_ends_after_five_minutes_though_the_clock_was_set_back(grants, register, alice, clock):
    no_grant(grants, alice)
    _, s3 = client(grants, register, alice)
    s3.get_object(Bucket="data", Key="own/x")
    grants.grant(alice, "s3://data/own/*", "READ")
    # The local service takes no signature that is a quarter of an hour off.
    clock.set_back(800)
    clock.forward(299)
    s3.get_object(Bucket="data", Key="own/x")
    clock.forward(2)
    s3.get_object(Bucket="data", Key="own/x")
    assert [one.signer for one in grants.s3_requests()] == ["alice", "alice", "grant"]


def test_clear_forgets_a_refusal(grants, register, alice):
    no_grant(grants, alice)
    provider, s3 = client(grants, register, alice)
    s3.get_object(Bucket="data", Key="own/x")
    grants.grant(alice, "s3://data/own/*", "READ")
    provider.clear()
    grants.forget_requests()
    s3.get_object(Bucket="data", Key="own/x")
    assert [one.signer for one in grants.s3_requests()] == ["grant"]


def test_300_ungranted_keys_cost_a_handful_of_calls(grants, register, alice):
    grants.grant(alice, "s3://data/elsewhere/*", "READ")
    provider, _ = client(grants, register, alice)
    for number in range(300):
        decision = provider.explain("get_object", Bucket="data", Key=f"own/{number}")
        assert decision.outcome == "fallback"
    assert grants.control_calls() <= 6


def test_a_listed_grant_is_asked_for_even_after_denials_in_the_bucket(grants, register, alice):
    grants.grant(alice, "s3://data/elsewhere/*", "READ")
    provider, _ = client(grants, register, alice)
    assert provider.explain("get_object", Bucket="data", Key="own/x").outcome == "fallback"
    assert provider.explain("get_object", Bucket="data", Key="elsewhere/x").outcome == "granted"
    assert provider.explain("put_object", Bucket="data", Key="elsewhere/x").outcome == "fallback"


def test_who_may_not_list_is_asked_for_key_by_key(grants, register, alice):
    no_grant(grants, alice)
    grants.forbid(alice, "s3:ListCallerAccessGrants")
    provider, _ = client(grants, register, alice, account_id=grants.account_id)
    for number in range(5):
        provider.explain("get_object", Bucket="data", Key=f"own/{number}")
    assert grants.calls("GetDataAccess") == 5
    assert grants.calls("ListCallerAccessGrants") == 1


def test_a_bucket_without_an_instance_costs_few_calls_where_the_caller_may_read_it(grants, register, alice):
    _, s3 = client(grants, register, alice)
    for number in range(50):
        grants.put(f"s3://data/own/{number}", b"1")
        s3.get_object(Bucket="data", Key=f"own/{number}")
    assert grants.control_calls() <= 6


def test_a_key_that_s3_refuses_there_is_looked_up_once(grants, register, alice, control):
    _, s3 = client(grants, register, alice)
    for key in ("own/x", "elsewhere/a", "elsewhere/b", "elsewhere/a"):
        with suppress(ClientError):
            s3.get_object(Bucket="data", Key=key)
    assert control().count("GetAccessGrantsInstanceForPrefix") == 3


def test_s3s_refusal_is_not_kept_back_while_the_look_up_is_throttled(edge, grants, register, alice, clock):
    paused = []

    def passed(_, seconds):
        paused.append(seconds)
        clock.forward(seconds)

    edge.skip_pauses(passed)
    provider, s3 = client(grants, register, alice)
    provider.runtime.jitter = lambda seconds: seconds
    with suppress(ClientError):
        s3.get_object(Bucket="data", Key="elsewhere/a")
    paused.clear()
    grants.fail("GetAccessGrantsInstanceForPrefix", "SlowDown", status=503, times=None)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket="data", Key="elsewhere/b")
    assert paused
    assert sum(paused) <= provider.config.timeout_seconds


def test_a_key_outside_all_locations_says_nothing_of_a_key_within_one(grants, register, alice):
    grants.bucket("theirs", account_id="222233334444")
    grants.location("s3://theirs/team/*")
    grants.grant(alice, "s3://theirs/team/*", "READ")
    grants.share(alice.account_id, owner="222233334444")
    provider, _ = client(grants, register, alice)
    assert provider.explain("get_object", Bucket="theirs", Key="elsewhere/x").outcome == "fallback"
    assert provider.explain("get_object", Bucket="theirs", Key="team/x").outcome == "granted"


def test_a_copy_between_buckets_is_denied_without_a_call(grants, register, alice, control):
    grants.bucket("other")
    grants.grant(alice, "s3://data/*", "READWRITE")
    grants.allow(alice, "s3://data/*", "READWRITE")
    grants.allow(alice, "s3://other/*", "READWRITE")
    provider, s3 = client(grants, register, alice)
    control()
    s3.copy_object(Bucket="other", Key="y", CopySource="data/own/x")
    assert control() == []
    decision = provider.explain("copy_object", Bucket="other", Key="y", CopySource="data/own/x")
    assert (decision.outcome, decision.permission, decision.target) == ("fallback", "READWRITE", None)
    assert "no single grant covers two buckets" in str(decision.reason)


def test_an_expired_caller_is_told_so(grants, register, alice):
    grants.grant(alice, "s3://data/*", "READ")
    _, s3 = client(grants, register, alice, account_id=grants.account_id)
    grants.expire(alice)
    with pytest.raises(CallerCredentialsError, match=r"s3:GetDataAccess in us-east-1 .*Expired.*Sign in again"):
        s3.get_object(Bucket="data", Key="own/x")


def test_an_unreachable_s3_control_is_named(grants, register, alice):
    from botocore.config import Config

    session = grants.session(alice)
    register(session, endpoint_url="https://127.0.0.1:1", account_id=grants.account_id)
    s3 = session.client("s3", config=Config(retries={"total_max_attempts": 1}, connect_timeout=1))
    with pytest.raises(Unreachable, match=r"s3:GetDataAccess in us-east-1 for READ on 's3://data/own/x'.*127.0.0.1:1"):
        s3.get_object(Bucket="data", Key="own/x")


def test_a_key_that_xml_cannot_write_is_denied_like_any_other(grants, register, alice):
    no_grant(grants, alice)
    provider, _ = client(grants, register, alice)
    assert provider.explain("get_object", Bucket="data", Key="a\x01b\x1fc").outcome == "fallback"
