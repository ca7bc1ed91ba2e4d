"""``access-grants demo``: the package at work on a local S3 Access Grants, every line of it checked."""

from __future__ import annotations

import click

from .isolation import deferred_interrupt, isolated_environment, quiet_logging

__all__ = ["demo"]


@click.command()
@click.option("--no-color", is_flag=True, help="Print plain text. The variable NO_COLOR takes the colours away, too.")
@click.pass_context
def demo(ctx: click.Context, no_color: bool) -> None:
    """Show the package at work, on this machine alone.

    Starts a local S3 Access Grants on a free port, runs ordinary boto3 code against it, and shows for each request
    which grant it was signed with and what S3 answered. Each line is checked against the decision of the package and
    the record of the server; the exit code is 1 if one is wrong. No AWS account is needed, and your own AWS settings
    are not read.

    \b
    Example:
      access-grants demo
      access-grants demo --no-color > demo.txt
    """
    # What the extra brings is imported only now: --help works without it, and moto reads the environment on import.
    with isolated_environment(), quiet_logging("access_grants_provider"):
        from .performance import perform

        with deferred_interrupt() as check_interrupt:
            right = perform(no_color or ctx.color is False, check_interrupt)
            check_interrupt()
    ctx.exit(0 if right else 1)
