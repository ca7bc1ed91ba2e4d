"""What an answer must be like, and what is kept of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.flow_context import CALLS_LOGGER, FlowContext
from access_grants_provider.exceptions import MalformedAnswer

from .resolver_steps import (
    EMEA,
    OWNER,
    REQUEST,
    VEND,
    ExpectSteps,
    MakeContext,
    MakeReply,
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


def test_credentials_are_kept_by_the_scope_that_matched(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(decide(state, REQUEST, context), (VEND, reply()))
    again = end(decide(state, wanted("emea/q4.csv"), context))
    assert (again.outcome, again.source, again.stored) == ("granted", "cache", resolution.stored)
    listed = end(decide(state, wanted("emea/", listing=True), context))
    assert listed.stored is resolution.stored


def test_an_object_grant_is_kept_too(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    expect_steps(decide(state, REQUEST, context), (VEND, reply("s3://sales/emea/q3.csv")))
    for _ in range(9):
        assert end(decide(state, REQUEST, context)).source == "cache"
    other = wanted("emea/q4.csv")
    expect_steps(decide(state, other, context), (data_access(other), reply("s3://sales/emea/q4.csv")))


@pytest.mark.parametrize("matched", ["s3://sales/emea/q3.csv", EMEA, "s3://sales/*", None, "nonsense"])
def test_under_minimal_credentials_are_kept_for_the_target_alone(
    state: CallerState, make_context: MakeContext, reply: MakeReply, expect_steps: ExpectSteps, matched: str | None
) -> None:
    context, other = make_context(account_id=OWNER, privilege="Minimal"), wanted("emea/q4.csv")
    resolution = expect_steps(decide(state, REQUEST, context), (VEND, reply(matched)))
    assert resolution.stored.scope == REQUEST.target
    assert end(decide(state, REQUEST, context)).source == "cache"
    expect_steps(decide(state, other, context), (data_access(other), reply(matched)))


def test_a_key_that_ends_in_a_star_is_kept_as_that_one_key(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    starred, beside = wanted("emea/q*"), wanted("emea/q3.csv")
    resolution = expect_steps(decide(state, starred, context), (data_access(starred), reply("s3://sales/emea/q*")))
    assert resolution.stored.scope == at("emea/q*")
    expect_steps(decide(state, beside, context), (data_access(beside), reply("s3://sales/emea/q3.csv")))


def test_a_key_that_ends_in_a_star_may_lie_in_a_wider_grant(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    starred = wanted("emea/q*")
    resolution = expect_steps(decide(state, starred, context), (data_access(starred), reply(EMEA)))
    assert str(resolution.stored.scope) == EMEA


@pytest.mark.parametrize(
    "changed",
    [
        {"matched": None},
        {"matched": ""},
        {"matched": "emea/*"},
        {"matched": "s3://sales"},
        {"matched": "s3://sales/apac/*"},
        {"matched": "s3://other/emea/*"},
        {"matched": "s3://sales/emea/q3.csv.gz"},
        {"expiration": None},
        {"credentials": None},
        {"seconds": 0},
        {"seconds": -1},
    ],
)
@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_of_a_malformed_answer_nothing_is_kept(
    state: CallerState,
    make_context: MakeContext,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    changed: Any,
    fallback: str,
) -> None:
    context = make_context(account_id=OWNER, fallback=fallback)
    for _ in range(2):
        deciding = decide(state, REQUEST, context)
        if fallback == "always":
            assert expect_steps(deciding, (VEND, reply(**changed))).outcome == "fallback"
        else:
            with pytest.raises(MalformedAnswer, match="GetDataAccess"):
                expect_steps(deciding, (VEND, reply(**changed)))
        assert len(state.credentials) == 0
        assert len(state.denials) == 0
        assert len(state.calls) == 0


def test_a_malformed_answer_does_not_take_away_what_is_held(
    state: CallerState, context: FlowContext, reply: MakeReply, held: StoredCredentials, expect_steps: ExpectSteps
) -> None:
    other = wanted("apac/x")
    with pytest.raises(MalformedAnswer):
        expect_steps(decide(state, other, context), (data_access(other), reply(EMEA)))
    assert end(decide(state, REQUEST, context)).stored is held


# What is logged.


def test_nothing_is_logged_while_a_call_is_under_way(
    state: CallerState, context: FlowContext, reply: MakeReply, caplog: pytest.LogCaptureFixture
) -> None:
    # A logging handler may make an S3 request: it must not wait for the call in whose middle it is.
    with caplog.at_level(logging.DEBUG):
        deciding = decide(state, REQUEST, context)
        start(deciding)
        assert finish(deciding, reply()).outcome == "granted"
        assert not caplog.records
        context.log.flush()
        assert [record.name for record in caplog.records] == [CALLS_LOGGER]
        context.log.flush()
    assert len(caplog.records) == 1


def test_a_handler_that_logs_in_its_turn_ends(context: FlowContext, caplog: pytest.LogCaptureFixture) -> None:
    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().endswith("first"):
                context.log.note(logging.INFO, "second")
                context.log.flush()

    handler, logger = Noting(), logging.getLogger(CALLS_LOGGER)
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.DEBUG):
            context.log.note(logging.INFO, "%s", "first")
            context.log.flush()
    finally:
        logger.removeHandler(handler)
    assert sorted(record.getMessage() for record in caplog.records) == [
        "S3 Access Grants: first",
        "S3 Access Grants: second",
    ]


def test_no_secret_is_in_what_is_logged(
    state: CallerState,
    context: FlowContext,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        resolution = expect_steps(decide(state, REQUEST, context), (VEND, reply(credentials="AKIASECRET")))
        context.log.flush()
    assert "AKIASECRET" not in caplog.text + repr(resolution)
    assert EMEA in caplog.text


def test_credentials_are_dated_from_before_the_call(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps, clock: Clock, after: Any
) -> None:
    began = clock()
    stored = expect_steps(decide(state, REQUEST, context), (VEND, after(3, reply(seconds=900)))).stored
    assert stored.vended_at == began
    assert stored.expires_at == began + 900
