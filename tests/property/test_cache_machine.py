"""The callers' credentials against a plain list, with clocks that move."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from access_grants_provider.core.caller_state import CallerState, CallerStates
from access_grants_provider.core.clock import Clock
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.scopes import GrantScope

LIMIT = 6
CALLERS = [b"ann", b"bob"]
ORDER = {"READ": ["READ", "READWRITE"], "WRITE": ["WRITE", "READWRITE"], "READWRITE": ["READWRITE"]}

names = st.text("ab/", max_size=3)
permissions: Any = st.sampled_from(["READ", "WRITE", "READWRITE"])
scopes = st.builds(GrantScope, st.sampled_from(["s", "sa"]), names, st.booleans())
callers = st.sampled_from(CALLERS)


def holds(scope: GrantScope, target: GrantScope) -> bool:
    """Say naively whether a target lies in a scope: both written as text, a star for the rest."""
    held, asked = (f"{one.bucket}|{one.key}" + "*" * one.is_prefix for one in (scope, target))
    return asked.startswith(held[:-1]) if scope.is_prefix else held == asked


def nearness(stored: StoredCredentials, permission: str) -> tuple[int, bool, int]:
    """Sort as ``find`` chooses: the permission asked for first, then the exact key, then the longest prefix."""
    return (ORDER[permission].index(stored.permission), stored.scope.is_prefix, -len(stored.scope.key))


def chosen(serving: list[StoredCredentials], permission: str, now: float) -> StoredCredentials | None:
    """Choose as ``find`` does: the exact key, the longest prefix; what is in its last window comes last."""
    nearest: dict[tuple[str, bool], StoredCredentials] = {}
    for stored in sorted(serving, key=lambda one: nearness(one, permission)):
        nearest.setdefault((stored.permission, stored.scope.is_prefix), stored)
    usable = (stored for stored in nearest.values() if now < stored.mandatory_refresh_at)
    return next(usable, next(iter(nearest.values()), None))


class CacheMachine(RuleBasedStateMachine):
    """What is stored, dropped and evicted here is stored, dropped and evicted there."""

    records = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000.0
        self.passed = 1_000.0
        self.kept: dict[bytes, list[StoredCredentials]] = {one: [] for one in CALLERS}
        self.owner: dict[int, bytes] = {}
        self.states: dict[bytes, CallerState] = {}

    @initialize()
    def two_callers_of_one_provider(self) -> None:
        states = CallerStates("Default", Clock(lambda: self.now, lambda: self.passed))
        states._max_credentials = LIMIT
        self.states = {caller: states.get_or_create(caller, caller.decode()) for caller in CALLERS}

    @rule(target=records, caller=callers, permission=permissions, scope=scopes, life=st.integers(1, 2_000))
    def vend(self, caller: bytes, permission: Any, scope: GrantScope, life: int) -> StoredCredentials:
        expiration = datetime.fromtimestamp(self.now + life, timezone.utc)
        stored = StoredCredentials(
            permission, scope, object(), account_id="1" * 12, region="r", expiration=expiration, now=self.now
        )
        wanted = [one for one in self.kept[caller] if (one.permission, one.scope) != (permission, scope)] + [stored]
        self.states[caller].credentials.add(stored)
        left = list(self.states[caller].credentials)
        assert all(one in wanted for one in left), "something came from nowhere, or was kept beside its successor"
        assert stored in left, "what was stored just now is not there"
        living_gone = [one for one in wanted if one not in left and one.expires_at > self.now]
        if living_gone:
            living = [one for one in wanted if one.expires_at > self.now]
            assert len(living) > LIMIT, "something that lives was evicted though there was room"
            latest = max(one.used_at for one in living_gone)
            assert all(latest <= one.used_at for one in left if one is not stored), "not the least recently used went"
        self.kept[caller] = left
        self.owner[id(stored)] = caller
        return stored

    @rule(caller=callers, permission=permissions, asked=scopes)
    def find(self, caller: bytes, permission: Any, asked: GrantScope) -> None:
        serving = [one for one in self.kept[caller] if one.permission in ORDER[permission] and holds(one.scope, asked)]
        found = self.states[caller].credentials.find(permission, asked, self.now)
        assert found is chosen(serving, permission, self.now)

    @rule(caller=callers, permission=permissions, asked=scopes)
    def ask(self, caller: bytes, permission: Any, asked: GrantScope) -> None:
        stored = self.states[caller].credentials.get_fresh(permission, asked, self.now)
        if stored is None:
            found = self.states[caller].credentials.find(permission, asked, self.now)
            assert found is None or self.now >= found.advisory_refresh_at, "good credentials were not handed out"
            return
        assert self.owner[id(stored)] == caller
        assert stored.permission in ORDER[permission]
        assert holds(stored.scope, asked)
        assert self.now < stored.advisory_refresh_at < stored.expires_at
        assert stored.used_at == self.now

    @rule(record=records, caller=callers)
    def drop(self, record: StoredCredentials, caller: bytes) -> None:
        self.states[caller].credentials.drop(record)
        self.kept[caller] = [one for one in self.kept[caller] if one is not record]

    @rule(seconds=st.floats(0.5, 1_000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds

    @rule(seconds=st.floats(0.5, 30_000))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.now -= seconds

    @invariant()
    def the_same_is_kept_and_no_more_than_the_limit(self) -> None:
        for caller, state in self.states.items():
            cache = state.credentials
            assert len(cache) == len(self.kept[caller]) <= LIMIT
            assert {id(one) for one in cache} == {id(one) for one in self.kept[caller]}
            assert all(self.owner[id(one)] == caller for one in cache)


CacheMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCacheMachine = CacheMachine.TestCase
