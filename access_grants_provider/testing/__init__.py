"""A local S3 Access Grants that enforces its grants, on top of moto, for tests without an AWS account.

`mock_access_grants()` works in process, `AccessGrantsServer` over HTTP; both are a `LocalAccessGrants`. It takes the
extra `testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .identities import Identity
    from .mock import mock_access_grants
    from .records import RecordedRequest
    from .server import AccessGrantsServer
    from .service import LocalAccessGrants

__all__ = ["AccessGrantsServer", "Identity", "LocalAccessGrants", "RecordedRequest", "mock_access_grants"]

_HOMES = {
    "AccessGrantsServer": "server",
    "Identity": "identities",
    "LocalAccessGrants": "service",
    "RecordedRequest": "records",
    "mock_access_grants": "mock",
}


def __getattr__(name: str) -> Any:
    # pytest imports this package wherever it is installed; moto loads only when used.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
