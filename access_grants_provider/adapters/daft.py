"""Daft: an ``io_config=`` whose ``credentials_provider`` asks for a grant.

Rests on ``daft.io.S3Config(credentials_provider=…)``, which Daft calls again before the keys end.
https://docs.daft.ai/en/stable/connectors/aws/
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from access_grants_provider.core.scopes import Permission

from .source import GrantSource, ask_again_at

if TYPE_CHECKING:
    from daft.io import IOConfig, S3Credentials

__all__ = ["CredentialsProvider", "credentials_provider", "io_config"]


class CredentialsProvider(GrantSource):
    """Made by :func:`credentials_provider`."""

    def __call__(self) -> S3Credentials:
        """Return the keys and the time from which on Daft asks again."""
        from daft.io import S3Credentials

        vended = self.credentials()
        return S3Credentials(
            key_id=vended.access_key,
            access_key=vended.secret_key,
            session_token=vended.token,
            expiry=datetime.fromtimestamp(ask_again_at(vended), timezone.utc),
        )


def credentials_provider(
    uri: str, permission: Permission = "READ", *, session: Any = None, **options: Any
) -> CredentialsProvider:
    """Return what ``S3Config`` takes as ``credentials_provider=``, for all that Daft touches under ``uri``.

    The arguments are those of :func:`io_config`.
    """
    return CredentialsProvider(uri, permission, session, options)


def io_config(uri: str, permission: Permission = "READ", *, session: Any = None, **options: Any) -> IOConfig:
    """Return what Daft's ``read_…`` and ``write_…`` take as ``io_config=``, for all they touch under ``uri``.

    ``uri`` is an ``s3://`` URI as for ``AccessGrantsProvider.credentials()``: Daft does not say which path it asks for.
    ``permission``: ``"READ"``, ``"WRITE"`` or ``"READWRITE"``. ``session`` is a boto3 or botocore session, None boto3's
    default one; ``options`` are those of ``register()``. Region and endpoint are those of the grant and of the session.
    For other settings put :func:`credentials_provider` into an ``S3Config`` of your own. The first keys are vended at
    once: raises :class:`AccessDenied` where no grant covers ``uri``, :class:`ServiceFailure` and
    :class:`ConfigurationError`.
    """
    from daft.io import IOConfig, S3Config

    provider = credentials_provider(uri, permission, session=session, **options)
    endpoint = provider.endpoint_url
    return IOConfig(
        s3=S3Config(
            region_name=provider.credentials().region,
            endpoint_url=endpoint,
            use_ssl=endpoint is None or endpoint.startswith("https"),
            credentials_provider=provider,
        )
    )
