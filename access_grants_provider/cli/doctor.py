"""``access-grants doctor``: tries each step on the way to some data and reports what works."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

import click

from .interrupts import exit_on_interrupt
from .quiet_logging import quiet_logging
from .settings import Settings, aws_options, json_option, target_argument
from .text_layout import echo_wrapped

if TYPE_CHECKING:
    from .conclusion import Conclusion
    from .findings import Finding

__all__ = ["doctor"]


@click.command(short_help="Find out why you can't read some data.")
@target_argument
@click.option(
    "--write-canary",
    is_flag=True,
    help="Write a small object under S3_URI and delete it. In a versioned bucket, a delete marker remains.",
)
@json_option
@aws_options
@click.pass_context
def doctor(ctx: click.Context, target: str, write_canary: bool, as_json: bool) -> None:
    """Try each step on the way to the data at S3_URI, and show what to do about each step that fails.

    The steps: your identity, the region, the S3 Access Grants instance, credentials to read, credentials to write, a
    listing with the grant, one byte of an object. Then: which programs of this environment use grants without being
    changed, and which settings have no effect. The last line is the answer in one sentence.

    A step is "no" where the caller may not do it, and "failed" where something has to be repaired. The first call
    that gets no answer ends the steps, after 10 seconds at most. Nothing is written without --write-canary. The exit
    code is 0 if the data can be read.

    \b
    Examples:
      access-grants doctor s3://sales/emea/
      access-grants doctor s3://sales/emea/ --write-canary --profile analysis
      access-grants doctor s3://sales/emea/ --json | jq -r .conclusion
    """
    with exit_on_interrupt():
        from access_grants_provider.core.flow_context import OPTIONS_LOGGER

        from .connection import connect
        from .diagnosis import Diagnosis
        from .switches import switches

    settings: Settings = ctx.obj
    # A setting without effect is a finding here, so the warning of it is not needed.
    with quiet_logging(OPTIONS_LOGGER):
        connection = connect(settings, needs_region=False)
    diagnosis = Diagnosis(connection, target, write_canary)
    if as_json:
        findings = [*diagnosis.findings(), *switches(connection)]
        _print_json(target, findings, diagnosis.conclusion())
    else:
        _print(chain(diagnosis.findings(), switches(connection)))
        click.echo()
        echo_wrapped(diagnosis.conclusion().sentence)
    ctx.exit(0 if diagnosis.conclusion().can_read else 1)


def _print(findings: Iterable[Finding]) -> None:
    """Print each finding as it comes. A hint that the line before gave is not repeated."""
    last_hint: str | None = None
    for finding in findings:
        lead = f"{finding.status:8}{finding.step:14} "
        echo_wrapped(finding.found, lead, status=finding.status)
        if finding.hint is not None and finding.hint != last_hint:
            echo_wrapped(finding.hint, f"{'':{len(lead)}}hint: ")
        last_hint = finding.hint


def _print_json(target: str, findings: Iterable[Finding], conclusion: Conclusion) -> None:
    document = {
        "target": target,
        "conclusion": conclusion.sentence,
        "can_read": conclusion.can_read,
        "can_write": conclusion.can_write,
        "findings": [finding._asdict() for finding in findings],
    }
    click.echo(json.dumps(document, indent=2))
