"""Denials are remembered, each for its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import GrantPage
from access_grants_provider.core.resolver import remembered_denial

from .resolver_steps import (
    ARN,
    CALLER,
    EMEA,
    HERE,
    LIST,
    NOTHING_LISTED,
    REGION,
    REQUEST,
    VEND,
    WHO,
    ExpectSteps,
    MakeContext,
    MakeError,
    MakeReply,
    MakeStored,
    data_access,
    decide,
    end,
    instance_for,
    list_of,
    start,
    wanted,
)

if TYPE_CHECKING:
    from ..conftest import Clock


def test_a_denial_is_remembered_for_five_minutes(
    state: CallerState,
    context: FlowContext,
    reply: MakeReply,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    first = expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, no_grant()))
    clock.advance(299)
    again = end(decide(state, REQUEST, context))
    assert (again.outcome, again.denial) == ("fallback", first.denial)
    clock.advance(1)
    assert expect_steps(decide(state, REQUEST, context), (VEND, reply())).outcome == "granted"


@pytest.mark.parametrize(("held", "known"), [(None, True), ("fresh", False), ("stale", False)])
def test_a_remembered_denial_is_the_decision_unless_credentials_are_held(
    state: CallerState, context: FlowContext, make_stored: MakeStored, no_grant: MakeError, clock: Clock,
    expect_steps: ExpectSteps, held: str | None, known: bool,
) -> None:  # fmt: skip
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, no_grant()))
    if held is not None:
        stored = make_stored()
        state.credentials.add(stored)
        clock.now = stored.mandatory_refresh_at if held == "stale" else clock.now
    decision = remembered_denial(state, "GetObject", REQUEST.permission, REQUEST.target, context.config, clock.both)
    assert (decision is not None) == known
    assert decision is None or (decision.outcome, decision.error) == ("fallback", None)


def test_a_denial_holds_no_longer_though_the_clock_is_set_back(
    state: CallerState,
    context: FlowContext,
    reply: MakeReply,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    # Daylight saving done wrong, or a machine that wakes up with a clock of its own.
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, NOTHING_LISTED))
    clock.set_back(8 * 3600)
    clock.advance(299)
    assert end(decide(state, REQUEST, context)).outcome == "fallback"
    assert end(decide(state, wanted("apac/x"), context)).outcome == "fallback"
    clock.advance(1)
    assert expect_steps(decide(state, REQUEST, context), (VEND, reply())).outcome == "granted"
    assert start(decide(state, wanted("apac/x"), context)) == data_access(wanted("apac/x"))


def test_a_denial_is_remembered_for_its_target_alone(
    state: CallerState, context: FlowContext, reply: MakeReply, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, no_grant()))
    for other in (wanted("emea/q4.csv"), wanted(permission="WRITE"), wanted("emea/q3.csv", listing=True)):
        matched = str(other.target)
        assert expect_steps(decide(state, other, context), (data_access(other), reply(matched))).outcome == "granted"


def test_after_a_denial_the_caller_s_grants_are_listed_once_and_keys_outside_need_no_call(
    state: CallerState,
    context: FlowContext,
    reply: MakeReply,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    inside, doubtful = wanted("apac/x"), wanted("apac/secret")
    listed = [("READ", "s3://sales/apac/*"), ("READ", "s3://sales-archive/*"), ("READWRITE", "s3://sales/one")]
    page = GrantPage(listed, None)  # type: ignore[arg-type]
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, page))
    for outside in (wanted("emea/q4.csv"), wanted("apac", listing=True), wanted("apac/x", "WRITE"), wanted("one/two")):
        assert end(decide(state, outside, context)).denial.kind == "no grant"
    expect_steps(decide(state, doubtful, context), (data_access(doubtful), no_grant()))
    granted = expect_steps(decide(state, inside, context), (data_access(inside), reply("s3://sales/apac/*")))
    assert granted.outcome == "granted"
    written = wanted("one", "READWRITE")
    expect_steps(decide(state, written, context), (data_access(written), reply("s3://sales/one")))
    clock.advance(300)
    later = wanted("emea/q4.csv")
    assert expect_steps(decide(state, later, context), (data_access(later), reply(EMEA))).outcome == "granted"


def test_ten_thousand_keys_nobody_granted_cost_six_calls(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    context, first = make_context(), wanted("0")
    steps = [
        (WHO, CALLER),
        (data_access(first, CALLER), no_grant()),
        (REGION, HERE),
        (instance_for(first), ARN.replace("444455556666", CALLER)),
        (list_of(CALLER), GrantPage([("READ", EMEA)], None)),  # type: ignore[list-item]
    ]
    assert len(steps) <= 6
    expect_steps(decide(state, first, context), *steps)
    for number in range(1, 10_000):
        assert end(decide(state, wanted(str(number)), context)).outcome == "fallback"


@pytest.mark.parametrize("fallback", ["denied", "always"])
def test_what_the_list_excludes_goes_as_the_caller_without_a_call(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps, fallback: str
) -> None:
    context = make_context(account_id="444455556666", fallback=fallback)
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, NOTHING_LISTED))
    assert end(decide(state, wanted("apac/x"), context)).outcome == "fallback"


def test_a_denial_of_a_whole_instance_is_of_every_bucket_asked_of_it_once_its_region_is_known(
    state: CallerState, context: FlowContext, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    elsewhere = wanted(bucket="hr")
    expect_steps(decide(state, REQUEST, context), (VEND, no_instance()), (REGION, HERE))
    assert end(decide(state, wanted("apac/x", "WRITE"), context)).denial.kind == "no instance"
    # Of another bucket the region is not known, so that is all that is looked up.
    expect_steps(decide(state, elsewhere, context), (REGION._replace(bucket="hr"), HERE))
