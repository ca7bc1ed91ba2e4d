"""``access-grants serve``: the local S3 Access Grants in the foreground."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from .demo.isolation import isolated_environment
from .settings import Failure, Misuse
from .shell_syntax import SHELLS, script

__all__ = ["serve"]

# What a shell may hold already, and would come before the variables that are printed.
IN_THE_WAY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")
NAME = "developer"


@click.command(short_help="Run a local S3 Access Grants for your tests.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="NUMBER",
    show_default="a free one",
    help="Port to listen on.",
)
@click.option("--bucket", "buckets", metavar="NAME", multiple=True, help="Create this bucket. May be repeated.")
@click.option(
    "--grant",
    "given",
    metavar="PERMISSION SCOPE",
    nargs=2,
    multiple=True,
    help="Grant READ, WRITE or READWRITE on s3://bucket/prefix*. May be repeated. Without any: READWRITE on all.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(SHELLS)),
    default="env",
    show_default=True,
    help="The shell to print for.",
)
def serve(port: int, buckets: tuple[str, ...], given: tuple[tuple[str, str], ...], form: str) -> None:
    """Run a local S3, S3 Access Grants and STS on this machine until Ctrl-C or SIGTERM. No AWS account is needed.

    Prints the variables with which any AWS program finds it and signs as the holder of the grants. It enforces: what
    no grant allows is refused. All it holds is lost when it ends.

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
        from access_grants_provider.testing import AccessGrantsServer

        ended = _told_to_end()
        server = AccessGrantsServer(port=port)
        try:
            server.start()
        except OSError as error:
            raise Failure(f"port {port} can't be used: {error.strerror}; name another --port") from None
        try:
            click.echo(script(form, _set_up(server, buckets, given), IN_THE_WAY))
            click.echo(f"Serving at {server.url}. Ctrl-C ends it.", err=True)
            ended.wait()
        finally:
            server.stop()


def _set_up(server: Any, buckets: tuple[str, ...], given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Make the buckets and the grants, and return the variables of who holds them."""
    caller = server.identity(NAME)
    for name in buckets:
        _make(server, name)
    try:
        for permission, scope in given or [("READWRITE", f"s3://{name}/*") for name in buckets]:
            server.grant(caller, scope, permission.upper())
    except ValueError as error:
        raise Misuse(str(error)) from None
    variables: dict[str, str] = server.environment(caller)
    return {**variables, "AWS_REGION": server.region}


def _make(server: Any, bucket: str) -> None:
    try:
        server.bucket(bucket)
    except ValueError:
        rule = "3 to 63 lower-case letters, digits, dots and hyphens"
        raise Misuse(f"{bucket!r} can't be a bucket: its name takes {rule}") from None


def _told_to_end() -> threading.Event:
    """Return what is set by Ctrl-C (unless it is ignored, as in a shell's background) and by SIGTERM."""
    ended = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: ended.set())
    return ended
