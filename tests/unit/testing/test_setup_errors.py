"""The operations that set Access Grants up: what each refuses, and in which words.

One row is one refusal. `documented` says where AWS documents it: "model" is the API model, "errors" the list of error
codes, "operation" the operation's page, "guide" the user guide. With "-" no page says it: the answer is an assumption.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from botocore.config import Config

from access_grants_provider.testing import mock_access_grants

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/locations"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
NOT_SHARED = "222222222222"
LONG = "x" * 2001
CENTER = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
UUID = "a1b2c3d4-5678-90ab-cdef-111111111111"

INSTANCE = "CreateAccessGrantsInstance"
LOCATION = "CreateAccessGrantsLocation"
GRANT = "CreateAccessGrant"
POLICY = "PutAccessGrantsInstanceResourcePolicy"
IAM, NO_GRANTEE = "an IAM grantee is the ARN of a user or a role", "it has no grantee"
NO_BUCKET, ABROAD = "the bucket nowhere does not exist", "the bucket abroad is in eu-west-1, not in us-east-1"
DUPLICATE, MOST = "There are duplicate tag keys in your request", "The number of tags exceeds the limit of 50 tags"
BAD_TAG, RESERVED = "contains a tag key or value that isn't valid", "Tag keys cannot start with AWS reserved prefix"


def tags(*keys: str, value: str = "v") -> dict[str, Any]:
    return {"Tags": [{"Key": key, "Value": value} for key in keys]}


def iam(name: Any) -> dict[str, Any]:
    return {"Grantee": {"GranteeType": "IAM", "GranteeIdentifier": name}}


def directory(kind: str, name: str) -> dict[str, Any]:
    return {"Grantee": {"GranteeType": f"DIRECTORY_{kind}", "GranteeIdentifier": name}}


def sub_prefix(text: str, **more: str) -> dict[str, Any]:
    return {"AccessGrantsLocationConfiguration": {"S3SubPrefix": text}, **more}


def policy(**statement: Any) -> dict[str, str]:
    usual = {"Effect": "Allow", "Principal": {"AWS": NOT_SHARED}, "Action": "s3:GetDataAccess", "Resource": "*"}
    return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": {**usual, **statement}})}


class Row(NamedTuple):
    operation: str
    case: str
    given: dict[str, Any]
    documented: str
    code: str
    status: int
    words: str = ""


FIFTY_ONE = [str(number) for number in range(51)]
ROWS = [
    Row(INSTANCE, "AccountId: no 12 digits", {"AccountId": "1234"}, "model", "InvalidRequest", 400, "AccountId"),
    Row(INSTANCE, "a second one", {}, "errors", "AccessGrantsInstanceAlreadyExists", 409, "already exists"),
    Row(INSTANCE, "AccountId: another account's", {"AccountId": NOT_SHARED}, "operation", "AccessDenied", 403),
    Row("DeleteAccessGrantsInstance", "with locations", {}, "errors", "AccessGrantsInstanceNotEmptyError", 400),
    Row(
        LOCATION, "LocationScope: no S3 path", {"LocationScope": "sales"}, "errors", "InvalidAccessGrantsLocation", 400,
    ),
    Row(LOCATION, "LocationScope: empty", {"LocationScope": ""}, "model", "InvalidRequest", 400, "LocationScope"),
    Row(LOCATION, "LocationScope: 2,001 characters", {"LocationScope": LONG}, "model", "InvalidRequest", 400),
    Row(
        LOCATION, "LocationScope: a bucket in another region", {"LocationScope": "s3://abroad"}, "operation",
        "InvalidAccessGrantsLocation", 400, ABROAD,
    ),
    Row(
        LOCATION, "LocationScope: an absent bucket", {"LocationScope": "s3://nowhere/a*"}, "-",
        "InvalidAccessGrantsLocation", 400, NO_BUCKET,
    ),
    Row(
        LOCATION, "LocationScope: registered already", {"LocationScope": "s3://sales/emea*"}, "errors",
        "AccessGrantsLocationAlreadyExistsError", 409,
    ),
    Row(LOCATION, "IAMRoleArn: no ARN", {"IAMRoleArn": "role"}, "errors", "InvalidIamRole", 400, "IAM Role is invalid"),
    Row(LOCATION, "IAMRoleArn: a user's", {"IAMRoleArn": ALICE}, "model", "InvalidIamRole", 400),
    Row(LOCATION, "Tags: a key twice", tags("team", "team"), "errors", "InvalidTag", 400, DUPLICATE),
    Row(
        "UpdateAccessGrantsLocation", "IAMRoleArn: a user's", {"IAMRoleArn": ALICE}, "model", "InvalidIamRole", 400
    ),
    Row(
        "GetAccessGrantsLocation", "AccessGrantsLocationId: unknown", {"AccessGrantsLocationId": "none"}, "errors",
        "NoSuchAccessGrantsLocationError", 404,
    ),
    Row("DeleteAccessGrantsLocation", "with grants", {}, "errors", "AccessGrantsLocationNotEmptyError", 400),
    Row(
        GRANT, "AccessGrantsLocationId: unknown", {"AccessGrantsLocationId": "none"}, "errors",
        "NoSuchAccessGrantsLocationError", 404,
    ),
    Row(GRANT, "Permission: unknown", {"Permission": "ALL"}, "model", "InvalidRequest", 400, "READ, WRITE, READWRITE"),
    Row(GRANT, "Grantee: absent", {"Grantee": None}, "model", "InvalidRequest", 400, "Grantee"),
    Row(GRANT, "Grantee: empty", {"Grantee": {}}, "errors", "InvalidAccessGrant", 400, NO_GRANTEE),
    Row(GRANT, "Grantee: an unknown type", directory("CAT", UUID), "model", "InvalidRequest", 400, "GranteeType"),
    Row(
        GRANT, "Grantee: IAM, no identifier", {"Grantee": {"GranteeType": "IAM"}},
        "errors", "InvalidAccessGrant", 400, IAM,
    ),
    Row(GRANT, "Grantee: IAM, no ARN", iam("alice"), "operation", "InvalidAccessGrant", 400, IAM),
    Row(
        GRANT, "Grantee: IAM, an account", iam(f"arn:aws:iam::{ACCOUNT}:root"),
        "operation", "InvalidAccessGrant", 400, IAM,
    ),
    Row(
        GRANT, "Grantee: IAM, a group", iam(f"arn:aws:iam::{ACCOUNT}:group/g"),
        "operation", "InvalidAccessGrant", 400, IAM,
    ),
    Row(
        GRANT, "Grantee: IAM, a session", iam(f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"), "operation",
        "InvalidAccessGrant", 400, IAM,
    ),
    Row(
        GRANT, "Grantee: DIRECTORY_USER, no UUID", directory("USER", "alice"),
        "operation", "InvalidAccessGrant", 400, "UUID",
    ),
    Row(
        GRANT, "Grantee: DIRECTORY_GROUP, no UUID", directory("GROUP", ""),
        "operation", "InvalidAccessGrant", 400, "UUID",
    ),
    Row(
        GRANT, "S3SubPrefix: the bucket is absent", sub_prefix("nowhere/*", AccessGrantsLocationId="default"),
        "guide", "InvalidAccessGrant", 400, NO_BUCKET,
    ),
    Row(
        GRANT, "S3SubPrefix: the bucket is in another region", sub_prefix("abroad/*", AccessGrantsLocationId="default"),
        "operation", "InvalidAccessGrant", 400, ABROAD,
    ),
    Row(
        GRANT, "S3SubPrefix: absent, with the location s3://", {"AccessGrantsLocationId": "default"}, "operation",
        "InvalidAccessGrant", 400, "the default location needs an S3SubPrefix",
    ),
    Row(
        GRANT, "S3PrefixType=Object: a prefix", sub_prefix("/x*", S3PrefixType="Object"), "operation",
        "InvalidAccessGrant", 400, "is not an object",
    ),
    Row(
        GRANT, "ApplicationArn: no application", {"ApplicationArn": CENTER},
        "model", "InvalidRequest", 400, "ApplicationArn",
    ),
    Row(GRANT, "given already", {}, "errors", "AccessGrantAlreadyExists", 409, "already exists"),
    Row(GRANT, "Tags: a key twice", tags("a", "a"), "errors", "InvalidTag", 400, DUPLICATE),
    Row(GRANT, "Tags: 51", tags(*FIFTY_ONE), "errors", "TooManyTags", 400, MOST),
    Row(GRANT, "Tags: a key of AWS's", tags("aws:team"), "errors", "InvalidTags", 400, RESERVED),
    Row(GRANT, "Tags: an empty key", tags(""), "errors", "InvalidTag", 400, BAD_TAG),
    Row(GRANT, "Tags: a key of 129 characters", tags("k" * 129), "errors", "InvalidTag", 400, BAD_TAG),
    Row(GRANT, "Tags: a value of 257 characters", tags("k", value="v" * 257), "errors", "InvalidTag", 400, BAD_TAG),
    Row(GRANT, "Tags: a character that may not be", tags("a{b}"), "errors", "InvalidTag", 400, BAD_TAG),
    Row("GetAccessGrant", "AccessGrantId: unknown", {"AccessGrantId": "none"}, "errors", "NoSuchAccessGrantError", 404),
    Row(
        "DeleteAccessGrant", "AccessGrantId: unknown", {"AccessGrantId": "none"},
        "errors", "NoSuchAccessGrantError", 404,
    ),
    Row("ListAccessGrants", "MaxResults: 1,001", {"MaxResults": 1001}, "model", "InvalidRequest", 400, "MaxResults"),
    Row("ListAccessGrants", "NextToken: unknown", {"NextToken": "none"}, "-", "InvalidRequest", 400, "token"),
    Row(
        "ListAccessGrants", "by an account it is not shared with", {"by": NOT_SHARED}, "guide",
        "AccessDenied", 403,
    ),
    Row(
        "ListCallerAccessGrants", "GrantScope: no S3 path", {"GrantScope": "sales"},
        "model", "InvalidRequest", 400, "s3://",
    ),
    Row(
        "GetAccessGrantsInstanceResourcePolicy", "no policy", {}, "errors",
        "AccessGrantsInstanceResourcePolicyNotExists", 404,
    ),
    Row(
        "DeleteAccessGrantsInstanceResourcePolicy", "no policy", {}, "errors",
        "AccessGrantsInstanceResourcePolicyNotExists", 404,
    ),
    Row(
        POLICY, "Policy: no JSON", {"Policy": "{"},
        "errors", "InvalidResourcePolicy", 400, "Resource Policy is invalid",
    ),
    Row(POLICY, "Policy: no statement", {"Policy": "{}"}, "errors", "InvalidResourcePolicy", 400),
    Row(POLICY, "Policy: a list", {"Policy": "[]"}, "errors", "InvalidResourcePolicy", 400),
    Row(POLICY, "Policy: an unknown effect", policy(Effect="Maybe"), "errors", "InvalidResourcePolicy", 400),
    Row(POLICY, "Organization: malformed", {**policy(), "Organization": "o-X"}, "model", "InvalidRequest", 400),
    Row(
        POLICY, "Policy: a condition not known here", policy(Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
        "-", "NotImplemented", 501, "do not know the condition key aws:PrincipalOrgID",
    ),
    Row(
        POLICY, "Policy: an operator not known here", policy(Condition={"Bool": {"aws:SecureTransport": "true"}}),
        "-", "NotImplemented", 501, "do not know the condition operator Bool",
    ),
    Row(POLICY, "Policy: NotAction", policy(NotAction="s3:*"), "-", "NotImplemented", 501, "the element NotAction"),
    Row(
        "AssociateAccessGrantsIdentityCenter", "IdentityCenterArn: an application",
        {"IdentityCenterArn": f"arn:aws:sso::{ACCOUNT}:application/a/b"}, "errors",
        "InvalidIdentityCenterInstance", 400, "The specified identity center instance is invalid",
    ),
    Row("GetDataAccess", "Target: no S3 path", {"Target": "sales"}, "model", "InvalidRequest", 400),
    Row("GetDataAccess", "DurationSeconds: 899", {"DurationSeconds": 899}, "model", "InvalidRequest", 400),
    Row("GetDataAccess", "DurationSeconds: 43,201", {"DurationSeconds": 43201}, "model", "InvalidRequest", 400),
    Row(
        "GetDataAccess", "AuditContext: a control character", {"AuditContext": "a\x07b"},
        "model", "InvalidRequest", 400, "AuditContext",
    ),
    Row(
        "GetDataAccess", "AuditContext: 2,049 characters", {"AuditContext": "x" * 2049}, "model", "InvalidRequest", 400,
    ),
    Row(
        "GetDataAccess", "AccountId: no 12 digits", {"AccountId": "12345678901"},
        "model", "InvalidRequest", 400, "AccountId",
    ),
    Row(
        "GetDataAccess", "no grant", {"Target": "s3://sales/apac/x"}, "errors", "AccessDenied", 403,
        "You do not have READ permissions to the requested S3 Prefix: s3://sales/apac/x",
    ),
    Row("TagResource", "Tags: a key twice", tags("a", "a"), "errors", "InvalidTag", 400, DUPLICATE),
    Row("TagResource", "Tags: 51 with those there are", tags(*FIFTY_ONE[:50]), "errors", "TooManyTags", 400, MOST),
    Row(
        "TagResource", "ResourceArn: none of the instance",
        {"ResourceArn": f"arn:aws:s3:us-east-1:{ACCOUNT}:access-grants/default/grant/none", **tags("a")}, "-",
        "NoSuchResource", 404,
    ),
]  # fmt: skip


class World:
    """An instance with the locations `s3://` and `s3://sales/emea*`, one grant, and one tag."""

    def __init__(self, grants: Any) -> None:
        self.grants = grants
        grants.bucket("sales")
        grants.bucket("abroad", region="eu-west-1")
        self.control = self.client_of(grants.admin)
        self.control.create_access_grants_instance(AccountId=ACCOUNT, IdentityCenterArn=CENTER, **tags("team"))
        for scope in ("s3://", "s3://sales/emea*"):
            options = {"LocationScope": scope, "IAMRoleArn": ROLE}
            location = self.control.create_access_grants_location(AccountId=ACCOUNT, **options)
        self.usual = {
            "LocationScope": "s3://sales/new*",
            "IAMRoleArn": ROLE,
            "AccessGrantsLocationId": location["AccessGrantsLocationId"],
            "Permission": "READ",
            "Policy": policy()["Policy"],
            "IdentityCenterArn": CENTER,
            "Target": "s3://sales/emea/x",
            "ResourceArn": f"arn:aws:s3:us-east-1:{ACCOUNT}:access-grants/default",
            **iam(ALICE),
        }
        self.call(GRANT, {})

    def client_of(self, identity: Any) -> Any:
        once = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        return self.grants.client("s3control", identity, config=once)

    def knows(self, operation: str, parameter: str) -> bool:
        """Whether botocore's model has this parameter."""
        return parameter in self.control.meta.service_model.operation_model(operation).input_shape.members

    def call(self, operation: str, given: dict[str, Any]) -> Any:
        """Call with the usual parameters, except what is given; None leaves one out."""
        control = self.control if "by" not in given else self.client_of(self.grants.admin_of(given["by"]))
        if operation == "GetDataAccess":
            control = self.client_of(self.grants.identity("alice"))
        model = control.meta.service_model.operation_model(operation)
        parameters = {"AccountId": ACCOUNT, **self.usual, **given}
        known = {name: value for name, value in parameters.items() if name in model.input_shape.members}
        return control._make_api_call(operation, {name: value for name, value in known.items() if value is not None})


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # What is refused changes nothing, so one world does for all rows.
    with mock_access_grants() as grants:
        yield World(grants)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.operation}: {row.case}")
def test_what_is_refused(world: World, refused: Any, row: Row) -> None:
    if not world.knows(row.operation, "AuditContext") and "AuditContext" in row.given:
        pytest.skip("botocore's model has no AuditContext")
    with refused(row.code, row.words):
        world.call(row.operation, row.given)
    assert world.grants.requests[-1].status == row.status


@pytest.mark.parametrize(
    "audit_context", ["job 17", "tab\there", "ü € 😀", "x" * 2048], ids=["words", "tab", "unicode", "longest"]
)
def test_the_audit_contexts_that_aws_allows(world: World, audit_context: str) -> None:
    if not world.knows("GetDataAccess", "AuditContext"):
        pytest.skip("botocore's model has no AuditContext")
    world.call("GetDataAccess", {"AuditContext": audit_context})
    assert world.grants.requests[-1].parameters["AuditContext"] == audit_context
