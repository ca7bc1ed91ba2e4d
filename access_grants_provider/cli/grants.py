"""``access-grants grants``: lists the caller's grants."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from .interrupts import exit_on_interrupt
from .settings import Settings, aws_options, json_option, s3_uri

if TYPE_CHECKING:
    from access_grants_provider import CallerGrant

    from .connection import Connection

__all__ = ["grants"]

COLUMNS = ("PERMISSION", "SCOPE", "APPLICATION")


@click.command(short_help="List the caller's grants.")
@click.argument("target", metavar="[S3_URI]", required=False, callback=s3_uri)
@click.option("--account-id", metavar="DIGITS", help="Account of the Access Grants instance, if it is not your own.")
@json_option
@aws_options
@click.pass_obj
def grants(settings: Settings, /, target: str | None, account_id: str | None, as_json: bool) -> None:
    """List your grants in one region, or those that overlap with S3_URI.

    Grants belong to the region of their bucket. The region of S3_URI is looked up; without S3_URI it is --region.
    A terminal shows a table. Pipes and files get one grant per line: its permission, scope and application, separated
    by tabs. Needs the permission s3:ListCallerAccessGrants.

    \b
    Examples:
      access-grants grants
      access-grants grants s3://sales/emea/ --region eu-west-1
      access-grants grants --json | jq -r '.[].scope'
    """
    with exit_on_interrupt():
        from access_grants_provider.exceptions import AccessDenied

        from .connection import connect
        from .service_calls import bucket_region
        from .spinner import Spinner

    listed: list[CallerGrant] = []
    with Spinner("listing your grants") as spinner:
        connection = connect(settings, account_id=account_id)
        connection.own_credentials()
        try:
            for grant in connection.provider.grants(target):
                listed.append(grant._replace(application=grant.application or "NA"))
                spinner.update(f"listing your grants, {len(listed)} so far")
        except AccessDenied:
            if target is not None:
                bucket_region(connection, target)
            raise
        none = None if listed else _none_found(connection, target)
    _print(listed, as_json)
    if none is not None:
        click.echo(none, err=True)


def _none_found(connection: Connection, target: str | None) -> str:
    """Say that there are no grants, and whether there are some for the folder that an object was named for."""
    from .service_calls import bucket_region

    if target is None:
        return f"You have no grants in {connection.some_region}."
    said = f"You have no grants for {target} in {bucket_region(connection, target)}."
    if target.endswith(("/", "*")) or next(connection.provider.grants(f"{target}/"), None) is None:
        return said
    return f"{said} For {target}/ with the slash you have some."


def _print(listed: list[CallerGrant], as_json: bool) -> None:
    from access_grants_provider.core.service_errors import one_line

    if as_json:
        click.echo(json.dumps([grant._asdict() for grant in listed], indent=2))
        return
    # A scope may hold any character. Control characters must not reach the terminal or end the line.
    rows = [tuple(one_line(cell) for cell in grant) for grant in listed]
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
