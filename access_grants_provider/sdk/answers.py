"""What is said to the user, and how the user's words read: records and texts in, the core's terms out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..core.credential_cache import Vended
from ..core.operations import Access
from ..core.resolver import Verdict
from ..core.results import Decision
from ..core.scopes import PERMISSIONS, SCHEME, GrantScope, MalformedScope, Permission, Target
from ..exceptions import ConfigurationError

__all__ = ["VendedCredentials", "decision_of", "permission_of", "target_of"]


@dataclass(frozen=True)
class VendedCredentials:
    """Frozen credentials of a grant: ``expiration`` is an aware UTC time, ``scope`` the grant's ``s3://`` URI.

    ``region`` is the instance's, which is the bucket's too.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expiration: datetime
    scope: str
    permission: Permission
    region: str

    @classmethod
    def of(cls, vended: Vended) -> VendedCredentials:
        """Freeze what the cache holds."""
        signer, expiration, scope = vended.signer, _utc(vended.expires_at), str(vended.scope)
        keys = signer.access_key, signer.secret_key, signer.token
        return cls(*keys, expiration, scope, vended.permission, vended.region)


def decision_of(operation: str, access: Access, region: str | None, verdict: Verdict) -> Decision:
    """Put what is known of a decision into the record for the user."""
    vended, denial = verdict.vended, verdict.denial
    about = vended or denial
    return Decision(
        operation=operation,
        permission=access.permission,
        target=None if access.target is None else str(access.target),
        outcome=verdict.outcome,
        scope=None if vended is None else str(vended.scope),
        source=verdict.source,
        reason=verdict.reason,
        account_id=None if about is None else about.account_id,
        region=(about.region if about is not None else None) or region,
        expiration=None if vended is None else _utc(vended.expires_at),
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def permission_of(permission: str) -> Permission:
    """Read a permission. Raises :class:`ConfigurationError`."""
    if permission not in PERMISSIONS:
        raise ConfigurationError(f"permission={permission!r} is not allowed; it must be one of {PERMISSIONS}")
    return permission


def target_of(uri: str) -> Target:
    """Read an ``s3://`` URI: a key, a prefix (``s3://b/p/``, ``s3://b/p*``) or a bucket. Raises the same."""
    if not isinstance(uri, str):
        raise ConfigurationError(f"target={uri!r} is not allowed; it must be an s3:// URI")
    bucket, slash, key = uri.removeprefix(SCHEME).partition("/")
    if slash and key and not key.endswith(("/", "*")):
        text = uri
    elif not slash and not bucket.endswith("*"):
        text = f"{uri}/*"
    else:
        text = f"{uri}*"
    try:
        return GrantScope.parse(text)
    except MalformedScope as error:
        raise ConfigurationError(f"target={uri!r} is not allowed: {error}") from None
