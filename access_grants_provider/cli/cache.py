"""``access-grants cache``: shows and deletes the credentials on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from .settings import aws_options, json_option
from .suggestions import SuggestingGroup

if TYPE_CHECKING:
    from access_grants_provider.disk import DiskCache, Entry

__all__ = ["cache"]


@click.group(cls=SuggestingGroup, short_help="Show or delete the credentials on disk.")
def cache() -> None:
    """Show or delete the credentials that are stored on disk for later processes.

    \b
    Examples:
      access-grants cache show
      access-grants cache clear
    """


@cache.command()
@json_option
@aws_options
def show(as_json: bool) -> None:
    """Show which grants have credentials on disk, and when those expire. No secret is shown.

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
        click.echo("There are no credentials on disk.", err=True)


@cache.command()
@aws_options
def clear() -> None:
    """Delete the credentials on disk, of all profiles. Programs that already use them can do so until they expire.

    \b
    Example:
      access-grants cache clear
    """
    count = _disk().clear()
    click.echo(f"Deleted {count} {'set' if count == 1 else 'sets'} of credentials.", err=True)


def _disk() -> DiskCache:
    from access_grants_provider.disk import DiskCache, default_folder

    return DiskCache(default_folder(), time.time)


def _row(entry: Entry) -> dict[str, str]:
    """Return the columns of an entry in order."""
    from access_grants_provider.core.service_errors import one_line

    expiration = datetime.fromtimestamp(entry.expiration, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields: Iterable[str] = ("permission", "scope", "account_id", "region", "caller")
    return {name: one_line(getattr(entry, name)) for name in fields} | {"expiration": expiration}
