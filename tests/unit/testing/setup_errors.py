"""What the operations of S3 Access Grants refuse: one table, for the tests and for docs/local-service.md.

One row is one refusal, of one operation or of several. `documented` says where AWS documents it: "model" is the API
model, "errors" the list of error codes, "operation" the operation's page, "guide" the user guide. With "-" no page says
it: the answer is an assumption.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/locations"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
NOT_SHARED = "222222222222"
LONG = "x" * 2001
CENTER = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
APPLICATION = f"arn:aws:sso::{ACCOUNT}:application/a/b"
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
    """One refusal. Of what is ``given``, ``by`` says who calls, and ``region`` where; the rest are parameters."""

    operation: str
    case: str
    given: dict[str, Any]
    documented: str
    code: str
    status: int
    words: str = ""


FIFTY_ONE = [str(number) for number in range(51)]
ROWS = [
    Row(INSTANCE, "a second one", {}, "errors", "AccessGrantsInstanceAlreadyExists", 409, "already exists"),
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
    Row("DeleteAccessGrantsLocation", "with grants", {}, "errors", "AccessGrantsLocationNotEmptyError", 400),
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
    Row(GRANT, "given already", {}, "errors", "AccessGrantAlreadyExists", 409, "already exists"),
    Row(GRANT, "Tags: 51", tags(*FIFTY_ONE), "errors", "TooManyTags", 400, MOST),
    Row(GRANT, "Tags: a key of AWS's", tags("aws:team"), "errors", "InvalidTags", 400, RESERVED),
    Row(GRANT, "Tags: an empty key", tags(""), "errors", "InvalidTag", 400, BAD_TAG),
    Row(GRANT, "Tags: a key of 129 characters", tags("k" * 129), "errors", "InvalidTag", 400, BAD_TAG),
    Row(GRANT, "Tags: a value of 257 characters", tags("k", value="v" * 257), "errors", "InvalidTag", 400, BAD_TAG),
    Row(GRANT, "Tags: a character that may not be", tags("a{b}"), "errors", "InvalidTag", 400, BAD_TAG),
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
        "GetDataAccess", "no grant", {"Target": "s3://sales/apac/x"}, "errors", "AccessDenied", 403,
        "You do not have READ permissions to the requested S3 Prefix: s3://sales/apac/x",
    ),
    Row("TagResource", "Tags: 51 with those there are", tags(*FIFTY_ONE[:50]), "errors", "TooManyTags", 400, MOST),
]  # fmt: skip

CREATING = (INSTANCE, LOCATION, GRANT)
LISTS = ("ListAccessGrants", "ListAccessGrantsInstances", "ListAccessGrantsLocations", "ListCallerAccessGrants")
TAGGING = ("TagResource", "UntagResource", "ListTagsForResource")
# What everybody may call; all else is an administrator's.
CALLERS = ("GetAccessGrantsInstanceForPrefix", "GetDataAccess", "ListCallerAccessGrants")
ADMINISTRATORS = (
    *("AssociateAccessGrantsIdentityCenter", *CREATING, "DeleteAccessGrant", "DeleteAccessGrantsInstance"),
    *("DeleteAccessGrantsInstanceResourcePolicy", "DeleteAccessGrantsLocation"),
    *("DissociateAccessGrantsIdentityCenter", "GetAccessGrant", "GetAccessGrantsInstance"),
    *("GetAccessGrantsInstanceResourcePolicy", "GetAccessGrantsLocation", *LISTS[:3]),
    *(POLICY, "UpdateAccessGrantsLocation", *TAGGING),
)
OPERATIONS = tuple(sorted((*CALLERS, *ADMINISTRATORS)))
# These need no instance.
ALONE = (INSTANCE, "ListAccessGrantsInstances")
NO_INSTANCE = "AccessGrantsInstanceNotExistsError"


def several(
    operations: tuple[str, ...],
    case: str,
    given: dict[str, Any],
    documented: str,
    code: str,
    status: int,
    words: str = "",
) -> list[Row]:
    """The same row for several operations."""
    return [Row(operation, case, given, documented, code, status, words) for operation in operations]


def without(*left_out: str) -> tuple[str, ...]:
    return tuple(operation for operation in OPERATIONS if operation not in left_out)


def wrong(operations: tuple[str, ...], **cases: tuple[str, Any]) -> list[Row]:
    """Rows of the API model: by parameter, the case and a value that the model does not allow; None leaves it out."""
    return [
        row
        for name, (case, value) in cases.items()
        for row in several(operations, f"{name}: {case}", {name: value}, "model", "InvalidRequest", 400, name)
    ]


def of_length(operations: tuple[str, ...], name: str, most: int) -> list[Row]:
    """An empty value and one that is too long."""
    return [
        *wrong(operations, **{name: ("empty", "")}),
        *wrong(operations, **{name: (f"{most + 1:,} characters", "s3://" + "x" * (most - 4))}),
    ]


EVERYWHERE = [
    *wrong(OPERATIONS, AccountId=("no 12 digits", "1234")),
    *several(
        without(*ALONE), "no instance in the region", {"region": "eu-west-2"}, "errors", NO_INSTANCE, 404,
        "Access Grants Instance does not exist",
    ),
    *several(ADMINISTRATORS, "by a user without permissions", {"by": "user"}, "operation", "AccessDenied", 403),
    *several(CALLERS, "by a user who may not call it", {"by": "forbidden"}, "operation", "AccessDenied", 403),
    *several(OPERATIONS, "by an account it is not shared with", {"by": "stranger"}, "guide", "AccessDenied", 403),
    *wrong(LISTS, MaxResults=("1,001", 1001)),
    *several(LISTS, "NextToken: unknown", {"NextToken": "none"}, "-", "InvalidRequest", 400, "token"),
    *several(
        (LOCATION, GRANT, "TagResource"), "Tags: a key twice", tags("a", "a"), "errors", "InvalidTag", 400, DUPLICATE
    ),
    *several(
        TAGGING, "ResourceArn: none of the instance",
        {"ResourceArn": f"arn:aws:s3:us-east-1:{ACCOUNT}:access-grants/default/grant/none", **tags("a")}, "-",
        "NoSuchResource", 404,
    ),
    *several(
        (GRANT, "DeleteAccessGrantsLocation", "GetAccessGrantsLocation", "UpdateAccessGrantsLocation"),
        "AccessGrantsLocationId: unknown", {"AccessGrantsLocationId": "none"},
        "errors", "NoSuchAccessGrantsLocationError", 404,
    ),
    *several(
        ("DeleteAccessGrant", "GetAccessGrant"), "AccessGrantId: unknown", {"AccessGrantId": "none"},
        "errors", "NoSuchAccessGrantError", 404,
    ),
    *wrong(
        (GRANT, "DeleteAccessGrantsLocation", "GetAccessGrantsLocation", "UpdateAccessGrantsLocation"),
        AccessGrantsLocationId=("65 characters", "x" * 65),
    ),
    *wrong(("DeleteAccessGrant", "GetAccessGrant"), AccessGrantId=("65 characters", "x" * 65)),
    *several(
        (LOCATION, "UpdateAccessGrantsLocation"), "IAMRoleArn: a user's", {"IAMRoleArn": ALICE},
        "model", "InvalidIamRole", 400,
    ),
    *wrong((LOCATION, "UpdateAccessGrantsLocation"), IAMRoleArn=("absent", None)),
    # In another region, where there is no instance yet.
    Row(
        INSTANCE, "Tags: a key twice", {**tags("a", "a"), "region": "eu-west-2"}, "errors", "InvalidTag", 400, DUPLICATE
    ),
    Row(
        INSTANCE, "IdentityCenterArn: an application", {"IdentityCenterArn": APPLICATION, "region": "eu-west-2"},
        "errors", "InvalidIdentityCenterInstance", 400, "The specified identity center instance is invalid",
    ),
    Row(
        "AssociateAccessGrantsIdentityCenter", "IdentityCenterArn: an application", {"IdentityCenterArn": APPLICATION},
        "errors", "InvalidIdentityCenterInstance", 400, "The specified identity center instance is invalid",
    ),
    *wrong(("AssociateAccessGrantsIdentityCenter",), IdentityCenterArn=("absent", None)),
    *wrong((GRANT, "GetDataAccess", "ListAccessGrants"), Permission=("unknown", "ALL")),
    *wrong((GRANT, "GetDataAccess"), Permission=("absent", None)),
    *wrong((GRANT, "ListAccessGrants"), ApplicationArn=("no application", CENTER)),
    *wrong((GRANT,), AccessGrantsLocationId=("absent", None), S3PrefixType=("unknown", "Folder")),
    *wrong((LOCATION,), LocationScope=("absent", None)),
    *wrong((POLICY,), Policy=("absent", None)),
    *wrong((POLICY,), Policy=("empty", "")),
    *wrong((POLICY,), Policy=("350,001 characters", "{" + " " * 350_000)),
    *wrong(("TagResource",), Tags=("absent", None)),
    *of_length(("ListAccessGrantsLocations",), "LocationScope", 2000),
    *wrong(("ListAccessGrants",), GranteeType=("unknown", "CAT")),
    *of_length(("ListAccessGrants", "ListCallerAccessGrants"), "GrantScope", 2000),
    *wrong(("GetAccessGrantsInstanceForPrefix",), S3Prefix=("absent", None)),
    *of_length(("GetAccessGrantsInstanceForPrefix",), "S3Prefix", 2000),
    *several(
        ("GetAccessGrantsInstanceForPrefix",), "S3Prefix: no S3 path", {"S3Prefix": "sales"},
        "model", "InvalidRequest", 400,
    ),
    *several(
        ("GetAccessGrantsInstanceForPrefix",), "S3Prefix: a bucket in another region", {"S3Prefix": "s3://abroad/x"},
        "-", NO_INSTANCE, 404,
    ),
    *several(
        ("GetAccessGrantsInstanceForPrefix",), "S3Prefix: an absent bucket", {"S3Prefix": "s3://nowhere/x"},
        "-", NO_INSTANCE, 404,
    ),
    *wrong(
        ("GetDataAccess",), Target=("absent", None), Privilege=("unknown", "Most"), TargetType=("unknown", "Folder")
    ),
    *of_length(("GetDataAccess",), "Target", 2000),
    *wrong(("GetDataAccess", "ListCallerAccessGrants"), InstanceScope=("unknown", "SOME")),
]  # fmt: skip
ROWS = [*EVERYWHERE, *ROWS]
