"""The state of S3 Access Grants, and the operations by which an account administers it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from threading import RLock
from typing import Any

from .errors import Refusal
from .grants_state import Grant, Instance, Location
from .identities import Credential

Parameters = dict[str, Any]
PAGE = 1000


class Administration:
    """Instances, locations and grants of all accounts and regions.

    Each operation takes the caller's key, the region and boto3's parameters, and returns boto3's result. Whoever calls
    one holds `lock`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
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
        instance = Instance(*place, self._now(), identity_center_arn=given.get("IdentityCenterArn"))
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
        del self._instances[instance.account_id, region]
        return {}

    def put_access_grants_instance_resource_policy(
        self, caller: Credential, region: str, given: Parameters
    ) -> Parameters:
        """Set the policy that opens the instance to other accounts."""
        instance = self._instance(given["AccountId"], region)
        try:
            readable = isinstance(json.loads(given["Policy"]).get("Statement"), (list, dict))
        except (ValueError, AttributeError):
            readable = False
        if not readable:
            raise Refusal("InvalidResourcePolicy", "The specified Resource Policy is invalid")
        instance.policy, instance.policy_created = given["Policy"], self._now()
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
        return {"Policy": instance.policy, "CreatedAt": instance.policy_created}

    def delete_access_grants_instance_resource_policy(
        self, caller: Credential, region: str, given: Parameters
    ) -> Parameters:
        """Drop that policy."""
        self.get_access_grants_instance_resource_policy(caller, region, given)
        self._instance(given["AccountId"], region).policy = None
        return {}

    # Locations

    def create_access_grants_location(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Register a location."""
        instance = self._instance(given["AccountId"], region)
        if not given["IAMRoleArn"].startswith("arn:aws:iam::") or ":role/" not in given["IAMRoleArn"]:
            raise Refusal("InvalidIamRole", "The specified IAM Role is invalid")
        location = instance.add_location(
            given["LocationScope"], given["IAMRoleArn"], self._now(), given.get("Tags", [])
        )
        return _location_fields(location)

    def get_access_grants_location(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Describe a location."""
        return _location_fields(self._named_location(region, given))

    def update_access_grants_location(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Give a location another role."""
        location = self._named_location(region, given)
        location.role_arn = given["IAMRoleArn"]
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
        grantee = given["Grantee"]
        if grantee.get("GranteeType") == "IAM" and not grantee.get("GranteeIdentifier", "").startswith("arn:"):
            raise Refusal("InvalidAccessGrant", "The specified Access Grant is invalid: an IAM grantee is an ARN")
        grant = instance.add_grant(
            instance.location(given["AccessGrantsLocationId"]),
            given.get("AccessGrantsLocationConfiguration", {}).get("S3SubPrefix"),
            given.get("S3PrefixType") == "Object",
            grantee,
            given["Permission"],
            self._now(),
            given.get("ApplicationArn"),
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


def _instance_fields(instance: Instance) -> Parameters:
    return {
        "CreatedAt": instance.created,
        "AccessGrantsInstanceId": "default",
        "AccessGrantsInstanceArn": instance.arn,
        "IdentityCenterArn": instance.identity_center_arn,
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
