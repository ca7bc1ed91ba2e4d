"""DuckDB: one SECRET per grant, each with the grant's SCOPE.

Rests on DuckDB's secrets manager, which takes for a path the secret with the longest SCOPE that the path starts with.
https://duckdb.org/docs/stable/configuration/secrets_manager
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from access_grants_provider.core.scopes import GrantScope, Permission, permission_of, permits, target_of
from access_grants_provider.core.vended_credentials import VendedCredentials
from access_grants_provider.exceptions import AccessDenied, PermissionMissing
from access_grants_provider.provider import AccessGrantsProvider
from access_grants_provider.registration import provider_for

from .source import s3_endpoint

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["GrantSecret", "create_secrets"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GrantSecret:
    """A SECRET that was made: ``scope`` is its SCOPE, ``expiration`` (aware, UTC) when its credentials end."""

    name: str
    scope: str
    permission: Permission
    expiration: datetime


def create_secrets(
    connection: DuckDBPyConnection,
    uri: str,
    permission: Permission = "READ",
    *,
    session: Any = None,
    region: str | None = None,
    endpoint: str | None = None,
    url_style: str | None = None,
    use_ssl: bool | None = None,
    **options: Any,
) -> list[GrantSecret]:
    """Let SQL on ``connection``, and on all connections to the same database, use the caller's grants under ``uri``.

    ``uri`` is an ``s3://`` URI as for ``AccessGrantsProvider.credentials()``. Where one grant covers it there will be
    one secret; where it is wider than the grants, one for each grant inside it that gives ``permission``
    (``"READ"``, ``"WRITE"``, ``"READWRITE"``; DuckDB finds a secret by the path alone, so ask for what all your
    statements on it need). DuckDB does not renew them: call again, with the same arguments, before the first
    ``expiration``. What is still good then costs no call, and each secret replaces the one of the same SCOPE. They are
    temporary, in memory; a transaction that is open sees them once it has ended.

    ``region`` (None: the bucket's), ``endpoint``, ``url_style`` and ``use_ssl`` go into the secrets in DuckDB's own
    terms; without ``endpoint`` they are those of the endpoint that the session is configured with. ``session`` is a
    boto3 or botocore session, None boto3's default one; the other ``options`` are those of ``register()``. Returns what
    was made; nothing is made where it raises :class:`AccessDenied` (no grant there), :class:`ServiceFailure` (Access
    Grants fails) or :class:`ConfigurationError`; DuckDB's own errors pass through.
    """
    permission = permission_of(permission)
    found = _credentials(provider_for(session, **options), uri, permission)
    options_given: dict[str, str | bool | None] = {"ENDPOINT": endpoint, "URL_STYLE": url_style, "USE_SSL": use_ssl}
    given = {name: value for name, value in options_given.items() if value is not None}
    settings = given if endpoint is not None else {**_endpoint_of(session), **given}
    made = []
    # A cursor of its own: on the caller's, a result that is being fetched would be lost.
    with connection.cursor() as cursor:
        for vended in found:
            secret = _secret(vended)
            parameters: dict[str, str | bool] = {
                "KEY_ID": vended.access_key,
                "SECRET": vended.secret_key,
                "SESSION_TOKEN": vended.token,
                "SCOPE": secret.scope,
                "REGION": region or vended.region,
            }
            parameters.update(settings)
            # As parameters, values need no quoting and stay out of DuckDB's query log and of its errors.
            clauses = ", ".join(f"{name} ?" for name in parameters)
            cursor.execute(
                f"CREATE OR REPLACE TEMPORARY SECRET {secret.name} (TYPE s3, {clauses})", [*parameters.values()]
            )
            made.append(secret)
    return made


def _endpoint_of(session: Any) -> dict[str, str | bool]:
    """Return how DuckDB reaches the endpoint that a session is configured with; {} where that is AWS's public one."""
    url = s3_endpoint(session)
    if url is None:
        return {}
    parts = urlsplit(url)
    # Not each endpoint has a host name for each bucket.
    return {"ENDPOINT": parts.netloc, "URL_STYLE": "path", "USE_SSL": parts.scheme == "https"}


def _credentials(provider: AccessGrantsProvider, uri: str, permission: Permission) -> list[VendedCredentials]:
    """Return the credentials that serve ``uri``: of the grant that covers it, else of each grant inside it."""
    try:
        return [provider.credentials(uri, permission)]
    except PermissionMissing:
        raise
    except AccessDenied:
        inside = [
            found
            for scope in _outermost(provider, uri, permission)
            if (found := _vended(provider, scope, permission)) is not None
        ]
        if not inside:
            raise
        return inside


def _outermost(provider: AccessGrantsProvider, uri: str, permission: Permission) -> list[GrantScope]:
    """Return the scopes of the caller's grants inside ``uri``, without those that lie in another.

    An inner one adds nothing, and takes something away if it is an object's: its SCOPE is also the beginning of other
    objects' paths, which DuckDB would then ask for with it.
    """
    target = target_of(uri)
    listed = {GrantScope.parse(grant.scope) for grant in provider.grants(uri) if permits(grant.permission, permission)}
    inside = sorted(scope for scope in listed if target.covers(scope))
    return [scope for scope in inside if not any(other != scope and other.covers(scope) for other in inside)]


def _vended(provider: AccessGrantsProvider, scope: GrantScope, permission: Permission) -> VendedCredentials | None:
    """Return a listed grant's credentials; None where it gives none after all, to another application say."""
    try:
        return provider.credentials(str(scope), permission)
    except PermissionMissing:
        raise
    except AccessDenied as denial:
        logger.warning("no SECRET for %r, which is listed among the caller's grants: %s", str(scope), denial)
        return None


def _secret(vended: VendedCredentials) -> GrantSecret:
    """Name the secret after its SCOPE alone, so that there is never a second one for the same paths."""
    scope = GrantScope.parse(vended.scope)
    prefix = f"s3://{scope.bucket}/{scope.key}"
    name = f"access_grants_{hashlib.sha256(prefix.encode()).hexdigest()[:16]}"
    return GrantSecret(name, prefix, vended.permission, vended.expiration)
