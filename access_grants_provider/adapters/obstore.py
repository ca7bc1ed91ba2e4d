"""obstore: a ``credential_provider=`` for ``obstore.store.S3Store``, for its methods that wait and those that don't.

Rests on obstore's ``S3CredentialProvider`` protocol.
https://developmentseed.org/obstore/latest/authentication/
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from access_grants_provider.core.scopes import Permission
from access_grants_provider.core.vended_credentials import VendedCredentials

from .source import GrantSource, ask_again_at

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential

__all__ = ["AsyncCredentialProvider", "CredentialProvider", "async_credential_provider", "credential_provider"]


class _Source(GrantSource):
    @property
    def config(self) -> S3Config:
        """Return what obstore adds to the configuration of a store; what the store is given itself comes first."""
        return {} if self.endpoint_url is None else {"endpoint": self.endpoint_url}


class CredentialProvider(_Source):
    """Made by :func:`credential_provider`. obstore calls it again when the keys near their end."""

    def __call__(self) -> S3Credential:
        """Return the keys and the time from which on obstore asks again."""
        return _as_obstore(self.credentials())


class AsyncCredentialProvider(_Source):
    """Made by :func:`async_credential_provider`."""

    async def __call__(self) -> S3Credential:
        """Return the keys and the time from which on obstore asks again; a thread does the asking."""
        return _as_obstore(await asyncio.to_thread(self.credentials))


def credential_provider(
    uri: str, permission: Permission = "READ", *, session: Any = None, **options: Any
) -> CredentialProvider:
    """Return what ``S3Store`` takes as ``credential_provider=``, for all it touches under ``uri``.

    ``uri`` is an ``s3://`` URI as for ``AccessGrantsProvider.credentials()``: obstore does not say which path it asks
    for. ``permission``: ``"READ"``, ``"WRITE"`` or ``"READWRITE"``. ``session`` is a boto3 or botocore session, None
    boto3's default one; ``options`` are those of ``register()``. Raises :class:`ConfigurationError`. What calling it
    raises, :class:`AccessDenied` or :class:`ServiceFailure`, obstore turns into an ``UnauthenticatedError`` that quotes
    it.
    """
    return CredentialProvider(uri, permission, session, options)


def async_credential_provider(
    uri: str, permission: Permission = "READ", *, session: Any = None, **options: Any
) -> AsyncCredentialProvider:
    """Do what :func:`credential_provider` does, for the ``…_async`` functions: the event loop is not held up."""
    return AsyncCredentialProvider(uri, permission, session, options)


def _as_obstore(vended: VendedCredentials) -> S3Credential:
    return {
        "access_key_id": vended.access_key,
        "secret_access_key": vended.secret_key,
        "token": vended.token,
        "expires_at": datetime.fromtimestamp(ask_again_at(vended), timezone.utc),
    }
