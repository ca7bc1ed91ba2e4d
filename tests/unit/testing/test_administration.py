"""Setting Access Grants up with boto3, and everything that AWS refuses there."""

from __future__ import annotations

import json
from typing import Any

import pytest

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/locations"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"


@pytest.fixture
def control(either: Any) -> Any:
    return either.client("s3control")


@pytest.fixture
def location(control: Any) -> str:
    control.create_access_grants_instance(AccountId=ACCOUNT)
    created = control.create_access_grants_location(
        AccountId=ACCOUNT, LocationScope="s3://sales/emea*", IAMRoleArn=ROLE
    )
    return str(created["AccessGrantsLocationId"])


def create(control: Any, location: str, permission: str = "READ", **options: Any) -> Any:
    return control.create_access_grant(
        AccountId=ACCOUNT,
        AccessGrantsLocationId=location,
        Grantee={"GranteeType": "IAM", "GranteeIdentifier": ALICE},
        Permission=permission,
        **options,
    )


def test_an_instance_is_created_shown_listed_and_deleted(control: Any, refused: Any) -> None:
    created = control.create_access_grants_instance(AccountId=ACCOUNT)
    arn = f"arn:aws:s3:us-east-1:{ACCOUNT}:access-grants/default"
    assert created["AccessGrantsInstanceArn"] == arn
    assert created["AccessGrantsInstanceId"] == "default"
    assert control.get_access_grants_instance(AccountId=ACCOUNT)["CreatedAt"] == created["CreatedAt"]
    listed = control.list_access_grants_instances(AccountId=ACCOUNT)["AccessGrantsInstancesList"]
    assert [entry["AccessGrantsInstanceArn"] for entry in listed] == [arn]
    with refused("AccessGrantsInstanceAlreadyExists"):
        control.create_access_grants_instance(AccountId=ACCOUNT)
    control.delete_access_grants_instance(AccountId=ACCOUNT)
    with refused("AccessGrantsInstanceNotExistsError"):
        control.get_access_grants_instance(AccountId=ACCOUNT)


def test_each_region_has_its_own_instance(either: Any, control: Any, refused: Any) -> None:
    control.create_access_grants_instance(AccountId=ACCOUNT)
    elsewhere = either.client("s3control", region_name="eu-west-1")
    with refused("AccessGrantsInstanceNotExistsError"):
        elsewhere.get_access_grants_instance(AccountId=ACCOUNT)
    created = elsewhere.create_access_grants_instance(AccountId=ACCOUNT)
    assert ":eu-west-1:" in created["AccessGrantsInstanceArn"]
    assert len(control.list_access_grants_instances(AccountId=ACCOUNT)["AccessGrantsInstancesList"]) == 2


def test_locations(control: Any, location: str, refused: Any) -> None:
    default = control.create_access_grants_location(AccountId=ACCOUNT, LocationScope="s3://", IAMRoleArn=ROLE)
    assert default["AccessGrantsLocationId"] == "default"
    with refused("AccessGrantsLocationAlreadyExistsError"):
        control.create_access_grants_location(AccountId=ACCOUNT, LocationScope="s3://sales/emea*", IAMRoleArn=ROLE)
    with refused("InvalidAccessGrantsLocation"):
        control.create_access_grants_location(AccountId=ACCOUNT, LocationScope="sales", IAMRoleArn=ROLE)
    with refused("InvalidIamRole"):
        control.create_access_grants_location(AccountId=ACCOUNT, LocationScope="s3://other", IAMRoleArn="nobody")
    shown = control.get_access_grants_location(AccountId=ACCOUNT, AccessGrantsLocationId=location)
    assert (shown["LocationScope"], shown["IAMRoleArn"]) == ("s3://sales/emea*", ROLE)
    listed = control.list_access_grants_locations(AccountId=ACCOUNT, LocationScope="s3://sales")
    assert [entry["AccessGrantsLocationId"] for entry in listed["AccessGrantsLocationsList"]] == [location]
    changed = control.update_access_grants_location(
        AccountId=ACCOUNT, AccessGrantsLocationId=location, IAMRoleArn=ROLE + "2"
    )
    assert changed["IAMRoleArn"] == ROLE + "2"
    with refused("AccessGrantsInstanceNotEmptyError"):
        control.delete_access_grants_instance(AccountId=ACCOUNT)
    control.delete_access_grants_location(AccountId=ACCOUNT, AccessGrantsLocationId=location)
    with refused("NoSuchAccessGrantsLocationError"):
        control.get_access_grants_location(AccountId=ACCOUNT, AccessGrantsLocationId=location)


