"""The environment variables with which a program in another shell uses a local S3 Access Grants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from .environment import CREDENTIAL_VARIABLES, PLUGINS
from .shell_syntax import script

if TYPE_CHECKING:
    from access_grants_provider.testing import AccessGrantsServer, Identity

__all__ = ["LocalEnvironment", "bypass_proxy"]

# The shell may hold these already, and SDKs would use them instead of the variables that are printed.
UNSET = (
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_SESSION_TOKEN",
    *CREDENTIAL_VARIABLES,
)
# These would hide the user's own profiles.
NOT_FOR_A_SHELL = {"AWS_CONFIG_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_SHARED_CREDENTIALS_FILE"}
# Python compares the whole authority of a URL with these, its user included: S3 Control's has one.
HERE = ("127.0.0.1", "localhost", "account@localhost")


class LocalEnvironment(NamedTuple):
    """Writes the variables of one server for a shell. ``bypass``: see :func:`bypass_proxy`."""

    server: AccessGrantsServer
    shell: str
    bypass: Mapping[str, str]

    def of_user(self, user: Identity) -> str:
        """Return the lines for a user whose programs are to load the plugin."""
        plugin = {PLUGINS: "access-grants=access_grants_provider"}
        return script(self.shell, {**self._variables(user), **plugin}, UNSET)

    def of_admin(self) -> str:
        """Return the lines for the administrator of the account, who creates instances, locations and grants."""
        return script(self.shell, self._variables(self.server.admin), (*UNSET, PLUGINS))

    def _variables(self, identity: Identity) -> dict[str, str]:
        named = self.server.environment(identity)
        variables = {name: value for name, value in named.items() if name not in NOT_FOR_A_SHELL}
        return {
            **variables,
            "AWS_REGION": self.server.region,
            # The options of the user's profile may name another account.
            "S3_ACCESS_GRANTS_ACCOUNT_ID": self.server.account_id,
            **self.bypass,
        }


def bypass_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to this machine from the proxy of ``environ``; none without a proxy.

    Other hosts are still reached through that proxy.
    """
    if not any(name.upper().endswith("_PROXY") and name.upper() != "NO_PROXY" for name in environ):
        return {}
    named = (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(",")
    hosts = ",".join(dict.fromkeys(filter(None, (*named, *HERE))))
    return {"NO_PROXY": hosts, "no_proxy": hosts}
