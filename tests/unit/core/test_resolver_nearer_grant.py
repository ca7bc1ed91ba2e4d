"""A nearer grant after a 403."""

from __future__ import annotations

import pytest

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.io_requests import Page, Rules
from access_grants_provider.core.resolver import nearer_grant

from .resolver_steps import ASK, EMEA, HERE, LIST, OWNER, REGION, MakeAnswer, MakeRules, MakeVended, Play, at, end, vend


def test_after_a_403_the_exact_target_is_vended_and_another_match_is_kept(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, play: Play
) -> None:
    assert play(nearer_grant(memory, ASK, held, rules), (vend(ASK), answer("s3://sales/emea/q3.csv"))) is True
    assert memory.warm("READ", ASK.target, rules.clock()).scope == ASK.target  # type: ignore[union-attr]
    assert memory.warm("READ", at("emea/q4.csv"), rules.clock()) is held


def test_after_a_403_the_same_match_is_no_reason_to_try_again(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, play: Play
) -> None:
    assert play(nearer_grant(memory, ASK, held, rules), (vend(ASK), answer(EMEA))) is False
    assert end(nearer_grant(memory, ASK, held, rules)) is False


@pytest.mark.parametrize("trouble", ["slow_down", "no_grant"])
def test_a_nearer_grant_that_can_not_be_found_out_leaves_s3_s_own_403(
    request: pytest.FixtureRequest, memory: Memory, rules: Rules, held: Vended, play: Play, trouble: str
) -> None:
    more = [] if trouble == "slow_down" else [(REGION, HERE), (LIST, Page([], None))]
    steps = (vend(ASK), request.getfixturevalue(trouble)()), *more
    assert play(nearer_grant(memory, ASK, held, rules), *steps) is False
    assert memory.warm("READ", at("emea/q4.csv"), rules.clock()) is held


def test_no_grant_is_nearer_than_the_target_itself(
    memory: Memory, make_rules: MakeRules, make_vended: MakeVended
) -> None:
    exact = make_vended("READ", "s3://sales/emea/q3.csv")
    assert end(nearer_grant(memory, ASK, exact, make_rules(account_id=OWNER))) is False
    assert end(nearer_grant(memory, ASK, make_vended(), make_rules(account_id=OWNER, privilege="Minimal"))) is False


def test_a_nearer_grant_that_somebody_else_found_meanwhile_is_used(
    memory: Memory, rules: Rules, held: Vended, answer: MakeAnswer, play: Play
) -> None:
    # Two requests for one object were both refused under the wide grant; the first of them found the nearer one.
    play(nearer_grant(memory, ASK, held, rules), (vend(ASK), answer("s3://sales/emea/q3.csv")))
    assert end(nearer_grant(memory, ASK, held, rules)) is True
