"""What is remembered belongs to one caller, is bounded, and ends in time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_grants_provider.core import caller_state as module
from access_grants_provider.core.caller_state import (
    DENIAL_SECONDS,
    CallerState,
    CallerStates,
    DenialCache,
    Owner,
)
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.listed_grants import ListedGrants
from access_grants_provider.core.scopes import PERMISSIONS, GrantScope, Permission
from access_grants_provider.core.service_errors import Denial

from .interruption import interrupted_at_every_step
from .resolver_steps import HERE, OWNER, THERE, at

if TYPE_CHECKING:
    from ..conftest import Clock

MakeStored = Callable[..., StoredCredentials]


class Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None = None


ANN = Keys("AKIAANN", "secret of Ann", "token")


@pytest.fixture
def states(clock: Clock) -> CallerStates:
    return CallerStates("Default", clock.both)


def denial(until: float = 300.0, kind: Any = "no grant") -> Denial:
    return Denial(kind, "no", until)


@pytest.mark.parametrize(
    "other",
    [
        ANN._replace(secret_key="another secret"),
        ANN._replace(token="another token"),
        ANN._replace(token=None),
        ANN._replace(access_key="AKIABOB"),
        Keys("AKIAANNs", "ecret of Ann", "token"),
        Keys("AKIAANN", "secret of Annt", "oken"),
    ],
)
def test_other_credentials_are_another_caller(states: CallerStates, other: Keys) -> None:
    assert states.digest(ANN) != states.digest(other)
    ann = states.get_or_create(states.digest(ANN), "ann")
    assert ann is not states.get_or_create(states.digest(other), "other")


def test_the_same_credentials_are_the_same_caller(states: CallerStates) -> None:
    again = Keys(*ANN)
    ann = states.get_or_create(states.digest(ANN), "ann")
    assert ann is states.get_or_create(states.digest(again), "ann")
    assert len(states) == 1


def test_a_digest_tells_nothing_outside_its_states(states: CallerStates, clock: Clock) -> None:
    digest = states.digest(ANN)
    assert digest != CallerStates("Default", clock.both).digest(ANN)
    assert not any(part.encode() in digest for part in ANN if part)


def test_nothing_is_shared_between_two_callers(states: CallerStates, make_stored: MakeStored) -> None:
    ann = states.get_or_create(states.digest(ANN), "ann")
    bob = states.get_or_create(states.digest(ANN._replace(secret_key="Bob's")), "bob")
    ann.credentials.add(make_stored())
    ann.denials.add("READ", at("x"), denial())
    ann.instance_denials[OWNER, HERE] = denial()
    ann.bucket("sales").region = THERE
    ann.account_id = "111122223333"
    with ann.calls.own_call() as mine:
        ann.calls.join_or_start("key", mine)  # type: ignore[arg-type]
        assert bob.calls.under_way("key") is None  # type: ignore[arg-type]
    assert bob.credentials.get_fresh("READ", at("emea/x"), 0) is None
    assert bob.denials.find("READ", at("x"), 0) is None
    assert bob.instance_denial(OWNER, HERE, "READ", at("x"), 0) is None
    assert bob.bucket("sales").region is None
    assert bob.account_id is None
    assert bob.breaker(HERE) is not ann.breaker(HERE)


def test_credentials_that_were_rotated_go_with_all_that_was_vended(
    states: CallerStates, make_stored: MakeStored
) -> None:
    digest = states.digest(ANN)
    states.get_or_create(digest, "ann").credentials.add(make_stored())
    states.forget(digest)
    states.forget(digest)
    assert len(states) == 0
    assert len(states.get_or_create(digest, "ann").credentials) == 0


def test_the_caller_seen_longest_ago_goes_first(states: CallerStates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLERS", 2)
    first, second = states.get_or_create(b"1", "1"), states.get_or_create(b"2", "2")
    assert states.get_or_create(b"1", "1") is first
    states.get_or_create(b"3", "3")
    assert len(states) == 2
    assert states.get_or_create(b"1", "1") is first
    assert states.get_or_create(b"2", "2") is not second


# Callers that ended.


def test_callers_that_ended_are_swept(states: CallerStates, make_stored: MakeStored, clock: Clock) -> None:
    for number in range(100):
        state = states.get_or_create(b"%d" % number, "old")
        for part in range(5):
            state.credentials.add(make_stored("READ", f"s3://sales/{part}/*", seconds=900))
    clock.advance(901)
    states.get_or_create(b"new", "new")
    assert len(states) == 1


def test_they_are_swept_in_time_though_the_clock_is_set_back(states: CallerStates, clock: Clock) -> None:
    states.get_or_create(b"old", "old")
    clock.set_back(8 * 3600)
    clock.advance(DENIAL_SECONDS)
    states.get_or_create(b"new", "new")
    assert len(states) == 1


def test_a_caller_with_credentials_that_live_stays(states: CallerStates, make_stored: MakeStored, clock: Clock) -> None:
    alive = states.get_or_create(b"alive", "alive")
    alive.credentials.add(make_stored("READ", "s3://sales/a/*", seconds=900))
    alive.credentials.add(make_stored("READ", "s3://sales/b/*", seconds=3600))
    clock.advance(1_000)
    states.get_or_create(b"new", "new")
    assert states.get_or_create(b"alive", "alive") is alive


def test_a_caller_whose_denials_may_hold_stays(states: CallerStates, clock: Clock) -> None:
    states.get_or_create(b"first", "first")
    clock.advance(DENIAL_SECONDS - 1)
    recent = states.get_or_create(b"recent", "recent")
    clock.advance(DENIAL_SECONDS - 1)
    states.get_or_create(b"new", "new")
    assert states.get_or_create(b"recent", "recent") is recent


def test_the_sweep_is_made_once_in_five_minutes(states: CallerStates, clock: Clock) -> None:
    states.get_or_create(b"1", "1")
    clock.advance(DENIAL_SECONDS)
    states.get_or_create(b"2", "2")
    clock.advance(DENIAL_SECONDS - 1)
    states.get_or_create(b"3", "3")
    assert len(states) == 2
    clock.advance(1)
    states.get_or_create(b"4", "4")
    assert len(states) == 2


def test_no_interruption_breaks_the_table_of_callers(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLERS", 2)

    def begin() -> Any:
        states = CallerStates("Default", clock.both)
        returned: list[Any] = []
        for digest in (b"1", b"2"):
            states.get_or_create(digest, "old")
        clock.advance(DENIAL_SECONDS)

        def check() -> None:
            assert all(isinstance(state, CallerState) for state in returned)
            assert len(states) <= 2
            assert states.get_or_create(b"4", "new") is states.get_or_create(b"4", "new")

        def others() -> None:
            states.forget(b"1")
            returned.append(states.get_or_create(b"3", "new"))
            states.forget(b"3")

        return lambda: returned.append(states.get_or_create(b"3", "new")), others, check

    assert interrupted_at_every_step(begin) > 20
    assert interrupted_at_every_step(begin, swapped=True) > 20


# Denials.


def test_a_denial_holds_for_its_target_and_permission_until_its_time(state: CallerState) -> None:
    no = denial(300.0)
    state.denials.add("READ", at("x"), no)
    assert state.denials.find("READ", at("x"), 299.9) is no
    assert state.denials.find("READ", at("x"), 300.0) is None
    assert state.denials.find("WRITE", at("x"), 0) is None
    assert state.denials.find("READ", at("y"), 0) is None
    assert state.denials.find("READ", GrantScope("sales", "x", True), 0) is None


@pytest.mark.parametrize("kind", ["no instance", "permission missing"])
def test_a_denial_that_is_not_about_the_target_holds_for_the_instance(state: CallerState, kind: Any) -> None:
    no = state.instance_denials[OWNER, HERE] = denial(300.0, kind)
    assert state.instance_denial(OWNER, HERE, "WRITE", at("y"), 299.9) is no
    assert state.instance_denial(OWNER, HERE, "READ", at("x", "other"), 0) is no
    assert state.instance_denial(OWNER, HERE, "WRITE", at("y"), 300.0) is None
    assert state.instance_denial(OWNER, THERE, "READ", at("x"), 0) is None
    assert state.instance_denial("111122223333", HERE, "READ", at("x"), 0) is None


READ_A: tuple[Permission, GrantScope] = ("READ", GrantScope("sales", "a/", True))
WRITE_A: tuple[Permission, GrantScope] = ("WRITE", GrantScope("sales", "a/", True))
BOTH_A: tuple[Permission, GrantScope] = ("READWRITE", GrantScope("sales", "a/", True))


@pytest.mark.parametrize(
    ("grants", "permission", "key", "a_chance"),
    [
        ((READ_A,), "READ", "a/x", True),
        ((READ_A,), "READ", "b/x", False),
        ((READ_A,), "WRITE", "a/x", False),
        ((READ_A,), "READWRITE", "a/x", False),
        ((READ_A, WRITE_A), "READWRITE", "a/x", True),
        ((BOTH_A,), "READ", "a/x", True),
        ((BOTH_A,), "WRITE", "a/x", True),
        ((BOTH_A,), "READWRITE", "a/x", True),
        ((), "READ", "a/x", False),
        (None, "READ", "a/x", True),
    ],
)
def test_listed_grants_deny_what_lies_outside_all_of_them(
    state: CallerState, grants: tuple[Any, ...] | None, permission: Permission, key: str, a_chance: bool
) -> None:
    state.bucket("sales").listed[OWNER, HERE] = ListedGrants(grants, 300.0)
    found = state.instance_denial(OWNER, HERE, permission, at(key), 299.9)
    assert (found is None) is a_chance
    if found is not None:
        assert (found.kind, found.account_id, found.region, found.until) == ("no grant", OWNER, HERE, 300.0)
        assert repr(f"s3://sales/{key}") in found.reason
        assert state.masked_key in found.reason
    assert state.instance_denial(OWNER, HERE, permission, at(key), 300.0) is None


KEYS = st.text("ab/", max_size=4)
SCOPES = st.builds(GrantScope, st.just("sales"), KEYS, st.booleans())


@given(st.lists(st.tuples(st.sampled_from(PERMISSIONS), SCOPES), max_size=8), st.sampled_from(PERMISSIONS), SCOPES)
def test_what_a_list_excludes_is_what_no_grant_of_it_covers(
    grants: list[tuple[Permission, GrantScope]], permission: Permission, target: GrantScope
) -> None:
    covering = {held for held, scope in grants if scope.covers(target)}
    if permission == "READWRITE":
        expected = "READWRITE" not in covering and not {"READ", "WRITE"} <= covering
    else:
        expected = covering.isdisjoint({permission, "READWRITE"})
    assert ListedGrants(tuple(grants), 0.0).excludes(permission, target) is expected


def test_a_list_speaks_for_its_own_instance_and_bucket_alone(state: CallerState) -> None:
    state.bucket("sales").listed[OWNER, HERE] = ListedGrants((), 300.0)
    assert state.instance_denial(OWNER, HERE, "READ", at("x"), 0) is not None
    assert state.instance_denial("111122223333", HERE, "READ", at("x"), 0) is None
    assert state.instance_denial(OWNER, THERE, "READ", at("x"), 0) is None
    assert state.instance_denial(OWNER, HERE, "READ", at("x", "hr"), 0) is None


def test_an_owner_is_known_until_its_time_and_in_its_region(state: CallerState) -> None:
    bucket = state.bucket("sales")
    owner = bucket.owners[HERE] = Owner(OWNER, 300.0)
    assert bucket.owner(HERE, 299.9) is owner
    assert bucket.owner(HERE, 300.0) is None
    assert bucket.owner(THERE, 0) is None


def test_denials_and_buckets_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BUCKETS", 3)
    state = CallerState("AKIA…WXYZ", clock.both, 1_000, lambda: 3)
    for number in range(10):
        state.denials.add("READ", at(str(number)), denial())
        state.bucket(f"bucket-{number}")
    assert [number for number in range(10) if state.denials.find("READ", at(str(number)), 0)] == [7, 8, 9]
    assert len(state.denials) == 3
    assert len(state._buckets) == 3


def test_a_denial_that_comes_again_counts_as_the_newest() -> None:
    denials = DenialCache(lambda: 3)
    for key in ("a", "b", "a", "c", "d"):
        denials.add("READ", at(key), denial())
    assert [key for key in "abcd" if denials.find("READ", at(key), 0)] == ["a", "c", "d"]


def test_denials_are_bounded_across_callers(states: CallerStates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DENIALS", 1_000)
    callers = [states.get_or_create(b"%d" % number, "one") for number in range(10)]
    for state in callers:
        for number in range(1_500):
            state.denials.add("READ", at(str(number)), denial())
    assert [len(state.denials) for state in callers] == [100] * 10


def test_each_caller_has_room_for_some_denials_however_many_callers_there_are(
    states: CallerStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DENIALS", 100)
    state, *_ = (states.get_or_create(b"%d" % number, "one") for number in range(100))
    for number in range(200):
        state.denials.add("READ", at(str(number)), denial())
    assert len(state.denials) == module.MIN_DENIALS


def test_no_interruption_breaks_the_denials() -> None:
    def begin() -> Any:
        denials = DenialCache(lambda: 2)
        for key in ("a", "b"):
            denials.add("READ", at(key), denial())

        def check() -> None:
            assert denials.find("READ", at("d"), 0) or denials.find("READ", at("e"), 0)
            denials.add("READ", at("f"), denial())
            assert len(denials) <= 2
            assert denials.find("READ", at("f"), 0)

        def others() -> None:
            denials.add("READ", at("c"), denial())
            denials.add("READ", at("e"), denial())

        return lambda: denials.add("READ", at("d"), denial()), others, check

    assert interrupted_at_every_step(begin) > 10
    assert interrupted_at_every_step(begin, swapped=True) > 10


# Looks at Access Grants after S3's refusals.


def test_a_target_is_rechecked_once_in_five_minutes(state: CallerState) -> None:
    scope = GrantScope("sales", "", True)
    assert state.take_recheck("READ", scope, at("x"), 0)
    assert not state.take_recheck("READ", scope, at("x"), 299)
    assert state.take_recheck("WRITE", scope, at("x"), 299)
    assert state.take_recheck("READ", scope, at("y"), 299)
    assert state.take_recheck("READ", scope, at("x"), 300)


def test_a_bucket_that_refuses_every_key_is_not_rechecked_for_each(state: CallerState) -> None:
    scope = GrantScope("sales", "", True)
    taken = [number for number in range(100) if state.take_recheck("READ", scope, at(str(number)), 0)]
    assert len(taken) == module.MAX_RECHECKS


def test_rechecks_are_bounded(state: CallerState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DENIALS", 3)
    for number in range(10):
        assert state.take_recheck("READ", GrantScope("sales", f"{number}/", True), at("x"), 0)
        assert len(state._rechecks) <= 3


# Forks.


# Other tests of the same run may have left threads behind, of which Python 3.12 warns.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_keeps_the_credentials_and_abandons_the_calls(
    states: CallerStates, make_stored: MakeStored
) -> None:
    state, stored = states.get_or_create(states.digest(ANN), "ann"), make_stored()
    state.credentials.add(stored)
    with state.calls.own_call() as parents:
        state.calls.join_or_start(("x",), parents)
        process = os.fork()
        if process == 0:
            code = 1
            try:
                child = states.get_or_create(states.digest(ANN), "ann")
                fresh = child.credentials.get_fresh("READ", at("emea/x"), stored.used_at)
                code = 0 if fresh is stored and child.calls.under_way(("x",)) is None else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        assert state.calls.under_way(("x",)) is parents
