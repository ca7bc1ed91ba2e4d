"""``access-grants grants``: what the caller was granted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from .settings import Failure, Settings, aws_options, json_option, s3_uri

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

    from access_grants_provider.exceptions import AccessGrantsError
    from access_grants_provider.scopes import Target

    from .connection import Connection
    from .control import Control

__all__ = ["Grant", "grants", "pages"]

COLUMNS = ("PERMISSION", "SCOPE", "APPLICATION")


class Grant(NamedTuple):
    """One grant of the caller, as S3 Access Grants lists it: ``application`` is ``NA``, ``ALL`` or an ARN."""

    permission: str
    scope: str
    application: str


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
    from access_grants_provider.answers import target_of

    from .connection import connect
    from .control import Control
    from .progress import Working

    found: list[Grant] = []
    with Working("listing your grants") as step:
        connection = connect(settings, account_id=account_id)
        control = Control(connection)
        wanted = None if target is None else target_of(target)
        region, listed = _listed(connection, control, wanted)
        for page in listed:
            found += [one for one in page if wanted is None or _concerns(one.scope, wanted)]
            step.update(f"listing your grants in {region}, {len(found)} so far")
    _print(found, as_json)
    if not found:
        where = f"in {region}" if target is None else f"for {target} in {region}"
        click.echo(f"You have no grants {where}.", err=True)


def pages(connection: Connection, control: Control, region: str, bucket: str = "") -> Iterator[list[Grant]]:
    """Yield the caller's grants in a region, page by page; ``bucket`` narrows it to buckets whose names begin so.

    Without an ``account_id`` the instances shared with the caller are searched too, where botocore knows how.
    Raises the errors of this package, in the region's and the account's name.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from access_grants_provider.steps import CallerAccount, ListGrants

    provider = connection.provider
    account = provider.config.account_id
    try:
        if account is None:
            account = str(control.response(CallerAccount(region))["Account"])
    except (ClientError, BotoCoreError) as error:
        raise control.said(error, "sts:GetCallerIdentity", region, "for your account") from error
    everywhere = provider.config.account_id is None and provider.rules.knows_everywhere()
    step = ListGrants(account, region, bucket, everywhere)
    while True:
        try:
            page = control.response(step)
        except (ClientError, BotoCoreError) as error:
            raise _refused(control, error, account, region) from error
        yield [
            Grant(entry.get("Permission", ""), entry.get("GrantScope", ""), entry.get("ApplicationArn", "NA"))
            for entry in page.get("CallerAccessGrantsList") or []
        ]
        if not page.get("NextToken"):
            return
        step = step._replace(token=page["NextToken"])


def _listed(connection: Connection, control: Control, wanted: Target | None) -> tuple[str, Iterator[list[Grant]]]:
    """Return the region whose grants are asked for, and their pages."""
    if wanted is None:
        return connection.some_region, pages(connection, control, connection.some_region)
    bucket = control.find_bucket(wanted.bucket)
    if bucket.is_missing:
        raise Failure(f"there is no bucket {wanted.bucket!r}; check its name")
    region = bucket.region or connection.some_region
    return region, pages(connection, control, region, wanted.bucket)


def _refused(
    control: Control, error: ClientError | BotoCoreError, account: str, region: str
) -> Failure | AccessGrantsError:
    from access_grants_provider.failures import refusal

    kind = refusal(error)
    if kind == "no instance":
        return Failure(
            f"account {account} has no S3 Access Grants instance in {region}; name another --region, "
            "or --account-id if the instance is somebody else's"
        )
    if kind is not None:
        return Failure(
            f"the caller ({control.label}) may not call s3:ListCallerAccessGrants of account {account} in {region}; "
            "allow it in the caller's IAM policies"
        )
    return control.said(error, "s3:ListCallerAccessGrants", region, "for your grants")


def _concerns(scope: str, wanted: Target) -> bool:
    """Tell whether a grant covers the target or lies in it. One that can't be read is shown, not hidden."""
    from access_grants_provider.scopes import GrantScope, MalformedScope

    try:
        granted = GrantScope.parse(scope)
    except MalformedScope:
        return True
    return granted.covers(wanted) or wanted.covers(granted)


def _print(found: list[Grant], as_json: bool) -> None:
    from access_grants_provider.failures import one_line

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
