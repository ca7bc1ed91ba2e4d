"""Memory and its cache against a plain list, with a clock that moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from access_grants_provider.core.caller_state import Memory, Store
from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.scopes import GrantScope

LIMIT = 6
REQUESTERS = [b"ann", b"bob"]
ORDER = {"READ": ["READ", "READWRITE"], "WRITE": ["WRITE", "READWRITE"], "READWRITE": ["READWRITE"]}

names = st.text("ab/", max_size=3)
permissions: Any = st.sampled_from(["READ", "WRITE", "READWRITE"])
scopes = st.builds(GrantScope, st.sampled_from(["s", "sa"]), names, st.booleans())
requesters = st.sampled_from(REQUESTERS)


def holds(scope: GrantScope, target: GrantScope) -> bool:
    """Say naively whether a target lies in a scope: both written as text, a star for the rest."""
    held, asked = (f"{one.bucket}|{one.key}" + "*" * one.is_prefix for one in (scope, target))
    return asked.startswith(held[:-1]) if scope.is_prefix else held == asked


def nearness(vended: Vended, permission: str) -> tuple[int, bool, int]:
    """Sort as ``find`` chooses: the permission asked for first, then the exact key, then the longest prefix."""
    return (ORDER[permission].index(vended.permission), vended.scope.is_prefix, -len(vended.scope.key))


ELSEWHERE = ThreadPoolExecutor(1)


class CacheMachine(RuleBasedStateMachine):
    """What is vended, dropped and evicted here is vended, dropped and evicted there."""

    records = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000.0
        self.kept: dict[bytes, list[Vended]] = {one: [] for one in REQUESTERS}
        self.owner: dict[int, bytes] = {}
        self.memories: dict[bytes, Memory] = {}

    @initialize()
    def two_requesters_of_one_store(self) -> None:
        store = Store("Default")
        store._limit = LIMIT
        self.memories = {one: store.memory(one, one.decode()) for one in REQUESTERS}

    @rule(target=records, who=requesters, permission=permissions, scope=scopes, life=st.integers(1, 2_000))
    def vend(self, who: bytes, permission: Any, scope: GrantScope, life: int) -> Vended:
        expiration = datetime.fromtimestamp(self.now + life, timezone.utc)
        vended = Vended(
            permission, scope, object(), account_id="1" * 12, region="r", expiration=expiration, now=self.now
        )
        wanted = [one for one in self.kept[who] if (one.permission, one.scope) != (permission, scope)] + [vended]
        self.memories[who].credentials.add(vended, self.now)
        left = list(self.memories[who].credentials)
        assert all(one in wanted for one in left), "something came from nowhere, or was kept beside its successor"
        assert vended in left, "what was vended just now is not there"
        living_gone = [one for one in wanted if one not in left and one.expires_at > self.now]
        if living_gone:
            living = [one for one in wanted if one.expires_at > self.now]
            assert len(living) > LIMIT, "something that lives was evicted though there was room"
            latest = max(one.used_at for one in living_gone)
            assert all(latest <= one.used_at for one in left if one is not vended), "not the least recently used went"
        self.kept[who] = left
        self.owner[id(vended)] = who
        return vended

    @rule(who=requesters, permission=permissions, asked=scopes)
    def find(self, who: bytes, permission: Any, asked: GrantScope) -> None:
        serving = [one for one in self.kept[who] if one.permission in ORDER[permission] and holds(one.scope, asked)]
        nearest = min(serving, key=lambda one: nearness(one, permission), default=None)
        assert self.memories[who].credentials.find(permission, asked) is nearest

    @rule(who=requesters, permission=permissions, asked=scopes)
    def ask(self, who: bytes, permission: Any, asked: GrantScope) -> None:
        vended = self.memories[who].warm(permission, asked, self.now)
        if vended is None:
            found = self.memories[who].credentials.find(permission, asked)
            assert found is None or self.now >= found.refresh_at, "good credentials were not handed out"
            return
        assert self.owner[id(vended)] == who
        assert vended.permission in ORDER[permission]
        assert holds(vended.scope, asked)
        assert self.now < vended.refresh_at < vended.expires_at
        assert vended.used_at == self.now

    @rule(record=records, who=requesters)
    def drop(self, record: Vended, who: bytes) -> None:
        self.memories[who].credentials.drop(record)
        self.kept[who] = [one for one in self.kept[who] if one is not record]

    @rule(seconds=st.floats(0.5, 1_000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_same_is_kept_and_no_more_than_the_limit(self) -> None:
        for who, memory in self.memories.items():
            cache = memory.credentials
            assert len(cache) == len(self.kept[who]) <= LIMIT
            assert {id(one) for one in cache} == {id(one) for one in self.kept[who]}
            assert all(self.owner[id(one)] == who for one in cache)

    @invariant()
    def nobody_is_inside(self) -> None:
        # Asked from another thread, since whoever holds the lock may take it again.
        for memory in self.memories.values():
            assert ELSEWHERE.submit(memory.lock.acquire, blocking=False).result()
            ELSEWHERE.submit(memory.lock.release).result()


CacheMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCacheMachine = CacheMachine.TestCase
