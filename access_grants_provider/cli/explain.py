"""``access-grants explain``: which credentials would sign one S3 request, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from access_grants_provider.core.operations import OPERATIONS

from .interrupts import exit_on_interrupt
from .settings import Failure, Settings, aws_options, json_option, s3_uri, target_argument
from .text_layout import echo_wrapped

if TYPE_CHECKING:
    from access_grants_provider import Decision

    from .call_trace import CallTrace

__all__ = ["explain"]


def _operations(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return sorted(name for name in OPERATIONS if name.lower().startswith(incomplete.lower()))


@click.command(short_help="Show how a request would be signed, and why.")
@click.argument("operation", metavar="OPERATION", shell_complete=_operations)
@target_argument
@click.option("--copy-source", metavar="S3_URI", callback=s3_uri, help="Source of CopyObject or UploadPartCopy.")
@json_option
@aws_options
@click.pass_context
def explain(ctx: click.Context, operation: str, target: str, copy_source: str | None, as_json: bool) -> None:
    """Show which credentials an S3 request would be signed with, and why, call by call.

    OPERATION is an S3 operation: GetObject, get_object or get-object. S3_URI is its object; for listings it is
    s3://bucket/prefix, for HeadBucket s3://bucket. The request itself is not sent to S3. S3 Access Grants gets the
    same calls as for the request, with the options of the environment and the profile.

    The exit code is 1 if the request would fail before it is sent, or if S3 Access Grants does not answer.

    \b
    Examples:
      access-grants explain get-object s3://sales/emea/q3.csv
      access-grants explain ListObjectsV2 s3://sales/emea/ --json | jq -r .decision.outcome
      access-grants explain copy-object s3://sales/emea/q4.csv --copy-source s3://sales/emea/q3.csv
    """
    with exit_on_interrupt():
        from access_grants_provider.exceptions import AccessGrantsError

        from .call_trace import CallTrace
        from .connection import connect
        from .error_text import KNOWN, in_one_line
        from .spinner import Spinner

    settings: Settings = ctx.obj
    trace = CallTrace()
    decision, failure = None, None
    with Spinner("asking S3 Access Grants"):
        connection = connect(settings)
        name = _named(operation, connection.session.get_service_model("s3").operation_names, ctx)
        parameters = _parameters(name, target, copy_source, ctx)
        connection.own_credentials()
        connection.provider.observer = trace
        try:
            decision = connection.provider.explain(name, **parameters)
        except (AccessGrantsError, *KNOWN) as error:
            failure = error
    if failure is not None:
        # The calls up to the failure show its cause.
        message = in_one_line(failure)
        _print(None, trace, as_json, error=message)
        raise Failure(message)
    _print(decision, trace, as_json)
    ctx.exit(1 if decision is not None and decision.outcome == "denied" else 0)


def _named(operation: str, operations: list[str], ctx: click.Context) -> str:
    """Return the API name of an operation, however it is spelled. Raises a usage error that names similar ones."""
    plain = operation.replace("-", "").replace("_", "").lower()
    names = {name.lower(): name for name in operations}
    if plain in names:
        return names[plain]
    import difflib

    similar = [names[match] for match in difflib.get_close_matches(plain, names)]
    hint = f"Did you mean {' or '.join(similar)}?" if similar else "Write it like GetObject or get-object."
    raise click.UsageError(f"S3 has no operation {operation!r}. {hint}", ctx)


def _parameters(name: str, uri: str, copy_source: str | None, ctx: click.Context) -> dict[str, Any]:
    """Return the parameters of a request about the bucket and key of an ``s3://`` URI.

    Raises a usage error where a parameter is missing without which the request has no target. An operation that S3
    Access Grants does not cover needs none.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    parameters: dict[str, Any] = {"Bucket": bucket.rstrip("*")}
    if name not in OPERATIONS:
        return parameters
    decisive = OPERATIONS[name].target_parameters
    if "Prefix" in decisive:
        parameters["Prefix"] = key.removesuffix("*")
    if not key and ("Key" in decisive or "Delete" in decisive):
        raise click.UsageError(f"{name} needs an object. Write s3://{bucket}/KEY.", ctx)
    if "Key" in decisive:
        parameters["Key"] = key
    if "Delete" in decisive:
        parameters["Delete"] = {"Objects": [{"Key": key}]}
    if "CopySource" in decisive:
        if copy_source is None:
            raise click.UsageError(f"{name} needs --copy-source.", ctx)
        source_bucket, _, source_key = copy_source.removeprefix("s3://").partition("/")
        parameters["CopySource"] = {"Bucket": source_bucket, "Key": source_key}
    return parameters


def _print(decision: Decision | None, trace: CallTrace, as_json: bool, error: str | None = None) -> None:
    if as_json:
        document = {
            "decision": None if decision is None else asdict(decision),
            "advice": None if decision is None else decision.hint,
            "error": error,
            "calls": [call.as_json() for call in trace.calls],
        }
        click.echo(json.dumps(document, indent=2, default=_in_json))
        return
    # A key may hold any character. Control characters must not reach the terminal.
    from access_grants_provider.core.service_errors import one_line

    if decision is not None:
        needs = f"needs {decision.permission}" if decision.permission else "is not covered by S3 Access Grants"
        target = f" on {decision.target}" if decision.target else ""
        echo_wrapped(one_line(f"{decision.operation} {needs}{target}"))
    for number, call in enumerate(trace.calls, start=1):
        lead = f"{number}. "
        echo_wrapped(one_line(f"{call.operation} in {call.region}: {call.what}"), lead)
        error = "" if call.error is None else f": {call.error}"
        echo_wrapped(
            one_line(f"{call.status}{error} ({call.seconds * 1000:.0f} ms)"), " " * len(lead), status=call.status
        )
    if decision is not None:
        echo_wrapped(one_line(_conclusion(decision)), "=> ", status=decision.outcome)
    if decision is not None and decision.hint is not None:
        echo_wrapped(one_line(f"What helps: {decision.hint}"), "   ")


def _conclusion(decision: Decision) -> str:
    if decision.outcome == "granted":
        ends = "" if decision.expiration is None else f", until {_in_json(decision.expiration)}"
        owner = f", of account {decision.account_id} in {decision.region}" if decision.account_id else ""
        return f"granted: signed with the grant {decision.scope}{owner}{ends}"
    if decision.outcome == "implied":
        return f"implied: {decision.reason}"
    if decision.outcome == "denied":
        return f"denied: not sent: {decision.reason}"
    return f"{decision.outcome}: signed with the caller's own credentials: {decision.reason}"


def _in_json(value: object) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)
