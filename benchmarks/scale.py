"""Looking credentials up among many and by long keys, and the memory they take."""

from __future__ import annotations

import datetime
import gc
import random
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from botocore.credentials import Credentials

from access_grants_provider.core.caller_state import CallerState, CallerStates
from access_grants_provider.core.clock import Clock
from access_grants_provider.core.credential_cache import CredentialCache, StoredCredentials
from access_grants_provider.core.scopes import GrantScope

from .rows import NOT_HERE, NOTHING, Cell, Effort, Row, over, spread, with_ratio

BUCKET = "warehouse"
SCOPES = (1, 1_000, 100_000)
KEY_LENGTHS = (30, 100, 300, 1_000, 1_024)
NOW = 1_000_000_000.0
# Stands still, so that no sweep comes between two look-ups.
STANDING = Clock(lambda: NOW, lambda: NOW)
END = datetime.datetime.fromtimestamp(NOW + 3600, datetime.timezone.utc)
# Design: ×1.5. One key gives ×1.2 to ×1.5; keys at random, which meet the names and records that are in no CPU cache,
# ×1.6 to ×3.8, the more the busier the machine. A walk over all scopes, which this has to catch, is ×1,000 and more.
CI_SCOPES = 8.0
# Design: ×2. Runs gave ×1.0 to ×1.1; a search that walks down the key is ×28, as the official plugin's.
CI_KEYS = 3.0
LOOKUPS = 200
STATM = Path("/proc/self/statm")
# Each entry that is added to the official plugin's cache walks all that are in it: 100,000 would take an hour.
PEER_SCOPES = 1_000
TOO_SLOW = Cell("not filled in reasonable time")


def names_of(number: int) -> list[str]:
    """Return prefixes of several depths and lengths, no two the same."""
    order = random.Random(1)
    words = ["".join(order.choice("abcdefghij") for _ in range(length)) for length in (2, 4, 6, 8) for _ in range(8)]
    return ["/".join(order.choices(words, k=order.randint(1, 5))) + f"/{one}/" for one in range(number)]


def stored(name: str, number: int = 0) -> StoredCredentials:
    """Return credentials for a prefix, their token of its own and as long as STS's."""
    return StoredCredentials(
        "READ",
        GrantScope(BUCKET, name, True),
        Credentials(f"ASIA{number:016d}", f"{number:040d}", f"{number:0760d}"),
        account_id="123456789012",
        region="us-east-1",
        expiration=END,
        now=NOW,
    )


def filled(names: list[str]) -> CallerState:
    """Return a caller's state with credentials for each prefix."""
    state = CallerStates("Default", STANDING).get_or_create(b"alice", "alice")
    for name in names:
        state.credentials.add(stored(name))
    return state


def filled_peer(names: list[str]) -> Callable[[str], object]:
    """Return the official plugin's look-up, with as many cached; what is not found raises, as it would ask AWS."""
    from aws_s3_access_grants_boto3_plugin.cache.access_grants_cache import AccessGrantsCache
    from aws_s3_access_grants_boto3_plugin.cache.cache_key import CacheKey
    from aws_s3_access_grants_boto3_plugin.exceptions import IllegalArgumentException

    cache, caller = AccessGrantsCache(cache_size=1_000_000), Credentials("ASIACALLER0000000001", "c" * 40, "t")
    for name in names:
        key = CacheKey(credentials=caller, permission="READ", s3_prefix=f"s3://{BUCKET}/{name}".removesuffix("/"))
        cache._put_value_in_cache(key, {"AccessKeyId": name})

    def find(key: str) -> object:
        asked = CacheKey(credentials=caller, permission="READ", s3_prefix=f"s3://{BUCKET}/{key}")
        try:
            return cache.get_credentials(None, asked, "123456789012", None)
        except IllegalArgumentException:
            return None

    return find


def timed(find: Callable[[Any], object], keys: list[Any], repeat: int = 1) -> float:
    """Return the CPU seconds of one look-up."""
    begin = time.process_time_ns()
    for _ in range(repeat):
        for key in keys:
            find(key)
    return (time.process_time_ns() - begin) / len(keys) / repeat / 1e9


def by_turns(rounds: int, works: dict[Any, Callable[[], float]]) -> dict[Any, list[float]]:
    """Return what each work says, round by round."""
    taken: dict[Any, list[float]] = {name: [] for name in works}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(work())
    gc.enable()
    return taken


def finder(state: CallerState) -> Callable[[Any], object]:
    """Return our look-up, the one a warm request makes."""
    return lambda target: state.credentials.get_fresh("READ", target, NOW)


def look_up_row(
    name: str,
    taken: dict[Any, list[float]],
    size: int,
    base: int,
    without_peer: Cell,
    bar: float,
    ci_bar: float,
) -> Row:
    """Return the row of the look-ups of one size, over those of another; ``without_peer``: why the peer has none."""
    peer = without_peer
    if ("peer", size) in taken:
        ratio = over(taken["peer", size], taken["peer", base])
        peer = with_ratio(spread(taken["peer", size], "µs", 1e6), ratio)
    ours = spread(taken["ours", size], "µs", 1e6)
    return Row(name, ours, NOTHING, peer, over(taken["ours", size], taken["ours", base]), "ratio", bar, ci_bar)


