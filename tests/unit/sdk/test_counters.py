"""Counts that many threads add to without a lock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from access_grants_provider.sdk.counters import Counters, Stats

THREADS, ADDED = 8, 2_000


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Have threads take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_each_field_is_counted_by_itself() -> None:
    counters = Counters()
    assert counters.stats() == Stats()
    for number, name in enumerate(Stats._fields):
        for _ in range(number):
            counters.add[name]()
    expected = Stats(*range(len(Stats._fields)))
    # A cache hit is a granted request too, and counted once on its way.
    assert counters.stats() == expected._replace(granted=expected.granted + expected.cache_hits)


def test_reading_counts_for_nothing() -> None:
    counters = Counters()
    counters.add["vended"]()
    assert {counters.stats() for _ in range(10)} == {Stats(vended=1)}


@pytest.mark.usefixtures("_hasty_threads")
def test_no_count_is_lost_among_threads() -> None:
    counters = Counters()

    def work(_: int) -> None:
        for _ in range(ADDED):
            counters.add["granted"]()
            counters.add["control_calls"]()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    stats = counters.stats()
    assert (stats.granted, stats.control_calls) == (THREADS * ADDED, THREADS * ADDED)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_that_read_at_once_read_the_same() -> None:
    counters = Counters()
    for _ in range(5):
        counters.add["vended"]()

    def read(_: int) -> set[Stats]:
        return {counters.stats() for _ in range(ADDED)}

    with ThreadPoolExecutor(THREADS) as pool:
        assert set().union(*pool.map(read, range(THREADS))) == {Stats(vended=5)}
