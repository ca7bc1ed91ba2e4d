"""What people wait for: the first request, a download's first byte, a cold job, a herd at many grants.

The local S3 Access Grants answers over HTTP from a process of its own, each answer one simulated round trip late.
Making a connection costs nothing here; on AWS TCP and TLS add two or three round trips to the first call to a service.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from boto3.s3.transfer import S3Transfer, TransferConfig

from . import contestants
from .control_calls import at_once
from .local import BUCKET, HERD, Service, service
from .rows import NOT_HERE, NOTHING, Cell, Effort, Row, over, spread, with_ratio

ROUND_TRIP_SECONDS = 0.03
VEND_SECONDS = 0.2
JOB_THREADS = 16
KEY = "all/folder-0/x"
# Design: 3 vends' time. The herd makes two rounds of vends; the rest is the CPU of 64 botocore calls under one
# interpreter lock, on two cores that others use too: ×2.1 on a quiet machine, up to ×7 on a busy one.
# One vend after another would be ×64.
CI_HERD = 16.0


def get(client: Any, key: str = KEY) -> None:
    """Read an object to its end."""
    client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def first_byte(client: Any) -> float:
    """Download an object with the classic transfer client of boto3; return when the first bytes were there."""
    came: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        # Any: boto3's stubs take botocore's Config here, boto3 its own.
        config: Any = TransferConfig(preferred_transfer_client="classic")
        transfer = S3Transfer(client, config)
        transfer.download_file(BUCKET, KEY, f"{folder}/x", callback=lambda _count: came.append(time.perf_counter()))
    return came[0]


def job(client: Any, objects: int) -> None:
    """Read many objects in some threads."""
    with ThreadPoolExecutor(JOB_THREADS) as pool:
        for one in [pool.submit(get, client, f"all/folder-{number % HERD}/x") for number in range(objects)]:
            one.result()


def cold_row(
    local: Service,
    effort: Effort,
    what: str,
    rounds: int,
    work: Callable[[Any], object],
    chart: str | None = None,
    **options: Any,
) -> Row:
    """Measure something from making the session on, with the contestants by turns.

    Each goes on with what its earlier sessions have left in the process: the official plugin with the credentials
    themselves, which it shares among all callers, ours with its clients and the account of the key.
    The official plugin makes its clients for STS and S3 when it is registered, ours makes such when they are needed:
    so the making counts for all. ``work`` is given a client, and may return the moment that counts as its end.
    """
    taken: dict[str, list[float]] = {"plain": [], "peer": [], "ours": []}

    def measure(make: Callable[[], Any]) -> float:
        local.call("forget_requests")
        begin = time.perf_counter()
        end = work(make())
        return (end if isinstance(end, float) else time.perf_counter()) - begin

    for _ in range(rounds):
        taken["plain"].append(measure(partial(contestants.plain, local.bob)))
        if effort.peer and not options:
            taken["peer"].append(measure(partial(contestants.theirs, local.alice, fallback=False, is_cold=False)))
        taken["ours"].append(measure(partial(contestants.ours, local.alice, fallback="never", **options)))
    peer = NOTHING if options else NOT_HERE
    if taken["peer"]:
        peer = with_ratio(spread(taken["peer"], "ms", 1e3), over(taken["peer"], taken["plain"]))
    ours, plain = spread(taken["ours"], "ms", 1e3), spread(taken["plain"], "ms", 1e3)
    return Row(what, ours, plain, peer, over(taken["ours"], taken["plain"]), "ratio", chart=chart)


def herd_row(local: Service, effort: Effort) -> Row:
    """Measure how long a herd of threads waits at as many grants, against one cold request."""
    local.call("heal")
    local.call("delay", "GetDataAccess", VEND_SECONDS)

    def signing(client: Any, number: int) -> Callable[[], object]:
        # Signed and not sent: what S3 itself takes for 64 reads is not what is measured.
        params = {"Bucket": BUCKET, "Key": f"team-{number}/x"}
        return partial(client.generate_presigned_url, "get_object", Params=params)

    def measure(make: Callable[[Any], Any]) -> tuple[float, float]:
        one = at_once([signing(make(local.alice), 0)])
        client = make(local.alice)
        return one, at_once([signing(client, number) for number in range(HERD)])

    ours, theirs = [], []
    for _ in range(effort.of(3, 2)):
        ours.append(measure(partial(contestants.ours, account_id=local.account_id)))
        if effort.peer:
            theirs.append(measure(contestants.theirs))
    peer = NOT_HERE
    if theirs:
        together = [every for _, every in theirs]
        peer = with_ratio(spread(together, "ms", 1e3), over(together, [one for one, _ in theirs]))
    together = [every for _, every in ours]
    return Row(
        f"{HERD} threads cold, {HERD} grants, {VEND_SECONDS * 1e3:.0f} ms a vend, until all are signed; over one",
        spread(together, "ms", 1e3),
        NOTHING,
        peer,
        over(together, [one for one, _ in ours]),
        "ratio",
        3.0,
        CI_HERD,
        "waiting",
    )


def job_rows(local: Service, effort: Effort) -> Iterator[Row]:
    """Measure a cold job of many objects, and count what it asked for."""
    objects = effort.of(1_000, 64)
    asked: list[tuple[int, int]] = []

    def work(client: Any) -> float:
        job(client, objects)
        end = time.perf_counter()
        asked.append((local.call("calls", "GetObject"), local.call("control_calls")))
        return end

    yield cold_row(
        local,
        effort,
        f"a new session's job of {objects:,} objects in {JOB_THREADS} threads, one grant",
        1,
        work,
        chart="waiting",
    )
    # The last round's: plain boto3, the official plugin where it is installed, ours.
    shown = [Cell(f"{gets:,} + {controls:,}") for gets, controls in asked]
    yield Row(
        "– S3 requests + control calls of that",
        shown[-1],
        shown[0],
        shown[-2] if effort.peer else NOT_HERE,
        asked[-1][1],
        "count",
        3,
        3,
    )


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the section."""
    milliseconds = f"{ROUND_TRIP_SECONDS * 1e3:.0f} ms a round trip"
    rounds = 9
    with service() as local:
        local.round_trip(ROUND_TRIP_SECONDS)
        if not effort.quick:
            first = f"a new session's first GetObject, {milliseconds}"
            yield cold_row(local, effort, first, rounds, get, "waiting")
            download = f"first byte of its first download_file, {milliseconds}"
            yield cold_row(local, effort, download, rounds, first_byte, "waiting")
        yield from job_rows(local, effort)
        yield herd_row(local, effort)
