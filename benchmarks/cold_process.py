"""What a fresh process waits for: from ``import boto3`` to the first byte of its first object.

Each contestant runs in processes of its own, by turns. The local S3 Access Grants answers over HTTP from another one,
each answer one simulated round trip late. TLS is not part of it: on AWS each new host costs two or three round trips
more, and the official plugin calls as many hosts as ours.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .local import BUCKET, Service, service
from .rows import NOT_HERE, NOTHING, Cell, Effort, Row, counted, over, spread
from .waiting import KEY, ROUND_TRIP_SECONDS

PROGRAM = f"""\
import json, time
begin, cpu = time.perf_counter(), time.process_time()
import boto3
{{before}}
s3 = boto3.client("s3")
{{after}}
s3.get_object(Bucket={BUCKET!r}, Key={KEY!r})["Body"].read()
print(json.dumps([time.perf_counter() - begin, time.process_time() - cpu]))
"""
OURS = "import access_grants_provider; access_grants_provider.register(fallback='never')"
THEIRS = (
    "from aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin import S3AccessGrantsPlugin; "
    "S3AccessGrantsPlugin(s3, fallback_enabled=False).register()"
)
# The design's: three quarters of what the official plugin adds.
BAR = 0.75


class Taken(NamedTuple):
    """The seconds of wall and CPU time of one process, and its control calls."""

    wall: float
    cpu: float
    calls: int


def run(local: Service, identity: Any, before: str = "", after: str = "", account_id: str | None = None) -> Taken:
    """Run one process as an identity; its credentials may tell their account."""
    environment = {
        **os.environ,
        # From the checkout, past the finder of an editable installation, which costs a millisecond of its own.
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "AWS_ACCESS_KEY_ID": identity.access_key_id,
        "AWS_SECRET_ACCESS_KEY": identity.secret_access_key,
    }
    for name, value in (("AWS_SESSION_TOKEN", identity.session_token), ("AWS_ACCOUNT_ID", account_id)):
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    local.call("forget_requests")
    program = [sys.executable, "-c", PROGRAM.format(before=before, after=after)]
    printed = subprocess.run(program, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout
    return Taken(*json.loads(printed), local.call("control_calls"))


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the section."""
    runs: dict[str, list[Taken]] = {"plain": [], "peer": [], "ours": [], "known": []}
    with service() as local:
        local.round_trip(ROUND_TRIP_SECONDS)
        # The first round, which compiles and fills the disk's cache, does not count.
        for number in range(effort.of(15, 2) + 1):
            turn = {
                "plain": run(local, local.bob),
                "ours": run(local, local.alice, OURS),
                "known": run(local, local.alice, OURS, account_id=local.account_id),
            }
            if effort.peer:
                turn["peer"] = run(local, local.alice, after=THEIRS)
            for name, taken in turn.items() if number else ():
                runs[name].append(taken)
    yield from _rows(runs, effort)


def _rows(runs: dict[str, list[Taken]], effort: Effort) -> Iterator[Row]:
    walls = {name: [one.wall for one in taken] for name, taken in runs.items()}
    cpus = {name: [one.cpu for one in taken] for name, taken in runs.items()}
    milliseconds = f"{ROUND_TRIP_SECONDS * 1e3:.0f} ms a round trip"
    if not effort.quick:
        plain = spread(walls["plain"], "ms", 1e3)
        for what, name in (
            ("a fresh process, from import boto3 to its first object", "ours"),
            ("– the account known", "known"),
        ):
            first = name == "ours"
            yield Row(
                f"{what}, {milliseconds}" if first else what,
                spread(walls[name], "ms", 1e3),
                plain,
                spread(walls["peer"], "ms", 1e3) if effort.peer and first else NOTHING if effort.peer else NOT_HERE,
                over(walls[name], walls["plain"]),
                "ratio",
                chart="waiting",
            )
        yield _added("– what is added to plain boto3, over what the official plugin adds", walls, "ours", effort)
        yield _added("– the same, the account known", walls, "known", effort)
        yield _added("– the same of CPU time", cpus, "ours", effort)
    yield _calls("– control calls", runs, "ours", 2, effort)
    yield _calls("– control calls, the account known", runs, "known", 1, effort)


def _added(what: str, taken: dict[str, list[float]], name: str, effort: Effort) -> Row:
    base = statistics.median(taken["plain"])
    ours = statistics.median(taken[name]) - base
    if not effort.peer:
        return Row(what, Cell(f"{ours * 1e3:.0f} ms"), peer=NOT_HERE)
    theirs = statistics.median(taken["peer"]) - base
    return Row(what, Cell(f"{ours * 1e3:.0f} ms"), NOTHING, Cell(f"{theirs * 1e3:.0f} ms"), ours / theirs, "ratio", BAR)


def _calls(what: str, runs: dict[str, list[Taken]], name: str, bar: int, effort: Effort) -> Row:
    most = max(one.calls for one in runs[name])
    peer = counted(max(one.calls for one in runs["peer"])) if effort.peer else NOT_HERE
    return Row(what, counted(most), NOTHING, peer, most, "count", bar, bar)
