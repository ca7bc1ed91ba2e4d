"""A bucket in another region, an instance in another account: found with the fewest calls, then remembered."""

from __future__ import annotations

import pytest

from access_grants_provider.sdk.known_accounts import known_accounts

OTHER = "999999999999"


def client(grants, register, identity, **options):
    session = grants.session(identity)
    provider = register(session, **options)
    grants.forget_requests()
    return provider, session.client("s3")


def test_the_first_request_and_the_warm_one(grants, register, alice, control):
    grants.grant(alice, "s3://data/*", "READ")
    grants.put("s3://data/x", b"1")
    _, s3 = client(grants, register, alice)
    s3.get_object(Bucket="data", Key="x")
    assert control() == ["GetCallerIdentity", "GetDataAccess"]
    s3.get_object(Bucket="data", Key="x")
    s3.list_objects_v2(Bucket="data", Prefix="q")
    assert control() == []


def test_a_known_account_spares_sts(grants, register, alice, control, edge, monkeypatch):
    grants.grant(alice, "s3://data/*", "READ")
    grants.put("s3://data/x", b"1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", alice.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", alice.secret_access_key)
    monkeypatch.setenv("AWS_ACCOUNT_ID", alice.account_id)
    session = edge.session()
    register(session)
    control()
    session.client("s3").get_object(Bucket="data", Key="x")
    assert control() == ["GetDataAccess"]


def test_account_id_leaves_one_call(grants, register, alice, control):
    grants.grant(alice, "s3://data/*", "READ")
    grants.put("s3://data/x", b"1")
    _, s3 = client(grants, register, alice, account_id=grants.account_id)
    s3.get_object(Bucket="data", Key="x")
    assert control() == ["GetDataAccess"]


def test_ten_reads_of_one_object_grant_are_one_vend(grants, register, alice):
    grants.grant(alice, "s3://data/only/this", "READ")
    grants.put("s3://data/only/this", b"1")
    _, s3 = client(grants, register, alice)
    for _ in range(10):
        s3.get_object(Bucket="data", Key="only/this")
    assert grants.calls("GetDataAccess") == 1
    assert {one.scope for one in grants.s3_requests()} == {"s3://data/only/this"}


def test_a_bucket_in_another_region_is_found_after_a_no_and_remembered(grants, register, alice, control):
    grants.bucket("far", region="eu-west-1")
    grants.grant(alice, "s3://far/*", "READ")
    grants.put("s3://far/x", b"far")
    provider, s3 = client(grants, register, alice, account_id=grants.account_id)
    assert s3.get_object(Bucket="far", Key="x")["Body"].read() == b"far"
    calls = control()
    assert calls[0] == "GetDataAccess"
    assert calls[-1] == "GetDataAccess"
    assert set(calls[1:-1]) == {"HeadBucket"}
    assert provider.explain("get_object", Bucket="far", Key="x").region == "eu-west-1"
    s3.get_object(Bucket="far", Key="x")
    assert control() == []


def test_a_bucket_in_its_own_region_is_never_headed(grants, register, alice, control):
    grants.grant(alice, "s3://data/*", "READ")
    provider, _ = client(grants, register, alice)
    provider.explain("get_object", Bucket="data", Key="x")
    assert "HeadBucket" not in control()


def test_another_session_with_the_same_key_does_not_ask_for_its_account(grants, register, alice, control):
    grants.grant(alice, "s3://data/*", "READ")
    grants.put("s3://data/x", b"1")
    _, first = client(grants, register, alice)
    first.get_object(Bucket="data", Key="x")
    assert control() == ["GetCallerIdentity", "GetDataAccess"]
    _, other = client(grants, register, alice)
    other.get_object(Bucket="data", Key="x")
    assert control() == ["GetDataAccess"]


def test_an_account_that_another_service_told_of_the_same_key_denies_nothing(grants, register, alice, control):
    grants.grant(alice, "s3://data/in/*", "READ")
    known_accounts.add(alice.access_key_id, OTHER)
    provider, _ = client(grants, register, alice)
    decision = provider.explain("get_object", Bucket="data", Key="in/x")
    assert (decision.outcome, decision.account_id) == ("granted", grants.account_id)
    assert provider.explain("get_object", Bucket="data", Key="out/x").outcome == "fallback"
    assert control().count("GetCallerIdentity") == 1


def test_before_a_no_of_a_known_account_sts_is_asked_once(grants, register, alice, control):
    grants.grant(alice, "s3://data/in/*", "READ")
    known_accounts.add(alice.access_key_id, grants.account_id)
    provider, _ = client(grants, register, alice)
    assert provider.explain("get_object", Bucket="data", Key="out/x").outcome == "fallback"
    assert control().count("GetCallerIdentity") == 1
    assert provider.explain("get_object", Bucket="data", Key="out/y").outcome == "fallback"
    assert control() == []


@pytest.fixture
def owner(grants):
    """Another account's instance, with a bucket of its own."""
    grants.bucket("theirs", account_id="222233334444")
    return "222233334444"


def test_an_instance_in_another_account_is_found(grants, register, alice, control, owner):
    grants.grant(alice, "s3://theirs/p/*", "READ")
    grants.share(alice.account_id, owner=owner)
    provider, _ = client(grants, register, alice)
    decision = provider.explain("get_object", Bucket="theirs", Key="p/x")
    assert (decision.outcome, decision.account_id) == ("granted", owner)
    control()
    assert provider.explain("get_object", Bucket="theirs", Key="p/y").source == "cache"
    assert control() == []


def test_the_accounts_instance_is_looked_up_once_a_bucket(grants, register, alice, control, owner):
    grants.grant(alice, "s3://theirs/p/*", "READ")
    grants.grant(alice, "s3://theirs/q/*", "READ")
    grants.share(alice.account_id, owner=owner)
    provider, _ = client(grants, register, alice)
    provider.explain("get_object", Bucket="theirs", Key="p/x")
    control()
    provider.explain("get_object", Bucket="theirs", Key="q/x")
    assert control() == ["GetDataAccess"]


def test_who_may_not_look_the_instance_up_gets_the_grants_of_the_own_account(grants, register, alice):
    grants.grant(alice, "s3://data/*", "READ")
    grants.forbid(alice, "s3:GetAccessGrantsInstanceForPrefix")
    provider, _ = client(grants, register, alice)
    assert provider.explain("get_object", Bucket="data", Key="x").outcome == "granted"


def test_minimal_asks_for_the_target_and_keeps_it_for_the_target(grants, register, alice):
    grants.grant(alice, "s3://data/*", "READ")
    for key in ("p/x", "p/y"):
        grants.put(f"s3://data/{key}", b"1")
    _, s3 = client(grants, register, alice, privilege="Minimal")
    for key in ("p/x", "p/y", "p/x", "p/y"):
        s3.get_object(Bucket="data", Key=key)
    vends = [one.parameters for one in grants.requests if one.operation == "GetDataAccess"]
    assert [(one["Target"], one["Privilege"], one["TargetType"]) for one in vends] == [
        ("s3://data/p/x", "Minimal", "Object"),
        ("s3://data/p/y", "Minimal", "Object"),
    ]
    assert [one.scope for one in grants.s3_requests()] == [f"s3://data/p/{key}" for key in "xyxy"]


def test_a_minimal_listing_serves_the_keys_below_it(grants, register, alice):
    grants.grant(alice, "s3://data/*", "READ")
    grants.put("s3://data/p/x", b"1")
    _, s3 = client(grants, register, alice, privilege="Minimal")
    s3.list_objects_v2(Bucket="data", Prefix="p/")
    s3.get_object(Bucket="data", Key="p/x")
    assert grants.calls("GetDataAccess") == 1


def test_the_duration_is_passed_on(grants, register, alice):
    grants.grant(alice, "s3://data/*", "READ")
    provider, _ = client(grants, register, alice, duration_seconds=900)
    provider.explain("get_object", Bucket="data", Key="x")
    (vend,) = [one.parameters for one in grants.requests if one.operation == "GetDataAccess"]
    assert int(vend["DurationSeconds"]) == 900


def test_the_audit_context_is_passed_on(grants, register, alice):
    grants.grant(alice, "s3://data/*", "READ")
    provider, _ = client(grants, register, alice, audit_context="nightly job")
    provider.explain("get_object", Bucket="data", Key="x")
    (vend,) = [one.parameters for one in grants.requests if one.operation == "GetDataAccess"]
    assert vend["AuditContext"] == "nightly job"
