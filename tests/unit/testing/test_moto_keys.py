"""Keys from moto's IAM and sessions from moto's STS count like the service's own."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from access_grants_provider.testing import Identity, LocalAccessGrants

ACCOUNT = "123456789012"
OTHER = "222222222222"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
USERS = {"/": f"arn:aws:iam::{ACCOUNT}:user/dora", "/team/": f"arn:aws:iam::{ACCOUNT}:user/team/dora"}


def client_of(grants: Any, service: str, keys: Any, account_id: str = "") -> Any:
    """A client of the keys that IAM or STS answered with."""
    token = keys.get("SessionToken")
    held = Identity("held", account_id, keys["AccessKeyId"], keys["SecretAccessKey"], token, "arn:aws:iam:::")
    return grants.client(service, held)


def new_user(grants: LocalAccessGrants, path: str = "/") -> Any:
    iam = grants.client("iam")
    iam.create_user(UserName="dora", Path=path)
    return iam.create_access_key(UserName="dora")["AccessKey"]


def assume(grants: LocalAccessGrants, arn: str, caller: Identity | None = None) -> Any:
    return grants.client("sts", caller).assume_role(RoleArn=arn, RoleSessionName="nightly")["Credentials"]


def read_through_grant(grants: Any, keys: Any, account_id: str = ACCOUNT) -> bytes:
    control = client_of(grants, "s3control", keys)
    answer = control.get_data_access(AccountId=account_id, Target="s3://sales/in/*", Permission="READ")
    s3 = client_of(grants, "s3", answer["Credentials"])
    return bytes(s3.get_object(Bucket="sales", Key="in/x")["Body"].read())


@pytest.mark.parametrize("path", USERS)
def test_an_iam_user_reads_through_a_grant(either: Any, refused: Any, path: str) -> None:
    either.put("s3://sales/in/x", b"granted")
    keys = new_user(either, path)
    with refused("AccessDenied", "You do not have READ"):
        either.instance()
        read_through_grant(either, keys)
    either.grant(USERS[path], "s3://sales/in/*", "READ")
    assert read_through_grant(either, keys) == b"granted"
    with refused("AccessDenied", "because no identity-based policy allows the s3:GetObject action"):
        client_of(either, "s3", keys).get_object(Bucket="sales", Key="in/x")
    record = either.requests[-2]
    assert (record.operation, record.signer, record.principal) == ("GetObject", "grant", "dora")


@pytest.mark.parametrize("role", ["job", "jobs/daily/job"])
def test_a_session_reads_through_its_roles_grant(either: Any, role: str) -> None:
    either.put("s3://sales/in/x", b"granted")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    either.grant(arn, "s3://sales/in/*", "READ")
    assert read_through_grant(either, assume(either, arn)) == b"granted"


def test_a_grant_to_another_role_is_none_of_the_sessions(grants: Any, refused: Any) -> None:
    grants.grant(f"arn:aws:iam::{ACCOUNT}:role/other", "s3://sales/in/*", "READ")
    with refused("AccessDenied", "You do not have READ"):
        read_through_grant(grants, assume(grants, f"arn:aws:iam::{ACCOUNT}:role/job"))


def test_sts_says_who_holds_the_keys(either: Any) -> None:
    user = client_of(either, "sts", new_user(either)).get_caller_identity()
    assert (user["Arn"], user["Account"]) == (USERS["/"], ACCOUNT)
    assert user["UserId"] == either.client("iam").get_user(UserName="dora")["User"]["UserId"]
    either.client("iam").create_role(RoleName="job", AssumeRolePolicyDocument=TRUST)
    session = client_of(either, "sts", assume(either, f"arn:aws:iam::{ACCOUNT}:role/job")).get_caller_identity()
    assert session["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/job/nightly"
    role_id = either.client("iam").get_role(RoleName="job")["Role"]["RoleId"]
    assert session["UserId"] == f"{role_id}:nightly"


def test_roles_and_users_are_of_their_account(grants: Any, refused: Any) -> None:
    keys = assume(grants, f"arn:aws:iam::{OTHER}:role/job")
    assert client_of(grants, "sts", keys).get_caller_identity()["Account"] == OTHER
    with refused("AccessDenied", "no resource-based policy"):
        grants.instance()
        read_through_grant(grants, keys)
    iam = grants.client("iam", grants.admin_of(OTHER))
    iam.create_user(UserName="eve")
    eve = client_of(grants, "sts", iam.create_access_key(UserName="eve")["AccessKey"]).get_caller_identity()
    assert eve["Arn"] == f"arn:aws:iam::{OTHER}:user/eve"


def test_a_session_assumes_the_next_role(grants: Any) -> None:
    first = assume(grants, f"arn:aws:iam::{ACCOUNT}:role/first")
    sts = client_of(grants, "sts", first)
    second = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/second", RoleSessionName="run")["Credentials"]
    assert ":assumed-role/second/run" in client_of(grants, "sts", second).get_caller_identity()["Arn"]


def test_keys_end_as_iam_and_sts_say(grants: Any, clock: Any, refused: Any) -> None:
    iam, keys = grants.client("iam"), new_user(grants)
    s3 = client_of(grants, "s3", keys)
    change = {"UserName": "dora", "AccessKeyId": keys["AccessKeyId"]}
    iam.update_access_key(**change, Status="Inactive")
    with refused("InvalidAccessKeyId"):
        s3.list_buckets()
    iam.update_access_key(**change, Status="Active")
    with refused("AccessDenied"):
        s3.list_buckets()
    iam.delete_access_key(**change)
    with refused("InvalidAccessKeyId"):
        s3.list_buckets()
    session = assume(grants, f"arn:aws:iam::{ACCOUNT}:role/job")
    with refused("InvalidToken"):
        client_of(grants, "s3", {**session, "SessionToken": "another"}).list_buckets()
    with refused("SignatureDoesNotMatch"):
        client_of(grants, "s3", {**session, "SecretAccessKey": "another"}).list_buckets()


def test_a_session_expires(grants: Any, clock: Any, refused: Any) -> None:
    sts = grants.client("sts")
    arn = f"arn:aws:iam::{ACCOUNT}:role/job"
    keys = sts.assume_role(RoleArn=arn, RoleSessionName="run", DurationSeconds=900)["Credentials"]
    session = client_of(grants, "sts", keys)
    session.get_caller_identity()
    clock.forward(890)
    session.get_caller_identity()
    clock.forward(20)
    with refused("ExpiredToken"):
        session.get_caller_identity()


def test_permissions_of_their_own_are_given_by_arn(grants: Any, refused: Any) -> None:
    grants.put("s3://sales/in/x", b"own")
    role = f"arn:aws:iam::{ACCOUNT}:role/job"
    s3 = client_of(grants, "s3", assume(grants, role))
    grants.allow(role, "s3://sales/in/*", "READ")
    assert s3.get_object(Bucket="sales", Key="in/x")["Body"].read() == b"own"
    grants.forbid(role, "s3:GetObject")
    with refused("AccessDenied"):
        s3.get_object(Bucket="sales", Key="in/x")


def test_servers_know_their_own_users_only(server: Any, refused: Any) -> None:
    from access_grants_provider.testing import AccessGrantsServer

    with AccessGrantsServer() as other:
        keys = new_user(other)
        client_of(other, "sts", keys).get_caller_identity()
        with refused("InvalidClientTokenId"):
            client_of(server, "sts", keys).get_caller_identity()


def test_a_plain_session_assumes_a_role(grants: Any) -> None:
    grants.put("s3://sales/in/x", b"granted")
    arn = f"arn:aws:iam::{ACCOUNT}:role/job"
    grants.grant(arn, "s3://sales/in/*", "READ")
    keys = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="nightly")["Credentials"]
    assert read_through_grant(grants, keys) == b"granted"