def scope_rows(effort: Effort, names: list[str], states: dict[int, CallerState]) -> Iterator[Row]:
    """Compare look-ups among many scopes with those where there is one."""
    order = random.Random(2)
    for what, at_random in (("one key again and again", False), ("keys at random", True)):
        for number in SCOPES[2:] if effort.quick else SCOPES[1:]:
            here = order.sample(names[:number], LOOKUPS) if at_random else [names[0]]
            works: dict[Any, Callable[[], float]] = {}
            for size, chosen in ((1, [names[0]]), (number, here)):
                keys = [GrantScope(BUCKET, f"{name}part-00042.parquet", False) for name in chosen]
                keys = (keys * LOOKUPS)[:LOOKUPS]
                works["ours", size] = partial(timed, finder(states[size]), keys, 20)
            peer = NOT_HERE if not effort.peer else TOO_SLOW
            if effort.peer and number <= PEER_SCOPES:
                for size, chosen in ((1, [names[0]]), (number, here)):
                    texts = ([f"{name}part-00042.parquet" for name in chosen] * LOOKUPS)[:LOOKUPS]
                    works["peer", size] = partial(timed, filled_peer(names[:size]), texts)
            taken = by_turns(effort.of(9, 5), works)
            name = f"look-up among {number:,} scopes over 1, {what}"
            yield look_up_row(name, taken, number, 1, peer, 1.5, CI_SCOPES)


def key_rows(effort: Effort, names: list[str], state: CallerState) -> Iterator[Row]:
    """Compare look-ups of long keys with those of short ones, where a grant covers them and where none does."""
    lengths = KEY_LENGTHS[::4] if effort.quick else KEY_LENGTHS
    find_peer = filled_peer(names[:1_000]) if effort.peer else None
    short = min(names[:1_000], key=len)
    for what, start in (("found", short), ("not found", "zz/")):
        works: dict[Any, Callable[[], float]] = {}
        for length in lengths:
            key = (start + "y/2026/" * 150)[:length]
            target = GrantScope(BUCKET, key, False)
            works["ours", length] = partial(timed, finder(state), [target] * LOOKUPS, 20)
            if find_peer is not None:
                works["peer", length] = partial(timed, find_peer, [key] * 20)
        taken = by_turns(effort.of(9, 5), works)
        for length in lengths[1:]:
            name = f"look-up of a key of {length:,} characters over {lengths[0]}, {what}"
            yield look_up_row(name, taken, length, lengths[0], NOT_HERE, 2.0, CI_KEYS)


def traced(number: int, make: Callable[[], Callable[[int], object]]) -> float:
    """Return how many bytes each of ``number`` entries takes, by tracemalloc."""
    gc.collect()
    tracemalloc.start()
    add = make()
    before, _ = tracemalloc.get_traced_memory()
    for one in range(number):
        add(one)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / number


def our_adder() -> Callable[[int], object]:
    """Return what adds one more to a cache of ours."""
    cache = CredentialCache(10**6, STANDING)
    return lambda number: cache.add(stored(f"team/{number}/", number))


def peer_adder() -> Callable[[int], object]:
    """Return what adds one more to a cache of the official plugin."""
    from aws_s3_access_grants_boto3_plugin.cache.access_grants_cache import AccessGrantsCache
    from aws_s3_access_grants_boto3_plugin.cache.cache_key import CacheKey

    cache, caller = AccessGrantsCache(cache_size=1_000_000), Credentials("ASIACALLER0000000001", "c" * 40, "t")

    def add(number: int) -> None:
        key = CacheKey(credentials=caller, permission="READ", s3_prefix=f"s3://{BUCKET}/team/{number}")
        value = {
            "AccessKeyId": f"ASIA{number:016d}",
            "SecretAccessKey": f"{number:040d}",
            "SessionToken": f"{number:0760d}",
            "Expiration": END + datetime.timedelta(seconds=number),
        }
        cache._put_value_in_cache(key, value)

    return add


def resident(number: int, adder: str) -> float:
    """Return how many bytes each of ``number`` entries adds to a new process, by its resident size."""
    program = f"from benchmarks.scale import *; print(grown({number}, {adder}()))"
    folder = Path(__file__).resolve().parent.parent
    run = subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True)
    return float(run.stdout)


def grown(number: int, add: Callable[[int], object]) -> float:
    """Return how much this process's resident size grows by each entry."""
    before = _resident()
    for one in range(number):
        add(one)
    return (_resident() - before) / number


def _resident() -> int:
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


def memory_rows(effort: Effort) -> Iterator[Row]:
    """Measure the memory of a cached credential."""

    def cell(value: float) -> Cell:
        return Cell(f"{value:,.0f} B", value)

    number = effort.of(10_000, 5_000)
    ours = traced(number, our_adder)
    peer = cell(traced(PEER_SCOPES, peer_adder)) if effort.peer else NOT_HERE
    what = f"memory per cached credential with a token of 760 characters, tracemalloc, {number:,}"
    yield Row(what, cell(ours), NOTHING, peer, ours, "bytes", 2048, 2048, "memory")
    number = effort.of(50_000, 20_000)
    if not STATM.exists():
        yield Row(f"– by the resident size, {number:,}", NOT_HERE)
        return
    own = statistics.median(resident(number, "our_adder") for _ in range(effort.of(3, 1)))
    # Pages and arenas come on top of what is asked for, in other amounts with each Python and libc.
    yield Row(f"– by the resident size, {number:,}", cell(own), judged=own, kind="bytes", bar=2048, ci_bar=3072)


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the section."""
    names = names_of(max(SCOPES))
    states = {number: filled(names[:number]) for number in SCOPES}
    yield from scope_rows(effort, names, states)
    yield from key_rows(effort, names, states[max(SCOPES)])
    yield from memory_rows(effort)
