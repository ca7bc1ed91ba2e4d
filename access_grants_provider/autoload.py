"""The function botocore calls for each client where ``BOTOCORE_EXPERIMENTAL__PLUGINS`` names this package.

That contract is botocore 1.39.9's.

It is called for clients of every service. A program without an S3 client does not load the rest of the package, which
takes some 12 ms.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, NoReturn

__all__ = ["initialize_client_plugin"]

# That of core.flow_context, which may be what can't be imported.
logger = logging.getLogger("access_grants_provider.options")

WHILE_LOADING = (
    "the client was made, by a signal handler or a finalizer, in the middle of the import of access_grants_provider. "
    "Make the client later"
)


def initialize_client_plugin(client: Any) -> None:
    """Cover one client as botocore's autoload asks for it, with the options of environment and profile.

    All clients with the same options share one provider. botocore hides what a plugin raises. So whatever goes wrong
    here is logged at ERROR, and the client then refuses S3 requests rather than sign them with its own credentials.
    Clients of other services are left as they are.
    """
    if client.meta.service_model.service_name == "s3":
        try:
            from .registration import autoload
        except Exception as error:  # noqa: BLE001  whatever keeps it from loading must not become a caller's request
            _refuse(client, error)
        else:
            autoload(client)


def _refuse(client: Any, error: Exception) -> None:
    """Have a client refuse S3 requests because the package can't be imported."""
    # An import that fails takes its module out again. One that is there is still under way further up in this thread.
    is_loading = sys.modules.get(f"{__package__}.registration") is not None
    reason = WHILE_LOADING if is_loading else f"it can't be imported: {type(error).__name__}: {error}"

    def refuse(**_: object) -> NoReturn:
        from .exceptions import ConfigurationError

        raise ConfigurationError(f"S3 Access Grants: {reason}")

    client.meta.events.register_first("before-sign.s3", refuse)
    logger.error("S3 Access Grants: %s. S3 requests of this client will fail", reason, exc_info=error)
