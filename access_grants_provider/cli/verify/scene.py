"""What the checks work with: the names, the grantee's clients, and credentials of grants."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from .account import Account, Keys
from .extras import Extras
from .journal import Journal
from .plan import TAG, Names
from .waiter import Waiter

__all__ = ["Scene"]

T = TypeVar("T")

SESSION = "agp-verify"
# A new role, a policy or a grant may take minutes to count everywhere.
SETTLING_SECONDS = 180.0
# What is answered until they count.
SETTLING = frozenset({
    "AccessDenied", "AccessGrantsInstanceNotExistsError", "InvalidAccessGrant", "InvalidAccessGrantsLocation",
    "InvalidClientTokenId", "InvalidIamRole", "InvalidRequest", "NoSuchAccessGrantsLocationError", "NoSuchBucket",
    "StsNotAuthorizedError",
})  # fmt: skip


class Scene:
    """The account with everything that was created in it. ``grantee`` and ``nobody`` are S3 Control as these roles.

    ``grantee_keys`` are the grantee's. ``slash``: what a sub-prefix below the bucket begins with.
    """

    def __init__(self, account: Account, names: Names, journal: Journal, waiter: Waiter, extras: Extras) -> None:
        """Take what the run has; :meth:`assume_roles` completes it."""
        self.account = account
        self.extras = extras
        self.names = names
        self.journal = journal
        self.waiter = waiter
        self.location_id = ""
        self.nested_id = ""
        self.slash = ""
        self.grantee_keys: Keys = {}
        self.grantee: Any = None
        self.grantee_s3: Any = None
        self.nobody: Any = None

    @property
    def tags(self) -> list[dict[str, str]]:
        """Return the tag that everything of this run has."""
        return [{"Key": TAG, "Value": self.names.run}]

    def uri(self, path: str) -> str:
        """Return the URI of a key or a prefix in the bucket that is a location."""
        return f"s3://{self.names.bucket}/{path}"

    def assume_roles(self) -> None:
        """Sign in as the grantee and as nobody, as soon as IAM lets us."""
        self.grantee_keys = self._assume(self.names.grantee_role)
        self.grantee = self.account.grants_client(self.grantee_keys)
        self.grantee_s3 = self.account.client("s3", self.grantee_keys)
        self.nobody = self.account.grants_client(self._assume(self.names.nobody_role))

    def _assume(self, role: str) -> Keys:
        sts = self.account.client("sts")
        arn = self.account.role_arn(role)
        answer = self.insist(f"assuming {role}", partial(sts.assume_role, RoleArn=arn, RoleSessionName=SESSION))
        return dict(answer["Credentials"])

    def insist(self, what: str, attempt: Callable[[], T | None]) -> T:
        """Return what ``attempt`` returns once all that was created counts everywhere."""
        return self.waiter.until(what, attempt, SETTLING, SETTLING_SECONDS)

    def create_grant(
        self, sub_prefix: str | None, permission: str, location: str = "", user: str = "", **more: str
    ) -> dict[str, Any]:
        """Give the grantee a grant, or a user of the directory, and return the answer."""
        grantee = user or self.account.role_arn(self.names.grantee_role)
        self.journal.note("grant", grantee=grantee, scope=self.uri(""))
        if sub_prefix is not None:
            more = {**more, "AccessGrantsLocationConfiguration": {"S3SubPrefix": sub_prefix}}  # type: ignore[dict-item]
        answer: dict[str, Any] = self.account.control.create_access_grant(
            AccountId=self.account.id,
            AccessGrantsLocationId=location or self.location_id,
            Grantee={"GranteeType": "DIRECTORY_USER" if user else "IAM", "GranteeIdentifier": grantee},
            Permission=permission,
            Tags=self.tags,
            **more,
        )
        return answer

    def get_data_access(self, path: str, permission: str, **more: Any) -> dict[str, Any]:
        """Ask for a grant as the grantee, and return the answer. An object has ``TargetType="Object"``."""
        answer: dict[str, Any] = self.grantee.get_data_access(
            AccountId=self.account.id, Target=self.uri(path), Permission=permission, **more
        )
        return answer

    def granted_s3(self, path: str, permission: str, **more: Any) -> Any:
        """Return an S3 client that signs with a grant of the grantee."""
        return self.account.client("s3", self.get_data_access(path, permission, **more)["Credentials"])
