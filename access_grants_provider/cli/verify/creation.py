"""Creates what the checks need, each thing noted in the journal before it exists."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from .account import Account
from .extras import Extras
from .journal import Journal
from .plan import TAG, Names, other_region
from .scene import Scene
from .waiter import Waiter

__all__ = ["GRANTS", "create"]

GRANTS = (
    ("in/*", "READ"),
    ("both/*", "READ"),
    ("both/*", "WRITE"),
    ("w/*", "WRITE"),
    ("rw/*", "READWRITE"),
    ("nest/*", "READ"),
)
OBJECTS = (
    *("in/a", "in/b", "in/k*", "in/kx", "out/x", "rw/tagged", "rw/annotated", "rw/plain", "nest/a", "nest/inner/a"),
)
TAGGED = "rw/tagged"
NESTED = "nest/inner/*"
GRANTEE_ACTIONS = ["s3:GetDataAccess", "s3:ListCallerAccessGrants", "s3:GetAccessGrantsInstanceForPrefix"]


def create(account: Account, names: Names, journal: Journal, waiter: Waiter, extras: Extras) -> Scene:
    """Create everything, wait until it counts, and return it."""
    scene = Scene(account, names, journal, waiter, extras)
    for step in (_create_roles, _create_buckets, _create_instance, _create_locations, _create_grants):
        waiter.check_interrupt()
        step(scene)
    waiter.step("waiting until the roles and the grants count")
    scene.assume_roles()
    _settle(scene)
    return scene


def _create_roles(scene: Scene) -> None:
    account, names = scene.account, scene.names
    access_grants = {
        "Effect": "Allow",
        "Principal": {"Service": "access-grants.s3.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
        "Condition": {
            "StringEquals": {
                "aws:SourceAccount": account.id,
                "aws:SourceArn": f"arn:{account.partition}:s3:{account.region}:{account.id}:access-grants/default",
            }
        },
    }
    this_account = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{account.partition}:iam::{account.id}:root"},
        "Action": "sts:AssumeRole",
    }
    buckets = f"arn:{account.partition}:s3:::{names.bucket}"
    # The location's roles may do everything here, so that what is refused is refused by the grant.
    data = {"Effect": "Allow", "Action": "s3:*", "Resource": [buckets, f"{buckets}/*"]}
    nested = {"Effect": "Deny", "Action": "s3:*", "Resource": f"{buckets}/{NESTED}"}
    asks = {"Effect": "Allow", "Action": GRANTEE_ACTIONS, "Resource": "*"}
    _create_role(scene, names.location_role, access_grants, [data, nested])
    _create_role(scene, names.nested_role, access_grants, [data])
    _create_role(scene, names.grantee_role, this_account, [asks])
    _create_role(scene, names.nobody_role, this_account, [])


def _create_role(scene: Scene, name: str, trust: dict[str, Any], statements: list[dict[str, Any]]) -> None:
    scene.waiter.step(f"creating the role {name}")
    scene.journal.note("role", name=name)
    iam = scene.account.iam
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy([trust]), Tags=scene.tags)
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName=TAG, PolicyDocument=_policy(statements))


def _policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _create_buckets(scene: Scene) -> None:
    names, region = scene.names, scene.account.region
    places = ((names.bucket, region), (names.bare_bucket, region), (names.far_bucket, other_region(region)))
    for name, place in places:
        scene.waiter.step(f"creating the bucket {name} in {place}")
        scene.journal.note("bucket", name=name, region=place)
        s3 = scene.account.client("s3", region=place)
        # The oldest region is the one that is not named.
        placed = {} if place == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": place}}
        s3.create_bucket(Bucket=name, **placed)
        scene.insist(f"tagging {name}", partial(s3.put_bucket_tagging, Bucket=name, Tagging={"TagSet": scene.tags}))
    for key in OBJECTS:
        tagging = {"Tagging": "colour=red"} if key == TAGGED else {}
        scene.account.s3.put_object(Bucket=names.bucket, Key=key, Body=b"agp-verify", **tagging)


def _create_instance(scene: Scene) -> None:
    account = scene.account
    if account.has_instance():
        scene.waiter.step("using the S3 Access Grants instance that is there")
        return
    scene.waiter.step(f"creating an S3 Access Grants instance in {account.region}")
    scene.journal.note("instance", run=scene.names.run)
    account.control.create_access_grants_instance(AccountId=account.id, Tags=scene.tags)


def _create_locations(scene: Scene) -> None:
    names = scene.names
    scene.location_id = _create_location(scene, f"s3://{names.bucket}", names.location_role)
    scene.nested_id = _create_location(scene, scene.uri(NESTED), names.nested_role)


def _create_location(scene: Scene, scope: str, role: str) -> str:
    scene.waiter.step(f"creating the location {scope}")
    account = scene.account

    scene.journal.note("location", scope=scope, grantee=account.role_arn(scene.names.grantee_role))
    given = {"AccountId": account.id, "LocationScope": scope, "IAMRoleArn": account.role_arn(role), "Tags": scene.tags}
    create_location = partial(account.control.create_access_grants_location, **given)
    return str(scene.insist(f"the location {scope}", create_location)["AccessGrantsLocationId"])


def _create_grants(scene: Scene) -> None:
    scene.waiter.step("creating the grants")
    scene.slash = scene.insist("a first grant", partial(_slash, scene))
    for path, permission in GRANTS:
        scene.insist(f"a grant on {path}", partial(scene.create_grant, f"{scene.slash}{path}", permission))
    scene.insist(f"a grant on {NESTED}", partial(scene.create_grant, None, "READ", scene.nested_id))


def _slash(scene: Scene) -> str | None:
    """Return the slash if a sub-prefix below a bucket is to begin with it, else nothing. AWS documents both.

    None while neither makes the scope that is meant.
    """
    wanted = scene.uri("first/*")
    try:
        if _scope_of(scene, "/first/*") == wanted:
            return "/"
    except ClientError:
        # Refused for its slash, or because the grantee does not count yet. The other one shows which.
        pass
    return "" if _scope_of(scene, "first/*") == wanted else None


def _scope_of(scene: Scene, sub_prefix: str) -> str:
    """Create a grant, and delete it again."""
    grant = scene.create_grant(sub_prefix, "READ")
    account = scene.account
    account.control.delete_access_grant(AccountId=account.id, AccessGrantId=grant["AccessGrantId"])
    return str(grant["GrantScope"])


def _settle(scene: Scene) -> None:
    """Wait until each grant is found, and until the roles of both locations may read."""
    for path, permission in (*GRANTS, (NESTED, "READ")):
        scene.insist(f"{permission} on {path}", partial(_matches, scene, path, permission))
    for path, key in (("in/*", "in/a"), (NESTED, "nest/inner/a")):
        scene.insist(f"reading {key}", partial(_read, scene, path, key))


def _matches(scene: Scene, path: str, permission: str) -> bool | None:
    """Tell that this very grant is found, or return None: until it counts, a wider one may be."""
    return scene.get_data_access(path, permission)["MatchedGrantTarget"] == scene.uri(path) or None


def _read(scene: Scene, path: str, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = scene.granted_s3(path, "READ").get_object(Bucket=scene.names.bucket, Key=key)
    return answer
