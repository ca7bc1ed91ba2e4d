"""``access-grants doctor``: tries each step on the way to some data and reports what works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .interrupts import exit_on_interrupt
from .settings import Settings, aws_options, target_argument

if TYPE_CHECKING:
    from .diagnosis import Finding

__all__ = ["doctor"]

COLORS = {"ok": "green", "failed": "red", "skipped": "yellow", "on": "green", "off": "yellow"}


@click.command(short_help="Find out why you can't read some data.")
@target_argument
@click.option(
    "--write-canary",
    is_flag=True,
    help="Write a small object under S3_URI and delete it. In a versioned bucket, a delete marker remains.",
)
@aws_options
@click.pass_context
def doctor(ctx: click.Context, target: str, write_canary: bool) -> None:
    """Try each step on the way to the data at S3_URI, and show what to do about each step that fails.

    The steps: your identity, the region, the S3 Access Grants instance, credentials to read, credentials to write, a
    listing with the grant, one byte of an object. At the end: whether boto3 programs and the AWS CLI use grants
    without further options. The first call that gets no answer ends the steps, after 10 seconds at most. Nothing is
    written without --write-canary. The exit code is 0 if the data can be read.

    \b
    Examples:
      access-grants doctor s3://sales/emea/
      access-grants doctor s3://sales/emea/ --write-canary --profile analysis
    """
    with exit_on_interrupt():
        from .connection import connect
        from .diagnosis import Diagnosis, switches

    settings: Settings = ctx.obj
    connection = connect(settings, needs_region=False)
    diagnosis = Diagnosis(connection, target, write_canary)
    for finding in diagnosis.findings():
        _print(finding)
    for finding in switches(connection):
        _print(finding)
    ctx.exit(0 if diagnosis.reached else 1)


def _print(finding: Finding) -> None:
    status = click.style(f"{finding.status:8}", COLORS[finding.status])
    click.echo(f"{status}{finding.step:14} {finding.found}")
    if finding.hint is not None:
        click.echo(f"{'':8}{'':14} hint: {finding.hint}")
