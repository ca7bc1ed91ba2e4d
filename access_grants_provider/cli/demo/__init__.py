"""``access-grants demo``: runs boto3 code against a local S3 Access Grants and checks each request."""

from __future__ import annotations

import click

from ..environment import isolated_environment
from ..interrupts import deferred_interrupt, exit_on_interrupt
from ..quiet_logging import quiet_logging

__all__ = ["demo"]


@click.command()
@click.option("--no-color", is_flag=True, help="Print no colours. The variable NO_COLOR does the same.")
@click.pass_context
def demo(ctx: click.Context, no_color: bool) -> None:
    """Show how S3 requests are signed with grants, on this machine only.

    Starts a local S3 Access Grants on a free port, runs ordinary boto3 code against it, and shows for each request
    which grant signed it and what S3 answered. Each line is compared with the package's decision and the server's
    record; the exit code is 1 if one differs. The demo needs no AWS account and reads none of your AWS settings.

    \b
    Example:
      access-grants demo
      access-grants demo --no-color > demo.txt
    """
    # Imported here, because --help must work without the extra, and because moto reads the environment on import.
    with isolated_environment(), quiet_logging("access_grants_provider"):
        with exit_on_interrupt():
            from .performance import perform

        with deferred_interrupt() as check_interrupt:
            right = perform(no_color or ctx.color is False, check_interrupt)
            check_interrupt()
    ctx.exit(0 if right else 1)
