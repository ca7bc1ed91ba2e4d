"""What is remembered of an outage where requests may go on without grants, and for how long."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.circuit_breaker import OUTAGE_SECONDS
from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.io_requests import Rules
from access_grants_provider.core.resolver import decide, find
from access_grants_provider.exceptions import ServiceFailure, Unreachable

from .resolver_steps import ASK, HERE, OWNER, MakeAnswer, MakeRules, Play, Refuses, ask, end, finish, start, vend

DOWN = EndpointConnectionError(endpoint_url="https://s3-control")


@pytest.fixture
def always(make_rules: MakeRules) -> Rules:
    return make_rules(account_id=OWNER, fallback="always")


@pytest.fixture
def outage(memory: Memory, always: Rules, play: Play) -> None:
    assert play(decide(memory, ASK, always), (vend(ASK), DOWN)).outcome == "fallback"


@pytest.mark.usefixtures("outage")
def test_during_an_outage_requests_go_on_at_once_and_say_why(memory: Memory, always: Rules, clock: Any) -> None:
    clock.advance(OUTAGE_SECONDS - 1)
    verdict = end(decide(memory, ask("apac/x", bucket="other"), always))
    assert verdict.outcome == "fallback"
    assert "s3:GetDataAccess in eu-west-1" in verdict.reason
    assert "not asked again until 1 s from now" in verdict.reason


@pytest.mark.usefixtures("outage")
def test_then_one_asks_again_while_the_others_go_on(memory: Memory, always: Rules, clock: Any, play: Play) -> None:
    for _ in range(3):
        clock.advance(OUTAGE_SECONDS)
        asking = decide(memory, ASK, always)
        assert start(asking) == vend(ASK)
        for key in ("emea/q3.csv", "emea/q4.csv"):
            assert end(decide(memory, ask(key), always)).outcome == "fallback"
        # It does not grow, and it counts from the failure.
        clock.advance(60)
        assert finish(asking, DOWN).outcome == "fallback"
        clock.advance(OUTAGE_SECONDS - 1)
        assert end(decide(memory, ASK, always)).outcome == "fallback"
        clock.advance(1 - OUTAGE_SECONDS)


@pytest.mark.usefixtures("outage")
def test_the_first_answer_ends_it(memory: Memory, always: Rules, clock: Any, play: Play, answer: MakeAnswer) -> None:
    clock.advance(OUTAGE_SECONDS)
    assert play(decide(memory, ASK, always), (vend(ASK), answer())).outcome == "granted"
    other = ask("apac/x", bucket="other")
    assert start(decide(memory, other, always)) == vend(other)


@pytest.mark.usefixtures("outage")
def test_an_outage_of_one_region_is_none_of_another(memory: Memory, always: Rules) -> None:
    elsewhere = ASK._replace(region="us-east-2")
    assert start(decide(memory, elsewhere, always)) == vend(elsewhere, region="us-east-2")


@pytest.mark.usefixtures("outage")
def test_who_can_do_nothing_without_credentials_asks_all_the_same(memory: Memory, always: Rules) -> None:
    assert start(find(memory, ASK, always)) == vend(ASK)


@pytest.mark.parametrize("fallback", ["denied", "never"])
def test_where_a_failure_is_raised_each_request_asks(
    memory: Memory, make_rules: MakeRules, play: Play, fallback: str
) -> None:
    rules = make_rules(account_id=OWNER, fallback=fallback)
    for _ in range(2):
        with pytest.raises(Unreachable):
            play(decide(memory, ASK, rules), (vend(ASK), DOWN))
    assert not memory.outages


def test_a_failure_of_one_target_is_none_of_the_others(memory: Memory, always: Rules, play: Play) -> None:
    error: Any = {"Error": {"Code": "InvalidRequest"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    verdict = play(decide(memory, ASK, always), (vend(ASK), ClientError(error, "GetDataAccess")))
    assert verdict.outcome == "fallback"
    assert start(decide(memory, ASK, always)) == vend(ASK)


def test_in_the_advisory_window_what_is_held_goes_on_without_a_call(
    memory: Memory, always: Rules, held: Vended, play: Play, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock.now = held.refresh_at
    elsewhere = ask("x", bucket="other")
    assert play(decide(memory, elsewhere, always), (vend(elsewhere), DOWN)).outcome == "fallback"
    with caplog.at_level(logging.WARNING):
        assert end(decide(memory, ASK, always)).vended is held
    assert not caplog.records


def test_what_is_remembered_holds_no_traceback(memory: Memory, always: Rules, play: Play, slow_down: Refuses) -> None:
    play(decide(memory, ASK, always), (vend(ASK), slow_down()))
    outage = memory.outages[HERE]
    assert (outage.kind, type(outage.text)) == (ServiceFailure, str)
