"""``access-grants credentials``: one grant's credentials, for programs that load no Python plugin."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import click

from .interrupts import exit_on_interrupt
from .settings import Settings, aws_options, permission_option, target_argument, vend_options
from .shell_syntax import SHELLS, script

if TYPE_CHECKING:
    from access_grants_provider import AccessGrantsConfig, VendedCredentials

    from .connection import Connection

__all__ = ["credential_variables", "credentials", "renew", "vend"]

# How much of their life stored credentials may have used up where they can't be renewed. It covers the time that a
# vend takes, a clock that is some seconds off, and several commands of one script.
USED_SECONDS = 60


@click.command(short_help="Print the credentials of a grant.")
@target_argument
@permission_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["process", *SHELLS, "json"]),
    default="process",
    show_default=True,
    help="What to print: the JSON that credential_process expects, the statements of a shell, or JSON that includes "
    "the grant.",
)
@vend_options
@aws_options
@click.pass_obj
def credentials(settings: Settings, /, target: str, permission: str, form: str, **options: Any) -> None:
    """Print the credentials of the grant that covers S3_URI.

    S3_URI is s3://bucket, s3://bucket/prefix/, s3://bucket/prefix* or s3://bucket/key.

    With --format process, an AWS profile can name this command as its credential_process. Every AWS SDK, Mountpoint,
    rclone and DuckDB can then use the grant, and they run the command again before the credentials expire. Give
    --profile with another profile than the one that holds the line:

    \b
      [profile sales]
      region = eu-west-1
      credential_process = access-grants credentials s3://sales/emea/ --profile base

    \b
    Examples:
      access-grants credentials s3://sales/emea/
      eval "$(access-grants credentials s3://sales/emea/ --permission WRITE --format env)"
      access-grants credentials s3://sales/emea/ --format fish | source
      access-grants credentials s3://sales/emea/ --format powershell | Out-String | iex
    """
    # The program that reads this format runs the command again before the credentials expire.
    renewable = form == "process"
    vended, _ = vend(settings, target, permission, renewable=renewable, **options)
    click.echo(_formatted(vended, form))


def vend(
    settings: Settings, uri: str, permission: Any, *, renewable: bool, **options: Any
) -> tuple[VendedCredentials, Connection]:
    """Return a grant's credentials and the connection they came over. On a terminal, a spinner shows the wait.

    ``renewable``: whether the program that gets them can ask again before they expire. If not, stored credentials that
    have used up some of their life are not returned. Raises what ``AccessGrantsProvider.credentials`` raises, and
    :class:`Failure`.
    """
    with exit_on_interrupt():
        from access_grants_provider.exceptions import AccessDenied

        from .connection import connect
        from .service_calls import bucket_region
        from .spinner import Spinner

    with Spinner("asking S3 Access Grants"):
        connection = connect(settings, on_disk=True, **options)
        # Names what is wrong with the caller's own credentials before a service call fails because of it.
        connection.own_credentials()
        lifetime = _full_lifetime(connection.provider.config)
        min_lifetime = 0 if renewable else lifetime - USED_SECONDS
        try:
            vended = renew(connection, uri, permission, min_lifetime)
        except AccessDenied:
            bucket_region(connection, uri)
            raise
    if vended.expiration.timestamp() < time.time() + min_lifetime:
        click.echo(
            f"The credentials expire at {_expiration(vended)}, not after {lifetime} seconds. The IAM role of the "
            "grant's location may limit its sessions to less.",
            err=True,
        )
    return vended, connection


def renew(connection: Connection, uri: str, permission: Any, min_lifetime: float) -> VendedCredentials:
    """Return a grant's credentials that live for ``min_lifetime`` seconds from now, where such can be had.

    Raises what ``AccessGrantsProvider.credentials`` raises.
    """
    vended = connection.provider.credentials(uri, permission, min_lifetime=min_lifetime)
    _remember(vended)
    return vended


def _remember(vended: VendedCredentials) -> None:
    """Note that these credentials are a grant's, for a program that gets them and loads this package too."""
    from access_grants_provider.disk import VendedSessions, default_folder
    from access_grants_provider.exceptions import ConfigurationError

    # Without a home folder there is no list, and with cache=memory the command does without.
    with contextlib.suppress(ConfigurationError):
        sessions = VendedSessions(default_folder(), time.time)
        sessions.remember_session(vended.access_key, vended.expiration.timestamp())


def _full_lifetime(config: AccessGrantsConfig) -> int:
    """Return for how many seconds newly vended credentials live under these options."""
    from access_grants_provider.core.get_data_access import DEFAULT_DURATION_SECONDS

    return config.duration_seconds or DEFAULT_DURATION_SECONDS


def credential_variables(vended: VendedCredentials) -> dict[str, str]:
    """Return the environment variables in which the AWS SDKs look for credentials."""
    return {
        "AWS_ACCESS_KEY_ID": vended.access_key,
        "AWS_SECRET_ACCESS_KEY": vended.secret_key,
        "AWS_SESSION_TOKEN": vended.token,
        "AWS_CREDENTIAL_EXPIRATION": _expiration(vended),
    }


def _formatted(vended: VendedCredentials, form: str) -> str:
    if form in SHELLS:
        return script(form, credential_variables(vended))
    # The format of https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
    document: dict[str, Any] = {
        "Version": 1,
        "AccessKeyId": vended.access_key,
        "SecretAccessKey": vended.secret_key,
        "SessionToken": vended.token,
        "Expiration": _expiration(vended),
    }
    if form == "json":
        del document["Version"]
        document |= {"Permission": vended.permission, "Scope": vended.scope}
    return json.dumps(document, indent=2)


def _expiration(vended: VendedCredentials) -> str:
    return vended.expiration.strftime("%Y-%m-%dT%H:%M:%SZ")
