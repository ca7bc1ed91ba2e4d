"""Permissions of identities, and of the sessions that grants vend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from .errors import Refusal, access_denied
from .identities import Credential, Identity
from .s3_operations import Need
from .scopes import Scope

READ_ACTIONS = frozenset(
    {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetObjectAcl",
        "s3:GetObjectVersionAcl",
        "s3:GetObjectAttributes",
        "s3:GetObjectVersionAttributes",
        "s3:ListMultipartUploadParts",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:ListBucketMultipartUploads",
    }
)
WRITE_ACTIONS = frozenset(
    {
        "s3:PutObject",
        "s3:PutObjectAcl",
        "s3:PutObjectVersionAcl",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:AbortMultipartUpload",
    }
)
ACTIONS = {"READ": READ_ACTIONS, "WRITE": WRITE_ACTIONS, "READWRITE": READ_ACTIONS | WRITE_ACTIONS}

# What every identity may do unless a test forbids it.
API_ACTIONS = frozenset(
    (
        "s3:GetDataAccess",
        "s3:ListCallerAccessGrants",
        "s3:GetAccessGrantsInstanceForPrefix",
        "sts:GetCallerIdentity",
    )
)


@dataclass(frozen=True)
class _Allowance:
    arn: str
    scope: Scope
    permission: str


class Permissions:
    """The permissions that identities have of their own, without any grant. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._allowances: list[_Allowance] = []
        self._forbidden: set[tuple[str, str]] = set()
        self._permitted: set[tuple[str, str]] = set()
        self._admins: set[str] = set()

    def make_admin(self, arn: str) -> None:
        """Let the user or role of this ARN do everything in its account."""
        with self._lock:
            self._admins.add(arn)

    def allow(self, arn: str, scope: Scope, permission: str) -> None:
        """S3 data permission of the user's or role's own."""
        with self._lock:
            self._allowances.append(_Allowance(arn, scope, permission))

    def forbid(self, arn: str, action: str) -> None:
        """Take one action away."""
        with self._lock:
            self._forbidden.add((arn, action))
            self._permitted.discard((arn, action))

    def permit(self, arn: str, action: str) -> None:
        """Give one action (back), on every resource."""
        with self._lock:
            self._permitted.add((arn, action))
            self._forbidden.discard((arn, action))

    def check_api(self, credential: Credential, action: str, resource: str) -> None:
        """Raise Refusal unless this key may call an operation of S3 Control or STS."""
        identity = credential.principal
        if credential.vended is not None:
            if action != "sts:GetCallerIdentity":
                raise access_denied(credential.arn, action, resource, "session")
            return
        with self._lock:
            usual = action in API_ACTIONS or self._is_admin(identity) or _names(self._permitted, identity, action)
            allowed = usual and not _names(self._forbidden, identity, action)
        if not allowed:
            raise access_denied(identity.arn, action, resource, "identity-based")

    def check_s3(self, credential: Credential, needs: Iterable[Need], owner: str | None) -> None:
        """Raise Refusal unless this key may do all of `needs` in a bucket of the account `owner`."""
        for need in needs:
            refusal = self.s3_refusal(credential, need, owner)
            if refusal is not None:
                raise refusal

    def s3_refusal(self, credential: Credential, need: Need, owner: str | None) -> Refusal | None:
        """Why this key may not do it, None if it may."""
        if credential.vended is None:
            if self._identity_may(credential.principal, need, owner):
                return None
            return access_denied(credential.arn, need.action, need.resource, "identity-based")
        vended = credential.vended
        if not _covers(vended.scope, vended.permission, need):
            return access_denied(credential.arn, need.action, need.resource, "session")
        # The session acts as the location's role, which has no rights outside its account and may refuse some keys.
        if owner not in (None, vended.account_id) or any(_touches(scope, need) for scope in vended.denies):
            return access_denied(credential.arn, need.action, need.resource, "identity-based")
        return None

    def _identity_may(self, identity: Identity, need: Need, owner: str | None) -> bool:
        with self._lock:
            if _names(self._forbidden, identity, need.action):
                return False
            if self._is_admin(identity) and owner in (None, identity.account_id):
                return True
            if _names(self._permitted, identity, need.action):
                return True
            allowances = [entry for entry in self._allowances if entry.arn in identity.grantees]
        return any(_covers(entry.scope, entry.permission, need) for entry in allowances)

    def _is_admin(self, identity: Identity) -> bool:
        return any(arn in self._admins for arn in identity.grantees)


def _names(entries: set[tuple[str, str]], identity: Identity, action: str) -> bool:
    return any((arn, action) in entries for arn in identity.grantees)


def _covers(scope: Scope, permission: str, need: Need) -> bool:
    if need.bucket is None or need.action not in ACTIONS[permission]:
        return False
    if need.key is not None:
        return scope.holds_key(need.bucket, need.key)
    return need.prefix is not None and scope.holds_prefix(need.bucket, need.prefix)


def _touches(scope: Scope, need: Need) -> bool:
    if need.bucket is None:
        return False
    if need.key is not None:
        return scope.holds_key(need.bucket, need.key)
    return scope.holds_prefix(need.bucket, need.prefix or "")
