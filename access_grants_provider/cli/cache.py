"""``access-grants cache``: what is kept on disk, and forgetting it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from .settings import aws_options, json_option

if TYPE_CHECKING:
    from access_grants_provider.disk import DiskCache, Entry

__all__ = ["cache"]


@click.group(short_help="Show or clear the credentials kept on disk.")
def cache() -> None:
    """Show or clear the credentials that are kept on disk for later processes.

    \b
    Examples:
      access-grants cache show
      access-grants cache clear
    """


@cache.command()
@json_option
@aws_options
def show(as_json: bool) -> None:
    """Show which grants have credentials on disk, and until when. No secret is shown.

    \b
    Example:
      access-grants cache show --json
    """
    rows = [_row(entry) for entry in _disk().entries()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo("\t".join(str(value) for value in row.values()))
    if not rows:
        click.echo("Nothing is kept on disk.", err=True)


@cache.command()
@aws_options
def clear() -> None:
    """Forget the credentials on disk, those of all profiles. Where they are in use already they work until they end.

    \b
    Example:
      access-grants cache clear
    """
    count = _disk().clear(None)
    click.echo(f"{count} credential{'' if count == 1 else 's'} forgotten.", err=True)


def _disk() -> DiskCache:
    from access_grants_provider.disk import DiskCache, default_folder

    return DiskCache(default_folder(), time.time)


def _row(entry: Entry) -> dict[str, str]:
    """Return what is worth showing of an entry, in the order of the columns."""
    from access_grants_provider.core.service_errors import one_line

    ends = datetime.fromtimestamp(entry.expiration, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields: Iterable[str] = ("permission", "scope", "account_id", "region", "requester")
    return {name: one_line(getattr(entry, name)) for name in fields} | {"expiration": ends}
