"""What other processes were vended: taken over where it is better than one's own, and never where it is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.control_calls import THROTTLE_FIRST_PAUSE
from access_grants_provider.core.cross_process import load_shared
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import LoadShared, Pause, StoreShared
from access_grants_provider.core.resolver import Resolver
from access_grants_provider.exceptions import Unreachable

from .resolver_steps import (
    EMEA,
    HERE,
    LIST,
    NOTHING_LISTED,
    OWNER,
    REGION,
    REQUEST,
    TIMED_OUT,
    VEND,
    ExpectSteps,
    MakeContext,
    MakeError,
    MakeReply,
    MakeStored,
    at,
    decide,
    end,
    finish,
    resume,
    wanted,
)

if TYPE_CHECKING:
    from ..conftest import Clock

LOAD = LoadShared("sales")


@pytest.fixture
def disk(make_context: MakeContext) -> FlowContext:
    return make_context(account_id=OWNER, cache="disk")


def test_memory_is_asked_before_the_disk(state: CallerState, disk: FlowContext, held: Any) -> None:
    assert end(decide(state, REQUEST, disk)).stored is held


def test_what_another_process_was_vended_spares_the_call(
    state: CallerState, disk: FlowContext, make_stored: MakeStored, expect_steps: ExpectSteps
) -> None:
    shared = make_stored(from_other_process=True)
    resolution = expect_steps(decide(state, REQUEST, disk), (LOAD, [shared]))
    assert (resolution.stored, resolution.source) == (shared, "cache")
    assert end(decide(state, wanted("emea/q4.csv"), disk)).stored is shared


def test_while_a_call_is_throttled_another_process_may_be_vended_the_same(
    state: CallerState, disk: FlowContext, make_stored: MakeStored, slow_down: MakeError, expect_steps: ExpectSteps
) -> None:
    shared = make_stored(from_other_process=True)
    pause = Pause(THROTTLE_FIRST_PAUSE)
    steps: Any = (LOAD, []), (VEND, slow_down()), (pause, None), (LOAD, []), (VEND, slow_down()), (pause, None)
    resolution = expect_steps(decide(state, REQUEST, disk), *steps, (LOAD, [shared]))
    assert (resolution.stored, resolution.source) == (shared, "cache")
    assert end(decide(state, wanted("emea/q4.csv"), disk)).stored is shared


def test_what_s3_has_refused_is_no_answer_while_the_call_for_a_nearer_grant_is_throttled(
    state: CallerState, disk: FlowContext, held: Any, slow_down: MakeError, reply: MakeReply
) -> None:
    searching = Resolver(state, REQUEST, disk, exact=True).nearer_grant(held)
    assert next(searching) == LOAD
    for answer, expected in (([], VEND), (slow_down(), Pause(THROTTLE_FIRST_PAUSE)), (None, LOAD), ([], VEND)):
        step = resume(searching, answer)
        assert getattr(step, "call", step) == expected
    assert isinstance(resume(searching, reply(str(REQUEST.target))), StoreShared)
    assert finish(searching, None) is True


def test_what_was_vended_is_stored_for_the_others(
    state: CallerState, disk: FlowContext, reply: MakeReply, make_stored: MakeStored, expect_steps: ExpectSteps
) -> None:
    elsewhere = make_stored("READ", "s3://sales/apac/*", from_other_process=True)
    deciding = decide(state, REQUEST, disk)
    assert next(deciding) == LOAD
    assert deciding.send([elsewhere]).call == VEND
    step = deciding.send(reply())
    assert isinstance(step, StoreShared)
    assert str(step.stored.scope) == EMEA
    with pytest.raises(StopIteration) as done:
        deciding.send(None)
    assert (done.value.value.stored, done.value.value.source) == (step.stored, "vended")
    # What lay beside it was taken over too.
    assert state.credentials.get_fresh("READ", at("apac/x"), disk.clock.wall()) is elsewhere


def test_a_denial_is_nobody_else_s_business(
    state: CallerState, disk: FlowContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    steps: Any = (LOAD, []), (VEND, no_grant()), (REGION, HERE), (LIST, NOTHING_LISTED)
    assert expect_steps(decide(state, REQUEST, disk), *steps).outcome == "fallback"


@pytest.mark.parametrize(("life", "taken"), [(1_800, False), (7_200, True)])
def test_the_longer_life_wins(
    state: CallerState,
    disk: FlowContext,
    held: Any,
    make_stored: MakeStored,
    expect_steps: ExpectSteps,
    clock: Clock,
    life: int,
    taken: bool,
) -> None:
    shared = make_stored(seconds=life, from_other_process=True)
    clock.now = held.advisory_refresh_at if taken else clock.now
    found = expect_steps(load_shared(state, REQUEST, disk, held), (LOAD, [shared]))
    assert found is (shared if taken else None)
    assert state.credentials.exact("READ", held.scope) is (shared if taken else held)


@pytest.mark.parametrize("window", ["advisory_refresh_at", "mandatory_refresh_at", "expires_at"])
def test_what_is_to_be_renewed_itself_serves_nobody(
    state: CallerState, disk: FlowContext, make_stored: MakeStored, expect_steps: ExpectSteps, clock: Clock, window: str
) -> None:
    shared = make_stored(from_other_process=True)
    clock.now = getattr(shared, window)
    assert expect_steps(load_shared(state, REQUEST, disk, None), (LOAD, [shared])) is None
    assert len(state.credentials) == (window == "advisory_refresh_at")


def test_what_is_to_be_replaced_is_not_taken_again(
    state: CallerState, disk: FlowContext, held: Any, expect_steps: ExpectSteps
) -> None:
    assert expect_steps(load_shared(state, REQUEST, disk, held), (LOAD, [held])) is None


def test_what_does_not_live_long_enough_is_not_taken(
    state: CallerState, disk: FlowContext, make_stored: MakeStored, expect_steps: ExpectSteps
) -> None:
    long = wanted(min_lifetime=7_200)
    shared = make_stored(seconds=3_600, from_other_process=True)
    assert expect_steps(load_shared(state, long, disk, None), (LOAD, [shared])) is None


@pytest.mark.parametrize("life", [4, 900, 43_200])
@pytest.mark.parametrize("share", [0.76, 0.87])
def test_credentials_of_another_process_serve_no_longer_than_one_s_own(
    state: CallerState,
    disk: FlowContext,
    make_stored: MakeStored,
    expect_steps: ExpectSteps,
    clock: Clock,
    life: int,
    share: float,
) -> None:
    shared = make_stored("READ", EMEA, life, from_other_process=True)
    clock.advance(life * share if life < 43_200 else life - 610)
    assert shared.advisory_refresh_at <= clock() < shared.mandatory_refresh_at
    assert expect_steps(load_shared(state, REQUEST, disk, None), (LOAD, [shared])) is None
    clock.advance(shared.mandatory_refresh_at - clock())
    assert state.credentials.get_fresh("READ", REQUEST.target, clock()) is None


def test_its_depth_tells_which_misses_wait_for_each_other(
    state: CallerState, disk: FlowContext, make_stored: MakeStored, expect_steps: ExpectSteps
) -> None:
    expect_steps(load_shared(state, REQUEST, disk, None), (LOAD, [make_stored("READ", "s3://sales/a/b/*")]))
    assert state.bucket("sales").folder_depths == {"READ": 2}


def test_what_another_process_holds_serves_on_where_its_renewal_fails(
    state: CallerState, disk: FlowContext, make_stored: MakeStored, expect_steps: ExpectSteps, clock: Clock
) -> None:
    shared = make_stored(from_other_process=True)
    clock.now = shared.advisory_refresh_at
    resolution = expect_steps(decide(state, REQUEST, disk), (LOAD, [shared]), (VEND, TIMED_OUT))
    assert (resolution.outcome, resolution.stored, resolution.source) == ("granted", shared, "cache")
    # And not again and again: after half of the rest of its window.
    assert end(decide(state, REQUEST, disk)).stored is shared


def test_in_its_mandatory_window_it_does_not(
    state: CallerState, disk: FlowContext, make_stored: MakeStored, expect_steps: ExpectSteps, clock: Clock
) -> None:
    shared = make_stored(from_other_process=True)
    clock.now = shared.mandatory_refresh_at
    with pytest.raises(Unreachable):
        expect_steps(decide(state, REQUEST, disk), (LOAD, [shared]), (VEND, TIMED_OUT))
