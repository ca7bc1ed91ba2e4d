"""What is remembered of an outage where requests may go on without grants, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.circuit_breaker import OPEN_SECONDS, CircuitBreaker
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.exceptions import MalformedAnswer, Unreachable

from .resolver_steps import (
    HERE,
    LIST,
    NOTHING_LISTED,
    OWNER,
    REGION,
    REQUEST,
    THERE,
    TIMED_OUT,
    VEND,
    ExpectSteps,
    MakeContext,
    MakeError,
    MakeReply,
    data_access,
    decide,
    end,
    exhaust,
    find,
    finish,
    start,
    wanted,
)

if TYPE_CHECKING:
    from ..conftest import Clock

REFUSED = EndpointConnectionError(endpoint_url="https://s3-control")


@pytest.fixture
def always(make_context: MakeContext) -> FlowContext:
    return make_context(account_id=OWNER, fallback="always")


@pytest.fixture
def outage(state: CallerState, always: FlowContext, expect_steps: ExpectSteps) -> None:
    assert expect_steps(decide(state, REQUEST, always), (VEND, TIMED_OUT)).outcome == "fallback"


def test_it_is_closed_until_a_failure_and_after_the_next_success() -> None:
    breaker = CircuitBreaker()
    assert breaker.open_failure(0) is None
    breaker.begin_probe(0)
    assert breaker.open_failure(0) is None
    breaker.record_failure(Unreachable("no answer"), 0)
    assert breaker.open_failure(OPEN_SECONDS - 1) is not None
    breaker.record_success()
    assert breaker.open_failure(0) is None


def test_each_request_gets_an_error_of_its_own_that_says_for_how_long() -> None:
    breaker, cause = CircuitBreaker(), ValueError("below")
    failure = MalformedAnswer("nonsense", hint="Check the proxy", region="eu-west-1")
    failure.__cause__ = cause
    breaker.record_failure(failure, 100)
    first, second = breaker.open_failure(110), breaker.open_failure(120)
    assert first is not second
    assert isinstance(first, MalformedAnswer)
    assert first.message == "nonsense (S3 Access Grants is not called again for 20 s)"
    assert "for 10 s" in str(second)
    assert (first.hint, first.region) == ("Check the proxy", "eu-west-1")


def test_while_one_request_probes_the_circuit_stays_open_for_the_others() -> None:
    breaker = CircuitBreaker()
    breaker.record_failure(Unreachable("no answer"), 0)
    assert breaker.open_failure(OPEN_SECONDS) is None
    breaker.begin_probe(OPEN_SECONDS)
    assert breaker.open_failure(OPEN_SECONDS) is not None
    assert breaker.open_failure(2 * OPEN_SECONDS) is None


@pytest.mark.usefixtures("outage")
def test_during_an_outage_requests_go_on_at_once_and_say_why(
    state: CallerState, always: FlowContext, clock: Clock
) -> None:
    clock.advance(OPEN_SECONDS - 1)
    resolution = end(decide(state, wanted("apac/x", bucket="other"), always))
    assert resolution.outcome == "fallback"
    assert "s3:GetDataAccess in eu-west-1" in resolution.reason
    assert "not called again for 1 s" in resolution.reason


@pytest.mark.usefixtures("outage")
def test_then_one_calls_again_while_the_others_go_on(state: CallerState, always: FlowContext, clock: Clock) -> None:
    for _ in range(3):
        clock.advance(OPEN_SECONDS)
        probing = decide(state, REQUEST, always)
        assert start(probing) == VEND
        for key in ("emea/q3.csv", "emea/q4.csv"):
            assert end(decide(state, wanted(key), always)).outcome == "fallback"
        # The time does not grow, and it counts from the failure.
        clock.advance(60)
        assert finish(probing, TIMED_OUT).outcome == "fallback"
        clock.advance(OPEN_SECONDS - 1)
        assert end(decide(state, REQUEST, always)).outcome == "fallback"
        clock.advance(1 - OPEN_SECONDS)


@pytest.mark.usefixtures("outage")
def test_the_first_answer_ends_it(
    state: CallerState, always: FlowContext, clock: Clock, expect_steps: ExpectSteps, reply: MakeReply
) -> None:
    clock.advance(OPEN_SECONDS)
    assert expect_steps(decide(state, REQUEST, always), (VEND, reply())).outcome == "granted"
    other = wanted("apac/x", bucket="other")
    assert start(decide(state, other, always)) == data_access(other)


@pytest.mark.usefixtures("outage")
def test_a_denial_is_an_answer_too(
    state: CallerState, always: FlowContext, clock: Clock, expect_steps: ExpectSteps, no_grant: MakeError
) -> None:
    clock.advance(OPEN_SECONDS)
    expect_steps(decide(state, REQUEST, always), (VEND, no_grant()), (REGION, HERE), (LIST, NOTHING_LISTED))
    other = wanted("apac/x", bucket="other")
    assert start(decide(state, other, always)) == data_access(other)


@pytest.mark.usefixtures("outage")
def test_it_ends_in_time_though_the_clock_is_set_back(state: CallerState, always: FlowContext, clock: Clock) -> None:
    clock.advance(OPEN_SECONDS - 1)
    clock.set_back(8 * 3600)
    assert end(decide(state, REQUEST, always)).outcome == "fallback"
    clock.advance(1)
    assert start(decide(state, REQUEST, always)) == VEND


@pytest.mark.usefixtures("outage")
def test_an_outage_of_one_region_is_none_of_another(state: CallerState, always: FlowContext) -> None:
    elsewhere = REQUEST._replace(region=THERE)
    assert start(decide(state, elsewhere, always)) == data_access(elsewhere, region=THERE)


@pytest.mark.parametrize("fallback", ["denied", "never"])
def test_where_a_failure_is_raised_each_request_calls(
    state: CallerState, make_context: MakeContext, expect_steps: ExpectSteps, fallback: str
) -> None:
    context = make_context(account_id=OWNER, fallback=fallback)
    for _ in range(2):
        with pytest.raises(Unreachable):
            expect_steps(decide(state, REQUEST, context), (VEND, TIMED_OUT))


def test_a_failure_of_one_target_is_none_of_the_others(
    state: CallerState, always: FlowContext, expect_steps: ExpectSteps, bad_request: MakeError
) -> None:
    assert expect_steps(decide(state, REQUEST, always), (VEND, bad_request())).outcome == "fallback"
    assert start(decide(state, REQUEST, always)) == VEND


def test_in_the_advisory_window_what_is_held_goes_on_without_a_call(
    state: CallerState, always: FlowContext, held: Any, expect_steps: ExpectSteps, clock: Clock
) -> None:
    clock.now = held.advisory_refresh_at
    elsewhere = wanted("x", bucket="other")
    assert expect_steps(decide(state, elsewhere, always), (data_access(elsewhere), TIMED_OUT)).outcome == "fallback"
    assert end(decide(state, REQUEST, always)).stored is held
    always.log.flush()


def test_a_service_that_throttles_opens_the_circuit(
    state: CallerState, make_context: MakeContext, slow_down: MakeError, clock: Clock
) -> None:
    context = make_context(account_id=OWNER, fallback="always")
    resolution, calls = exhaust(decide(state, REQUEST, context), clock, slow_down)
    assert resolution.outcome == "fallback"
    assert calls > 3
    assert end(decide(state, wanted("apac/x"), context)).outcome == "fallback"


def test_a_request_that_can_do_nothing_without_credentials_calls_all_the_same(
    state: CallerState, always: FlowContext, expect_steps: ExpectSteps
) -> None:
    # credentials() has nobody to fall back on, so a remembered outage would be a failure that nobody looked for.
    expect_steps(decide(state, REQUEST, always), (VEND, TIMED_OUT))
    assert start(find(state, REQUEST, always, exact=True)) == VEND


def test_what_is_remembered_holds_no_traceback(
    state: CallerState, always: FlowContext, expect_steps: ExpectSteps
) -> None:
    # Its frames hold whatever the program held in the call: bodies, credentials.
    expect_steps(decide(state, REQUEST, always), (VEND, TIMED_OUT))
    outage = state.breaker(REQUEST.region)._outage
    assert outage is not None
    error: BaseException | None = outage.failure
    while error is not None:
        assert error.__traceback__ is None
        error = error.__cause__ or error.__context__
