"""``access-grants exec``: a program with a grant's credentials in its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from .settings import Failure, Misuse, Settings, aws_options, permission_option, target_argument, vend_options

__all__ = ["environment", "execute"]

# What would be asked before the grant's credentials, or belongs to others than these: AWS_SECURITY_TOKEN is what
# botocore reads before AWS_SESSION_TOKEN; a profile is what the SDK for JavaScript prefers to keys in the environment.
IN_THE_WAY = (
    "ACCESS_GRANTS_ASKING_AS",
    "AWS_ACCESS_KEY",
    "AWS_ACCOUNT_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
PLUGINS = "BOTOCORE_EXPERIMENTAL__PLUGINS"


class _NotFound(Failure):
    # As a shell has it: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_08_02
    exit_code = 127


class _NotExecutable(Failure):
    exit_code = 126


class _Exec(click.Command):
    """Wants the ``--`` before the command, so that no option of the command is ever taken for one of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for it first."""
        if "--" not in args and not ctx.resilient_parsing and not {"-h", "--help"} & set(args):
            raise Misuse("there is no command to run: write access-grants exec S3_URI -- COMMAND", ctx)
        return super().parse_args(ctx, args)


@click.command("exec", cls=_Exec, short_help="Run a command with the credentials of a grant.")
@target_argument
@click.argument("command", metavar="-- COMMAND [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
@permission_option
@vend_options
@aws_options
@click.pass_obj
def execute(settings: Settings, /, target: str, command: tuple[str, ...], permission: str, **options: Any) -> None:
    """Run COMMAND with the credentials of the grant that covers S3_URI in its environment.

    The environment is yours, with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    AWS_CREDENTIAL_EXPIRATION and the region set, and without AWS_PROFILE and what else would come before them.
    Signals reach the command, and its exit code is the exit code; 127 if it is not found, 126 if it can't be run.

    The credentials of a running program can't be renewed: they end after an hour, or after --duration. What runs
    longer is better served by "access-grants credentials" in a profile's credential_process.

    \b
    Examples:
      access-grants exec s3://sales/emea/ -- aws s3 ls s3://sales/emea/
      access-grants exec s3://sales/emea/ --permission WRITE -- aws s3 cp q4.csv s3://sales/emea/
    """
    from .connection import vended
    from .credentials import variables

    found, connection = vended(settings, target, permission, **options)
    _become(command, environment(os.environ, variables(found), connection.region))


def environment(inherited: Mapping[str, str], grant: Mapping[str, str], region: str | None) -> dict[str, str]:
    """Return the environment of a program that uses a grant: ``grant`` are the variables of its credentials.

    This package's own plugin is taken out, too: it would ask for grants as the grant's session, which has none.
    """
    kept = {name: value for name, value in inherited.items() if name not in IN_THE_WAY}
    plugins = kept.pop(PLUGINS, "").split(",")
    others = [one for one in plugins if one.strip() and one.partition("=")[2].strip() != "access_grants_provider"]
    if others:
        kept[PLUGINS] = ",".join(others)
    # The profile that may have told the region is gone. Some SDKs read the one variable, some the other.
    places = {} if region is None else {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    return {**kept, **places, **grant}


def _become(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Put the command in this process's place, so that signals and the exit code are its own.

    Raises :class:`Failure` with a shell's exit codes where it can't be run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.name == "posix":
            with _pipes_as_others_have_them():
                os.execvpe(command[0], list(command), dict(variables))  # noqa: S606  it is what the user asked for
        _wait_for(command, variables)
    except (FileNotFoundError, NotADirectoryError):
        raise _NotFound(f"{command[0]}: not found; is it installed, and on the PATH?") from None
    except OSError as error:
        raise _NotExecutable(f"{command[0]}: can't be run: {error.strerror}") from None
    except ValueError as error:
        raise _NotExecutable(f"{command[0]!r} can't be run: {error}") from None


@contextmanager
def _pipes_as_others_have_them() -> Iterator[None]:
    """Undo what Python does to these signals: it ignores them, and what is ignored stays so in the next program."""
    ignored = [one for one in (signal.SIGPIPE, signal.SIGXFSZ) if signal.getsignal(one) == signal.SIG_IGN]
    for one in ignored:
        signal.signal(one, signal.SIG_DFL)
    try:
        yield
    finally:
        for one in ignored:
            signal.signal(one, signal.SIG_IGN)


def _wait_for(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Run the command beside this process, where a process can't be replaced: on Windows."""
    with subprocess.Popen(list(command), env=dict(variables)) as process:  # noqa: S603  it is what the user asked for
        # Ctrl-C goes to the command as well, which decides what comes of it.
        while process.poll() is None:
            with suppress(KeyboardInterrupt):
                process.wait()
        sys.exit(process.returncode)
