"""polars: a ``credential_provider=`` for ``scan_…``, ``read_…`` and ``sink_…``.

Rests on polars' ``CredentialProviderFunction``: called without arguments, it returns the keys and their end.
https://docs.pola.rs/user-guide/io/cloud-storage/
"""

from __future__ import annotations

from typing import Any

from access_grants_provider.core.scopes import Permission

from .source import GrantSource, ask_again_at

__all__ = ["CredentialProvider", "credential_provider"]


class CredentialProvider(GrantSource):
    """Made by :func:`credential_provider`. polars calls it from its threads, again when the keys near their end.

    Whoever sends a query elsewhere pickles it along; see :class:`GrantSource`.
    """

    def __call__(self) -> tuple[dict[str, str], int]:
        """Return the keys under the names polars gives them, and epoch seconds from which on it asks again."""
        vended = self.credentials()
        keys = {
            "aws_access_key_id": vended.access_key,
            "aws_secret_access_key": vended.secret_key,
            "aws_session_token": vended.token,
        }
        return keys, int(ask_again_at(vended))


def credential_provider(
    uri: str, permission: Permission = "READ", *, session: Any = None, **options: Any
) -> CredentialProvider:
    """Return what polars takes as ``credential_provider=``, for all it touches under ``uri``.

    ``uri`` is an ``s3://`` URI as for ``AccessGrantsProvider.credentials()``: polars does not say which path it asks
    for. ``permission``: ``"READ"`` to scan and read, ``"WRITE"`` to sink. ``session`` is a boto3 or botocore session,
    None boto3's default one; ``options`` are those of ``register()``. Raises :class:`ConfigurationError`. What calling
    it raises comes out of polars' ``collect()``, from older versions quoted in a ``ComputeError``:
    :class:`AccessDenied` where no grant covers ``uri``, :class:`ServiceFailure` where Access Grants fails.
    """
    return CredentialProvider(uri, permission, session, options)
