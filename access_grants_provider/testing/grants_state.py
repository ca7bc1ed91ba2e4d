"""The state of S3 Access Grants: instances, their locations and their grants, per account and region."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .errors import Refusal
from .identities import Identity
from .scopes import Scope, parse_scope

SERVES = {"READ": ("READ",), "WRITE": ("WRITE",), "READWRITE": ("READ", "WRITE", "READWRITE")}
DEFAULT_LOCATION = "s3://"


@dataclass
class Location:
    """A registered location. `denies` are the keys which its role may not touch."""

    id: str
    arn: str
    scope: str
    role_arn: str
    created: datetime
    denies: tuple[Scope, ...] = ()
    tags: list[dict[str, str]] = field(default_factory=list)

    @property
    def reach(self) -> str:
        """What every string in this location begins with."""
        if self.scope == DEFAULT_LOCATION:
            return self.scope
        text = self.scope.rstrip("*")
        return text if "/" in text.removeprefix("s3://") else text + "/"


@dataclass(frozen=True)
class Grant:
    """A grant. `scope_text` is the scope as AWS writes it, `scope` what it means."""

    id: str
    arn: str
    location: Location
    sub_prefix: str | None
    scope_text: str
    scope: Scope
    grantee_type: str
    grantee: str
    permission: str
    application_arn: str | None
    created: datetime

    def names(self, identity: Identity) -> bool:
        """Whether this identity is the grantee."""
        return self.grantee_type == "IAM" and self.grantee in identity.grantees


@dataclass
class Instance:
    """The Access Grants instance of one account in one region."""

    account_id: str
    region: str
    created: datetime
    policy: str | None = None
    policy_created: datetime | None = None
    identity_center_arn: str | None = None
    locations: dict[str, Location] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The instance's ARN."""
        return f"arn:aws:s3:{self.region}:{self.account_id}:access-grants/default"

    def has_location_of(self, prefix: str) -> bool:
        """Whether a location holds this prefix, which may be a bucket alone (`s3://bucket`)."""
        complete = prefix if "/" in prefix.removeprefix("s3://") else prefix.rstrip("*") + "/"
        return any(complete.startswith(entry.reach) for entry in self.locations.values())

    def location(self, location_id: str) -> Location:
        """The location of this id."""
        if location_id not in self.locations:
            raise Refusal("NoSuchAccessGrantsLocationError", "The specified access grants location does not exist")
        return self.locations[location_id]

    def grant(self, grant_id: str) -> Grant:
        """The grant of this id."""
        if grant_id not in self.grants:
            raise Refusal("NoSuchAccessGrantError", "The specified access grant does not exist")
        return self.grants[grant_id]

    def shared_with(self, identity: Identity, action: str) -> bool:
        """Whether the resource policy lets this identity of another account call `action` here."""
        if self.policy is None:
            return False
        statements = _statements(json.loads(self.policy))
        hits = {statement.get("Effect") for statement in statements if _applies(statement, identity, action)}
        return hits == {"Allow"}

    def share(self, account_id: str, actions: list[str]) -> None:
        """Let an account call `actions` here, beside those that the resource policy names already."""
        policy = json.loads(self.policy) if self.policy else {"Version": "2012-10-17", "Statement": []}
        principal = {"AWS": f"arn:aws:iam::{account_id}:root"}
        policy["Statement"] = [
            *_statements(policy),
            {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": self.arn},
        ]
        self.policy, self.policy_created = json.dumps(policy), self.policy_created or self.created

    def add_location(self, scope: str, role_arn: str, created: datetime, tags: list[dict[str, str]]) -> Location:
        """Register a location."""
        if scope != DEFAULT_LOCATION:
            _valid_scope(scope, "InvalidAccessGrantsLocation")
        location_id = "default" if scope == DEFAULT_LOCATION else str(uuid.uuid4())
        location = Location(location_id, f"{self.arn}/location/{location_id}", scope, role_arn, created, (), tags)
        if any(other.reach == location.reach for other in self.locations.values()):
            raise Refusal(
                "AccessGrantsLocationAlreadyExistsError",
                "The specified access grants location already exists",
            )
        self.locations[location_id] = location
        return location

    def remove_location(self, location_id: str) -> None:
        """Deregister a location that has no grants."""
        location = self.location(location_id)
        if any(grant.location is location for grant in self.grants.values()):
            raise Refusal(
                "AccessGrantsLocationNotEmptyError",
                "Please clean up access grants before deleting access grants location",
            )
        del self.locations[location_id]

    def add_grant(
        self,
        location: Location,
        sub_prefix: str | None,
        is_object: bool,
        grantee: dict[str, Any],
        permission: str,
        created: datetime,
        application_arn: str | None = None,
    ) -> Grant:
        """Create a grant on what `sub_prefix` names within the location."""
        text = _grant_scope(location, sub_prefix)
        scope = _valid_scope(text, "InvalidAccessGrant", is_object)
        if is_object and text.endswith(("*", "/")):
            raise Refusal("InvalidAccessGrant", f"The specified Access Grant is invalid: {text} is not an object")
        kind, name = grantee.get("GranteeType", ""), grantee.get("GranteeIdentifier", "")
        for other in self.grants.values():
            same_grantee = (other.grantee_type, other.grantee, other.permission) == (kind, name, permission)
            if same_grantee and other.scope == scope and other.application_arn == application_arn:
                raise Refusal("AccessGrantAlreadyExists", "The specified access grant already exists")
        grant_id = str(uuid.uuid4())
        grant = Grant(
            grant_id, f"{self.arn}/grant/{grant_id}", location, sub_prefix, text, scope, kind, name, permission,
            application_arn, created,
        )  # fmt: skip
        self.grants[grant_id] = grant
        return grant

    def match(self, identity: Identity, target: Scope, permission: str) -> Grant | None:
        """The grant closest to the target: of those that cover it the one with the longest scope."""
        fitting = [
            grant
            for grant in self.grants.values()
            if grant.names(identity) and permission in SERVES[grant.permission] and grant.scope.holds(target)
        ]
        # Of two equally long scopes the object is closer than the prefix, then the older grant counts.
        return max(fitting, key=lambda grant: (len(grant.scope.text), grant.scope.exact), default=None)


def _grant_scope(location: Location, sub_prefix: str | None) -> str:
    if sub_prefix:
        return location.reach + sub_prefix
    if location.scope == DEFAULT_LOCATION:
        raise Refusal(
            "InvalidAccessGrant",
            "The specified Access Grant is invalid: the default location needs an S3SubPrefix",
        )
    return location.scope if location.scope.endswith("*") else location.reach + "*"


def _valid_scope(text: str, code: str, is_object: bool = False) -> Scope:
    try:
        return parse_scope(text, is_object)
    except ValueError as error:
        raise Refusal(code, f"The specified scope is invalid: {error}") from None


def _applies(statement: dict[str, Any], identity: Identity, action: str) -> bool:
    principals = statement.get("Principal", {})
    named = principals if isinstance(principals, str) else principals.get("AWS", [])
    actions = statement.get("Action", [])
    accepted = {*identity.grantees, identity.account_id, f"arn:aws:iam::{identity.account_id}:root", "*"}
    return bool(accepted & set(_listed(named))) and bool({action, "s3:*", "*"} & set(_listed(actions)))


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found = policy.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
