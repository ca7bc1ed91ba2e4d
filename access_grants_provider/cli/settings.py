"""What the commands have in common on the command line: whose credentials, where, and how a target is written."""

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
    "json_option",
    "permission_option",
    "s3_uri",
    "target_argument",
    "vend_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Settings:
    """The global options, as given: a profile's name, a region, a URL of S3 Control. None: not given."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


class Failure(click.ClickException):
    """What was asked for can't be done: one line saying what and what to do. Exit code 1."""


class Misuse(click.UsageError):
    """The command line is wrong, said in one line: there is no need to show the usage around it. Exit code 2."""

    def show(self, file: Any = None) -> None:
        """Write the line to stderr."""
        click.echo(f"Error: {self.format_message()}", file=file, err=file is None)


def s3_uri(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Check a target: ``s3://bucket``, ``s3://bucket/prefix/``, ``s3://bucket/prefix*`` or ``s3://bucket/key``."""
    from access_grants_provider.sdk.answers import target_of

    if value is not None:
        try:
            target_of(value)
        except ConfigurationError:
            forms = "s3://bucket, s3://bucket/prefix/ or s3://bucket/key"
            raise Misuse(f"{value!r} is no S3 URI: write {forms}", ctx) from None
    return value


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Keep a global option, given before the command's name or after it; the later one counts."""
    settings = ctx.ensure_object(Settings)
    if value is not None:
        setattr(settings, str(param.name), _checked(ctx, param, value) if param.name == "endpoint_url" else value)


def _checked(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Hold an option to the bounds of :class:`AccessGrantsConfig`."""
    if value is not None:
        try:
            AccessGrantsConfig(**{str(param.name): value})
        except ConfigurationError as error:
            raise click.BadParameter(str(error), ctx, param) from None
    return value


def _take_colors_away(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
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
        help="AWS profile to ask with.",
    ),
    click.option("--region", metavar="NAME", expose_value=False, callback=_remember, help="Region to ask in."),
    click.option(
        "--endpoint-url",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="Where S3 Control answers, if not AWS itself.",
    ),
    click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        callback=_take_colors_away,
        help="Print plain text, as the variable NO_COLOR does.",
    ),
)

_VEND_OPTIONS = (
    click.option(
        "--duration",
        "duration_seconds",
        type=click.IntRange(MIN_DURATION_SECONDS, MAX_DURATION_SECONDS),
        metavar="SECONDS",
        help="How long the credentials live. Default: the service's own, 3600.",
    ),
    click.option(
        "--account-id", metavar="DIGITS", callback=_checked, help="Account of the Access Grants instance, if known."
    ),
    click.option(
        "--privilege",
        type=click.Choice(["Default", "Minimal"], case_sensitive=False),
        metavar="[Default|Minimal]",
        help="Credentials for the grant's scope, or for the target alone.",
    ),
)


def aws_options(command: Command) -> Command:
    """Give a command the options of the AWS CLI. They fill in the :class:`Settings` that ``pass_obj`` hands over."""
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
        help="What to ask for.",
    )(command)


def target_argument(command: Command) -> Command:
    """Give a command ``target``: an ``s3://`` URI, as a text that :func:`.answers.target_of` can read."""
    return click.argument("target", metavar="S3_URI", callback=s3_uri)(command)


def json_option(command: Command) -> Command:
    """Give a command ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
