"""The resource policy: who of another account may call what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from access_grants_provider.testing import Identity
from access_grants_provider.testing.resource_policy import allows

OWNER, OTHER = "123456789012", "222222222222"
INSTANCE = f"arn:aws:s3:us-east-1:{OWNER}:access-grants/default"
EVE = Identity("eve", OTHER, "AKIA", "secret", None, f"arn:aws:iam::{OTHER}:user/eve")
JOB = Identity("job", OTHER, "ASIA", "secret", "token", f"arn:aws:sts::{OTHER}:assumed-role/job/run")
ACTION = "s3:GetDataAccess"


def policy(*statements: dict[str, Any]) -> str:
    usual = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": ACTION, "Resource": INSTANCE}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**usual, **statement} for statement in statements]})


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({}, True),
        ({"Action": ["s3:ListAccessGrants", ACTION]}, True),
        ({"Action": "s3:*"}, True),
        ({"Action": "s3:Get*"}, True),
        ({"Action": "s3:GetDataAcces?"}, True),
        ({"Action": "S3:getdataaccess"}, True),
        ({"Action": "*"}, True),
        ({"Action": "s3:List*"}, False),
        ({"Action": "s3:Get[D]ataAccess"}, False),
        ({"Resource": "*"}, True),
        ({"Resource": f"arn:aws:s3:*:{OWNER}:access-grants/*"}, True),
        ({"Resource": f"arn:aws:s3:eu-west-1:{OWNER}:access-grants/default"}, False),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": [f"arn:aws:iam::{OTHER}:root"]}}, True),
        ({"Principal": {"AWS": EVE.arn}}, True),
        ({"Principal": {"AWS": f"arn:aws:iam::{OTHER}:user/bob"}}, False),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": OTHER}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": ["1", "2"]}}}, False),
        ({"Condition": {"StringNotEquals": {"aws:PrincipalAccount": OTHER}}}, False),
        ({"Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/e*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/e*"}}}, False),
        ({"Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/e*"}}}, True),
        ({"Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/e*"}}}, False),
        (
            {
                "Condition": {
                    "StringEquals": {"aws:PrincipalAccount": OTHER},
                    "ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"},
                }
            },
            False,
        ),
    ],
)
def test_what_a_statement_allows(statement: dict[str, Any], allowed: bool) -> None:
    assert allows(policy(statement), EVE, ACTION, INSTANCE) is allowed


def test_a_session_is_named_by_its_role() -> None:
    named = policy({"Principal": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OTHER}:role/job"}}})
    assert allows(named, JOB, ACTION, INSTANCE)
    assert not allows(named, EVE, ACTION, INSTANCE)


def test_a_denial_counts_more() -> None:
    assert not allows(policy({}, {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}), EVE, ACTION, INSTANCE)
    assert not allows(None, EVE, ACTION, INSTANCE)


def test_another_account_lists_what_is_shared(either: Any, refused: Any) -> None:
    either.grant(either.identity("alice"), "s3://sales/a/*", "READ")
    eve = either.client("s3control", either.admin_of(OTHER))
    with refused("AccessDenied", "no resource-based policy allows the s3:ListAccessGrants action"):
        eve.list_access_grants(AccountId=OWNER)
    owner = either.client("s3control")
    owner.put_access_grants_instance_resource_policy(AccountId=OWNER, Policy=policy({"Action": "s3:ListAccessGrants"}))
    assert len(eve.list_access_grants(AccountId=OWNER)["AccessGrantsList"]) == 1
    with refused("AccessDenied"):
        eve.list_access_grants_locations(AccountId=OWNER)
    wider = policy({"Action": "s3:ListAccessGrants*"})
    owner.put_access_grants_instance_resource_policy(AccountId=OWNER, Policy=wider)
    assert len(eve.list_access_grants_locations(AccountId=OWNER)["AccessGrantsLocationsList"]) == 1
    # No policy opens what only the owner may do.
    owner.put_access_grants_instance_resource_policy(AccountId=OWNER, Policy=policy({"Action": "*"}))
    with refused("AccessDenied"):
        eve.get_access_grants_instance(AccountId=OWNER)


def test_an_organization_is_kept(grants: Any) -> None:
    grants.instance()
    control = grants.client("s3control")
    options = {"Policy": policy({}), "Organization": "o-1234567890"}
    put = control.put_access_grants_instance_resource_policy(AccountId=OWNER, **options)
    shown = control.get_access_grants_instance_resource_policy(AccountId=OWNER)
    assert (put["Organization"], shown["Organization"]) == ("o-1234567890", "o-1234567890")
