"""``access-grants serve``: runs the local S3 Access Grants in the foreground."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from .environment import CREDENTIAL_VARIABLES, isolated_environment
from .interrupts import exit_on_interrupt
from .settings import Failure, Misuse
from .shell_syntax import SHELLS, script

__all__ = ["serve"]

# The shell may hold these already, and SDKs would use them instead of the variables that are printed.
UNSET = ("AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", *CREDENTIAL_VARIABLES)
CALLER = "developer"


@click.command(short_help="Run a local S3 Access Grants for your tests.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="NUMBER",
    show_default="a free one",
    help="Port to listen on.",
)
@click.option("--bucket", "buckets", metavar="NAME", multiple=True, help="Create this bucket. Can be repeated.")
@click.option(
    "--grant",
    "granted",
    metavar="PERMISSION SCOPE",
    nargs=2,
    multiple=True,
    help="Grant READ, WRITE or READWRITE on s3://bucket/prefix*. Can be repeated. Default: READWRITE on each bucket.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(SHELLS)),
    default="env",
    show_default=True,
    help="Shell syntax of the printed variables.",
)
def serve(port: int, buckets: tuple[str, ...], granted: tuple[tuple[str, str], ...], form: str) -> None:
    """Run a local S3, S3 Access Grants and STS on this machine until Ctrl-C or SIGTERM. No AWS account is needed.

    Prints the environment variables with which any AWS program finds the service and signs as the holder of the
    grants. The service denies what no grant allows. Its buckets and grants are lost when it ends.

    \b
    Examples:
      access-grants serve --bucket sales --port 9000
      access-grants serve --bucket sales --grant READ 's3://sales/emea/*' > local.env

    Then, in another shell:

    \b
      . ./local.env && aws s3 ls s3://sales
    """
    # moto reads the environment when it is imported.
    with isolated_environment():
        with exit_on_interrupt():
            from access_grants_provider.testing import AccessGrantsServer

        stopped = _on_signals()
        server = AccessGrantsServer(port=port)
        try:
            server.start()
        except OSError as error:
            raise Failure(f"Port {port} can't be used: {error.strerror}", "Give another --port") from None
        try:
            click.echo(script(form, _set_up(server, buckets, granted), UNSET))
            click.echo(f"Serving at {server.url}. Press Ctrl-C to stop.", err=True)
            stopped.wait()
        finally:
            server.stop()


def _set_up(server: Any, buckets: tuple[str, ...], granted: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Create the buckets and the grants, and return the variables of the caller who holds them."""
    caller = server.identity(CALLER)
    for name in buckets:
        _create_bucket(server, name)
    try:
        for permission, scope in granted or [("READWRITE", f"s3://{name}/*") for name in buckets]:
            server.grant(caller, scope, permission.upper())
    except ValueError as error:
        raise Misuse(str(error)) from None
    variables: dict[str, str] = server.environment(caller)
    return {**variables, "AWS_REGION": server.region}


def _create_bucket(server: Any, bucket: str) -> None:
    try:
        server.bucket(bucket)
    except ValueError:
        rule = "A bucket name has 3 to 63 lower-case letters, digits, dots and hyphens."
        raise Misuse(f"{bucket!r} is not a bucket name. {rule}") from None


def _on_signals() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set. A signal that is ignored, as in a shell's background, stays so."""
    stopped = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: stopped.set())
    return stopped