def test_grants(control: Any, location: str, refused: Any) -> None:
    created = create(control, location, AccessGrantsLocationConfiguration={"S3SubPrefix": "/2026/*"})
    assert created["GrantScope"] == "s3://sales/emea/2026/*"
    assert created["Grantee"] == {"GranteeType": "IAM", "GranteeIdentifier": ALICE}
    shown = control.get_access_grant(AccountId=ACCOUNT, AccessGrantId=created["AccessGrantId"])
    assert shown["AccessGrantsLocationConfiguration"] == {"S3SubPrefix": "/2026/*"}
    assert shown["Permission"] == "READ"
    with refused("AccessGrantAlreadyExists"):
        create(control, location, AccessGrantsLocationConfiguration={"S3SubPrefix": "/2026/*"})
    with refused("AccessGrantsLocationNotEmptyError"):
        control.delete_access_grants_location(AccountId=ACCOUNT, AccessGrantsLocationId=location)
    control.delete_access_grant(AccountId=ACCOUNT, AccessGrantId=created["AccessGrantId"])
    with refused("NoSuchAccessGrantError"):
        control.delete_access_grant(AccountId=ACCOUNT, AccessGrantId=created["AccessGrantId"])


def test_scopes_of_grants(control: Any, location: str, refused: Any) -> None:
    assert create(control, location)["GrantScope"] == "s3://sales/emea*"
    an_object = create(
        control, location, AccessGrantsLocationConfiguration={"S3SubPrefix": "/q.csv"}, S3PrefixType="Object"
    )
    assert an_object["GrantScope"] == "s3://sales/emea/q.csv"
    with refused("InvalidAccessGrant"):
        create(control, location, AccessGrantsLocationConfiguration={"S3SubPrefix": "/q*"}, S3PrefixType="Object")
    with refused("NoSuchAccessGrantsLocationError"):
        create(control, "nowhere")
    control.create_access_grants_location(AccountId=ACCOUNT, LocationScope="s3://", IAMRoleArn=ROLE)
    with refused("InvalidAccessGrant", "the default location needs an S3SubPrefix"):
        create(control, "default")
    bucket = create(control, "default", AccessGrantsLocationConfiguration={"S3SubPrefix": "sales*"})
    assert bucket["GrantScope"] == "s3://sales*"
    with refused("InvalidAccessGrant"):
        control.create_access_grant(
            AccountId=ACCOUNT,
            AccessGrantsLocationId=location,
            Grantee={"GranteeType": "IAM", "GranteeIdentifier": "alice"},
            Permission="READ",
        )


def test_grants_are_listed_by_page_and_property(control: Any, location: str, refused: Any) -> None:
    for number in range(5):
        create(control, location, AccessGrantsLocationConfiguration={"S3SubPrefix": f"/{number}/*"})
    create(control, location, "WRITE")
    pages = [
        control.list_access_grants(AccountId=ACCOUNT, MaxResults=4),
        control.list_access_grants(
            AccountId=ACCOUNT,
            MaxResults=4,
            NextToken=control.list_access_grants(AccountId=ACCOUNT, MaxResults=4)["NextToken"],
        ),
    ]
    assert [len(page["AccessGrantsList"]) for page in pages] == [4, 2]
    assert "NextToken" not in pages[1]
    writes = control.list_access_grants(AccountId=ACCOUNT, Permission="WRITE", GranteeIdentifier=ALICE)
    assert [entry["GrantScope"] for entry in writes["AccessGrantsList"]] == ["s3://sales/emea*"]
    assert control.list_access_grants(AccountId=ACCOUNT, GrantScope="s3://no*")["AccessGrantsList"] == []
    with refused("InvalidRequest"):
        control.list_access_grants(AccountId=ACCOUNT, NextToken="nonsense")


def test_the_resource_policy(control: Any, location: str, refused: Any) -> None:
    with refused("AccessGrantsInstanceResourcePolicyNotExists"):
        control.get_access_grants_instance_resource_policy(AccountId=ACCOUNT)
    with refused("InvalidResourcePolicy"):
        control.put_access_grants_instance_resource_policy(AccountId=ACCOUNT, Policy="nonsense")
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    control.put_access_grants_instance_resource_policy(AccountId=ACCOUNT, Policy=policy)
    assert control.get_access_grants_instance_resource_policy(AccountId=ACCOUNT)["Policy"] == policy
    control.delete_access_grants_instance_resource_policy(AccountId=ACCOUNT)
    with refused("AccessGrantsInstanceResourcePolicyNotExists"):
        control.get_access_grants_instance_resource_policy(AccountId=ACCOUNT)


def test_tags_of_creation_are_listed_changed_and_taken_off(either: Any, control: Any) -> None:
    given = [{"Key": "team", "Value": "data"}, {"Key": "cost", "Value": ""}]
    instance = control.create_access_grants_instance(AccountId=ACCOUNT, Tags=given)
    options = {"LocationScope": "s3://sales/emea*", "IAMRoleArn": ROLE, "Tags": given}
    location = control.create_access_grants_location(AccountId=ACCOUNT, **options)
    grant = create(control, location["AccessGrantsLocationId"], Tags=given)
    arns = (instance["AccessGrantsInstanceArn"], location["AccessGrantsLocationArn"], grant["AccessGrantArn"])
    for arn in arns:
        assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn)["Tags"] == given
    arn = arns[1]
    added = [{"Key": "team", "Value": "sales"}, {"Key": "new", "Value": "x"}]
    control.tag_resource(AccountId=ACCOUNT, ResourceArn=arn, Tags=added)
    control.untag_resource(AccountId=ACCOUNT, ResourceArn=arn, TagKeys=["new", "never"])
    assert [record.status for record in either.requests[-2:]] == [204, 204]
    left = control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn)["Tags"]
    assert left == [{"Key": "team", "Value": "sales"}, {"Key": "cost", "Value": ""}]
    assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arns[0])["Tags"] == given


