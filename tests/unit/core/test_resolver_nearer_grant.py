"""A nearer grant after a 403, and credentials that S3 has refused as such."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from access_grants_provider.core.caller_state import MAX_RECHECKS, CallerState
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import DeleteShared, LoadShared, StoreShared, WaitFor
from access_grants_provider.core.resolver import Resolver

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
    MakeReply,
    MakeStored,
    at,
    data_access,
    end,
    finish,
    start,
    wanted,
)

EXACT = "s3://sales/emea/q3.csv"


def nearer(state: CallerState, used: StoredCredentials, context: FlowContext, request: Any = REQUEST) -> Any:
    return Resolver(state, request, context, exact=True).nearer_grant(used)


def serving(state: CallerState, key: str, context: FlowContext) -> StoredCredentials | None:
    return state.credentials.get_fresh("READ", at(key), context.clock.wall())


def test_after_a_403_the_exact_target_is_vended_and_another_match_is_kept(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    assert expect_steps(nearer(state, held, context), (VEND, reply(EXACT))) is True
    found = serving(state, "emea/q3.csv", context)
    assert found is not None
    assert found.scope == REQUEST.target
    assert serving(state, "emea/q4.csv", context) is held


def test_after_a_403_the_same_match_is_no_reason_to_try_again(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    assert expect_steps(nearer(state, held, context), (VEND, reply(EMEA))) is False
    assert end(nearer(state, held, context)) is False


@pytest.mark.parametrize("trouble", ["timed out", "no_grant"])
def test_a_nearer_grant_that_can_not_be_found_out_leaves_s3_s_own_403(
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    state: CallerState,
    context: FlowContext,
    held: StoredCredentials,
    expect_steps: ExpectSteps,
    trouble: str,
) -> None:
    if trouble == "no_grant":
        steps: Any = (VEND, request.getfixturevalue(trouble)()), (REGION, HERE), (LIST, NOTHING_LISTED)
    else:
        steps = ((VEND, TIMED_OUT),)
    assert expect_steps(nearer(state, held, context), *steps) is False
    assert serving(state, "emea/q4.csv", context) is held
    context.log.flush()
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == (trouble == "timed out")


def test_no_grant_is_nearer_than_the_target_itself(
    state: CallerState, make_context: MakeContext, make_stored: MakeStored
) -> None:
    exact = make_stored("READ", EXACT)
    assert end(nearer(state, exact, make_context(account_id=OWNER))) is False
    assert end(nearer(state, make_stored(), make_context(account_id=OWNER, privilege="Minimal"))) is False


def test_a_nearer_grant_that_another_request_found_meanwhile_is_used(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    # Two requests for one object were both refused under the wide grant; the first of them found the nearer one.
    expect_steps(nearer(state, held, context), (VEND, reply(EXACT)))
    assert end(nearer(state, held, context)) is True


def test_two_requests_refused_at_once_make_one_call(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply
) -> None:
    first, second = nearer(state, held, context), nearer(state, held, context)
    assert start(first) == VEND
    assert isinstance(start(second), WaitFor)
    assert finish(first, reply(EXACT)) is True
    assert finish(second, True) is True


def test_the_wait_for_the_other_is_bounded_and_leaves_s3_s_403(
    state: CallerState, context: FlowContext, held: StoredCredentials
) -> None:
    first, second = nearer(state, held, context), nearer(state, held, context)
    start(first)
    step = start(second)
    assert 0 < step.seconds <= 5
    assert finish(second, False) is False


def test_a_thread_in_the_middle_of_a_decision_does_not_wait_for_it(
    state: CallerState, make_context: MakeContext, held: StoredCredentials
) -> None:
    first = nearer(state, held, make_context(account_id=OWNER))
    start(first)
    # The look is taken already; so there is nothing left to do.
    assert end(nearer(state, held, make_context(account_id=OWNER, may_wait=False))) is False


def test_a_bucket_policy_that_refuses_every_key_does_not_double_the_calls(
    state: CallerState, context: FlowContext, held: StoredCredentials, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    for number in range(MAX_RECHECKS):
        request = wanted(f"emea/{number}")
        assert expect_steps(nearer(state, held, context, request), (data_access(request), reply(EMEA))) is False
    assert end(nearer(state, held, context, wanted("emea/one-more"))) is False


def test_credentials_that_s3_refused_are_withdrawn(
    state: CallerState, context: FlowContext, held: StoredCredentials, expect_steps: ExpectSteps
) -> None:
    assert expect_steps(Resolver(state, REQUEST, context).withdraw(held)) is None
    assert len(state.credentials) == 0


def test_other_processes_do_not_find_them_either(
    state: CallerState, make_context: MakeContext, held: StoredCredentials, expect_steps: ExpectSteps
) -> None:
    context = make_context(account_id=OWNER, cache="disk")
    expect_steps(Resolver(state, REQUEST, context).withdraw(held), (DeleteShared(held), None))
    assert len(state.credentials) == 0


def test_a_renewal_by_another_process_is_no_nearer_grant(
    state: CallerState, make_context: MakeContext, held: StoredCredentials, make_stored: MakeStored, reply: MakeReply
) -> None:
    context = make_context(account_id=OWNER, cache="disk")
    renewed = make_stored("READ", EMEA, 7200, from_other_process=True)
    search = nearer(state, held, context)
    assert start(search) == LoadShared("sales")
    assert search.send([renewed]) == LoadShared("sales")
    assert search.send([]).call == VEND
    stored = search.send(reply(EXACT))
    assert isinstance(stored, StoreShared)
    assert finish(search, None) is True
