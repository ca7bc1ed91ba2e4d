"""Where the instance is: which calls find it, and what they spare."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.io_requests import FindInstance, ListGrants, Page, Rules
from access_grants_provider.core.resolver import decide
from access_grants_provider.exceptions import MalformedAnswer, NoInstance

from .resolver_steps import (
    ARN,
    ASK,
    CALLER,
    EMEA,
    HERE,
    LIST,
    OWN_ARN,
    OWNER,
    REGION,
    THERE,
    WHERE,
    WHO,
    MakeAnswer,
    MakeRules,
    Play,
    Refuses,
    ask,
    end,
    start,
    vend,
)


def test_the_account_of_the_options_spares_every_look_up(memory: Memory, rules: Rules, answer: Any, play: Play) -> None:
    verdict = play(decide(memory, ASK, rules), (vend(ASK), answer()))
    assert (verdict.outcome, verdict.source, verdict.reason, verdict.error) == ("granted", "vended", None, None)
    assert (str(verdict.vended.scope), verdict.vended.permission) == (EMEA, "READ")
    assert (verdict.vended.account_id, verdict.vended.region) == (OWNER, HERE)


@pytest.mark.parametrize("everywhere", [True, False])
def test_the_account_of_the_options_is_the_only_one_asked(
    memory: Memory, make_rules: MakeRules, no_grant: Refuses, play: Play, everywhere: bool
) -> None:
    memory.account_id = OWNER
    verdict = play(
        decide(memory, ASK, make_rules(account_id=OWNER, everywhere=everywhere)),
        (vend(ASK), no_grant()),
        (REGION, HERE),
        (LIST, Page([], None)),
    )
    assert verdict.outcome == "fallback"


def test_without_it_the_bucket_s_instance_is_looked_up(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, play: Play
) -> None:
    rules = make_rules()
    verdict = play(decide(memory, ASK, rules), (WHO, CALLER), (WHERE, ARN), (vend(ASK), answer()))
    assert verdict.vended.account_id == OWNER
    other = ask("apac/x")
    assert play(decide(memory, other, rules), (vend(other), answer("s3://sales/apac/*"))).outcome == "granted"


def test_the_caller_s_account_is_asked_for_once_and_the_instance_once_a_bucket(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, play: Play
) -> None:
    rules, elsewhere = make_rules(), ask(bucket="hr")
    play(decide(memory, ASK, rules), (WHO, CALLER), (WHERE, ARN), (vend(ASK), answer()))
    play(
        decide(memory, elsewhere, rules),
        (FindInstance(CALLER, HERE, elsewhere.target), OWN_ARN),
        (vend(elsewhere, CALLER), answer("s3://hr/*")),
    )
    assert memory.account_id == CALLER


def test_an_account_the_credentials_tell_is_not_asked_for(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, play: Play
) -> None:
    memory.account_id = CALLER
    assert play(decide(memory, ASK, make_rules()), (WHERE, ARN), (vend(ASK), answer())).outcome == "granted"


def test_who_may_not_look_the_instance_up_asks_the_own_one(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, permission_missing: Refuses, play: Play
) -> None:
    verdict = play(
        decide(memory, ASK, make_rules()), (WHO, CALLER), (WHERE, permission_missing()), (vend(ASK, CALLER), answer())
    )
    assert verdict.vended.account_id == CALLER


def test_two_targets_without_an_instance_are_a_denial_of_the_whole_bucket(
    memory: Memory, make_rules: MakeRules, no_instance: Refuses, play: Play
) -> None:
    rules, other = make_rules(fallback="never"), ask("other", "WRITE")
    verdict = play(decide(memory, ASK, rules), (WHO, CALLER), (WHERE, no_instance()), (REGION, HERE))
    assert type(verdict.error) is NoInstance
    assert str(ASK.target) in verdict.reason
    assert HERE in verdict.reason
    assert end(decide(memory, ASK, rules)).denial is verdict.denial
    # The locations of an instance may hold this key and not that one.
    again = play(decide(memory, other, rules), (FindInstance(CALLER, HERE, other.target), no_instance()))
    assert end(decide(memory, ask("third"), rules)).denial is again.denial


def test_where_the_model_knows_it_all_instances_shared_with_the_caller_are_asked_at_once(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, play: Play
) -> None:
    verdict = play(
        decide(memory, ASK, make_rules(everywhere=True)),
        (WHO, CALLER),
        (vend(ASK, CALLER, everywhere=True), answer(instance_arn=ARN)),
    )
    assert verdict.vended.account_id == OWNER


def test_an_instance_shared_by_its_policy_alone_is_found_after_a_no(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, no_instance: Refuses, play: Play
) -> None:
    rules, other = make_rules(everywhere=True), ask("apac/x")
    verdict = play(
        decide(memory, ASK, rules),
        (WHO, CALLER),
        (vend(ASK, CALLER, everywhere=True), no_instance()),
        (REGION, HERE),
        (WHERE, ARN),
        (vend(ASK), answer()),
    )
    assert verdict.vended.account_id == OWNER
    play(decide(memory, other, rules), (vend(other), answer("s3://sales/apac/*")))


def test_the_own_instance_is_not_asked_twice(
    memory: Memory, make_rules: MakeRules, no_grant: Refuses, play: Play
) -> None:
    rules, other = make_rules(everywhere=True), ask("apac/x", "WRITE")
    verdict = play(
        decide(memory, ASK, rules),
        (WHO, CALLER),
        (vend(ASK, CALLER, everywhere=True), no_grant()),
        (REGION, HERE),
        (WHERE, OWN_ARN),
        (ListGrants(CALLER, HERE, "sales", True), Page([("WRITE", "s3://sales/apac/*")], None)),
    )
    assert verdict.denial.kind == "no grant"
    play(decide(memory, other, rules), (vend(other, CALLER, everywhere=True), no_grant()))


def test_an_instance_that_is_not_there_is_not_looked_up_again_for_each_key(
    memory: Memory,
    make_rules: MakeRules,
    no_grant: Refuses,
    no_instance: Refuses,
    permission_missing: Refuses,
    play: Play,
) -> None:
    rules, other = make_rules(everywhere=True), ask("apac/x")
    play(
        decide(memory, ASK, rules),
        (WHO, CALLER),
        (vend(ASK, CALLER, everywhere=True), no_grant()),
        (REGION, HERE),
        (WHERE, no_instance()),
        (ListGrants(CALLER, HERE, "sales", True), permission_missing()),
    )
    # A key of its own may have a location; two in vain are enough.
    play(
        decide(memory, other, rules),
        (vend(other, CALLER, everywhere=True), no_grant()),
        (FindInstance(CALLER, HERE, other.target), no_instance()),
    )
    third = ask("third/x")
    play(decide(memory, third, rules), (vend(third, CALLER, everywhere=True), no_grant()))


def test_after_a_no_the_bucket_s_real_region_is_asked(
    memory: Memory, rules: Rules, answer: MakeAnswer, no_instance: Refuses, play: Play
) -> None:
    verdict = play(
        decide(memory, ASK, rules),
        (vend(ASK), no_instance()),
        (REGION, THERE),
        (vend(ASK, region=THERE), answer()),
    )
    assert (verdict.outcome, verdict.vended.region) == ("granted", THERE)
    other = ask("apac/x")
    play(decide(memory, other, rules), (vend(other, region=THERE), answer("s3://sales/apac/*")))


def test_in_the_real_region_the_instance_is_looked_up_anew(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer, no_instance: Refuses, play: Play
) -> None:
    verdict = play(
        decide(memory, ASK, make_rules()),
        (WHO, CALLER),
        (WHERE, no_instance()),
        (REGION, THERE),
        (FindInstance(CALLER, THERE, ASK.target), ARN),
        (vend(ASK, region=THERE), answer()),
    )
    assert verdict.outcome == "granted"


def test_no_region_is_looked_up_while_access_grants_says_yes(
    memory: Memory, rules: Rules, answer: MakeAnswer, play: Play
) -> None:
    play(decide(memory, ASK, rules), (vend(ASK), answer()))
    assert memory.bucket("sales").region is None


def test_the_region_is_looked_up_once(memory: Memory, rules: Rules, no_grant: Refuses, play: Play, clock: Any) -> None:
    other, later = ask("apac/x"), ask("amer/x")
    play(decide(memory, ASK, rules), (vend(ASK), no_grant()), (REGION, HERE), (LIST, no_grant()))
    play(decide(memory, other, rules), (vend(other), no_grant()))
    clock.advance(301)
    play(decide(memory, later, rules), (vend(later), no_grant()), (REGION, HERE), (LIST, no_grant()))


@pytest.mark.parametrize(
    "trouble", [None, EndpointConnectionError(endpoint_url="https://s3"), ReadTimeoutError(endpoint_url="https://s3")]
)
def test_a_region_that_can_not_be_found_out_leaves_the_denial(
    memory: Memory, rules: Rules, no_grant: Refuses, play: Play, trouble: Any
) -> None:
    verdict = play(decide(memory, ASK, rules), (vend(ASK), no_grant()), (REGION, trouble), (LIST, Page([], None)))
    assert verdict.denial.kind == "no grant"


@pytest.mark.parametrize("account", [None, "", "1234", "12345678901x", "١٢٣٤٥٦٧٨٩٠١٢", 111122223333])
def test_an_account_that_is_none_is_malformed_and_not_kept(
    memory: Memory, make_rules: MakeRules, play: Play, account: object
) -> None:
    with pytest.raises(MalformedAnswer):
        play(decide(memory, ASK, make_rules()), (WHO, account))
    assert memory.account_id is None


@pytest.mark.parametrize("arn", [None, "", "nonsense", "arn:aws:s3:eu-west-1::access-grants/default", 7])
def test_an_instance_arn_that_names_no_account_is_malformed(
    memory: Memory, make_rules: MakeRules, play: Play, arn: object
) -> None:
    with pytest.raises(MalformedAnswer):
        play(decide(memory, ASK, make_rules()), (WHO, CALLER), (WHERE, arn))


def test_sts_is_asked_once_however_many_buckets_are_cold(
    memory: Memory, make_rules: MakeRules, answer: MakeAnswer
) -> None:
    rules = make_rules()
    first, second = decide(memory, ASK, rules), decide(memory, ask(bucket="hr"), rules)
    assert start(first) == WHO
    assert start(second) != WHO
