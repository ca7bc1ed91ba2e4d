"""The options and arguments that several commands share, and the errors that end a command."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from access_grants_provider.core.config import MAX_DURATION_SECONDS, MIN_DURATION_SECONDS, AccessGrantsConfig
from access_grants_provider.core.scopes import PERMISSIONS
from access_grants_provider.exceptions import ConfigurationError

__all__ = [
    "Failure",
    "Misuse",
    "Settings",
    "aws_options",
    "joined",
    "json_option",
    "permission_option",
    "s3_uri",
    "target_argument",
    "vend_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Settings:
    """The global options: a profile's name, a region, a URL of S3 Control. None where the option was not given."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


def joined(message: str, hint: str | None) -> str:
    """Return what failed and what to do about it as sentences of one line. AWS ends its messages with a full stop."""
    if hint is None:
        return message
    return f"{message} {hint}" if message.endswith(("?", ".")) else f"{message}. {hint}"


class Failure(click.ClickException):
    """Ends the command with exit code 1 and one line: what failed, and what to do about it (``hint``)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        """Take what failed, and what to do about it: two sentences without their full stops."""
        super().__init__(message)
        self.hint = hint

    def format_message(self) -> str:
        """Return the line without the word Error."""
        return joined(self.message, self.hint)


class Misuse(click.UsageError):
    """Ends the command with exit code 2 and one line, without the usage that click prints around it."""

    def show(self, file: Any = None) -> None:
        """Write the line to stderr."""
        click.echo(f"Error: {self.format_message()}", file=file, err=file is None)


def s3_uri(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Check a target: ``s3://bucket``, ``s3://bucket/prefix/``, ``s3://bucket/prefix*`` or ``s3://bucket/key``."""
    from access_grants_provider.core.scopes import target_of

    if value is not None:
        try:
            target_of(value)
        except ConfigurationError:
            forms = "s3://bucket, s3://bucket/prefix/ or s3://bucket/key"
            raise Misuse(f"{value!r} is not an S3 URI. Write {forms}.", ctx) from None
    return value


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Store a global option, given before the command's name or after it. The later one counts."""
    settings = ctx.ensure_object(Settings)
    if value is not None:
        setattr(settings, str(param.name), _checked(ctx, param, value) if param.name == "endpoint_url" else value)


def _checked(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Check an option against the bounds of :class:`AccessGrantsConfig`."""
    if value is not None:
        try:
            AccessGrantsConfig(**{str(param.name): value})
        except ConfigurationError as error:
            raise click.BadParameter(str(error), ctx, param) from None
    return value


def _disable_colors(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value or os.environ.get("NO_COLOR"):
        ctx.color = False


def _profiles(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from botocore.session import Session

    return [name for name in Session().available_profiles if name.startswith(incomplete)]


_AWS_OPTIONS = (
    click.option(
        "--profile",
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        shell_complete=_profiles,
        help="AWS profile whose credentials request the grant.",
    ),
    click.option("--region", metavar="NAME", expose_value=False, callback=_remember, help="AWS region."),
    click.option(
        "--endpoint-url",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="URL of S3 Control, if not AWS's own.",
    ),
    click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        callback=_disable_colors,
        help="Print no colours. The variable NO_COLOR does the same.",
    ),
)

_VEND_OPTIONS = (
    click.option(
        "--duration",
        "duration_seconds",
        type=click.IntRange(MIN_DURATION_SECONDS, MAX_DURATION_SECONDS),
        metavar="SECONDS",
        help="Lifetime of the credentials, 900 to 43200. The service's default is 3600.",
    ),
    click.option(
        "--account-id",
        metavar="DIGITS",
        callback=_checked,
        help="Account of the Access Grants instance. Without it, the account is looked up.",
    ),
    click.option(
        "--privilege",
        type=click.Choice(["Default", "Minimal"], case_sensitive=False),
        metavar="[Default|Minimal]",
        help="Credentials for the whole scope of the grant, or for S3_URI only.",
    ),
)


def aws_options(command: Command) -> Command:
    """Give a command the AWS CLI's options. They set the :class:`Settings` that ``pass_obj`` passes to the command."""
    return _with(command, _AWS_OPTIONS)


def vend_options(command: Command) -> Command:
    """Give a command the options of a vend: those of :class:`AccessGrantsConfig`, under the same names."""
    return _with(command, _VEND_OPTIONS)


def permission_option(command: Command) -> Command:
    """Give a command ``permission``: READ, WRITE or READWRITE."""
    return click.option(
        "--permission",
        type=click.Choice(PERMISSIONS, case_sensitive=False),
        metavar=f"[{'|'.join(PERMISSIONS)}]",
        default="READ",
        show_default=True,
        help="Permission to request.",
    )(command)


def target_argument(command: Command) -> Command:
    """Give a command ``target``: an ``s3://`` URI, as a text that ``target_of`` can read."""
    return click.argument("target", metavar="S3_URI", callback=s3_uri)(command)


def json_option(command: Command) -> Command:
    """Give a command ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
