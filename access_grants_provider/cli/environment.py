"""The variables that decide what an AWS program signs with, and environments without them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.session import Session

__all__ = [
    "CREDENTIAL_VARIABLES",
    "FETCHING_PROFILES",
    "LOOPBACK",
    "PLUGINS",
    "config_without_credentials",
    "endpoint_environment",
    "environment_with_grant",
    "isolated_environment",
    "loads_plugin",
]

LOOPBACK = "127.0.0.1"
PLUGINS = "BOTOCORE_EXPERIMENTAL__PLUGINS"
# Lists the profiles whose credentials this command is fetching, for the programs that are started to fetch them.
FETCHING_PROFILES = "ACCESS_GRANTS_FETCHING_PROFILES"

# An SDK may read these instead of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or beside them.
# botocore reads AWS_SECURITY_TOKEN before AWS_SESSION_TOKEN; the SDK for JavaScript prefers a profile to keys.
CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY",
    "AWS_ACCOUNT_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
# What a grant's own keys are set in, where the program is handed keys.
KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_CREDENTIAL_EXPIRATION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

# The settings of a profile that say where its credentials come from. Every SDK takes them before it asks an endpoint.
CREDENTIAL_SETTINGS = {
    "aws_access_key_id",
    "aws_account_id",
    "aws_secret_access_key",
    "aws_security_token",
    "aws_session_token",
    "credential_process",
    "credential_source",
    "duration_seconds",
    "external_id",
    "login_session",
    "mfa_serial",
    "role_arn",
    "role_session_name",
    "source_profile",
    "web_identity_token_file",
}

# Settings of botocore, this package and moto, and of everything that speaks HTTP.
PREFIXES = ("AWS_", "BOTO_", "BOTOCORE_", "S3_ACCESS_GRANTS_", "MOTO_")
SUFFIX = "_PROXY"
ISOLATED = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Where no proxy is named, urllib asks the system (macOS, Windows) unless it is told this.
    "NO_PROXY": "*",
}


def environment_with_grant(
    inherited: Mapping[str, str], grant: Mapping[str, str], region: str | None
) -> dict[str, str]:
    """Return the environment of a program that signs with a grant: ``grant`` holds the variables of its credentials.

    This package's own plugin is taken out, because it would ask for grants as the grant's session, which has none.
    """
    removed = {FETCHING_PROFILES, *CREDENTIAL_VARIABLES, *KEY_VARIABLES}
    kept = {name: value for name, value in inherited.items() if name not in removed}
    plugins = kept.pop(PLUGINS, "").split(",")
    others = [entry for entry in plugins if entry.strip() and not _names_this_package(entry)]
    if others:
        kept[PLUGINS] = ",".join(others)
    # The profile may have set the region, and it is gone. Some SDKs read the one variable, some the other.
    regions = {} if region is None else {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    return {**kept, **regions, **grant}


def endpoint_environment(
    inherited: Mapping[str, str], endpoint: Mapping[str, str], config_file: Path
) -> dict[str, str]:
    """Return the variables for a program that signs with what a credential endpoint on loopback serves.

    ``endpoint`` holds the variables of the endpoint. ``config_file`` has no credentials in it: every SDK prefers those
    of a profile to an endpoint.
    """
    from botocore.credentials import BotoProvider

    variables = {
        **endpoint,
        "AWS_CONFIG_FILE": str(config_file),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # The SDK for Java would go on as the machine's own role where the endpoint has nothing to serve.
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    # botocore asks the file of its predecessor before an endpoint. Others have no keys there, but settings of gsutil.
    if BotoProvider(environ=inherited).load() is not None:
        variables["BOTO_CONFIG"] = os.devnull
    # object_store sends requests to loopback through a proxy too, with the token in them.
    if any(name.upper() in ("ALL_PROXY", "HTTP_PROXY") for name in inherited):
        for name in {"NO_PROXY", "no_proxy"} & set(inherited) or {"NO_PROXY"}:
            variables[name] = ",".join(filter(None, [inherited.get(name), LOOPBACK]))
    return variables


def config_without_credentials(session: Session) -> str:
    """Return a config file whose default profile has the settings of the session's, except those of credentials."""
    settings = session.get_scoped_config()
    lines = ["[default]", *_lines({name: value for name, value in settings.items() if not _gives_credentials(name)})]
    services = session.full_config.get("services", {}).get(settings.get("services"))
    if services is not None:
        lines += [f"[services {settings['services']}]", *_lines(services)]
    return "\n".join([*lines, ""])


def _gives_credentials(setting: str) -> bool:
    return setting in CREDENTIAL_SETTINGS or setting.startswith("sso_")


def _lines(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield settings as a config file has them: nested ones, and further lines of a text, are indented."""
    for name, value in settings.items():
        nested = isinstance(value, Mapping)
        text = "".join(f"\n{key} = {inner}" for key, inner in value.items()) if nested else str(value)
        yield f"{name} = {text}".replace("\n", "\n  ")


def loads_plugin(environment: Mapping[str, str]) -> bool:
    """Tell whether botocore loads this package into the clients of programs with this environment."""
    return any(map(_names_this_package, environment.get(PLUGINS, "").split(",")))


def _names_this_package(entry: str) -> bool:
    return entry.partition("=")[2].strip() == "access_grants_provider"


@contextmanager
def isolated_environment() -> Iterator[None]:
    """Take the user's AWS, S3 Access Grants and proxy settings out of the environment, and put them back after."""
    saved = {
        name: value
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIXES) or name.upper().endswith(SUFFIX)
    }
    for name in saved:
        del os.environ[name]
    os.environ.update(ISOLATED)
    try:
        yield
    finally:
        for name in ISOLATED:
            os.environ.pop(name, None)
        os.environ.update(saved)
