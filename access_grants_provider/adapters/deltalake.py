"""deltalake: ``storage_options=`` with a grant's keys.

delta-rs takes fixed keys and asks nobody for others, so a table object works until these end. A job that outlives them
makes its ``DeltaTable`` anew, or runs under ``access-grants exec``.
https://delta-io.github.io/delta-rs/integrations/object-storage/s3/
"""

from __future__ import annotations

from typing import Any

from access_grants_provider.core.scopes import Permission

from .source import GrantSource

__all__ = ["storage_options"]


def storage_options(
    uri: str, permission: Permission = "READ", *, session: Any = None, **options: Any
) -> dict[str, str]:
    """Return what ``DeltaTable`` and ``write_deltalake`` take as ``storage_options=``, for a table under ``uri``.

    ``uri`` is an ``s3://`` URI as for ``AccessGrantsProvider.credentials()``. ``permission``: ``"READ"``, or
    ``"READWRITE"`` to write, since a table is looked at first. ``session`` is a boto3 or botocore session, None boto3's
    default one; ``options`` are those of ``register()``. What is remembered costs no call, so ask each time a table is
    opened. Add options of your own with ``|``. Raises :class:`AccessDenied` where no grant covers ``uri``,
    :class:`ServiceFailure` and :class:`ConfigurationError`. The result holds secrets.
    """
    return GrantSource(uri, permission, session, options).storage_options()