def test_a_refused_tag_leaves_the_others_as_they_were(grants: Any, refused: Any) -> None:
    arn, control = grants.instance(), grants.client("s3control")
    tags = [{"Key": "a", "Value": "1"}]
    control.tag_resource(AccountId=ACCOUNT, ResourceArn=arn, Tags=tags)
    with refused("InvalidTags"):
        control.tag_resource(
            AccountId=ACCOUNT, ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "aws:x", "Value": ""}]
        )
    assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn)["Tags"] == tags


def test_what_is_done_is_answered_with_200(either: Any, control: Any, location: str) -> None:
    grant = create(control, location)
    control.delete_access_grant(AccountId=ACCOUNT, AccessGrantId=grant["AccessGrantId"])
    control.delete_access_grants_location(AccountId=ACCOUNT, AccessGrantsLocationId=location)
    control.delete_access_grants_instance(AccountId=ACCOUNT)
    assert {record.status for record in either.requests} == {200}


@pytest.mark.parametrize("scope", ["s3://sales", "s3://sales/*", "s3://sales/"])
@pytest.mark.parametrize("sub_prefix", ["/in/x.csv", "in/x.csv"])
def test_a_key_below_a_bucket_is_named_with_or_without_its_slash(grants: Any, scope: str, sub_prefix: str) -> None:
    grants.instance()
    location, control = grants.location(scope), grants.client("s3control")
    configuration = {"S3SubPrefix": sub_prefix}
    made = create(control, location, AccessGrantsLocationConfiguration=configuration, S3PrefixType="Object")
    assert made["GrantScope"] == "s3://sales/in/x.csv"
    alice = grants.client("s3control", grants.identity("alice"))
    asked = {"Target": "s3://sales/in/x.csv", "TargetType": "Object", "Permission": "READ"}
    assert alice.get_data_access(AccountId=ACCOUNT, **asked)["MatchedGrantTarget"] == "s3://sales/in/x.csv"


def test_only_the_admin_of_the_account_administers(either: Any, control: Any, refused: Any) -> None:
    alice = either.client("s3control", either.identity("alice"))
    with refused("AccessDenied", "no identity-based policy allows the s3:CreateAccessGrantsInstance action"):
        alice.create_access_grants_instance(AccountId=ACCOUNT)
    with refused("AccessDenied"):
        control.create_access_grants_instance(AccountId="222222222222")
    other = either.client("s3control", either.admin_of("222222222222"))
    assert "222222222222" in other.create_access_grants_instance(AccountId="222222222222")["AccessGrantsInstanceArn"]


def test_plain_words_and_boto3_are_one_state(either: Any, control: Any, refused: Any) -> None:
    arn = either.instance()
    assert control.get_access_grants_instance(AccountId=ACCOUNT)["AccessGrantsInstanceArn"] == arn
    alice = either.identity("alice")
    grant_id = either.grant(alice, "s3://sales/a/*", "READ")
    assert control.get_access_grant(AccountId=ACCOUNT, AccessGrantId=grant_id)["GrantScope"] == "s3://sales/a/*"
    with pytest.raises(ValueError, match="AccessGrantAlreadyExists"):
        either.grant(alice, "s3://sales/a/*", "READ")
    either.revoke(grant_id)
    with refused("NoSuchAccessGrantError"):
        control.get_access_grant(AccountId=ACCOUNT, AccessGrantId=grant_id)
    with pytest.raises(ValueError, match="There is no grant"):
        either.revoke(grant_id)


def test_plain_words_say_what_is_wrong_with_them(grants: Any) -> None:
    alice = grants.identity("alice")
    with pytest.raises(ValueError, match="READ, WRITE or READWRITE"):
        grants.grant(alice, "s3://sales/*", "ALL")
    with pytest.raises(ValueError, match="not an S3 location"):
        grants.grant(alice, "sales/*", "READ")
    with pytest.raises(ValueError, match="12 digits"):
        grants.identity("bob", account_id="12")
    with pytest.raises(ValueError, match="An identity's name"):
        grants.identity("a/b")
    with pytest.raises(KeyError):
        grants.read("s3://sales/nothing")
    with pytest.raises(KeyError):
        grants.put("s3://no-such-bucket/x", b"")
    with pytest.raises(ValueError, match="InvalidBucketName"):
        grants.bucket("x")
    with pytest.raises(ValueError, match="An object is"):
        grants.read("s3://sales")
