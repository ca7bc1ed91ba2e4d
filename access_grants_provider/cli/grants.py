"""``access-grants grants``: what the caller was granted."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from .settings import Settings, aws_options, json_option, s3_uri

if TYPE_CHECKING:
    from access_grants_provider.core.io_requests import CallerGrant

__all__ = ["grants"]

COLUMNS = ("PERMISSION", "SCOPE", "APPLICATION")


@click.command(short_help="List the caller's grants.")
@click.argument("target", metavar="[S3_URI]", required=False, callback=s3_uri)
@click.option("--account-id", metavar="DIGITS", help="Account of the Access Grants instance, if not your own.")
@json_option
@aws_options
@click.pass_obj
def grants(settings: Settings, /, target: str | None, account_id: str | None, as_json: bool) -> None:
    """List the caller's grants in one region, or those that cover S3_URI or lie in it.

    Grants are kept in the region of their buckets: a target's region is found out, without one it is --region.
    On a terminal it is a table; else there is one grant a line, its permission, scope and application separated by
    tabs. Needs s3:ListCallerAccessGrants.

    \b
    Examples:
      access-grants grants
      access-grants grants s3://sales/emea/ --region eu-west-1
      access-grants grants --json | jq -r '.[].scope'
    """
    from access_grants_provider.exceptions import AccessDenied

    from .connection import connect, locate
    from .spinner import Working

    found: list[CallerGrant] = []
    with Working("listing your grants") as step:
        connection = connect(settings, account_id=account_id)
        connection.signer()
        try:
            for grant in connection.provider.grants(target):
                found.append(grant._replace(application=grant.application or "NA"))
                step.update(f"listing your grants, {len(found)} so far")
        except AccessDenied:
            if target is not None:
                locate(connection, target)
            raise
        where = ""
        if not found:
            where = f"for {target} in {locate(connection, target)}" if target else f"in {connection.some_region}"
    _print(found, as_json)
    if where:
        click.echo(f"You have no grants {where}.", err=True)


def _print(found: list[CallerGrant], as_json: bool) -> None:
    from access_grants_provider.core.service_errors import one_line

    if as_json:
        click.echo(json.dumps([one._asdict() for one in found], indent=2))
        return
    # Keys may hold any character; one that moves the cursor or ends the line must not.
    rows = [tuple(one_line(cell) for cell in one) for one in found]
    if rows and sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        ctx = click.get_current_context()
        table = Table(box=None, pad_edge=False)
        for name in COLUMNS:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*row)
        Console(color_system=None if ctx.color is False else "auto", markup=False, emoji=False, highlight=False).print(
            table
        )
        return
    for row in rows:
        click.echo("\t".join(row))
