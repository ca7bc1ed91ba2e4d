"""One call under way that others wait for: who makes it, who waits, and for how long."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.control_calls import WAIT_SECONDS
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import GetDataAccess, WaitFor
from access_grants_provider.core.resolver import MAX_WAITS
from access_grants_provider.core.single_flight import InFlightCall, SingleFlight
from access_grants_provider.exceptions import ServiceFailure, Unreachable

from .interruption import interrupted_at_every_step
from .resolver_steps import (
    ARN,
    CALLER,
    HERE,
    NOTHING_LISTED,
    OWNER,
    REQUEST,
    TIMED_OUT,
    VEND,
    WHO,
    MakeContext,
    MakeError,
    MakeReply,
    data_access,
    decide,
    end,
    finish,
    resume,
    start,
    wanted,
)

if TYPE_CHECKING:
    from ..conftest import Clock

KEY = ("READ", "x")


# The call itself.


def test_a_wait_ends_in_time_though_the_call_does_not() -> None:
    call = InFlightCall()
    assert call.wait(0.001) is False
    assert call.wait(-1) is False


def test_a_wait_ends_with_the_call_for_everybody_who_waits() -> None:
    call, ended = InFlightCall(), []
    threads = [threading.Thread(target=lambda: ended.append(call.wait(60)), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    call.end()
    for thread in threads:
        thread.join(60)
    assert ended == [True] * 4
    assert call.wait(60) is True


def test_to_end_a_call_twice_does_nothing() -> None:
    call, told = InFlightCall(), []
    call.on_end(lambda: told.append(1))
    call.end()
    call.end()
    assert told == [1]


def test_a_task_is_told_of_the_end_once_also_where_it_comes_late() -> None:
    def begin() -> Any:
        call = InFlightCall()
        told: list[int] = []

        def check() -> None:
            assert told == [1]

        return lambda: call.on_end(lambda: told.append(1)), call.end, check

    assert interrupted_at_every_step(begin) > 3
    assert interrupted_at_every_step(begin, swapped=True) > 3


# Calls by what they may answer.


def test_the_first_makes_the_call_and_the_next_waits_for_it() -> None:
    flight = SingleFlight()
    with flight.own_call() as first, flight.own_call() as second:
        assert flight.join_or_start(KEY, first) is first
        assert flight.join_or_start(KEY, second) is first
        assert flight.under_way(KEY) is first
        assert len(flight) == 1
    assert flight.under_way(KEY) is None
    assert len(flight) == 0


def test_one_that_did_not_start_its_call_takes_nobody_s_away() -> None:
    flight = SingleFlight()
    with flight.own_call() as first:
        flight.join_or_start(KEY, first)
        with flight.own_call() as second:
            flight.join_or_start(KEY, second)
        assert second.ended
        assert flight.under_way(KEY) is first


def broken_off(flight: SingleFlight, error: BaseException) -> InFlightCall:
    """A call that was under way and ended with an error."""
    own_call = flight.own_call()
    mine = own_call.__enter__()
    assert flight.join_or_start(KEY, mine) is mine
    assert not own_call.__exit__(type(error), error, None), "the error was swallowed"
    return mine


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_call_ends_however_its_block_does(error: type[BaseException]) -> None:
    flight = SingleFlight()
    mine = broken_off(flight, error())
    assert (mine.ended, mine.failure, mine.answered) == (True, None, False)
    assert flight.under_way(KEY) is None


def test_a_failure_of_the_service_is_left_to_those_who_wait() -> None:
    failure = Unreachable("no answer")
    assert broken_off(SingleFlight(), failure).failure is failure


def test_who_gave_up_first_takes_the_stalled_call_s_place_and_the_next_wait_for_that() -> None:
    flight = SingleFlight()
    with flight.own_call() as stalled, flight.own_call() as first, flight.own_call() as second:
        flight.join_or_start(KEY, stalled)
        assert flight.join_or_start(KEY, first, instead_of=stalled) is first
        assert flight.join_or_start(KEY, second, instead_of=stalled) is first
    assert len(flight) == 0


def test_a_stalled_call_that_ends_at_last_leaves_its_successor_in_place() -> None:
    flight = SingleFlight()
    with flight.own_call() as first:
        with flight.own_call() as stalled:
            flight.join_or_start(KEY, stalled)
            flight.join_or_start(KEY, first, instead_of=stalled)
        assert flight.under_way(KEY) is first


def test_a_call_of_another_process_is_nobody_s() -> None:
    # As a forked child finds it: the thread that makes the call exists in the parent alone.
    flight = SingleFlight()
    with flight.own_call() as parents, flight.own_call() as mine:
        flight.join_or_start(KEY, parents)
        parents.process = os.getppid()
        assert flight.under_way(KEY) is None
        assert flight.join_or_start(KEY, mine) is mine


# Other tests of the same run may have left threads behind, of which Python 3.12 warns.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_the_call_itself() -> None:
    flight = SingleFlight()
    with flight.own_call() as parents:
        flight.join_or_start(KEY, parents)
        process = os.fork()
        if process == 0:
            code = 1
            try:
                with flight.own_call() as mine:
                    code = 0 if flight.join_or_start(KEY, mine) is mine else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        assert flight.under_way(KEY) is parents


def test_no_interruption_leaves_a_call_under_way_that_nobody_ends() -> None:
    def begin() -> Any:
        flight, started = SingleFlight(), []

        def work() -> None:
            with flight.own_call() as mine:
                started.append(flight.join_or_start(KEY, mine))

        def check() -> None:
            assert all(call.ended for call in started)
            assert len(started) == 2
            with flight.own_call() as mine:
                assert flight.join_or_start(KEY, mine) is mine

        return work, work, check

    assert interrupted_at_every_step(begin) > 20


# Who makes the call of a decision, and who waits.


def test_the_first_miss_in_a_bucket_goes_alone_and_one_grant_serves_all(
    state: CallerState, context: FlowContext, reply: MakeReply
) -> None:
    owner = decide(state, wanted("folder-0/x"), context)
    waiters = [decide(state, wanted(f"folder-{number}/x"), context) for number in range(1, 64)]
    assert isinstance(start(owner), GetDataAccess)
    assert all(isinstance(start(waiter), WaitFor) for waiter in waiters)
    stored = finish(owner, reply("s3://sales/*")).stored
    assert all(finish(waiter, True).stored is stored for waiter in waiters)


def test_many_grants_take_two_rounds_whatever_their_number(
    state: CallerState, context: FlowContext, reply: MakeReply
) -> None:
    requests = [wanted(f"folder-{number}/{name}") for number in range(64) for name in "xy"]
    owner, *others = [decide(state, request, context) for request in requests]
    assert isinstance(start(owner), GetDataAccess)
    assert all(isinstance(start(other), WaitFor) for other in others)
    finish(owner, reply("s3://sales/folder-0/*"))
    assert finish(others[0], True).source == "cache"
    second_round = [(other, resume(other, True)) for other in others[1:]]
    calling = [other for other, step in second_round if isinstance(step, GetDataAccess)]
    waiting = [other for other, step in second_round if isinstance(step, WaitFor)]
    assert (len(calling), len(waiting)) == (63, 63)
    for number, other in enumerate(calling, 1):
        assert finish(other, reply(f"s3://sales/folder-{number}/*")).outcome == "granted"
    assert {finish(other, True).source for other in waiting} == {"cache"}


def test_what_a_group_s_answer_does_not_cover_goes_by_itself(
    state: CallerState, context: FlowContext, reply: MakeReply
) -> None:
    owner, same, other = (decide(state, wanted(key), context) for key in ("a/1", "a/1", "a/2"))
    start(owner)
    assert start(other) == start(same)
    finish(owner, reply("s3://sales/a/1"))
    assert finish(same, True).source == "cache"
    assert resume(other, True) == data_access(wanted("a/2"))


def test_those_a_denial_told_nothing_do_not_wait_for_each_other(
    state: CallerState, context: FlowContext, no_grant: MakeError
) -> None:
    owner, *others = [decide(state, wanted(key), context) for key in ("a/1", "a/2", "b/3")]
    for deciding in (owner, *others):
        start(deciding)
    resume(owner, no_grant())
    resume(owner, HERE)
    finish(owner, no_grant())
    assert [resume(other, True) for other in others] == [data_access(wanted("a/2")), data_access(wanted("b/3"))]


def test_reads_and_writes_do_not_wait_for_each_other(state: CallerState, context: FlowContext) -> None:
    reading, writing = decide(state, REQUEST, context), decide(state, wanted(permission="WRITE"), context)
    assert isinstance(start(reading), GetDataAccess)
    assert isinstance(start(writing), GetDataAccess)


def test_buckets_do_not_wait_for_each_other(state: CallerState, context: FlowContext) -> None:
    here, elsewhere = decide(state, REQUEST, context), decide(state, wanted(bucket="hr"), context)
    assert isinstance(start(here), GetDataAccess)
    assert isinstance(start(elsewhere), GetDataAccess)


def test_a_task_waits_for_no_call_of_another_event_loop(state: CallerState, make_context: MakeContext) -> None:
    loops = [make_context(account_id=OWNER, event_loop=loop) for loop in ("one loop", "another", None)]
    deciding = [decide(state, REQUEST, context) for context in loops]
    assert all(start(each) == VEND for each in deciding)
    assert isinstance(start(decide(state, REQUEST, loops[0])), WaitFor)


def test_under_minimal_only_the_same_target_waits(
    state: CallerState, make_context: MakeContext, reply: MakeReply
) -> None:
    context = make_context(account_id=OWNER, privilege="Minimal")
    owner, same, other = (decide(state, wanted(key), context) for key in ("a/1", "a/1", "a/2"))
    assert isinstance(start(owner), GetDataAccess)
    assert isinstance(start(same), WaitFor)
    assert isinstance(start(other), GetDataAccess)
    finish(owner, reply(None))
    assert finish(same, True).source == "cache"


def test_who_waited_for_a_denial_takes_it_without_a_call(
    state: CallerState, context: FlowContext, no_grant: MakeError
) -> None:
    owner, same = decide(state, REQUEST, context), decide(state, REQUEST, context)
    start(owner)
    start(same)
    resume(owner, no_grant())
    resume(owner, HERE)
    denial = finish(owner, NOTHING_LISTED).denial
    assert finish(same, True).denial is denial


@pytest.mark.parametrize("gone", [GeneratorExit, KeyboardInterrupt, RuntimeError])
def test_an_owner_that_gives_up_hands_over(
    state: CallerState, context: FlowContext, reply: MakeReply, gone: type[BaseException]
) -> None:
    owner, second, third = (decide(state, REQUEST, context) for _ in range(3))
    start(owner)
    wait = start(second)
    start(third)
    assert isinstance(wait, WaitFor)
    assert not wait.call.ended
    if gone is GeneratorExit:
        owner.close()
    else:
        with pytest.raises(gone):
            owner.throw(gone())
    assert wait.call.ended
    assert resume(second, True) == VEND
    assert isinstance(resume(third, True), WaitFor)
    stored = finish(second, reply()).stored
    assert finish(third, True).stored is stored


def test_a_failure_is_shared_by_all_who_waited_each_with_an_exception_of_its_own(
    state: CallerState, context: FlowContext
) -> None:
    owner, *waiters = [decide(state, REQUEST, context) for _ in range(3)]
    for deciding in (owner, *waiters):
        start(deciding)
    raised = []
    for deciding, reply in ((owner, TIMED_OUT), *((waiter, True) for waiter in waiters)):
        with pytest.raises(Unreachable) as failed:
            resume(deciding, reply)
        raised.append(failed.value)
    assert len({id(error) for error in raised}) == 3
    assert {error.__cause__ for error in raised} == {TIMED_OUT}
    assert all(str(error).startswith(raised[0].message) for error in raised)
    assert not len(state.calls)
    assert isinstance(start(decide(state, REQUEST, context)), GetDataAccess)


def test_an_error_of_one_that_waited_carries_its_own_facts(state: CallerState, context: FlowContext) -> None:
    owner, waiter = decide(state, REQUEST, context), decide(state, wanted("apac/x"), context)
    start(owner)
    start(waiter)
    with pytest.raises(Unreachable):
        resume(owner, TIMED_OUT)
    with pytest.raises(Unreachable) as failed:
        resume(waiter, True)
    assert (failed.value.target, failed.value.operation) == ("s3://sales/apac/x", "GetObject")
    assert "'s3://sales/apac/x' waited for it" in str(failed.value)


@pytest.mark.parametrize("code", ["InvalidRequest", "StsPackedPolicyTooLargeError", "StsNotAuthorizedError"])
def test_a_failure_that_is_about_one_key_is_not_that_of_another(
    state: CallerState, context: FlowContext, aws_error: Callable[..., ClientError], code: str
) -> None:
    # They waited for it only because its answer might have served them.
    owner, other = decide(state, wanted("odd/key"), context), decide(state, wanted("apac/x"), context)
    start(owner)
    assert isinstance(start(other), WaitFor)
    with pytest.raises(ServiceFailure):
        resume(owner, aws_error(code, "about odd/key", 400))
    assert resume(other, True) == data_access(wanted("apac/x"))


# No wait is without a bound.


def test_after_two_waits_in_vain_a_request_calls_alone(
    state: CallerState, context: FlowContext, reply: MakeReply
) -> None:
    owner, waiter = decide(state, REQUEST, context), decide(state, REQUEST, context)
    start(owner)
    first = start(waiter)
    assert isinstance(first, WaitFor)
    assert 0 < first.seconds <= WAIT_SECONDS
    # It was the first to give up, so its call takes the stalled one's place at once.
    assert resume(waiter, False) == VEND
    assert finish(waiter, reply()).outcome == "granted"


def test_the_first_that_gives_up_takes_the_stalled_call_s_place_and_the_others_wait_for_that(
    state: CallerState, context: FlowContext, reply: MakeReply
) -> None:
    owner, first, *others = [decide(state, REQUEST, context) for _ in range(5)]
    start(owner)
    stalled = [start(waiter).call for waiter in (first, *others)]
    assert resume(first, False) == VEND
    steps = [resume(waiter, False) for waiter in others]
    assert all(isinstance(step, WaitFor) for step in steps)
    assert {step.call for step in steps}.isdisjoint(stalled)
    stored = finish(first, reply()).stored
    assert all(finish(waiter, True).stored is stored for waiter in others)
    # The stalled owner's answer comes at last and is one more; nothing breaks.
    assert finish(owner, reply()).outcome == "granted"
    assert len(state.credentials) == 1


def test_one_that_waited_for_two_stalled_calls_makes_its_own_whoever_else_makes_one(
    state: CallerState, context: FlowContext
) -> None:
    assert MAX_WAITS == 2
    owner, first, second, third = (decide(state, REQUEST, context) for _ in range(4))
    start(owner)
    for waiter in (first, second, third):
        start(waiter)
    assert resume(first, False) == VEND
    assert isinstance(resume(second, False), WaitFor)
    assert isinstance(resume(third, False), WaitFor)
    # The second gives up on the first, and its call is now the one to wait for; the third has waited enough.
    assert resume(second, False) == VEND
    assert resume(third, False) == VEND


def test_waits_take_a_part_of_the_time_only(state: CallerState, make_context: MakeContext, clock: Clock) -> None:
    context = make_context(account_id=OWNER, timeout_seconds=8)
    owner, waiter = decide(state, REQUEST, context), decide(state, REQUEST, context)
    start(owner)
    step, waited = start(waiter), 0.0
    while isinstance(step, WaitFor):
        waited += step.seconds
        clock.advance(step.seconds)
        step = resume(waiter, False)
    assert waited <= 4
    assert step == VEND


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_a_thread_in_the_middle_of_a_decision_waits_for_nobody(
    state: CallerState, make_context: MakeContext, reply: MakeReply, fallback: str
) -> None:
    # A signal handler or a `__del__` came in: what it interrupted may be what it would wait for.
    outer = decide(state, REQUEST, make_context(fallback=fallback))
    assert start(outer) == WHO
    inner = decide(state, REQUEST, make_context(fallback=fallback, may_wait=False))
    assert start(inner) == WHO
    assert resume(inner, CALLER) == data_access(REQUEST, CALLER)
    assert finish(inner, reply()).outcome == "granted"
    assert resume(outer, CALLER) == data_access(REQUEST, CALLER)
    assert finish(outer, reply()).outcome == "granted"


def test_it_takes_credentials_in_their_advisory_window_as_they_are(
    state: CallerState, make_context: MakeContext, held: Any, clock: Clock
) -> None:
    clock.now = held.advisory_refresh_at
    resolution = end(decide(state, REQUEST, make_context(account_id=OWNER, may_wait=False)))
    assert (resolution.stored, resolution.source) == (held, "cache")


def test_what_comes_in_at_each_step_of_a_decision_never_waits(
    state: CallerState, make_context: MakeContext, no_grant: MakeError
) -> None:
    outer = decide(state, REQUEST, make_context())
    for reply in (None, CALLER, no_grant(), HERE, ARN, no_grant(), NOTHING_LISTED):
        resume(outer, reply)
        inner = decide(state, wanted("emea/other"), make_context(may_wait=False), exact=True)
        step = start(inner)
        assert not isinstance(step, WaitFor)
        inner.close()
    assert finish(outer, NOTHING_LISTED).outcome == "fallback"


# The two looks of `find`.


def test_a_call_that_ended_just_after_the_look_is_not_made_again(
    state: CallerState, context: FlowContext, reply: MakeReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = decide(state, REQUEST, context)
    assert start(owner) == VEND
    join_or_start = state.calls.join_or_start

    def after_the_owner(*arguments: Any) -> InFlightCall:
        monkeypatch.undo()
        assert finish(owner, reply()).source == "vended"
        return join_or_start(*arguments)

    monkeypatch.setattr(state.calls, "join_or_start", after_the_owner)
    resolution = end(decide(state, REQUEST, context))
    assert (resolution.outcome, resolution.source) == ("granted", "cache")
    assert not len(state.calls)


def test_a_denial_that_came_just_after_the_look_is_not_asked_for_again(
    state: CallerState, context: FlowContext, no_grant: MakeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = decide(state, REQUEST, context)
    start(owner)
    resume(owner, no_grant())
    resume(owner, HERE)
    join_or_start = state.calls.join_or_start

    def after_the_owner(*arguments: Any) -> InFlightCall:
        monkeypatch.undo()
        assert finish(owner, NOTHING_LISTED).source is None
        return join_or_start(*arguments)

    monkeypatch.setattr(state.calls, "join_or_start", after_the_owner)
    assert end(decide(state, REQUEST, context)).outcome == "fallback"
