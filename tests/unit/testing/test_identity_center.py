"""Users and groups of a directory as grantees, and the applications they come through."""

from __future__ import annotations

from typing import Any

import pytest

ACCOUNT = "123456789012"
CENTER = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
NOTEBOOKS = f"arn:aws:sso::{ACCOUNT}:application/ssoins-1234567890abcdef/apl-notebooks"
REPORTS = f"arn:aws:sso::{ACCOUNT}:application/ssoins-1234567890abcdef/apl-reports"


def ask(grants: Any, identity: Any, target: str = "s3://sales/a/x") -> Any:
    control = grants.client("s3control", identity)
    return control.get_data_access(AccountId=ACCOUNT, Target=target, Permission="READ")


def listed(grants: Any, identity: Any, **options: Any) -> list[tuple[str, str]]:
    control = grants.client("s3control", identity)
    found = control.list_caller_access_grants(AccountId=ACCOUNT, **options)["CallerAccessGrantsList"]
    return [(entry["GrantScope"], entry["ApplicationArn"]) for entry in found]


def test_an_instance_is_associated_and_dissociated(either: Any) -> None:
    control = either.client("s3control")
    control.create_access_grants_instance(AccountId=ACCOUNT)
    control.associate_access_grants_identity_center(AccountId=ACCOUNT, IdentityCenterArn=CENTER)
    assert either.requests[-1].status == 200
    shown = control.get_access_grants_instance(AccountId=ACCOUNT)
    assert shown["IdentityCenterInstanceArn"] == CENTER
    application = f"arn:aws:sso::{ACCOUNT}:application/ssoins-1234567890abcdef/apl-"
    assert shown["IdentityCenterApplicationArn"].startswith(application)
    assert shown["IdentityCenterArn"] == shown["IdentityCenterApplicationArn"]
    (entry,) = control.list_access_grants_instances(AccountId=ACCOUNT)["AccessGrantsInstancesList"]
    assert entry["IdentityCenterInstanceArn"] == CENTER
    control.dissociate_access_grants_identity_center(AccountId=ACCOUNT)
    assert "IdentityCenterInstanceArn" not in control.get_access_grants_instance(AccountId=ACCOUNT)
    control.delete_access_grants_instance(AccountId=ACCOUNT)


def test_an_instance_is_created_with_its_association(grants: Any, refused: Any) -> None:
    control = grants.client("s3control")
    created = control.create_access_grants_instance(AccountId=ACCOUNT, IdentityCenterArn=CENTER)
    assert created["IdentityCenterInstanceArn"] == CENTER
    with refused("AccessGrantsInstanceNotEmptyError", "dissociate"):
        control.delete_access_grants_instance(AccountId=ACCOUNT)


def test_a_user_and_her_groups_are_granted(either: Any, vend: Any, refused: Any) -> None:
    either.put("s3://sales/a/x", b"granted")
    analysts = either.directory_group("analysts")
    amy, ben = either.directory_user("amy", groups=[analysts]), either.directory_user("ben")
    either.grant(ben, "s3://sales/a/*", "READ")
    answer = ask(either, ben)
    assert answer["Grantee"] == {"GranteeType": "DIRECTORY_USER", "GranteeIdentifier": ben.directory_user.id}
    with refused("AccessDenied", "You do not have READ"):
        ask(either, amy)
    either.grant(analysts, "s3://sales/a/*", "READ")
    assert ask(either, amy)["Grantee"] == {"GranteeType": "DIRECTORY_GROUP", "GranteeIdentifier": analysts.id}
    s3 = vend(either, amy, "s3://sales/a/*", "READ")
    assert s3.get_object(Bucket="sales", Key="a/x")["Body"].read() == b"granted"
    assert either.client("sts", amy).get_caller_identity()["Arn"].endswith(":assumed-role/identity-center/amy")


def test_no_grant_to_a_directory_without_its_association(grants: Any, refused: Any) -> None:
    amy = grants.directory_user("amy")
    grants.grant(amy, "s3://sales/a/*", "READ")
    ask(grants, amy)
    control = grants.client("s3control")
    control.dissociate_access_grants_identity_center(AccountId=ACCOUNT)
    with refused("AccessDenied", "You do not have READ"):
        ask(grants, amy)
    assert listed(grants, amy) == []
    with refused("InvalidAccessGrant", "associated with no IAM Identity Center instance"):
        control.create_access_grant(
            AccountId=ACCOUNT,
            AccessGrantsLocationId="default",
            AccessGrantsLocationConfiguration={"S3SubPrefix": "sales/b/*"},
            Grantee={"GranteeType": "DIRECTORY_USER", "GranteeIdentifier": amy.directory_user.id},
            Permission="READ",
        )


def test_a_grants_application_is_honoured(grants: Any, refused: Any) -> None:
    through_notebooks = grants.directory_user("amy", application_arn=NOTEBOOKS)
    through_reports = grants.directory_user("amy", application_arn=REPORTS)
    grants.grant(through_notebooks, "s3://sales/a/*", "READ", application_arn=NOTEBOOKS)
    ask(grants, through_notebooks)
    for identity in (through_reports, grants.directory_user("amy")):
        with refused("AccessDenied", "You do not have READ"):
            ask(grants, identity)
    (grant,) = grants.client("s3control").list_access_grants(AccountId=ACCOUNT)["AccessGrantsList"]
    assert grant["ApplicationArn"] == NOTEBOOKS


def test_an_iam_grant_with_an_application_needs_the_application(grants: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/a/*", "READ", application_arn=NOTEBOOKS)
    with refused("AccessDenied", "You do not have READ"):
        ask(grants, alice)


@pytest.mark.parametrize("filtered", [False, True])
def test_callers_list_what_their_application_allows(grants: Any, filtered: bool) -> None:
    amy = grants.directory_user("amy", application_arn=NOTEBOOKS)
    grants.grant(amy, "s3://sales/any/*", "READ")
    grants.grant(amy, "s3://sales/own/*", "READ", application_arn=NOTEBOOKS)
    grants.grant(amy, "s3://sales/other/*", "READ", application_arn=REPORTS)
    grants.grant(f"arn:aws:iam::{ACCOUNT}:role/identity-center", "s3://sales/role/*", "READ")
    own = [("s3://sales/any/*", "ALL"), ("s3://sales/own/*", NOTEBOOKS)]
    if filtered:
        assert listed(grants, amy, AllowedByApplication=True) == own
    else:
        others = [("s3://sales/other/*", REPORTS), ("s3://sales/role/*", "NA")]
        assert listed(grants, amy) == [*own, *others]


def test_a_directory_users_keys_are_rotated(grants: Any, refused: Any) -> None:
    amy = grants.directory_user("amy")
    grants.grant(amy, "s3://sales/a/*", "READ")
    renewed = grants.rotate(amy, expire=True)
    assert renewed == grants.directory_user("amy")
    ask(grants, renewed)
    with refused("ExpiredToken"):
        ask(grants, amy)
