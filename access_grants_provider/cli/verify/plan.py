"""What a run creates, under which names, and which permissions that needs."""

from __future__ import annotations

import json
import secrets
from typing import Any, NamedTuple

__all__ = ["PREFIX", "TAG", "Names", "other_region", "plan"]

PREFIX = "agp-verify-"
TAG = "agp-verify"


class Names(NamedTuple):
    """The names of one run. ``number`` is None in a plan, before a run has one."""

    number: str | None

    @classmethod
    def new(cls) -> Names:
        """Return names that no other run has."""
        return cls(secrets.token_hex(4))

    @property
    def run(self) -> str:
        """Return the name of the run, with which all others begin."""
        return f"{PREFIX}{self.number or 'RANDOM'}"

    @property
    def bucket(self) -> str:
        """Return the bucket that is a location."""
        return self.run

    @property
    def bare_bucket(self) -> str:
        """Return the bucket of the same region in no location."""
        return f"{self.run}-bare"

    @property
    def far_bucket(self) -> str:
        """Return the bucket of another region."""
        return f"{self.run}-far"

    @property
    def location_role(self) -> str:
        """Return the role of the location."""
        return f"{self.run}-location"

    @property
    def nested_role(self) -> str:
        """Return the role of the location within that location."""
        return f"{self.run}-nested"

    @property
    def grantee_role(self) -> str:
        """Return the role that is given grants, and may only ask for them."""
        return f"{self.run}-grantee"

    @property
    def nobody_role(self) -> str:
        """Return the role that may do nothing at all."""
        return f"{self.run}-nobody"


def other_region(region: str) -> str:
    """Return another region of the same partition."""
    elsewhere = {
        "cn-": ("cn-north-1", "cn-northwest-1"),
        "us-gov-": ("us-gov-west-1", "us-gov-east-1"),
        "": ("us-east-1", "us-west-2"),
    }
    first, second = next(pair for start, pair in elsewhere.items() if region.startswith(start))
    return second if region == first else first


def plan(names: Names, region: str) -> str:
    """Return what a run would do, for a person."""
    policy = json.dumps(_policy(region), indent=2)
    return f"""\
In {region}, under names that begin with {PREFIX} and a random number, tagged {TAG}:

  buckets    {names.bucket}, {names.bare_bucket},
             {names.far_bucket} (in {other_region(region)}), with a few small objects
  IAM roles  {names.location_role}  assumed by S3 Access Grants; may use these buckets
             {names.nested_role}    the same, for a location within the location
             {names.grantee_role}   assumed by you; may ask for grants, and nothing else
             {names.nobody_role}    assumed by you; may do nothing
  S3 Access Grants: an instance (with --use-existing: the one that is there),
             two locations in the first bucket, about ten grants to the grantee,
             with --sso-user one more to that user

Everything is removed at the end. A few hundred requests and a few bytes for some minutes cost less than a cent; IAM
and S3 Access Grants cost nothing of their own. You need these permissions:

{policy}
"""


def _policy(region: str) -> dict[str, Any]:
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    control = (
        *("CreateAccessGrantsInstance", "GetAccessGrantsInstance", "DeleteAccessGrantsInstance"),
        *("CreateAccessGrantsLocation", "ListAccessGrantsLocations", "DeleteAccessGrantsLocation"),
        *("CreateAccessGrant", "ListAccessGrants", "DeleteAccessGrant", "TagResource", "ListTagsForResource"),
    )
    data = (
        *("CreateBucket", "PutBucketTagging", "DeleteBucket", "ListBucket", "ListBucketVersions"),
        *("ListBucketMultipartUploads", "PutObject", "PutObjectTagging", "PutObjectAnnotation"),
        *("DeleteObject", "DeleteObjectVersion", "AbortMultipartUpload"),
    )
    roles = ("CreateRole", "TagRole", "PutRolePolicy", "ListRolePolicies", "DeleteRolePolicy", "DeleteRole", "PassRole")
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow([f"s3:{name}" for name in control], f"arn:{partition}:s3:{region}:*:access-grants/default*"),
            _allow([f"s3:{name}" for name in data], f"arn:{partition}:s3:::{PREFIX}*"),
            _allow([*(f"iam:{name}" for name in roles), "sts:AssumeRole"], f"arn:{partition}:iam::*:role/{PREFIX}*"),
        ],
    }


def _allow(actions: list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
