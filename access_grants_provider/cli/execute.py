"""``access-grants exec``: runs a program that signs with a grant's credentials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .credentials import credential_variables, renew, vend
from .environment import config_without_credentials, endpoint_environment, environment_with_grant
from .interrupts import exit_on_interrupt, forwarded_signals
from .settings import Failure, Misuse, Settings, aws_options, permission_option, target_argument, vend_options

if TYPE_CHECKING:
    from access_grants_provider import VendedCredentials

    from .connection import Connection

__all__ = ["execute"]


SEVERAL = (
    "A command gets the credentials of one grant, so exec takes one S3_URI. For a Python program that needs several "
    "grants, set BOTOCORE_EXPERIMENTAL__PLUGINS for boto3 and what is built on it, and use the adapters for polars, "
    "obstore, pyarrow and duckdb (access_grants_provider.adapters)."
)


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
        before = args[: args.index("--")] if "--" in args else []
        if sum(word.startswith("s3://") for word in before) > 1:
            raise Misuse(SEVERAL, ctx)
        return super().parse_args(ctx, args)


@click.command("exec", cls=_Exec, short_help="Run a command with the credentials of a grant.")
@target_argument
@click.argument("command", metavar="-- COMMAND [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
@permission_option
@click.option(
    "--static",
    is_flag=True,
    help="Set the credentials themselves in the environment. They are not renewed.",
)
@vend_options
@aws_options
@click.pass_obj
def execute(
    settings: Settings, /, target: str, command: tuple[str, ...], permission: str, static: bool, **options: Any
) -> None:
    """Run COMMAND with the credentials of the grant that covers S3_URI, and renew them for as long as it runs.

    COMMAND gets your environment. AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN and
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE in it name an endpoint on 127.0.0.1, which serves the credentials to
    COMMAND's AWS SDK until COMMAND ends. All other sources of credentials are removed: variables such as
    AWS_ACCESS_KEY_ID and AWS_PROFILE, and the AWS config and credentials files, in place of which COMMAND sees a file
    with the other settings of your profile. The region is set.

    COMMAND receives the signals, and its exit code is the exit code: 128 and the signal's number if a signal ended it,
    127 if it is not found, 126 if it can't be run.

    With --static, COMMAND gets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and
    AWS_CREDENTIAL_EXPIRATION instead, keeps the AWS files, and takes the place of this process. The credentials expire
    after an hour, or after --duration. It is for programs that read no endpoint.

    \b
    Examples:
      access-grants exec s3://sales/emea/ -- python job.py
      access-grants exec s3://sales/emea/ --permission WRITE -- aws s3 cp q4.csv s3://sales/emea/
      access-grants exec s3://sales/emea/ --static --duration 43200 -- ./program-without-an-sdk
    """
    vended, connection = vend(settings, target, permission, renewable=not static, **options)
    if static:
        _become(command, environment_with_grant(os.environ, credential_variables(vended), connection.region))

    def renewed(min_lifetime: float) -> VendedCredentials:
        return renew(connection, target, permission, min_lifetime)

    _exit_like(_serve(command, vended, renewed, connection))


def _serve(
    command: Sequence[str],
    vended: VendedCredentials,
    renewed: Callable[[float], VendedCredentials],
    connection: Connection,
) -> int:
    """Run the command beside an endpoint that serves its credentials. Return its exit code, negative for a signal."""
    with exit_on_interrupt():
        from .credential_endpoint import CredentialEndpoint

    def report(line: str) -> None:
        # The terminal may be gone, and the command goes on without it.
        with suppress(OSError, ValueError):
            click.echo(line, err=True)

    with forwarded_signals() as forward_to, TemporaryDirectory(prefix="access-grants-") as name:
        folder = Path(name)
        config_file = folder / "config"
        config_file.write_text(config_without_credentials(connection.session), encoding="utf-8")
        with CredentialEndpoint(vended, renewed, folder, report) as endpoint:
            grant = endpoint_environment(os.environ, endpoint.variables, config_file)
            variables = environment_with_grant(os.environ, grant, connection.region)
            with _shell_exit_codes(command):
                # Descriptors that the caller left open are the command's, as where it takes the place of this process.
                process = subprocess.Popen(list(command), env=variables, close_fds=False)  # noqa: S603  the user's wish
            with process:
                forward_to(process)
                return process.wait()


def _exit_like(code: int) -> NoReturn:
    """Exit as the command did. ``code`` is negative where a signal ended it."""
    if code == -signal.SIGINT:
        # A shell stops its script or loop only if SIGINT ended the program. It reports 130 for this as well.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(code if code >= 0 else 128 - code)


def _become(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command, so that the command gets the signals and sets the exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    with _shell_exit_codes(command):
        if os.name == "posix":
            with _default_signal_actions():
                os.execvpe(command[0], list(command), dict(variables))  # noqa: S606  it is what the user asked for
        _wait_for(command, variables)


@contextmanager
def _shell_exit_codes(command: Sequence[str]) -> Iterator[None]:
    """Raise :class:`Failure` with a shell's exit codes where the command can't be run."""
    try:
        yield
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
