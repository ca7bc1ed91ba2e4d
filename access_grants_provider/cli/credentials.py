"""``access-grants credentials``: one grant's credentials, for programs that load no Python plugin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .settings import Settings, aws_options, permission_option, target_argument, vend_options
from .shell_syntax import SHELLS, script

if TYPE_CHECKING:
    from access_grants_provider.sdk.answers import VendedCredentials

__all__ = ["credentials", "variables"]


@click.command(short_help="Print the credentials of a grant.")
@target_argument
@permission_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["process", *SHELLS, "json"]),
    default="process",
    show_default=True,
    help="What to print: the JSON that credential_process asks for, the statements of a shell, or JSON that also "
    "tells the grant.",
)
@vend_options
@aws_options
@click.pass_obj
def credentials(settings: Settings, /, target: str, permission: str, form: str, **options: Any) -> None:
    """Print the credentials of the grant that covers S3_URI.

    S3_URI is s3://bucket, s3://bucket/prefix/, s3://bucket/prefix* or s3://bucket/key.

    With --format process it is what an AWS profile's credential_process asks for, so that every AWS SDK, Mountpoint,
    rclone and DuckDB can use the grant; they call again before the credentials end. Ask with another profile than
    the one it stands in:

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
    from .connection import vended

    found, _ = vended(settings, target, permission, **options)
    click.echo(_printed(found, form))


def variables(found: VendedCredentials) -> dict[str, str]:
    """Return the environment variables in which the AWS SDKs look for credentials."""
    return {
        "AWS_ACCESS_KEY_ID": found.access_key,
        "AWS_SECRET_ACCESS_KEY": found.secret_key,
        "AWS_SESSION_TOKEN": found.token,
        "AWS_CREDENTIAL_EXPIRATION": _ends(found),
    }


def _printed(found: VendedCredentials, form: str) -> str:
    if form in SHELLS:
        return script(form, variables(found))
    # The form of https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
    document: dict[str, Any] = {
        "Version": 1,
        "AccessKeyId": found.access_key,
        "SecretAccessKey": found.secret_key,
        "SessionToken": found.token,
        "Expiration": _ends(found),
    }
    if form == "json":
        del document["Version"]
        document |= {"Permission": found.permission, "Scope": found.scope}
    return json.dumps(document, indent=2)


def _ends(found: VendedCredentials) -> str:
    return found.expiration.strftime("%Y-%m-%dT%H:%M:%SZ")
