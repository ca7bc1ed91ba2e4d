"""What an answer must be like, and what is kept of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.io_requests import Rules
from access_grants_provider.core.resolver import decide
from access_grants_provider.exceptions import MalformedAnswer

from .resolver_steps import ASK, EMEA, OWNER, MakeAnswer, MakeRules, MakeVended, Play, ask, at, end, vend


def test_credentials_are_kept_by_the_scope_that_matched(
    memory: Memory, rules: Rules, answer: MakeAnswer, play: Play
) -> None:
    verdict = play(decide(memory, ASK, rules), (vend(ASK), answer()))
    again = end(decide(memory, ask("emea/q4.csv"), rules))
    assert (again.outcome, again.source, again.vended) == ("granted", "cache", verdict.vended)
    listed = end(decide(memory, ask("emea/", listing=True), rules))
    assert listed.vended is verdict.vended


def test_an_object_grant_is_kept_too(memory: Memory, rules: Rules, answer: MakeAnswer, play: Play) -> None:
    play(decide(memory, ASK, rules), (vend(ASK), answer("s3://sales/emea/q3.csv")))
    for _ in range(9):
        assert end(decide(memory, ASK, rules)).source == "cache"
    other = ask("emea/q4.csv")
    play(decide(memory, other, rules), (vend(other), answer("s3://sales/emea/q4.csv")))


@pytest.mark.parametrize("matched", ["s3://sales/emea/q3.csv", EMEA, "s3://sales/*", None, "nonsense"])
def test_under_minimal_credentials_are_kept_for_the_target_alone(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, play: Play, matched: str | None
) -> None:
    rules, other = make_rules(account_id=OWNER, privilege="Minimal"), ask("emea/q4.csv")
    verdict = play(decide(memory, ASK, rules), (vend(ASK), answer(matched)))
    assert verdict.vended.scope == ASK.target
    assert end(decide(memory, ASK, rules)).source == "cache"
    play(decide(memory, other, rules), (vend(other), answer(matched)))


def test_a_key_that_ends_in_a_star_is_kept_as_that_one_key(
    memory: Memory, rules: Rules, answer: MakeAnswer, play: Play
) -> None:
    starred, beside = ask("emea/q*"), ask("emea/q3.csv")
    verdict = play(decide(memory, starred, rules), (vend(starred), answer("s3://sales/emea/q*")))
    assert verdict.vended.scope == at("emea/q*")
    play(decide(memory, beside, rules), (vend(beside), answer("s3://sales/emea/q3.csv")))


def test_a_key_that_ends_in_a_star_may_lie_in_a_wider_grant(
    memory: Memory, rules: Rules, answer: MakeAnswer, play: Play
) -> None:
    starred = ask("emea/q*")
    verdict = play(decide(memory, starred, rules), (vend(starred), answer(EMEA)))
    assert str(verdict.vended.scope) == EMEA


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
        {"signer": None},
        {"seconds": 0},
        {"seconds": -1},
    ],
)
@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_of_a_malformed_answer_nothing_is_kept(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, play: Play, changed: Any, fallback: str
) -> None:
    rules = make_rules(account_id=OWNER, fallback=fallback)
    for _ in range(2):
        deciding = decide(memory, ASK, rules)
        if fallback == "always":
            assert play(deciding, (vend(ASK), answer(**changed))).outcome == "fallback"
        else:
            with pytest.raises(MalformedAnswer, match="GetDataAccess"):
                play(deciding, (vend(ASK), answer(**changed)))
        assert len(memory.credentials) == 0
        assert not memory.denials
        assert not memory.flights


def test_a_malformed_answer_does_not_take_away_what_is_held(
    memory: Memory, rules: Rules, answer: MakeAnswer, make_vended: MakeVended, play: Play
) -> None:
    held = make_vended()
    memory.credentials.add(held, 0)
    other = ask("apac/x")
    with pytest.raises(MalformedAnswer):
        play(decide(memory, other, rules), (vend(other), answer(EMEA)))
    assert end(decide(memory, ASK, rules)).vended is held


def test_no_secret_is_in_what_is_logged(
    memory: Memory, rules: Rules, answer: MakeAnswer, play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        verdict = play(decide(memory, ASK, rules), (vend(ASK), answer(signer="AKIASECRET")))
    assert "AKIASECRET" not in caplog.text + repr(verdict)
    assert EMEA in caplog.text
