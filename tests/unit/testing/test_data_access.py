"""GetDataAccess, ListCallerAccessGrants, GetAccessGrantsInstanceForPrefix: what callers ask."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from access_grants_provider.testing import AccessGrantsServer, mock_access_grants

ACCOUNT = "123456789012"
OTHER = "222222222222"
GET_DATA_ACCESS: Any = botocore.session.Session().get_service_model("s3control").operation_model("GetDataAccess")
KNOWS_INSTANCE_SCOPE = "InstanceScope" in GET_DATA_ACCESS.input_shape.members
needs_instance_scope = pytest.mark.skipif(not KNOWS_INSTANCE_SCOPE, reason="botocore's model has no InstanceScope")


def ask(grants: Any, identity: Any, target: str, permission: str = "READ", **options: Any) -> Any:
    options.setdefault("AccountId", grants.account_id)
    client = grants.client("s3control", identity)
    return client.get_data_access(Target=target, Permission=permission, **options)


def test_the_answer(either: Any) -> None:
    alice = either.identity("alice")
    either.grant(alice, "s3://sales/emea/*", "READ")
    answer = ask(either, alice, "s3://sales/emea/2026/q3.csv", TargetType="Object")
    assert answer["MatchedGrantTarget"] == "s3://sales/emea/*"
    assert answer["Grantee"] == {"GranteeType": "IAM", "GranteeIdentifier": alice.arn}
    keys = answer["Credentials"]
    assert keys["AccessKeyId"].startswith("ASIA")
    assert len(keys["SessionToken"]) > 700
    lasts = (keys["Expiration"] - datetime.now(timezone.utc)).total_seconds()
    assert 3590 < lasts <= 3600
    assert keys["Expiration"].microsecond == 0


@pytest.mark.parametrize(
    ("scope", "permission", "target", "asked", "answered"),
    [
        ("s3://sales/a/*", "READ", "s3://sales/a/x", "READ", True),
        ("s3://sales/a/*", "READ", "s3://sales/a/*", "READ", True),
        ("s3://sales/a/*", "READ", "s3://sales/a", "READ", False),
        ("s3://sales/a/*", "READ", "s3://sales/ab", "READ", False),
        ("s3://sales/a/*", "READ", "s3://sales/*", "READ", False),
        ("s3://sales/a/*", "READ", "s3://sales/a/x", "WRITE", False),
        ("s3://sales/a/*", "READWRITE", "s3://sales/a/x", "READ", True),
        ("s3://sales/a/*", "READWRITE", "s3://sales/a/x", "WRITE", True),
        ("s3://sales/a/*", "WRITE", "s3://sales/a/x", "READWRITE", False),
        ("s3://sales*", "READ", "s3://sales/x", "READ", True),
        ("s3://sales*", "READ", "s3://sales-emea/x", "READ", False),
        ("s3://sales/*", "READ", "s3://sales", "READ", False),
        ("s3://sales/key", "READ", "s3://sales/key", "READ", True),
        ("s3://sales/key", "READ", "s3://sales/key2", "READ", False),
        ("s3://sales/key", "READ", "s3://sales/key*", "READ", False),
    ],
)
def test_what_a_grant_answers(
    grants: Any, refused: Any, scope: str, permission: str, target: str, asked: str, answered: bool
) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, scope, permission)
    if answered:
        assert ask(grants, alice, target, asked)["MatchedGrantTarget"] == scope
    else:
        with refused("AccessDenied", f"You do not have {asked} permissions to the requested S3 Prefix: {target}"):
            ask(grants, alice, target, asked)


def test_the_closest_grant_answers(grants: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    for scope, permission in [
        ("s3://sales/*", "READWRITE"),
        ("s3://sales/a/*", "READ"),
        ("s3://sales/a/b*", "WRITE"),
        ("s3://sales/a/k", "READ"),
    ]:
        grants.grant(alice, scope, permission)
    assert ask(grants, alice, "s3://sales/a/b1")["MatchedGrantTarget"] == "s3://sales/a/*"
    assert ask(grants, alice, "s3://sales/a/b1", "WRITE")["MatchedGrantTarget"] == "s3://sales/a/b*"
    assert ask(grants, alice, "s3://sales/a/b1", "READWRITE")["MatchedGrantTarget"] == "s3://sales/*"
    assert ask(grants, alice, "s3://sales/a/k")["MatchedGrantTarget"] == "s3://sales/a/k"


def test_a_read_and_a_write_grant_are_no_readwrite_grant(grants: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/*", "READ")
    grants.grant(alice, "s3://sales/*", "WRITE")
    with refused("AccessDenied", "You do not have READWRITE"):
        ask(grants, alice, "s3://sales/x", "READWRITE")


def test_grants_are_for_their_grantee(grants: Any, refused: Any) -> None:
    grants.grant(grants.identity("alice"), "s3://sales/*", "READ")
    with refused("AccessDenied", "You do not have READ"):
        ask(grants, grants.identity("bob"), "s3://sales/x")
    with refused("AccessDenied", "You do not have READ"):
        ask(grants, grants.admin, "s3://sales/x")


def test_a_role_is_granted_by_its_own_arn(grants: Any) -> None:
    job = grants.identity("job", session=True)
    assert job.session_token
    grants.grant(f"arn:aws:iam::{ACCOUNT}:role/job", "s3://sales/*", "READ")
    assert ask(grants, job, "s3://sales/x")["Grantee"]["GranteeIdentifier"].endswith(":role/job")


def test_minimal_privilege_repeats_the_target(grants: Any) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/a/*", "READ")
    answer = ask(grants, alice, "s3://sales/a/b*", Privilege="Minimal")
    assert answer["MatchedGrantTarget"] == "s3://sales/a/b*"


def test_durations(grants: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/*", "READ")
    left = ask(grants, alice, "s3://sales/x", DurationSeconds=900)["Credentials"]["Expiration"]
    assert 890 < (left - datetime.now(timezone.utc)).total_seconds() <= 900
    control = grants.client("s3control", alice, config=Config(parameter_validation=False))
    for seconds in (899, 43201):
        with refused("InvalidRequest", "DurationSeconds"):
            control.get_data_access(
                AccountId=ACCOUNT, Target="s3://sales/x", Permission="READ", DurationSeconds=seconds
            )
    grants.lifetime = 4
    left = ask(grants, alice, "s3://sales/x", DurationSeconds=900)["Credentials"]["Expiration"]
    assert (left - datetime.now(timezone.utc)).total_seconds() <= 4


def test_a_duration_that_the_locations_role_does_not_allow(either: Any, refused: Any) -> None:
    alice, iam = either.identity("alice"), either.client("iam")
    arn = iam.create_role(RoleName="short", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    either.bucket("data")
    either.location("s3://data", role="short")
    either.grant(alice, "s3://data/*", "READ")
    control = either.client("s3control", alice)
    question = {"AccountId": either.account_id, "Target": "s3://data/x", "Permission": "READ"}
    assert arn.endswith(":role/short")
    control.get_data_access(**question, DurationSeconds=3600)
    with refused("StsValidationError", "exceeds the MaxSessionDuration set for this role"):
        control.get_data_access(**question, DurationSeconds=3601)
    iam.update_role(RoleName="short", MaxSessionDuration=7200)
    control.get_data_access(**question, DurationSeconds=7200)


def test_malformed_questions(grants: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.instance()
    with refused("InvalidRequest"):
        ask(grants, alice, "sales/x")
    with refused("InvalidRequest", "Permission is one of"):
        ask(grants, alice, "s3://sales/x", "EVERYTHING")
    with refused("InvalidRequest"):
        grants.client("s3control", alice).list_caller_access_grants(AccountId=ACCOUNT, GrantScope="sales")


def test_without_an_instance(grants: Any, refused: Any) -> None:
    with refused("AccessGrantsInstanceNotExistsError"):
        ask(grants, grants.identity("alice"), "s3://sales/x")


def test_callers_may_be_forbidden_to_ask(grants: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/*", "READ")
    grants.forbid(alice, "s3:GetDataAccess")
    with refused("AccessDenied", "because no identity-based policy allows the s3:GetDataAccess action"):
        ask(grants, alice, "s3://sales/x")
    grants.permit(alice, "s3:GetDataAccess")
    ask(grants, alice, "s3://sales/x")


def test_a_vended_session_cannot_ask(grants: Any, vend: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/*", "READ")
    control = vend(grants, alice, "s3://sales/*", "READ", service="s3control")
    with refused("AccessDenied", "no session policy allows the s3:GetDataAccess action"):
        control.get_data_access(AccountId=ACCOUNT, Target="s3://sales/x", Permission="READ")
    sts = vend(grants, alice, "s3://sales/*", "READ", service="sts")
    assert ":assumed-role/access-grants/" in sts.get_caller_identity()["Arn"]


def test_callers_list_their_grants(either: Any) -> None:
    alice = either.identity("alice")
    for number in range(25):
        either.grant(alice, f"s3://sales/{number}/*", "READ")
    either.grant(either.identity("bob"), "s3://sales/*", "READ")
    control = either.client("s3control", alice)
    entries = control.list_caller_access_grants(AccountId=ACCOUNT)["CallerAccessGrantsList"]
    assert len(entries) == 25
    assert entries[0] == {"Permission": "READ", "GrantScope": "s3://sales/0/*", "ApplicationArn": "NA"}
    pages = list(
        control.get_paginator("list_caller_access_grants").paginate(
            AccountId=ACCOUNT, PaginationConfig={"PageSize": 10}
        )
    )
    assert [len(page["CallerAccessGrantsList"]) for page in pages] == [10, 10, 5]
    some = control.list_caller_access_grants(AccountId=ACCOUNT, GrantScope="s3://sales/2")["CallerAccessGrantsList"]
    assert len(some) == 6


PREFIXES = ("s3://sales", "s3://sales/", "s3://sales*", "s3://sales/emea", "s3://sales/emea/x", "s3://sales/apac")


def find_instance(control: Any, prefix: str, account_id: str = ACCOUNT) -> str:
    answer = control.get_access_grants_instance_for_prefix(AccountId=account_id, S3Prefix=prefix)
    return str(answer["AccessGrantsInstanceArn"])


def test_an_instance_is_found_by_the_account_that_owns_the_bucket(either: Any, refused: Any) -> None:
    control = either.client("s3control", either.identity("alice"))
    for prefix in PREFIXES:
        with refused("AccessGrantsInstanceNotExistsError"):
            find_instance(control, prefix)
    arn = either.instance()
    assert [find_instance(control, prefix) for prefix in PREFIXES] == [arn] * len(PREFIXES)
    with refused("AccessGrantsInstanceNotExistsError"):
        find_instance(control, "s3://no-such-bucket/x")


def test_an_instance_can_be_found_by_its_locations_instead(either: Any, refused: Any) -> None:
    control = either.client("s3control", either.identity("alice"))
    arn = either.instance()
    either.location("s3://sales/emea*")
    either.find_instance_by = "location"
    inside = ("s3://sales/emea", "s3://sales/emea/x", "s3://sales/emea/*")
    assert [find_instance(control, prefix) for prefix in inside] == [arn] * 3
    for prefix in ("s3://sales", "s3://sales*", "s3://sales/apac", "s3://no-such-bucket/x"):
        with refused("AccessGrantsInstanceNotExistsError"):
            find_instance(control, prefix)
    either.location("s3://sales")
    assert [find_instance(control, prefix) for prefix in PREFIXES] == [arn] * len(PREFIXES)


@pytest.mark.parametrize("lookup", ["account", "location"])
def test_an_instance_is_not_found_from_another_region_than_the_buckets(grants: Any, refused: Any, lookup: Any) -> None:
    alice = grants.identity("alice")
    grants.bucket("abroad", region="eu-west-1")
    grants.instance()
    grants.location("s3://", region="us-east-1")
    arn = grants.instance(region="eu-west-1")
    grants.location("s3://abroad")
    grants.find_instance_by = lookup
    with refused("AccessGrantsInstanceNotExistsError"):
        find_instance(grants.client("s3control", alice), "s3://abroad/x")
    assert find_instance(grants.client("s3control", alice, region_name="eu-west-1"), "s3://abroad/x") == arn


def test_the_lookup_is_an_option(grants: Any) -> None:
    assert grants.find_instance_by == "account"
    with pytest.raises(ValueError, match="'account' or 'location', not 'bucket'"):
        grants.find_instance_by = "bucket"
    assert AccessGrantsServer(find_instance_by="location").find_instance_by == "location"
    with mock_access_grants(find_instance_by="location") as other:
        assert other.find_instance_by == "location"


class TestTwoAccounts:
    @pytest.fixture
    def eve(self, grants: Any) -> Any:
        eve = grants.identity("eve", account_id=OTHER)
        grants.grant(eve, "s3://sales/shared/*", "READ")
        return eve

    def test_nothing_is_shared_at_first(self, grants: Any, eve: Any, refused: Any) -> None:
        control = grants.client("s3control", eve)
        with refused("AccessDenied", "no resource-based policy allows"):
            control.get_data_access(AccountId=ACCOUNT, Target="s3://sales/shared/x", Permission="READ")
        with refused("AccessDenied"):
            control.get_access_grants_instance_for_prefix(AccountId=OTHER, S3Prefix="s3://sales/shared/")
        with refused("AccessDenied"):
            control.list_caller_access_grants(AccountId=ACCOUNT)

    def test_a_resource_policy_shares(self, grants: Any, eve: Any, vend: Any, refused: Any) -> None:
        grants.share(OTHER)
        grants.put("s3://sales/shared/x", b"for eve")
        control = grants.client("s3control", eve)
        found = control.get_access_grants_instance_for_prefix(AccountId=OTHER, S3Prefix="s3://sales/shared/")
        assert f":{ACCOUNT}:" in found["AccessGrantsInstanceArn"]
        assert len(control.list_caller_access_grants(AccountId=ACCOUNT)["CallerAccessGrantsList"]) == 1
        s3 = vend(grants, eve, "s3://sales/shared/*", "READ")
        assert s3.get_object(Bucket="sales", Key="shared/x")["Body"].read() == b"for eve"
        with refused("AccessDenied"):
            control.get_access_grants_instance_for_prefix(AccountId=ACCOUNT, S3Prefix="s3://sales/shared/")

    def test_a_grant_on_a_foreign_bucket_is_worth_nothing(self, grants: Any, vend: Any, refused: Any) -> None:
        # An account may write such a grant; its location's role has no rights over there.
        grants.bucket("foreign", account_id=OTHER)
        alice = grants.identity("alice")
        grants.grant(alice, "s3://foreign/*", "READ", account_id=ACCOUNT)
        with refused("AccessDenied", "no identity-based policy"):
            vend(grants, alice, "s3://foreign/*", "READ").list_objects_v2(Bucket="foreign")

    @needs_instance_scope
    def test_instance_scope_all_reaches_instances_that_are_shared(self, grants: Any, eve: Any, refused: Any) -> None:
        control = grants.client("s3control", eve)
        question = {"AccountId": OTHER, "Target": "s3://sales/shared/x", "Permission": "READ"}
        with refused("AccessGrantsInstanceNotExistsError"):
            control.get_data_access(**question)
        with refused("AccessGrantsInstanceNotExistsError"):
            control.get_data_access(**question, InstanceScope="ALL")
        grants.share(OTHER)
        answer = control.get_data_access(**question, InstanceScope="ALL")
        assert f":{ACCOUNT}:" in answer["MatchedInstanceArn"]
        listed = control.list_caller_access_grants(AccountId=OTHER, InstanceScope="ALL")
        assert len(listed["CallerAccessGrantsList"]) == 1
        own = control.get_data_access(**{**question, "AccountId": ACCOUNT})
        assert own["MatchedInstanceArn"] == answer["MatchedInstanceArn"]

    @needs_instance_scope
    @pytest.mark.parametrize("action", ["GetDataAccess", "ListCallerAccessGrants"])
    def test_instance_scope_all_needs_both_actions_to_be_shared(
        self, grants: Any, eve: Any, refused: Any, action: str
    ) -> None:
        grants.share(OTHER, actions=[f"s3:{action}", "s3:GetAccessGrantsInstanceForPrefix"])
        control = grants.client("s3control", eve)
        question = {"Target": "s3://sales/shared/x", "Permission": "READ"}
        with refused("AccessGrantsInstanceNotExistsError"):
            control.get_data_access(AccountId=OTHER, **question, InstanceScope="ALL")
        with refused("AccessGrantsInstanceNotExistsError"):
            control.list_caller_access_grants(AccountId=OTHER, InstanceScope="ALL")
        # Under the account of the instance it is reached.
        if action == "GetDataAccess":
            control.get_data_access(AccountId=ACCOUNT, **question)
        else:
            assert control.list_caller_access_grants(AccountId=ACCOUNT)["CallerAccessGrantsList"]
