"""``access-grants exec``: runs a program with a grant's credentials in its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from .credentials import credential_variables, vend
from .environment import environment_with_grant
from .settings import Failure, Misuse, Settings, aws_options, permission_option, target_argument, vend_options

__all__ = ["execute"]


class _NotFound(Failure):
    # The exit codes of a shell: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_08_02
    exit_code = 127


class _NotExecutable(Failure):
    exit_code = 126


class _Exec(click.Command):
    """Requires ``--`` before the program to run, so that click never reads the program's options as its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check for the ``--`` before click removes it."""
        if "--" not in args and not ctx.resilient_parsing and not {"-h", "--help"} & set(args):
            raise Misuse("There is no command to run. Write access-grants exec S3_URI -- COMMAND.", ctx)
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

    COMMAND gets your environment. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    AWS_CREDENTIAL_EXPIRATION and the region are set in it; AWS_PROFILE and all other sources of credentials are
    removed. COMMAND receives the signals, and its exit code is the exit code: 127 if it is not found, 126 if it can't
    be run.

    The credentials of a running program can't be renewed. They expire after an hour, or after --duration. For
    programs that run longer, put "access-grants credentials" into a profile's credential_process.

    \b
    Examples:
      access-grants exec s3://sales/emea/ -- aws s3 ls s3://sales/emea/
      access-grants exec s3://sales/emea/ --permission WRITE -- aws s3 cp q4.csv s3://sales/emea/
    """
    vended, connection = vend(settings, target, permission, renewable=False, **options)
    _become(command, environment_with_grant(os.environ, credential_variables(vended), connection.region))


def _become(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command, so that the command gets the signals and sets the exit code.

    Raises :class:`Failure` with a shell's exit codes where the command can't be run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.name == "posix":
            with _default_signal_actions():
                os.execvpe(command[0], list(command), dict(variables))  # noqa: S606  it is what the user asked for
        _wait_for(command, variables)
    except (FileNotFoundError, NotADirectoryError):
        raise _NotFound(f"{command[0]}: command not found", "Check that it is installed and on the PATH") from None
    except OSError as error:
        raise _NotExecutable(f"{command[0]}: can't be run: {error.strerror}") from None
    except ValueError as error:
        raise _NotExecutable(f"{command[0]!r} can't be run: {error}") from None


@contextmanager
def _default_signal_actions() -> Iterator[None]:
    """Give the program the system's actions for the signals that Python ignores; it would inherit the ignoring."""
    ignored = [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _wait_for(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Run the command as a child and exit with its code. On Windows a process can't be replaced."""
    with subprocess.Popen(list(command), env=dict(variables)) as process:  # noqa: S603  it is what the user asked for
        # The command receives Ctrl-C as well, and decides what to do.
        while process.poll() is None:
            with suppress(KeyboardInterrupt):
                process.wait()
        sys.exit(process.returncode)
