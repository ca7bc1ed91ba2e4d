"""Races made certain: each thread is held between reading and writing, where only the lock can keep the others out.

Each rule has a twin that takes the lock away and sees the rule break, so the test is known to be able to fail.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from access_grants_provider.config import AccessGrantsConfig
from access_grants_provider.flow import find
from access_grants_provider.memory import Memory
from access_grants_provider.provider import AccessGrantsProvider
from access_grants_provider.scopes import GrantScope
from access_grants_provider.steps import Answer, Ask, Rules, Vend, Wait

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


def vends_of_a_herd(lock: Any) -> int:
    memory = Memory(lock, "AKIA…TEST", 100)
    memory.account_id = "123456789012"
    Crowd(memory)
    rules = Rules(AccessGrantsConfig(account_id="123456789012"), time.time, lambda _: True)
    expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    vends: list[Vend] = []

    def request(number: int) -> None:
        steps = find(memory, Ask("GetObject", "READ", GrantScope("b", f"{number}/x", False), "us-east-1"), rules)
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Wait):
                    step.flight.done.result(10)
                    answer = None
                else:
                    assert isinstance(step, Vend)
                    vends.append(step)
                    answer = Answer("signer", expiration, "s3://b/*", None)
        except StopIteration:
            return

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(request, range(THREADS)))
    return len(vends)


def test_a_cold_herd_makes_one_call():
    assert vends_of_a_herd(threading.RLock()) == 1


def test_without_the_lock_the_herd_makes_many():
    assert vends_of_a_herd(contextlib.nullcontext()) > 1


class SlowCounts(dict):
    """Counts whose readers meet before they write."""

    def __init__(self, counts: dict[str, int]) -> None:
        super().__init__(counts)
        self.barrier = threading.Barrier(THREADS)

    def __getitem__(self, key: str) -> int:
        value = super().__getitem__(key)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.barrier.wait(0.2)
        return value


def counted(lock: Any) -> int:
    provider = AccessGrantsProvider(AccessGrantsConfig())
    provider._counts = SlowCounts(provider._counts)
    provider._lock = lock
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(THREADS):
            pool.submit(provider.count, "granted")
    return dict(provider._counts.items())["granted"]


def test_no_count_is_lost():
    assert counted(threading.RLock()) == THREADS


def test_without_the_lock_counts_are_lost():
    assert counted(contextlib.nullcontext()) < THREADS


@pytest.mark.parametrize("rounds", [20])
def test_adding_and_finding_at_once_never_shows_a_half_changed_cache(rounds):
    memory = Memory(threading.RLock(), "AKIA…TEST", 50)
    expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    rules = Rules(AccessGrantsConfig(account_id="123456789012"), time.time, lambda _: True)

    def work(worker: int) -> None:
        for number in range(rounds * 10):
            key = f"{worker}/{number % 40}/x"
            target = GrantScope("b", key, False)
            steps = find(memory, Ask("GetObject", "READ", target, "us-east-1"), rules)
            answer: Any = None
            try:
                while True:
                    step = steps.send(answer)
                    if isinstance(step, Wait):
                        step.flight.done.result(10)
                        answer = None
                    else:
                        folder = step.target.key.rpartition("/")[0]
                        answer = Answer("signer", expiration, f"s3://b/{folder}/*", None)
            except StopIteration as done:
                found, _ = done.value
                assert found.scope.covers(target)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    assert len(memory.credentials) <= 50
