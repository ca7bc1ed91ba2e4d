"""Denials are remembered."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.io_requests import FindInstance, Page, Rules
from access_grants_provider.core.resolver import decide
from access_grants_provider.core.service_errors import UnreadableAnswer

from .resolver_steps import (
    ARN,
    ASK,
    CALLER,
    EMEA,
    HERE,
    LIST,
    REGION,
    WHO,
    MakeAnswer,
    MakeRules,
    Play,
    Refuses,
    ask,
    at,
    end,
    vend,
)


def test_a_denial_is_remembered_for_five_minutes(
    memory: Memory, rules: Rules, answer: MakeAnswer, no_grant: Refuses, play: Play, clock: Any
) -> None:
    first = play(decide(memory, ASK, rules), (vend(ASK), no_grant()), (REGION, HERE), (LIST, no_grant()))
    clock.advance(299)
    again = end(decide(memory, ASK, rules))
    assert (again.outcome, again.denial) == ("fallback", first.denial)
    clock.advance(1)
    assert play(decide(memory, ASK, rules), (vend(ASK), answer())).outcome == "granted"


def test_a_denial_is_remembered_for_its_target_alone(
    memory: Memory, rules: Rules, answer: MakeAnswer, no_grant: Refuses, play: Play
) -> None:
    play(decide(memory, ASK, rules), (vend(ASK), no_grant()), (REGION, HERE), (LIST, no_grant()))
    for other in (ask("emea/q4.csv"), ask(permission="WRITE"), ask("emea/q3.csv", listing=True)):
        matched = str(other.target)
        assert play(decide(memory, other, rules), (vend(other), answer(matched))).outcome == "granted"


def test_after_a_denial_the_caller_s_grants_are_listed_once_and_keys_outside_need_no_call(
    memory: Memory, rules: Rules, answer: MakeAnswer, no_grant: Refuses, play: Play, clock: Any
) -> None:
    inside, doubtful = ask("apac/x"), ask("apac/secret")
    grants = [("READ", "s3://sales/apac/*"), ("READ", "s3://sales-archive/*"), ("READWRITE", "s3://sales/one")]
    play(decide(memory, ASK, rules), (vend(ASK), no_grant()), (REGION, HERE), (LIST, Page(grants, None)))
    for outside in (ask("emea/q4.csv"), ask("apac", listing=True), ask("apac/x", "WRITE"), ask("one/two")):
        verdict = end(decide(memory, outside, rules))
        assert verdict.denial.kind == "no grant"
    play(decide(memory, doubtful, rules), (vend(doubtful), no_grant()))
    assert play(decide(memory, inside, rules), (vend(inside), answer("s3://sales/apac/*"))).outcome == "granted"
    written = ask("one", "READWRITE")
    play(decide(memory, written, rules), (vend(written), answer("s3://sales/one")))
    clock.advance(300)
    after = ask("emea/q4.csv")
    assert play(decide(memory, after, rules), (vend(after), answer(EMEA))).outcome == "granted"


def test_a_list_of_several_pages_is_read_to_its_end(
    memory: Memory, rules: Rules, no_grant: Refuses, play: Play
) -> None:
    play(
        decide(memory, ASK, rules),
        (vend(ASK), no_grant()),
        (REGION, HERE),
        (LIST, Page([("READ", "s3://sales/a/*")], "1")),
        (LIST._replace(token="1"), Page([("READ", "s3://sales/b/*")], None)),
    )
    assert memory.denial("READ", at("c"), rules.clock()) is not None
    assert memory.denial("READ", at("b/x"), rules.clock()) is None


def test_a_list_that_does_not_end_is_no_list(memory: Memory, rules: Rules, no_grant: Refuses, play: Play) -> None:
    pages = [(LIST._replace(token=str(number) if number else None), Page([], str(number + 1))) for number in range(10)]
    play(decide(memory, ASK, rules), (vend(ASK), no_grant()), (REGION, HERE), *pages)
    assert memory.denial("READ", at("c"), rules.clock()) is None


@pytest.mark.parametrize(
    "listing",
    [
        "denied",
        "slow_down",
        Page([("READ", "nonsense")], None),
        UnreadableAnswer(),
        Page([("READ", None)], None),  # type: ignore[list-item]
        Page([(None, "s3://sales/*")], None),  # type: ignore[list-item]
        EndpointConnectionError(endpoint_url="https://s3-control"),
    ],
)
def test_a_list_that_can_not_be_had_or_read_denies_nothing(
    memory: Memory, rules: Rules, no_grant: Refuses, slow_down: Refuses, play: Play, listing: Any
) -> None:
    listing = (
        {"denied": no_grant, "slow_down": slow_down}.get(listing, lambda: listing)()
        if isinstance(listing, str)
        else listing
    )
    verdict = play(decide(memory, ASK, rules), (vend(ASK), no_grant()), (REGION, HERE), (LIST, listing))
    assert verdict.denial.kind == "no grant"
    assert memory.denial("READ", at("c"), rules.clock()) is None


def test_ten_thousand_keys_nobody_granted_cost_five_calls(
    memory: Memory, make_rules: MakeRules, no_grant: Refuses, play: Play
) -> None:
    rules, first = make_rules(), ask("0")
    play(
        decide(memory, first, rules),
        (WHO, CALLER),
        (FindInstance(CALLER, HERE, first.target), ARN),
        (vend(first), no_grant()),
        (REGION, HERE),
        (LIST, Page([("READ", EMEA)], None)),
    )
    for number in range(1, 10_000):
        assert end(decide(memory, ask(str(number)), rules)).outcome == "fallback"
