"""The two windows in which credentials are renewed, and credentials for what is presigned."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import WaitFor
from access_grants_provider.exceptions import ServiceFailure

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
    data_access,
    decide,
    end,
    finish,
    start,
    wanted,
)

if TYPE_CHECKING:
    from ..conftest import Clock


def test_before_the_advisory_window_nobody_calls(
    state: CallerState, context: FlowContext, held: StoredCredentials, clock: Clock
) -> None:
    clock.now = held.advisory_refresh_at - 1
    resolution = end(decide(state, REQUEST, context))
    assert (resolution.stored, resolution.source) == (held, "cache")
    assert held.used_at == clock.now


def test_in_the_advisory_window_one_renews_and_the_others_go_on(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply, clock: Clock
) -> None:
    clock.now = held.advisory_refresh_at
    renewing = decide(state, REQUEST, context)
    assert start(renewing) == VEND
    for key in ("emea/q3.csv", "emea/q4.csv"):
        assert end(decide(state, wanted(key), context)).stored is held
    resolution = finish(renewing, reply())
    assert resolution.source == "vended"
    assert resolution.stored is not held
    assert end(decide(state, wanted("emea/q4.csv"), context)).stored is resolution.stored
    assert len(state.credentials) == 1


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_a_renewal_that_fails_is_logged_and_the_old_credentials_stay(
    state: CallerState,
    make_context: MakeContext,
    held: StoredCredentials,
    bad_request: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    fallback: str,
) -> None:
    context = make_context(account_id=OWNER, fallback=fallback)
    clock.now = held.advisory_refresh_at
    resolution = expect_steps(decide(state, REQUEST, context), (VEND, bad_request()))
    assert (resolution.outcome, resolution.stored, resolution.source) == ("granted", held, "cache")
    with caplog.at_level(logging.WARNING):
        context.log.flush()
    assert EMEA in caplog.text
    assert "InvalidRequest" in caplog.text
    assert len(state.calls) == 0
    assert end(decide(state, REQUEST, context)).stored is held
    # After half of the rest of its window it is tried again.
    clock.now = held.advisory_refresh_at
    assert start(decide(state, REQUEST, context)) == VEND


def test_a_renewal_that_is_denied_leaves_the_old_credentials_their_time(
    state: CallerState,
    context: FlowContext,
    held: StoredCredentials,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    def advance_to(time: float) -> None:
        clock.advance(time - clock.now)

    advance_to(held.advisory_refresh_at)
    steps = (VEND, no_grant()), (REGION, HERE), (LIST, NOTHING_LISTED)
    assert expect_steps(decide(state, REQUEST, context), *steps).stored is held
    advance_to(held.mandatory_refresh_at - 1)
    # By then nothing that was remembered of the denial holds.
    resolution = expect_steps(
        decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, NOTHING_LISTED)
    )
    assert resolution.stored is held
    advance_to(held.mandatory_refresh_at)
    assert end(decide(state, REQUEST, context)).outcome == "fallback"


@pytest.mark.parametrize("ended", ["mandatory_refresh_at", "expires_at"])
def test_a_renewal_that_fails_too_late_does_not_hand_out_what_has_ended_meanwhile(
    state: CallerState,
    context: FlowContext,
    held: StoredCredentials,
    expect_steps: ExpectSteps,
    clock: Clock,
    after: Any,
    ended: str,
) -> None:
    clock.now = held.mandatory_refresh_at - 1
    slow = after(getattr(held, ended) - clock.now + 1, TIMED_OUT)
    with pytest.raises(ServiceFailure):
        expect_steps(decide(state, REQUEST, context), (VEND, slow))


@pytest.mark.parametrize("ended", ["mandatory_refresh_at", "expires_at"])
def test_a_renewal_that_is_denied_too_late_does_not_hand_out_what_has_ended_meanwhile(
    state: CallerState,
    make_context: MakeContext,
    held: StoredCredentials,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
    after: Any,
    ended: str,
) -> None:
    context = make_context(account_id=OWNER, timeout_seconds=300)
    clock.now = held.mandatory_refresh_at - 1
    state.bucket("sales").region_until = clock.monotonic + 9_999
    passes = getattr(held, ended) - clock.now + 1
    deciding = decide(state, REQUEST, context)
    assert start(deciding) == VEND
    clock.now += passes
    # The call's answer came within its time, and the machine's clock was set forward.
    assert isinstance(deciding.throw(no_grant()).call, type(LIST))
    resolution = finish(deciding, NOTHING_LISTED)
    assert (resolution.outcome, resolution.stored) == ("fallback", None)


def test_in_the_mandatory_window_everyone_waits(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply, clock: Clock
) -> None:
    clock.now = held.mandatory_refresh_at
    owner, waiter = decide(state, REQUEST, context), decide(state, wanted("emea/q4.csv"), context)
    assert start(owner) == VEND
    assert isinstance(start(waiter), WaitFor)
    stored = finish(owner, reply()).stored
    resolution = finish(waiter, True)
    assert (resolution.stored, resolution.source) == (stored, "cache")


def test_in_the_mandatory_window_a_failure_is_a_failure(
    state: CallerState, context: FlowContext, held: StoredCredentials, expect_steps: ExpectSteps, clock: Clock
) -> None:
    clock.now = held.mandatory_refresh_at
    with pytest.raises(ServiceFailure):
        expect_steps(decide(state, REQUEST, context), (VEND, TIMED_OUT))


def test_only_the_expiration_goes_by_the_wall_s_clock(
    state: CallerState, context: FlowContext, held: StoredCredentials, clock: Clock
) -> None:
    clock.set_back(8 * 3600)
    assert end(decide(state, REQUEST, context)).stored is held
    clock.now = held.mandatory_refresh_at
    assert start(decide(state, REQUEST, context)) == VEND


def test_where_a_wider_grant_answers_the_renewal_the_old_record_is_not_found_before_it(
    state: CallerState,
    context: FlowContext,
    held: StoredCredentials,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    clock.now = held.advisory_refresh_at
    wider = expect_steps(decide(state, REQUEST, context), (VEND, reply("s3://sales/*"))).stored
    assert end(decide(state, REQUEST, context)).stored is wider
    assert list(state.credentials) == [wider]


def test_where_a_nearer_grant_answers_the_renewal_the_old_record_serves_the_rest(
    state: CallerState,
    context: FlowContext,
    held: StoredCredentials,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    clock.now = held.advisory_refresh_at
    nearer = expect_steps(decide(state, REQUEST, context), (VEND, reply("s3://sales/emea/q3.csv"))).stored
    assert end(decide(state, REQUEST, context)).stored is nearer
    assert state.credentials.get_fresh("READ", at("emea/q4.csv"), held.advisory_refresh_at - 1) is held


def test_credentials_whose_time_is_up_do_not_hide_what_answers_now(
    state: CallerState,
    context: FlowContext,
    held: StoredCredentials,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    clock.now = held.expires_at
    expect_steps(decide(state, REQUEST, context), (VEND, reply("s3://sales/emea/q3.csv")))
    assert held not in list(state.credentials)


def test_a_renewal_for_reading_leaves_others_the_credentials_they_write_with(
    state: CallerState,
    context: FlowContext,
    make_stored: MakeStored,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    both = make_stored("READWRITE", EMEA)
    state.credentials.add(both)
    clock.now = both.advisory_refresh_at
    expect_steps(decide(state, REQUEST, context), (VEND, reply()))
    assert state.credentials.find("WRITE", REQUEST.target, clock()) is both


# What is presigned is to be good for as long as was asked.


def test_what_does_not_live_long_enough_is_not_taken(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    long = wanted(min_lifetime=3_601)
    resolution = expect_steps(decide(state, long, context), (data_access(long, seconds=7_202), reply(seconds=7_202)))
    assert resolution.source == "vended"
    assert end(decide(state, long, context)).stored is resolution.stored
    assert held is not resolution.stored


def test_what_no_credentials_live_for_is_vended_once(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    week = wanted(min_lifetime=7 * 24 * 3600)
    first = expect_steps(decide(state, week, context), (data_access(week, seconds=43_200), reply(seconds=43_200)))
    assert end(decide(state, week, context)).stored is first.stored


def test_a_role_that_does_not_last_as_long_vends_what_it_can(
    state: CallerState,
    context: FlowContext,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    aws_error: Callable[..., ClientError],
) -> None:
    long = wanted(min_lifetime=7_200)
    resolution = expect_steps(
        decide(state, long, context),
        (data_access(long, seconds=14_400), aws_error("StsValidationError", "MaxSessionDuration", 400)),
        (data_access(long), reply(seconds=3_600)),
    )
    assert resolution.stored.unmet_lifetime == 7_200
    assert end(decide(state, long, context)).stored is resolution.stored
