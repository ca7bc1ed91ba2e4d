"""One call to AWS: the time it has, what is tried again, and how long one waits for somebody else's."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.control_calls import (
    THROTTLE_FIRST_PAUSE,
    THROTTLE_LONGEST_PAUSE,
    THROTTLE_SECONDS,
    WAIT_SECONDS,
    CallBudget,
    control_call,
    wait_for,
)
from access_grants_provider.core.io_requests import Pause, TimedCall, WaitFor
from access_grants_provider.core.service_errors import OutOfTime
from access_grants_provider.core.single_flight import InFlightCall
from access_grants_provider.exceptions import Unreachable

from .resolver_steps import (
    CALLER,
    LIST,
    OWNER,
    REQUEST,
    TIMED_OUT,
    WHO,
    MakeContext,
    MakeError,
    MakeReply,
    data_access,
    decide,
    exhaust,
    find,
    finish,
    start,
)

if TYPE_CHECKING:
    from ..conftest import Clock

PLACE = {"endpoint_url": "https://s3-control"}
REFUSED, CLOSED = EndpointConnectionError(**PLACE), ConnectionClosedError(**PLACE)


class Made:
    """One control call, driven: ``attempts`` and ``pauses`` are what it cost, ``ended`` what it came to."""

    def __init__(self, context: Any, clock: Clock, replies: Callable[[int], Any], seconds: float = 0.0) -> None:
        self.attempts: list[float] = []
        self.pauses: list[float] = []
        self.budget = CallBudget(context)
        steps = control_call(WHO, context, self.budget)
        reply: Any = None
        try:
            while True:
                step = steps.throw(reply) if isinstance(reply, BaseException) else steps.send(reply)
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    clock.advance(step.seconds)
                    reply = None
                else:
                    assert isinstance(step, TimedCall)
                    assert step.call == WHO
                    reply = replies(len(self.attempts))
                    self.attempts.append(step.seconds)
                    clock.advance(seconds)
        except StopIteration as stop:
            self.ended: Any = stop.value
        except (ClientError, BotoCoreError) as error:
            self.ended = error


# The time.


def test_the_calls_of_a_decision_share_its_time(make_context: MakeContext, clock: Clock) -> None:
    budget = CallBudget(make_context(timeout_seconds=7))
    assert budget.left() == 7
    clock.advance(5)
    assert budget.left() == 2
    clock.set_back(8 * 3600)
    assert budget.left() == 2
    clock.advance(2)
    with pytest.raises(OutOfTime, match=r"no answer within 7\.0 s"):
        budget.left()


def test_each_call_gets_what_is_left(
    state: CallerState, make_context: MakeContext, clock: Clock, reply: MakeReply
) -> None:
    deciding = decide(state, REQUEST, make_context(timeout_seconds=10))
    first = next(deciding)
    clock.advance(4)
    second = deciding.send(CALLER)
    assert (first.seconds, second.seconds) == (10, 6)
    assert finish(deciding, reply()).outcome == "granted"


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_a_decision_whose_time_is_gone_makes_no_further_call(
    state: CallerState, make_context: MakeContext, clock: Clock, fallback: str
) -> None:
    deciding = decide(state, REQUEST, make_context(timeout_seconds=10, fallback=fallback))
    start(deciding)
    clock.advance(10)
    if fallback == "always":
        assert finish(deciding, CALLER).outcome == "fallback"
    else:
        with pytest.raises(Unreachable, match="no answer within 10"):
            deciding.send(CALLER)


# What is tried again.


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (REFUSED, 3),
        (CLOSED, 3),
        (TIMED_OUT, 1),
        (ReadTimeoutError(**PLACE), 1),
        (ConnectTimeoutError(**PLACE), 1),
        (OutOfTime(seconds=5), 1),
        (SSLError(**PLACE, error=ValueError("untrusted")), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_connection_that_breaks_is_tried_three_times_and_a_time_out_once(
    make_context: MakeContext, clock: Clock, error: BotoCoreError, attempts: int
) -> None:
    made = Made(make_context(), clock, lambda _: error)
    assert made.ended is error
    assert len(made.attempts) == attempts
    assert all(pause <= 0.2 for pause in made.pauses)


@pytest.mark.parametrize(
    ("code", "status", "attempts"),
    [
        ("InternalError", 500, 3),
        ("502", 502, 3),
        ("504", 504, 3),
        ("AccessDenied", 403, 1),
        ("InvalidRequest", 400, 1),
        ("AccessGrantsInstanceNotExistsError", 404, 1),
        ("ExpiredToken", 400, 1),
    ],
)
def test_a_failure_of_the_service_is_tried_three_times_and_a_word_of_it_once(
    make_context: MakeContext, clock: Clock, aws_error: Callable[..., ClientError],
    code: str, status: int, attempts: int,
) -> None:  # fmt: skip
    made = Made(make_context(), clock, lambda _: aws_error(code, "…", status))
    assert isinstance(made.ended, ClientError)
    assert len(made.attempts) == attempts
    assert sum(made.pauses) < 1


@pytest.mark.parametrize("error", [REFUSED, CLOSED])
def test_an_answer_at_the_second_attempt_is_the_answer(
    make_context: MakeContext, clock: Clock, error: BotoCoreError
) -> None:
    made = Made(make_context(), clock, lambda attempt: CALLER if attempt else error)
    assert made.ended == CALLER


def test_what_is_neither_of_aws_nor_of_botocore_passes(make_context: MakeContext, clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError):
        Made(make_context(), clock, lambda _: ZeroDivisionError())


# The service's rate limit.

THROTTLED = [
    ("SlowDown", 503),
    ("Throttling", 400),
    ("ThrottlingException", 400),
    ("RequestLimitExceeded", 400),
    ("TooManyRequestsException", 400),
    ("SomethingNew", 429),
    ("ServiceUnavailable", 503),
]


@pytest.mark.parametrize(("code", "status"), THROTTLED)
def test_what_is_throttled_is_tried_again_for_two_minutes(
    make_context: MakeContext, clock: Clock, aws_error: Callable[..., ClientError], code: str, status: int
) -> None:
    began = clock.monotonic
    made = Made(make_context(timeout_seconds=1), clock, lambda _: aws_error(code, "…", status), seconds=0.05)
    assert made.ended.response["Error"]["Code"] == code
    assert clock.monotonic - began == pytest.approx(THROTTLE_SECONDS, abs=1)
    assert len(made.attempts) == 20


def test_what_is_throttled_for_less_is_answered(make_context: MakeContext, clock: Clock, slow_down: MakeError) -> None:
    began = clock.monotonic
    made = Made(make_context(), clock, lambda _: CALLER if clock.monotonic > began + 100 else slow_down())
    assert made.ended == CALLER


def test_a_pause_takes_up_to_half_of_the_time_waited_and_ten_seconds_at_most(
    make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    asked: list[tuple[float, float]] = []
    began = clock.monotonic

    def jitter(seconds: float) -> float:
        asked.append((clock.monotonic - began, seconds))
        return random.Random(len(asked)).uniform(0, seconds)

    made = Made(make_context(jitter=jitter), clock, lambda _: slow_down())
    for waited, longest in asked:
        assert longest == pytest.approx(min(THROTTLE_LONGEST_PAUSE, max(THROTTLE_FIRST_PAUSE, waited / 2)))
    assert {asked[0][1], max(longest for _, longest in asked)} == {THROTTLE_FIRST_PAUSE, THROTTLE_LONGEST_PAUSE}
    assert sum(made.pauses) == pytest.approx(THROTTLE_SECONDS)
    assert all(pause <= most for pause, (_, most) in zip(made.pauses, asked, strict=True))


def test_the_time_waited_is_that_of_the_decision_whatever_was_called(
    make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    # STS was throttled for six seconds; GetDataAccess does not begin with short pauses again.
    context = make_context()
    budget = CallBudget(context)
    budget.pause_after(slow_down(), 0)
    clock.advance(6)
    assert budget.pause_after(slow_down(), 0) == 3


@pytest.mark.parametrize(("timeout", "patience"), [(20, 120), (300, 300)])
def test_who_gives_a_decision_longer_than_two_minutes_gives_that_to_throttling_too(
    make_context: MakeContext, clock: Clock, slow_down: MakeError, timeout: float, patience: float
) -> None:
    made = Made(make_context(timeout_seconds=timeout), clock, lambda _: slow_down())
    assert sum(made.pauses) == pytest.approx(patience)


def test_what_throttling_costs_is_no_part_of_the_decision_s_time(
    make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    made = Made(make_context(timeout_seconds=20), clock, lambda attempt: slow_down() if attempt < 12 else CALLER)
    assert sum(made.pauses) > 20
    assert made.attempts == [pytest.approx(20)] * 13
    assert made.budget.left() == pytest.approx(20)


def test_a_request_that_may_go_without_a_grant_waits_no_longer_than_its_time(
    state: CallerState, make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    began = clock.monotonic
    context = make_context(account_id=OWNER, fallback="always", timeout_seconds=20)
    resolution, calls = exhaust(decide(state, REQUEST, context), clock, slow_down)
    assert resolution.outcome == "fallback"
    assert calls > 3
    assert clock.monotonic - began <= 20


def test_a_request_that_can_not_go_without_is_patient_whatever_the_fallback(
    state: CallerState, make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    began = clock.monotonic
    context = make_context(account_id=OWNER, fallback="always", timeout_seconds=20)
    error, _ = exhaust(find(state, REQUEST, context, exact=True), clock, slow_down)
    assert "SlowDown" in str(error)
    assert clock.monotonic - began == pytest.approx(THROTTLE_SECONDS)


def test_two_minutes_are_all_that_a_decision_pauses_for_however_many_calls_it_makes(
    make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    context = make_context()
    budget, began = CallBudget(context), clock.monotonic
    for _ in range(3):
        error, _ = exhaust(control_call(WHO, context, budget), clock, slow_down)
        assert isinstance(error, ClientError)
    assert clock.monotonic - began == pytest.approx(THROTTLE_SECONDS)


def test_who_waits_is_told_of_a_pause(make_context: MakeContext, clock: Clock, slow_down: MakeError) -> None:
    context = make_context()
    budget, mine = CallBudget(context), InFlightCall()
    budget.owned.append(mine)
    steps = control_call(WHO, context, budget)
    next(steps)
    pause = steps.throw(slow_down())
    assert isinstance(pause, Pause)
    assert mine.paused_until == clock.monotonic + pause.seconds


def test_those_who_wait_for_a_decision_that_pauses_wait_on(
    state: CallerState, make_context: MakeContext, clock: Clock, slow_down: MakeError, reply: MakeReply
) -> None:
    # Another call each would only add to the load.
    context = make_context(account_id=OWNER, timeout_seconds=1, jitter=lambda seconds: 20 * seconds)
    owner, waiter = decide(state, REQUEST, context), decide(state, REQUEST, context)
    start(owner)
    wait = start(waiter)
    pause = owner.throw(slow_down())
    for _ in range(int(pause.seconds / wait.seconds)):
        clock.advance(wait.seconds)
        assert isinstance(waiter.send(False), WaitFor)
    assert owner.send(None).call == data_access(REQUEST)
    stored = finish(owner, reply()).stored
    assert finish(waiter, True).stored is stored


# Waiting for somebody else's call.


def test_a_wait_is_bounded(make_context: MakeContext, clock: Clock) -> None:
    context = make_context()
    waiting = wait_for(InFlightCall(), context, CallBudget(context))
    step = next(waiting)
    assert isinstance(step, WaitFor)
    assert step.seconds == WAIT_SECONDS
    clock.advance(step.seconds)
    assert finish(waiting, False) is False


@pytest.mark.parametrize(("timeout", "seconds"), [(1, 0.25), (10, 2.5), (20, 5), (300, 5)])
def test_a_wait_takes_a_quarter_of_the_time_at_most(make_context: MakeContext, timeout: float, seconds: float) -> None:
    assert CallBudget(make_context(timeout_seconds=timeout)).wait_seconds() == seconds


def test_a_wait_ends_with_the_call(make_context: MakeContext) -> None:
    context = make_context()
    waiting = wait_for(InFlightCall(), context, CallBudget(context))
    next(waiting)
    assert finish(waiting, True) is True


def test_a_wait_goes_on_while_the_call_pauses_and_that_costs_no_time_of_the_decision(
    make_context: MakeContext, clock: Clock
) -> None:
    context, call, began = make_context(), InFlightCall(), clock.monotonic
    budget = CallBudget(context)
    call.paused_until = began + THROTTLE_SECONDS
    waiting = wait_for(call, context, budget)
    step: Any = next(waiting)
    ended = None
    while ended is None:
        clock.advance(step.seconds)
        try:
            step = waiting.send(False)
        except StopIteration as stop:
            ended = stop.value
    assert ended is False
    assert clock.monotonic - began <= THROTTLE_SECONDS + 2 * WAIT_SECONDS
    assert budget.left() >= 20 - WAIT_SECONDS


def test_all_that_waits_and_throttling_can_cost_has_a_bound(
    state: CallerState, make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    # An owner that is throttled and then stops for good, and a waiter that is throttled in its turn.
    context = make_context(account_id=OWNER)
    owner, waiter = decide(state, REQUEST, context), decide(state, REQUEST, context)
    start(owner)
    assert isinstance(owner.throw(slow_down()), Pause)
    began = clock.monotonic
    error, calls = exhaust(waiter, clock, slow_down)
    assert "SlowDown" in str(error)
    assert calls > 5
    assert clock.monotonic - began < THROTTLE_SECONDS + 20 + 4 * WAIT_SECONDS


def test_a_request_that_may_go_without_a_grant_waits_for_no_pause_of_another(
    make_context: MakeContext, clock: Clock
) -> None:
    context, call = make_context(fallback="always"), InFlightCall()
    call.paused_until = clock.monotonic + THROTTLE_SECONDS
    waiting = wait_for(call, context, CallBudget(context, is_patient=False))
    step = next(waiting)
    assert isinstance(step, WaitFor)
    clock.advance(step.seconds)
    assert finish(waiting, False) is False


def test_what_a_decision_does_not_need_is_asked_for_once(make_context: MakeContext, slow_down: MakeError) -> None:
    context = make_context()
    calling = control_call(LIST, context, CallBudget(context), is_needed=False)
    next(calling)
    with pytest.raises(ClientError, match="SlowDown"):
        calling.throw(slow_down())


def test_what_rounding_leaves_of_the_time_is_no_time(
    make_context: MakeContext, clock: Clock, slow_down: MakeError
) -> None:
    def reply(attempt: int) -> Exception:
        assert attempt < 100
        return slow_down()

    # From these times on, what is left of two minutes is at last less than the clock's smallest step.
    for began in (28.128160171703957, 29.3605546673585, 121.51300453200044):
        clock.monotonic = began
        assert isinstance(Made(make_context(), clock, reply).ended, ClientError)
