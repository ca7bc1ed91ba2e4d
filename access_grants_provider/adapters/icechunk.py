"""Icechunk: the storage of a repository, whose ``get_credentials`` asks for a grant.

Rests on ``icechunk.s3_storage(get_credentials=…)``, which Icechunk calls again before the keys end. It pickles the
function, also to be called in the process itself.
https://icechunk.io/en/latest/storage/
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from access_grants_provider.core.config import NAMES
from access_grants_provider.core.scopes import Permission

from .source import GrantSource, ask_again_at

if TYPE_CHECKING:
    from icechunk import S3StaticCredentials, Storage

__all__ = ["CredentialsFunction", "storage"]


class CredentialsFunction(GrantSource):
    """What :func:`storage` hands to Icechunk."""

    def __call__(self) -> S3StaticCredentials:
        """Return the keys and the time from which on Icechunk asks again."""
        from icechunk import S3StaticCredentials

        vended = self.credentials()
        return S3StaticCredentials(
            vended.access_key,
            vended.secret_key,
            vended.token,
            datetime.fromtimestamp(ask_again_at(vended), timezone.utc),
        )


def storage(uri: str, permission: Permission = "READ", **options: Any) -> Storage:
    """Return the storage of the repository at ``uri``, for ``Repository.open`` and the like.

    ``uri`` is the ``s3://`` URI of the repository's folder. ``permission``: ``"READ"``, or ``"READWRITE"`` to create it
    and to commit. ``options`` are those of ``register()``, and besides them
    arguments of ``icechunk.s3_storage``; region and endpoint are those of the grant and the session where they are not
    given. As Icechunk pickles what it calls, there is no ``session=``: boto3's default session asks. The first keys are
    vended at once: raises :class:`AccessDenied` where no grant covers ``uri``, :class:`ServiceFailure` and
    :class:`ConfigurationError`.
    """
    import icechunk

    of_provider = {name: value for name, value in options.items() if name in (*NAMES, "config")}
    of_storage = {name: value for name, value in options.items() if name not in of_provider}
    function = CredentialsFunction(uri if uri.endswith("/") else f"{uri}/", permission, None, of_provider)
    endpoint = function.endpoint_url
    found = {
        "region": function.credentials().region,
        "endpoint_url": endpoint,
        "allow_http": endpoint is not None and endpoint.startswith("http:"),
        # A local server has no host name for each bucket.
        "force_path_style": endpoint is not None,
    }
    return icechunk.s3_storage(
        bucket=function.target.bucket,
        prefix=function.target.key.rstrip("/"),
        get_credentials=function,
        **{**found, **of_storage},
    )
