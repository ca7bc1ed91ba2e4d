"""The two windows in which credentials are renewed."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.io_requests import Page, Rules, Wait
from access_grants_provider.core.resolver import decide
from access_grants_provider.exceptions import ServiceFailure

from .resolver_steps import (
    ASK,
    EMEA,
    HERE,
    LIST,
    OWNER,
    REGION,
    MakeAnswer,
    MakeRules,
    MakeVended,
    Play,
    Refuses,
    ask,
    at,
    end,
    finish,
    start,
    vend,
)


def test_before_the_advisory_window_nobody_asks(memory: Memory, rules: Rules, held: Vended, clock: Any) -> None:
    clock.now = held.refresh_at - 1
    verdict = end(decide(memory, ASK, rules))
    assert (verdict.vended, verdict.source) == (held, "cache")
    assert held.used_at == clock.now


def test_in_the_advisory_window_one_renews_and_the_others_go_on(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, clock: Any
) -> None:
    clock.now = held.refresh_at
    renewing = decide(memory, ASK, rules)
    assert start(renewing) == vend(ASK)
    for key in ("emea/q3.csv", "emea/q4.csv"):
        assert end(decide(memory, ask(key), rules)).vended is held
    verdict = finish(renewing, answer())
    assert verdict.source == "vended"
    assert verdict.vended is not held
    assert end(decide(memory, ask("emea/q4.csv"), rules)).vended is verdict.vended
    assert len(memory.credentials) == 1


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_a_renewal_that_fails_is_logged_and_the_old_credentials_stay(
    memory: Memory, make_rules: MakeRules, held: Vended, slow_down: Refuses, play: Play, clock: Any,
    caplog: pytest.LogCaptureFixture, fallback: str,
) -> None:  # fmt: skip
    rules = make_rules(account_id=OWNER, fallback=fallback)
    clock.now = held.refresh_at
    with caplog.at_level(logging.WARNING):
        verdict = play(decide(memory, ASK, rules), (vend(ASK), slow_down()))
    assert (verdict.outcome, verdict.vended, verdict.source) == ("granted", held, "cache")
    assert EMEA in caplog.text
    assert "SlowDown" in caplog.text
    assert not memory.flights
    assert end(decide(memory, ASK, rules)).vended is held
    clock.now = held.refresh_at
    assert start(decide(memory, ASK, rules)) == vend(ASK)


def test_a_renewal_that_is_denied_leaves_the_old_credentials_their_time(
    memory: Memory, rules: Rules, held: Vended, no_grant: Refuses, play: Play, clock: Any
) -> None:
    clock.now = held.refresh_at
    steps = (vend(ASK), no_grant()), (REGION, HERE), (LIST, Page([], None))
    assert play(decide(memory, ASK, rules), *steps).vended is held
    clock.now = held.renew_at - 1
    steps = (vend(ASK), no_grant()), (REGION, HERE), (LIST, Page([], None))
    assert play(decide(memory, ASK, rules), *steps).vended is held
    clock.now = held.renew_at
    assert end(decide(memory, ASK, rules)).outcome == "fallback"


@pytest.mark.parametrize("ended", ["renew_at", "expires_at"])
def test_a_renewal_that_fails_too_late_does_not_hand_out_what_has_ended_meanwhile(
    memory: Memory, rules: Rules, held: Vended, slow_down: Refuses, play: Play, clock: Any, after: Any, ended: str
) -> None:
    clock.now = held.renew_at - 1
    slow = after(getattr(held, ended) - clock.now + 1, slow_down())
    with pytest.raises(ServiceFailure):
        play(decide(memory, ASK, rules), (vend(ASK), slow))


@pytest.mark.parametrize("ended", ["renew_at", "expires_at"])
def test_a_renewal_that_is_denied_too_late_does_not_hand_out_what_has_ended_meanwhile(
    memory: Memory, rules: Rules, held: Vended, no_grant: Refuses, play: Play, clock: Any, after: Any, ended: str
) -> None:
    clock.now = held.renew_at - 1
    slow = after(getattr(held, ended) - clock.now + 1, no_grant())
    verdict = play(decide(memory, ASK, rules), (vend(ASK), slow), (REGION, HERE), (LIST, Page([], None)))
    assert (verdict.outcome, verdict.vended) == ("fallback", None)


def test_in_the_mandatory_window_everyone_waits(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, clock: Any
) -> None:
    clock.now = held.renew_at
    leader, follower = decide(memory, ASK, rules), decide(memory, ask("emea/q4.csv"), rules)
    assert start(leader) == vend(ASK)
    assert isinstance(start(follower), Wait)
    vended = finish(leader, answer()).vended
    verdict = end(follower)
    assert (verdict.vended, verdict.source) == (vended, "cache")


def test_in_the_mandatory_window_a_failure_is_a_failure(
    memory: Memory, rules: Rules, held: Vended, slow_down: Refuses, play: Play, clock: Any
) -> None:
    clock.now = held.renew_at
    with pytest.raises(ServiceFailure):
        play(decide(memory, ASK, rules), (vend(ASK), slow_down()))


def test_where_a_wider_grant_answers_the_renewal_the_old_record_is_not_found_before_it(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, play: Play, clock: Any
) -> None:
    clock.now = held.refresh_at
    wider = play(decide(memory, ASK, rules), (vend(ASK), answer("s3://sales/*"))).vended
    assert end(decide(memory, ASK, rules)).vended is wider
    assert list(memory.credentials) == [wider]


def test_where_a_nearer_grant_answers_the_renewal_the_old_record_serves_the_rest(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, play: Play, clock: Any
) -> None:
    clock.now = held.refresh_at
    nearer = play(decide(memory, ASK, rules), (vend(ASK), answer("s3://sales/emea/q3.csv"))).vended
    assert end(decide(memory, ASK, rules)).vended is nearer
    assert memory.warm("READ", at("emea/q4.csv"), held.refresh_at - 1) is held


def test_credentials_whose_time_is_up_do_not_hide_what_answers_now(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, play: Play, clock: Any
) -> None:
    clock.now = held.expires_at
    play(decide(memory, ASK, rules), (vend(ASK), answer("s3://sales/emea/q3.csv")))
    assert held not in list(memory.credentials)


def test_a_renewal_for_reading_leaves_others_the_credentials_they_write_with(
    memory: Memory, rules: Rules, make_vended: MakeVended, answer: MakeAnswer, play: Play, clock: Any
) -> None:
    both = make_vended("READWRITE", EMEA)
    memory.credentials.add(both, 0)
    clock.now = both.refresh_at
    play(decide(memory, ASK, rules), (vend(ASK), answer()))
    assert memory.credentials.find("WRITE", ASK.target) is both
