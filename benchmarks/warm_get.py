"""What a warm GetObject costs the caller, in one thread and in many.

The contestants take turns in short rounds in one process; the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import gc
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import contestants
from .answered import BUCKET, KEY, Caller, Service, answered
from .rows import NOT_HERE, Cell, Effort, Row, count, over, spread, with_ratio

UNMEASURED = 5
# Promise: ×1.02. Quick runs on two cores, quiet and with ten processes waiting for them, gave ×0.93 to ×1.07. What this
# has to catch is the generator of the cold path on each request, which is ×1.115; a call to STS on each is ×1.8.
CI_CPU = 1.10
THREADS = (1, 8, 64)


def clients(effort: Effort) -> dict[str, Any]:
    """Return the clients to compare, by name."""
    caller = Caller()
    made = {"plain": contestants.plain(caller), "ours": contestants.ours(caller)}
    if effort.peer:
        made["peer"] = contestants.theirs(caller, fallback=False)
    return made


def read(client: Any) -> None:
    """Do a GetObject."""
    client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()


def rounds_of(
    number: int, made: dict[str, Any], work: Callable[[Any], float], prepare: Callable[[Any], object]
) -> dict[str, list[float]]:
    """Return what ``work`` says for each client, by round."""
    taken: dict[str, list[float]] = {name: [] for name in made}
    names, order = list(made), random.Random(0)
    # What exists by now is out of the collector's sight: a collection between two rounds takes no time then.
    gc.collect()
    gc.freeze()
    for _ in range(number):
        # In a random order, and each begins unmeasured: or one would always run in the caches another left behind.
        order.shuffle(names)
        for name in names:
            gc.collect()
            gc.disable()
            prepare(made[name])
            taken[name].append(work(made[name]))
            gc.enable()
    gc.unfreeze()
    return taken


def cpu_row(service: Service, made: dict[str, Any], effort: Effort) -> Iterator[Row]:
    """Measure CPU in one thread, and count what all warm requests ask for."""
    requests = effort.of(100, 30)
    asked: dict[str, Counter[str]] = {name: Counter() for name in made}

    def prepare(client: Any) -> None:
        for _ in range(UNMEASURED):
            read(client)

    def work(client: Any) -> float:
        service.operations.clear()
        start = time.process_time_ns()
        for _ in range(requests):
            read(client)
        taken = (time.process_time_ns() - start) / requests / 1e9
        asked[next(name for name, one in made.items() if one is client)].update(service.operations)
        return taken

    taken = rounds_of(effort.of(60, 40), made, work, prepare)
    ratio = over(taken["ours"], taken["plain"])
    peer = NOT_HERE
    if "peer" in taken:
        peer = with_ratio(spread(taken["peer"], "µs", 1e6), over(taken["peer"], taken["plain"]))
    yield Row(
        "CPU of a warm GetObject, answered in process",
        spread(taken["ours"], "µs", 1e6),
        spread(taken["plain"], "µs", 1e6),
        peer,
        ratio,
        "ratio",
        1.02,
        CI_CPU,
        "cpu",
    )
    total = len(taken["plain"]) * requests
    extra = {name: sum(asked[name].values()) - asked[name]["GetObject"] for name in made}
    yield count(
        f"control calls of {total:,} warm requests",
        extra["ours"],
        0,
        plain=extra["plain"],
        peer=extra.get("peer", NOT_HERE),
    )
    more = asked["ours"]["GetObject"] - asked["plain"]["GetObject"]
    shown = {name: Cell(f"{asked[name]['GetObject']:,}") for name in made}
    yield Row(
        f"S3 requests sent for {total:,} warm requests, more than plain",
        shown["ours"],
        shown["plain"],
        shown.get("peer", NOT_HERE),
        more,
        "count",
        0,
        0,
    )


def thread_rows(made: dict[str, Any], effort: Effort) -> Iterator[Row]:
    """Measure the wall time of warm requests in one to many threads."""
    for threads in THREADS:
        each = 192 // threads
        with ThreadPoolExecutor(threads) as pool:

            def work(client: Any, threads: int = threads, each: int = each, pool: ThreadPoolExecutor = pool) -> float:
                barrier = threading.Barrier(threads)

                def run() -> tuple[float, float]:
                    barrier.wait()
                    begin = time.perf_counter()
                    for _ in range(each):
                        read(client)
                    return begin, time.perf_counter()

                ran = [one.result() for one in [pool.submit(run) for _ in range(threads)]]
                return (max(end for _, end in ran) - min(begin for begin, _ in ran)) / each / threads

            taken = rounds_of(10, made, work, lambda _client: None)
        peer = NOT_HERE
        if "peer" in taken:
            peer = with_ratio(spread(taken["peer"], "µs", 1e6), over(taken["peer"], taken["plain"]))
        yield Row(
            f"a warm GetObject, wall time, {threads} thread{'s' * (threads > 1)}",
            spread(taken["ours"], "µs", 1e6),
            spread(taken["plain"], "µs", 1e6),
            peer,
            over(taken["ours"], taken["plain"]),
            "ratio",
        )


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the section."""
    with answered() as service:
        made = clients(effort)
        for client in made.values():
            for _ in range(20):
                read(client)
        yield from cpu_row(service, made, effort)
        if not effort.quick:
            yield from thread_rows(made, effort)
