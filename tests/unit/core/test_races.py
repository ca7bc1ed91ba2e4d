"""Races made certain: each thread is held between reading and writing, where only the lock can keep the others out.

Each rule has a twin that takes the lock away and sees the rule break, so the test is known to be able to fail.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.io_requests import Answer, Ask, Rules, Vend, Wait
from access_grants_provider.core.resolver import find
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.provider import AccessGrantsProvider

THREADS = 8


class Crowd:
    """Holds threads where a race would have to happen: all look before the first asks, and ask after it has landed.

    With the lock nobody can come along, so the waiting ends in vain, once.
    """

    def __init__(self, memory: Memory) -> None:
        self.looked = threading.Barrier(THREADS)
        self.landed = threading.Event()
        self.patient = True
        self.credentials = memory.credentials
        self.flights = memory.flights = Flights(self)
        memory.credentials = self  # type: ignore[assignment]

    def find(self, *args: Any) -> Any:
        found = self.credentials.find(*args)
        if found is None:
            with contextlib.suppress(threading.BrokenBarrierError):
                self.looked.wait(0.5)
        return found

    def add(self, *args: Any) -> None:
        self.credentials.add(*args)


class Flights(dict):
    """Flights that all but the first board when the first has landed."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self.crowd = crowd
        self.first = itertools.count()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if next(self.first) and self.crowd.patient:
            self.crowd.patient = self.crowd.landed.wait(0.5)
        return super().setdefault(key, default)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self.crowd.landed.set()


RULES = Rules(AccessGrantsConfig(account_id="123456789012"), time.time, lambda _: True)


def request(memory: Memory, key: str, matched: Callable[[Vend], str]) -> Vended:
    """Make one request in this thread; ``matched`` is the service and says which grant answers."""
    expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    steps = find(memory, Ask("GetObject", "READ", GrantScope("b", key, False), "us-east-1"), RULES)
    answer: Answer | None = None
    try:
        while True:
            step = steps.send(answer)
            if isinstance(step, Wait):
                step.flight.done.result(10)
                answer = None
            else:
                assert isinstance(step, Vend)
                answer = Answer("signer", expiration, matched(step), None)
    except StopIteration as done:
        vended: Vended = done.value[0]
        return vended


def vends_of_a_herd(lock: Any) -> int:
    memory = Memory(lock, "AKIA…TEST", 100)
    Crowd(memory)
    vends: list[Vend] = []

    def whole_bucket(step: Vend) -> str:
        vends.append(step)
        return "s3://b/*"

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda number: request(memory, f"{number}/x", whole_bucket), range(THREADS)))
    return len(vends)


def test_a_cold_herd_makes_one_call():
    assert vends_of_a_herd(threading.RLock()) == 1


def test_without_the_lock_the_herd_makes_many():
    assert vends_of_a_herd(contextlib.nullcontext()) > 1


class SlowCounts(dict):
    """Counts whose readers meet before they write."""

    def __init__(self, counts: dict[str, int], patience: float) -> None:
        super().__init__(counts)
        self.barrier = threading.Barrier(THREADS, timeout=patience)

    def __getitem__(self, key: str) -> int:
        value = super().__getitem__(key)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.barrier.wait()
        return value


def counted(lock: Any, patience: float) -> int:
    provider = AccessGrantsProvider(AccessGrantsConfig())
    provider._counts = SlowCounts(provider._counts, patience)
    provider._lock = lock
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(THREADS):
            pool.submit(provider.count, "granted")
    return dict(provider._counts.items())["granted"]


def test_no_count_is_lost():
    # Behind the lock they come one by one and never meet.
    assert counted(threading.RLock(), patience=0.2) == THREADS


def test_without_the_lock_counts_are_lost():
    assert counted(contextlib.nullcontext(), patience=60) < THREADS


def test_adding_and_finding_at_once_never_shows_a_half_changed_cache():
    memory = Memory(threading.RLock(), "AKIA…TEST", 50)

    def folder(step: Vend) -> str:
        return f"s3://b/{step.target.key.rpartition('/')[0]}/*"

    def work(worker: int) -> None:
        for number in range(200):
            key = f"{worker}/{number % 40}/x"
            assert request(memory, key, folder).scope.covers(GrantScope("b", key, False))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    assert len(memory.credentials) <= 50
