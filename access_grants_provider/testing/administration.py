"""The state of S3 Access Grants, and the operations by which an account administers it."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from threading import RLock
from typing import Any

from .errors import Refusal
from .grants_state import DEFAULT_LOCATION, Grant, IdentityCenter, Instance, Location, grant_scope, invalid_grant
from .identities import Credential
from .moto_backend import Bucket
from .resource_policy import check_policy
from .scopes import parse_scope
from .tags import Tags, add_tags

Parameters = dict[str, Any]
PAGE = 1000
_ROLE = re.compile(r"arn:[^:]+:iam::\d{12}:role/.+")
_IDENTITY_CENTER = re.compile(r"arn:[^:]+:sso::(\d{12})?:instance/.+")


class Administration:
    """Instances, locations and grants of all accounts and regions.

    Each operation takes the caller's key, the region and boto3's parameters, and returns boto3's result. Whoever calls
    one holds `lock`. `find_bucket` gives a bucket's region and owner, None for a bucket that does not exist.
    """

    def __init__(self, clock: Callable[[], float], find_bucket: Callable[[str], Bucket | None]) -> None:
        self._clock = clock
        self._find_bucket = find_bucket
        self._instances: dict[tuple[str, str], Instance] = {}
        self.lock = RLock()

    def find_instance(self, account_id: str, region: str) -> Instance | None:
        """The instance of an account in a region."""
        return self._instances.get((account_id, region))

    def instances(self) -> list[Instance]:
        """All instances."""
        with self.lock:
            return list(self._instances.values())

    def _instance(self, account_id: str, region: str) -> Instance:
        instance = self.find_instance(account_id, region)
        if instance is None:
            raise Refusal("AccessGrantsInstanceNotExistsError", "Access Grants Instance does not exist")
        return instance

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock()), timezone.utc)

    # Instances

    def create_access_grants_instance(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Create the account's instance in this region."""
        place = (given["AccountId"], region)
        if place in self._instances:
            raise Refusal("AccessGrantsInstanceAlreadyExists", "Access Grants Instance already exists")
        instance = Instance(*place, self._now(), tags=_tags(given))
        if "IdentityCenterArn" in given:
            instance.identity_center = _identity_center(given)
        self._instances[place] = instance
        return _instance_fields(instance)

    def get_access_grants_instance(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Describe the instance."""
        return _instance_fields(self._instance(given["AccountId"], region))

    def list_access_grants_instances(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """List the account's instances in all regions."""
        own = [entry for entry in self.instances() if entry.account_id == given["AccountId"]]
        return page(given, "AccessGrantsInstancesList", map(_instance_fields, own))

    def delete_access_grants_instance(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Delete an instance without locations."""
        instance = self._instance(given["AccountId"], region)
        if instance.locations:
            raise Refusal(
                "AccessGrantsInstanceNotEmptyError",
                "Please clean up locations before deleting the access grants instance",
            )
        if instance.identity_center is not None:
            raise Refusal(
                "AccessGrantsInstanceNotEmptyError",
                "Please dissociate the IAM Identity Center instance before deleting the access grants instance",
            )
        del self._instances[instance.account_id, region]
        return {}

    def put_access_grants_instance_resource_policy(
        self, caller: Credential, region: str, given: Parameters
    ) -> Parameters:
        """Set the policy that opens the instance to other accounts."""
        instance = self._instance(given["AccountId"], region)
        check_policy(given["Policy"])
        instance.policy, instance.policy_created = given["Policy"], self._now()
        instance.organization = given.get("Organization")
        return self.get_access_grants_instance_resource_policy(caller, region, given)

    def get_access_grants_instance_resource_policy(
        self, caller: Credential, region: str, given: Parameters
    ) -> Parameters:
        """Show that policy."""
        instance = self._instance(given["AccountId"], region)
        if instance.policy is None:
            raise Refusal(
                "AccessGrantsInstanceResourcePolicyNotExists",
                "Access Grants Instance Resource Policy does not exist",
            )
        return {
            "Policy": instance.policy,
            "Organization": instance.organization,
            "CreatedAt": instance.policy_created,
        }

    def delete_access_grants_instance_resource_policy(
        self, caller: Credential, region: str, given: Parameters
    ) -> Parameters:
        """Drop that policy."""
        self.get_access_grants_instance_resource_policy(caller, region, given)
        self._instance(given["AccountId"], region).policy = None
        return {}

    def associate_access_grants_identity_center(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Associate an IAM Identity Center instance, in place of the one that is associated."""
        instance = self._instance(given["AccountId"], region)
        instance.identity_center = _identity_center(given)
        return {}

    def dissociate_access_grants_identity_center(
        self, caller: Credential, region: str, given: Parameters
    ) -> Parameters:
        """Dissociate it. Grants to its users and groups stay, and count no more."""
        self._instance(given["AccountId"], region).identity_center = None
        return {}

    # Tags

    def tag_resource(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Add tags to an instance, a location or a grant."""
        add_tags(self._tags_of(region, given), given["Tags"])
        return {}

    def untag_resource(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Take tags off."""
        tags = self._tags_of(region, given)
        for key in given["TagKeys"]:
            tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """List the tags, those given at creation included."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tags_of(region, given).items()]}

    def _tags_of(self, region: str, given: Parameters) -> Tags:
        instance, arn = self._instance(given["AccountId"], region), given["ResourceArn"]
        tagged: list[Instance | Location | Grant] = [instance, *instance.locations.values(), *instance.grants.values()]
        for entry in tagged:
            if entry.arn == arn:
                return entry.tags
        raise Refusal("NoSuchResource", "The specified resource doesn't exist.")

    # Locations

    def create_access_grants_location(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Register a location."""
        instance, scope = self._instance(given["AccountId"], region), given["LocationScope"]
        role_arn, tags = _role_arn(given), _tags(given)
        if scope != DEFAULT_LOCATION:
            self._check_local(scope, region, _invalid_location)
        return _location_fields(instance.add_location(scope, role_arn, self._now(), tags))

    def _check_local(self, scope: str, region: str, refusal: Callable[[str], Refusal]) -> None:
        """Refuse a scope whose data is not in the region of the instance."""
        try:
            name = parse_scope(scope).bucket
        except ValueError as error:
            raise refusal(str(error)) from None
        bucket = self._find_bucket(name)
        if bucket is None:
            raise refusal(f"the bucket {name} does not exist")
        if bucket.region != region:
            raise refusal(f"the bucket {name} is in {bucket.region}, not in {region}")

    def get_access_grants_location(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Describe a location."""
        return _location_fields(self._named_location(region, given))

    def update_access_grants_location(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Give a location another role."""
        location = self._named_location(region, given)
        location.role_arn = _role_arn(given)
        return _location_fields(location)

    def list_access_grants_locations(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """List the locations whose scope begins with `LocationScope`."""
        locations = self._instance(given["AccountId"], region).locations.values()
        fragment = given.get("LocationScope", "")
        chosen = [_location_fields(entry) for entry in locations if entry.scope.startswith(fragment)]
        return page(given, "AccessGrantsLocationsList", chosen)

    def delete_access_grants_location(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Deregister a location without grants."""
        self._instance(given["AccountId"], region).remove_location(given["AccessGrantsLocationId"])
        return {}

    def _named_location(self, region: str, given: Parameters) -> Location:
        return self._instance(given["AccountId"], region).location(given["AccessGrantsLocationId"])

    # Grants

    def create_access_grant(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Create a grant."""
        instance = self._instance(given["AccountId"], region)
        location = instance.location(given["AccessGrantsLocationId"])
        sub_prefix = given.get("AccessGrantsLocationConfiguration", {}).get("S3SubPrefix")
        self._check_local(grant_scope(location, sub_prefix), region, invalid_grant)
        grant = instance.add_grant(
            location,
            sub_prefix,
            given.get("S3PrefixType") == "Object",
            given["Grantee"],
            given["Permission"],
            self._now(),
            given.get("ApplicationArn"),
            _tags(given),
        )
        return _grant_fields(grant)

    def get_access_grant(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Describe a grant."""
        return _grant_fields(self._instance(given["AccountId"], region).grant(given["AccessGrantId"]))

    def list_access_grants(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """List the grants which have all the properties asked for."""
        wanted = {
            name: given[parameter]
            for name, parameter in (
                ("grantee_type", "GranteeType"),
                ("grantee", "GranteeIdentifier"),
                ("permission", "Permission"),
                ("scope_text", "GrantScope"),
                ("application_arn", "ApplicationArn"),
            )
            if parameter in given
        }
        grants = self._instance(given["AccountId"], region).grants.values()
        chosen = [entry for entry in grants if all(getattr(entry, name) == value for name, value in wanted.items())]
        return page(given, "AccessGrantsList", map(_grant_fields, chosen))

    def delete_access_grant(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Delete a grant; credentials it has vended stay valid."""
        instance = self._instance(given["AccountId"], region)
        del instance.grants[instance.grant(given["AccessGrantId"]).id]
        return {}


def page(given: Parameters, name: str, entries: Iterable[Parameters]) -> Parameters:
    """The page of `entries` that was asked for, under `name`."""
    everything = list(entries)
    try:
        start = int(base64.urlsafe_b64decode(given["NextToken"])) if "NextToken" in given else 0
    except (ValueError, binascii.Error):
        raise Refusal("InvalidRequest", "The continuation token is invalid") from None
    end = start + (given.get("MaxResults") or PAGE)
    result: Parameters = {name: everything[start:end]}
    if end < len(everything):
        result["NextToken"] = base64.urlsafe_b64encode(str(end).encode()).decode()
    return result


def _invalid_location(why: str) -> Refusal:
    return Refusal("InvalidAccessGrantsLocation", f"The specified Access Grants Location is invalid: {why}")


def _tags(given: Parameters) -> Tags:
    tags: Tags = {}
    add_tags(tags, given.get("Tags", []))
    return tags


def _role_arn(given: Parameters) -> str:
    arn = str(given["IAMRoleArn"])
    if not _ROLE.fullmatch(arn):
        raise Refusal("InvalidIamRole", "The specified IAM Role is invalid")
    return arn


def _identity_center(given: Parameters) -> IdentityCenter:
    arn = given["IdentityCenterArn"]
    if not _IDENTITY_CENTER.fullmatch(arn):
        raise Refusal("InvalidIdentityCenterInstance", "The specified identity center instance is invalid")
    name = arn.rpartition("/")[2]
    application = f"arn:aws:sso::{given['AccountId']}:application/{name}/apl-{uuid.uuid4().hex[:16]}"
    return IdentityCenter(arn, application)


def _instance_fields(instance: Instance) -> Parameters:
    center = instance.identity_center
    return {
        "CreatedAt": instance.created,
        "AccessGrantsInstanceId": "default",
        "AccessGrantsInstanceArn": instance.arn,
        # The first is the older name of the third.
        "IdentityCenterArn": center and center.application_arn,
        "IdentityCenterInstanceArn": center and center.instance_arn,
        "IdentityCenterApplicationArn": center and center.application_arn,
    }


def _location_fields(location: Location) -> Parameters:
    return {
        "CreatedAt": location.created,
        "AccessGrantsLocationId": location.id,
        "AccessGrantsLocationArn": location.arn,
        "LocationScope": location.scope,
        "IAMRoleArn": location.role_arn,
    }


def grantee_fields(grant: Grant) -> Parameters:
    """The grantee as boto3 shows it."""
    return {"GranteeType": grant.grantee_type, "GranteeIdentifier": grant.grantee}


def _grant_fields(grant: Grant) -> Parameters:
    return {
        "CreatedAt": grant.created,
        "AccessGrantId": grant.id,
        "AccessGrantArn": grant.arn,
        "Grantee": grantee_fields(grant),
        "AccessGrantsLocationId": grant.location.id,
        "AccessGrantsLocationConfiguration": {"S3SubPrefix": grant.sub_prefix} if grant.sub_prefix else None,
        "Permission": grant.permission,
        "ApplicationArn": grant.application_arn,
        "GrantScope": grant.scope_text,
    }
