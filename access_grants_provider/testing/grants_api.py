"""The operations of S3 Access Grants, on parsed parameters; what they answer is what boto3 shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Literal

from botocore import xform_name

from .administration import Administration, Parameters, grantee_fields, page
from .errors import Refusal, access_denied
from .grants_state import Grant, Instance
from .identities import Credential, IdentityStore, Vended
from .moto_backend import Bucket
from .permissions import Permissions
from .scopes import Scope, parse_scope

DEFAULT_DURATION = 3600
CALLER_ACTIONS = ("s3:GetDataAccess", "s3:ListCallerAccessGrants", "s3:GetAccessGrantsInstanceForPrefix")
# AWS RAM shares an instance with both. One that a resource policy shares with less is out of InstanceScope=ALL's reach.
_SHARED_BY_RAM = ("s3:GetDataAccess", "s3:ListCallerAccessGrants")

InstanceLookup = Literal["account", "location"]


class AccessGrantsApi(Administration):
    """S3 Access Grants for all accounts and regions. Safe to use from several threads through `call`.

    `longest_session` gives for how many seconds a role may be assumed, or None. `lifetime`, if set, is
    how many seconds vended credentials live whatever a request asks for, and `find_instance_by` is the rule of
    GetAccessGrantsInstanceForPrefix.
    """

    def __init__(
        self,
        identities: IdentityStore,
        permissions: Permissions,
        clock: Callable[[], float],
        find_bucket: Callable[[str], Bucket | None],
        longest_session: Callable[[str], int | None],
    ) -> None:
        super().__init__(clock, find_bucket)
        self._longest_session = longest_session
        self._identities = identities
        self._permissions = permissions
        self.lifetime: float | None = None
        self.find_instance_by: InstanceLookup = "account"

    def call(self, operation: str, caller: Credential, region: str, parameters: Parameters) -> Parameters:
        """The result of one operation, called with `caller`'s key. Raises Refusal."""
        handler = getattr(self, xform_name(operation), None)
        if handler is None:
            raise Refusal("NotImplemented", f"The local S3 Access Grants have no {operation}", status=501)
        account_id = parameters["AccountId"]
        resource = f"arn:aws:s3:{region}:{account_id}:access-grants/default"
        self._permissions.check_api(caller, f"s3:{operation}", resource)
        with self.lock:
            if caller.principal.account_id != account_id and operation not in _OPEN_TO_OTHERS:
                shared = self.find_instance(account_id, region) if operation in _SHARED_LISTS else None
                if shared is None or not shared.shared_with(caller.principal, f"s3:{operation}"):
                    raise access_denied(caller.arn, f"s3:{operation}", resource, "resource-based")
            result: Parameters = handler(caller, region, parameters)
            return result

    def get_access_grants_instance_for_prefix(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Find the instance that is responsible for a prefix."""
        # The account is the caller's own here; the owner's follows from the bucket.
        prefix = given["S3Prefix"]
        bucket = self._find_bucket(_target(prefix).bucket.rstrip("*"))
        # Instance and data share a region, so a bucket of another region lies in no instance of this one.
        local = bucket is not None and bucket.region == region
        instance = self.find_instance(bucket.account_id, region) if bucket is not None and local else None
        if instance is None or (self.find_instance_by == "location" and not instance.has_location_of(prefix)):
            raise Refusal("AccessGrantsInstanceNotExistsError", "Access Grants Instance does not exist")
        self._check_shared(caller, instance, "s3:GetAccessGrantsInstanceForPrefix")
        return {"AccessGrantsInstanceArn": instance.arn, "AccessGrantsInstanceId": "default"}

    def get_data_access(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """Vend credentials by the grant closest to the target."""
        is_object = given.get("TargetType") == "Object"
        target, permission = _target(given["Target"], is_object), given["Permission"]
        found: tuple[Instance, Grant] | None = None
        for instance in self._searched(caller, region, given, "s3:GetDataAccess"):
            grant = instance.match(caller.principal, target, permission)
            if grant is not None and (found is None or len(grant.scope.text) > len(found[1].scope.text)):
                found = instance, grant
        if found is None:
            raise Refusal(
                "AccessDenied",
                f"You do not have {permission} permissions to the requested S3 Prefix: {given['Target']}",
            )
        instance, grant = found
        longest = self._longest_session(grant.location.role_arn)
        if longest is not None and given.get("DurationSeconds", 0) > longest:
            raise Refusal(
                "StsValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        minimal = given.get("Privilege") == "Minimal"
        scope = target if minimal else grant.scope
        seconds = given.get("DurationSeconds", DEFAULT_DURATION) if self.lifetime is None else self.lifetime
        # Expiration is written in whole seconds, and what is written is what counts.
        expires_at = int(self._clock() + seconds)
        role = grant.location.role_arn.rpartition("/")[2]
        arn = f"arn:aws:sts::{instance.account_id}:assumed-role/{role}/access-grants-{grant.id}"
        vended = Vended(grant.id, instance.account_id, region, scope, permission, grant.location.denies, arn)
        credential = self._identities.vend(caller.principal, vended, expires_at)
        return {
            "Credentials": {
                "AccessKeyId": credential.access_key_id,
                "SecretAccessKey": credential.secret_access_key,
                "SessionToken": credential.session_token,
                "Expiration": datetime.fromtimestamp(expires_at, timezone.utc),
            },
            "MatchedGrantTarget": given["Target"] if minimal else grant.scope_text,
            "Grantee": grantee_fields(grant),
            "MatchedInstanceArn": instance.arn,
        }

    def list_caller_access_grants(self, caller: Credential, region: str, given: Parameters) -> Parameters:
        """List the caller's own grants."""
        fragment = given.get("GrantScope", "s3://")
        if not fragment.startswith("s3://"):
            raise Refusal("InvalidRequest", "The GrantScope begins with s3://")
        entries = [
            {
                "Permission": grant.permission,
                "GrantScope": grant.scope_text,
                "ApplicationArn": grant.listed_application,
            }
            for instance in self._searched(caller, region, given, "s3:ListCallerAccessGrants")
            for grant in instance.grants.values()
            if instance.is_live(grant) and grant.names(caller.principal) and grant.scope_text.startswith(fragment)
        ]
        if given.get("AllowedByApplication"):
            user = caller.principal.directory_user
            allowed = {"ALL", user.application_arn if user is not None else None}
            entries = [entry for entry in entries if entry["ApplicationArn"] in allowed]
        return page(given, "CallerAccessGrantsList", entries)

    def _searched(self, caller: Credential, region: str, given: Parameters, action: str) -> list[Instance]:
        account_id = given["AccountId"]
        if given.get("InstanceScope") != "ALL":
            instance = self._instance(account_id, region)
            self._check_shared(caller, instance, action)
            return [instance]
        visible = [
            instance
            for instance in self.instances()
            if instance.region == region
            and (
                instance.account_id == caller.principal.account_id
                or all(instance.shared_with(caller.principal, shared) for shared in _SHARED_BY_RAM)
            )
        ]
        if not visible:
            self._instance(account_id, region)
        return visible

    def _check_shared(self, caller: Credential, instance: Instance, action: str) -> None:
        own = caller.principal.account_id == instance.account_id
        if not own and not instance.shared_with(caller.principal, action):
            raise access_denied(caller.arn, action, instance.arn, "resource-based")


# These ask the resource policy themselves.
_OPEN_TO_OTHERS = frozenset({"GetDataAccess", "ListCallerAccessGrants"})
# The policy may share these too; everything else only the instance's own account may call.
_SHARED_LISTS = frozenset({"ListAccessGrants", "ListAccessGrantsLocations"})


def _target(text: str, is_object: bool = False) -> Scope:
    try:
        return parse_scope(text, is_object)
    except ValueError as error:
        raise Refusal("InvalidRequest", f"The request is invalid: {error}") from None
