"""``access-grants explain``: how one S3 request would be signed, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from access_grants_provider.core.operations import OPERATIONS

from .settings import Failure, Settings, aws_options, json_option, s3_uri, target_argument

if TYPE_CHECKING:
    from access_grants_provider import Decision

    from .call_trace import Trail

__all__ = ["explain"]


def _operations(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return sorted(name for name in OPERATIONS if name.lower().startswith(incomplete.lower()))


@click.command(short_help="Say how a request would be signed, and why.")
@click.argument("operation", metavar="OPERATION", shell_complete=_operations)
@target_argument
@click.option("--copy-source", metavar="S3_URI", callback=s3_uri, help="What CopyObject or UploadPartCopy copies.")
@json_option
@aws_options
@click.pass_context
def explain(ctx: click.Context, operation: str, target: str, copy_source: str | None, as_json: bool) -> None:
    """Say which credentials an S3 request would be signed with, and why, call by call.

    OPERATION is an S3 operation: GetObject, get_object or get-object. S3_URI is its object; for the listings it is
    s3://bucket/prefix, for HeadBucket s3://bucket. S3 itself is not sent the request. S3 Access Grants is asked
    as for the request, under the options of the environment and the profile.

    The exit code is 1 where the request would be refused before it is sent, or S3 Access Grants can't be asked.

    \b
    Examples:
      access-grants explain get-object s3://sales/emea/q3.csv
      access-grants explain ListObjectsV2 s3://sales/emea/ --json | jq -r .decision.outcome
      access-grants explain copy-object s3://sales/emea/q4.csv --copy-source s3://sales/emea/q3.csv
    """
    from access_grants_provider.exceptions import AccessGrantsError

    from .call_trace import Trail
    from .connection import connect
    from .error_text import KNOWN, in_one_line
    from .spinner import Working

    settings: Settings = ctx.obj
    trail = Trail()
    decision, failure = None, None
    with Working("asking S3 Access Grants"):
        connection = connect(settings)
        name = _named(operation, connection.session.get_service_model("s3").operation_names, ctx)
        parameters = _parameters(name, target, copy_source, ctx)
        connection.signer()
        connection.provider.observer = trail
        try:
            decision = connection.provider.explain(name, **parameters)
        except (AccessGrantsError, *KNOWN) as error:
            failure = error
    if failure is not None:
        # The calls up to the failure say most about it.
        said = Failure(in_one_line(failure))
        _print(None, trail, as_json, said.message)
        raise said
    _print(decision, trail, as_json)
    ctx.exit(1 if decision is not None and decision.outcome == "denied" else 0)


def _named(operation: str, known: list[str], ctx: click.Context) -> str:
    """Return the API name of an operation, however it is spelled. Raises a usage error that names the nearest ones."""
    plain = operation.replace("-", "").replace("_", "").lower()
    names = {name.lower(): name for name in known}
    if plain in names:
        return names[plain]
    import difflib

    near = [names[one] for one in difflib.get_close_matches(plain, names)]
    hint = f"; did you mean {' or '.join(near)}?" if near else "; write it like GetObject or get-object"
    raise click.UsageError(f"S3 has no operation {operation!r}{hint}", ctx)


def _parameters(name: str, uri: str, copy_source: str | None, ctx: click.Context) -> dict[str, Any]:
    """Return the parameters of a request about the bucket and key of an ``s3://`` URI.

    Raises a usage error where a parameter is missing that decides the request's target. An operation that S3 Access
    Grants does not cover is left alone whatever its key.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    parameters: dict[str, Any] = {"Bucket": bucket.rstrip("*")}
    if name not in OPERATIONS:
        return parameters
    decisive = OPERATIONS[name].target_parameters
    if "Prefix" in decisive:
        parameters["Prefix"] = key.removesuffix("*")
    if not key and ("Key" in decisive or "Delete" in decisive):
        raise click.UsageError(f"{name} is about an object: write s3://{bucket}/KEY", ctx)
    if "Key" in decisive:
        parameters["Key"] = key
    if "Delete" in decisive:
        parameters["Delete"] = {"Objects": [{"Key": key}]}
    if "CopySource" in decisive:
        if copy_source is None:
            raise click.UsageError(f"{name} needs --copy-source", ctx)
        source_bucket, _, source_key = copy_source.removeprefix("s3://").partition("/")
        parameters["CopySource"] = {"Bucket": source_bucket, "Key": source_key}
    return parameters


def _print(decision: Decision | None, trail: Trail, as_json: bool, error: str | None = None) -> None:
    advice = None if decision is None or decision.outcome in ("granted", "unsupported") else _advice(decision, trail)
    if as_json:
        document = {
            "decision": None if decision is None else asdict(decision),
            "advice": advice,
            "error": error,
            "calls": [one.as_json() for one in trail.asked],
        }
        click.echo(json.dumps(document, indent=2, default=_in_json))
        return
    from access_grants_provider.core.service_errors import one_line

    lines = []
    if decision is not None:
        needs = f"needs {decision.permission}" if decision.permission is not None else "is not for S3 Access Grants"
        lines.append(f"{decision.operation} {needs}{f' on {decision.target}' if decision.target else ''}")
    for number, one in enumerate(trail.asked, start=1):
        lines.append(f"{number}. {one.operation} in {one.region}: {one.what}")
        lines.append(f"   {one.error or 'ok'} ({one.seconds * 1000:.0f} ms)")
    if decision is not None:
        lines.append(f"=> {_concluded(decision)}")
    if advice is not None:
        lines.append(f"   What would help: {advice}")
    # Keys may hold any character; one that moves the cursor must not.
    for line in lines:
        click.echo(one_line(line))


def _advice(decision: Decision, trail: Trail) -> str | None:
    from access_grants_provider.core.resolver import ADVICE

    if decision.target is None:
        return ADVICE["two buckets"]
    return trail.advice()


def _concluded(decision: Decision) -> str:
    if decision.outcome == "granted":
        ends = "" if decision.expiration is None else f", until {_in_json(decision.expiration)}"
        owner = f", of account {decision.account_id} in {decision.region}" if decision.account_id else ""
        return f"granted: signed with the grant {decision.scope}{owner}{ends}"
    if decision.outcome == "denied":
        return f"denied: refused and not sent: {decision.reason}"
    return f"{decision.outcome}: signed with the caller's own credentials: {decision.reason}"


def _in_json(value: object) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)
