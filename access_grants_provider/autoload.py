"""The function botocore calls for each client where ``BOTOCORE_EXPERIMENTAL__PLUGINS`` names this package.

That contract is botocore 1.39.9's.

It is called for clients of every service. A program without an S3 client does not load the rest of the package, which
takes some 12 ms.
"""

from __future__ import annotations

from typing import Any

__all__ = ["initialize_client_plugin"]


def initialize_client_plugin(client: Any) -> None:
    """Cover one client as botocore's autoload asks for it, with the options of environment and profile.

    All clients with the same options share one provider. botocore hides what a plugin raises. So whatever goes wrong
    here is logged at ERROR, and the client then refuses S3 requests rather than sign them with its own credentials.
    Clients of other services are left as they are.
    """
    if client.meta.service_model.service_name == "s3":
        from .registration import autoload

        autoload(client)
