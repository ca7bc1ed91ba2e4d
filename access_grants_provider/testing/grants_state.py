"""The state of S3 Access Grants: instances, their locations and their grants, per account and region."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .directory import is_directory_id
from .errors import Refusal
from .identities import Identity
from .resource_policy import allows, with_statement
from .scopes import Scope, parse_scope
from .tags import Tags

USER, GROUP = "DIRECTORY_USER", "DIRECTORY_GROUP"
SERVES = {"READ": ("READ",), "WRITE": ("WRITE",), "READWRITE": ("READ", "WRITE", "READWRITE")}
DEFAULT_LOCATION = "s3://"
_USER_OR_ROLE = re.compile(r"arn:[^:]+:iam::\d{12}:(user|role)/.+")


@dataclass
class Location:
    """A registered location. `denies` are the keys which its role may not touch."""

    id: str
    arn: str
    scope: str
    role_arn: str
    created: datetime
    denies: tuple[Scope, ...] = ()
    tags: Tags = field(default_factory=dict)

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
    tags: Tags = field(default_factory=dict, compare=False)

    def names(self, identity: Identity) -> bool:
        """Whether this identity is the grantee."""
        if self.grantee_type == "IAM":
            return self.grantee in identity.grantees
        user = identity.directory_user
        return user is not None and self.grantee in ({user.id} if self.grantee_type == USER else user.group_ids)

    def admits(self, identity: Identity) -> bool:
        """Whether this identity is the grantee, and comes through the application that the grant names, if any."""
        user = identity.directory_user
        own_application = user is not None and user.application_arn == self.application_arn
        return self.names(identity) and (self.application_arn is None or own_application)

    @property
    def listed_application(self) -> str:
        """The application as ListCallerAccessGrants shows it."""
        return self.application_arn or ("NA" if self.grantee_type == "IAM" else "ALL")


@dataclass(frozen=True)
class IdentityCenter:
    """The IAM Identity Center instance that is associated, and the application made for it there."""

    instance_arn: str
    application_arn: str


@dataclass
class Instance:
    """The Access Grants instance of one account in one region."""

    account_id: str
    region: str
    created: datetime
    policy: str | None = None
    policy_created: datetime | None = None
    organization: str | None = None
    identity_center: IdentityCenter | None = None
    tags: Tags = field(default_factory=dict)
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
        return allows(self.policy, identity, action, self.arn)

    def share(self, account_id: str, actions: list[str]) -> None:
        """Let an account call `actions` here, beside those that the resource policy names already."""
        principal = {"AWS": f"arn:aws:iam::{account_id}:root"}
        statement = {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": self.arn}
        self.policy, self.policy_created = with_statement(self.policy, statement), self.policy_created or self.created

    def add_location(self, scope: str, role_arn: str, created: datetime, tags: Tags) -> Location:
        """Register a location."""
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
        application_arn: str | None,
        tags: Tags,
    ) -> Grant:
        """Create a grant on what `sub_prefix` names within the location."""
        text = grant_scope(location, sub_prefix)
        scope = parse_scope(text, is_object)
        if is_object and text.endswith(("*", "/")):
            raise invalid_grant(f"{text} is not an object")
        kind, name = grantee.get("GranteeType", ""), grantee.get("GranteeIdentifier", "")
        self._check_grantee(kind, name)
        for other in self.grants.values():
            same_grantee = (other.grantee_type, other.grantee, other.permission) == (kind, name, permission)
            if same_grantee and other.scope == scope and other.application_arn == application_arn:
                raise Refusal("AccessGrantAlreadyExists", "The specified access grant already exists")
        grant_id = str(uuid.uuid4())
        grant = Grant(
            grant_id, f"{self.arn}/grant/{grant_id}", location, sub_prefix, text, scope, kind, name, permission,
            application_arn, created, tags,
        )  # fmt: skip
        self.grants[grant_id] = grant
        return grant

    def _check_grantee(self, kind: str, name: str) -> None:
        if kind == "IAM" and not _USER_OR_ROLE.fullmatch(name):
            raise invalid_grant("an IAM grantee is the ARN of a user or a role")
        if kind in (USER, GROUP):
            if self.identity_center is None:
                raise invalid_grant("the instance is associated with no IAM Identity Center instance")
            if not is_directory_id(name):
                raise invalid_grant("a grantee of the directory is a UUID")
        if kind not in ("IAM", USER, GROUP):
            raise invalid_grant("it has no grantee")

    def is_live(self, grant: Grant) -> bool:
        """Whether the grant counts: one to a user or group of a directory does while the directory is associated."""
        return grant.grantee_type == "IAM" or self.identity_center is not None

    def match(self, identity: Identity, target: Scope, permission: str) -> Grant | None:
        """The grant closest to the target: of those that cover it the one with the longest scope."""
        fitting = [
            grant
            for grant in self.grants.values()
            if self.is_live(grant)
            and grant.admits(identity)
            and permission in SERVES[grant.permission]
            and grant.scope.holds(target)
        ]
        # Of two equally long scopes the object is closer than the prefix, then the older grant counts.
        return max(fitting, key=lambda grant: (len(grant.scope.text), grant.scope.exact), default=None)


def invalid_grant(why: str) -> Refusal:
    """The refusal of a grant."""
    return Refusal("InvalidAccessGrant", f"The specified Access Grant is invalid: {why}")


def grant_scope(location: Location, sub_prefix: str | None) -> str:
    """The scope that a grant on `sub_prefix` within the location has. Raises Refusal if it has none."""
    if sub_prefix:
        # Below a bucket the slash after its name may be written in the sub-prefix too.
        is_bucket = re.fullmatch("s3://[^/]+/", location.reach) is not None
        return location.reach + (sub_prefix.removeprefix("/") if is_bucket else sub_prefix)
    if location.scope == DEFAULT_LOCATION:
        raise invalid_grant("the default location needs an S3SubPrefix")
    return location.scope if location.scope.endswith("*") else location.reach + "*"
