"""One flight: who asks, and who waits for whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.io_requests import Page, Rules, Vend, Wait
from access_grants_provider.core.resolver import decide
from access_grants_provider.exceptions import ServiceFailure

from .resolver_steps import (
    ARN,
    ASK,
    CALLER,
    HERE,
    OWNER,
    MakeAnswer,
    MakeRules,
    Refuses,
    ask,
    end,
    finish,
    resume,
    start,
    vend,
)


def test_the_first_miss_in_a_bucket_goes_alone_and_one_grant_serves_all(
    memory: Memory, rules: Rules, answer: MakeAnswer
) -> None:
    leader = decide(memory, ask("folder-0/x"), rules)
    followers = [decide(memory, ask(f"folder-{number}/x"), rules) for number in range(1, 64)]
    assert isinstance(start(leader), Vend)
    assert all(isinstance(start(one), Wait) for one in followers)
    vended = finish(leader, answer("s3://sales/*")).vended
    assert all(end(one).vended is vended for one in followers)


def test_many_grants_take_two_rounds_whatever_their_number(memory: Memory, rules: Rules, answer: MakeAnswer) -> None:
    asks = [ask(f"folder-{number}/{name}") for number in range(64) for name in "xy"]
    leader, *others = [decide(memory, one, rules) for one in asks]
    assert isinstance(start(leader), Vend)
    assert all(isinstance(start(one), Wait) for one in others)
    finish(leader, answer("s3://sales/folder-0/*"))
    assert end(others[0]).source == "cache"
    second_round = [(one, resume(one, None)) for one in others[1:]]
    flying = [one for one, step in second_round if isinstance(step, Vend)]
    waiting = [one for one, step in second_round if isinstance(step, Wait)]
    assert (len(flying), len(waiting)) == (63, 63)
    for number, one in enumerate(flying, 1):
        assert finish(one, answer(f"s3://sales/folder-{number}/*")).outcome == "granted"
    assert {end(one).source for one in waiting} == {"cache"}


def test_what_a_group_s_answer_does_not_cover_flies_by_itself(memory: Memory, rules: Rules, answer: MakeAnswer) -> None:
    leader, same, other = (decide(memory, ask(key), rules) for key in ("a/1", "a/1", "a/2"))
    start(leader)
    flight = start(other)
    assert flight == start(same)
    finish(leader, answer("s3://sales/a/1"))
    assert end(same).source == "cache"
    assert resume(other, None) == vend(ask("a/2"))


def test_those_a_denial_told_nothing_do_not_wait_for_each_other(
    memory: Memory, rules: Rules, no_grant: Refuses
) -> None:
    leader, *others = [decide(memory, ask(key), rules) for key in ("a/1", "a/2", "b/3")]
    for one in (leader, *others):
        start(one)
    resume(leader, no_grant())
    resume(leader, HERE)
    finish(leader, no_grant())
    assert [resume(one, None) for one in others] == [vend(ask("a/2")), vend(ask("b/3"))]


def test_reads_and_writes_do_not_wait_for_each_other(memory: Memory, rules: Rules) -> None:
    reading, writing = decide(memory, ASK, rules), decide(memory, ask(permission="WRITE"), rules)
    assert isinstance(start(reading), Vend)
    assert isinstance(start(writing), Vend)


def test_buckets_do_not_wait_for_each_other(memory: Memory, rules: Rules) -> None:
    here, elsewhere = decide(memory, ASK, rules), decide(memory, ask(bucket="hr"), rules)
    assert isinstance(start(here), Vend)
    assert isinstance(start(elsewhere), Vend)


def test_under_minimal_only_the_same_target_waits(memory: Memory, make_rules: MakeRules, answer: MakeAnswer) -> None:
    rules = make_rules(account_id=OWNER, privilege="Minimal")
    leader, same, other = (decide(memory, ask(key), rules) for key in ("a/1", "a/1", "a/2"))
    assert isinstance(start(leader), Vend)
    assert isinstance(start(same), Wait)
    assert isinstance(start(other), Vend)
    finish(leader, answer(None))
    assert end(same).source == "cache"


def test_who_waited_for_a_denial_takes_it_without_a_call(memory: Memory, rules: Rules, no_grant: Refuses) -> None:
    leader, same = decide(memory, ASK, rules), decide(memory, ASK, rules)
    start(leader)
    start(same)
    resume(leader, no_grant())
    resume(leader, HERE)
    denial = finish(leader, Page([], None)).denial
    assert end(same).denial is denial


@pytest.mark.parametrize("gone", [GeneratorExit, KeyboardInterrupt, RuntimeError])
def test_a_leader_that_gives_up_hands_over(
    memory: Memory, rules: Rules, answer: MakeAnswer, gone: type[BaseException]
) -> None:
    leader, second, third = (decide(memory, ASK, rules) for _ in range(3))
    start(leader)
    wait = start(second)
    start(third)
    assert isinstance(wait, Wait)
    assert not wait.flight.done.done()
    if gone is GeneratorExit:
        leader.close()
    else:
        with pytest.raises(gone):
            leader.throw(gone())
    assert wait.flight.done.done()
    assert resume(second, None) == vend(ASK)
    assert isinstance(resume(third, None), Wait)
    vended = finish(second, answer()).vended
    assert end(third).vended is vended


def test_a_failure_is_shared_by_all_who_waited_each_with_an_exception_of_its_own(
    memory: Memory, rules: Rules, slow_down: Refuses
) -> None:
    leader, *followers = [decide(memory, ASK, rules) for _ in range(3)]
    for one in (leader, *followers):
        start(one)
    raised = []
    cause = slow_down()
    for one, thrown in ((leader, cause), *((one, None) for one in followers)):
        with pytest.raises(ServiceFailure) as failed:
            resume(one, thrown)
        raised.append(failed.value)
    assert len({id(error) for error in raised}) == 3
    assert {(type(error), error.__cause__) for error in raised} == {(ServiceFailure, cause)}
    assert all(str(error).startswith(str(raised[0])) for error in raised)
    assert not memory.flights
    assert isinstance(start(decide(memory, ASK, rules)), Vend)


@pytest.mark.parametrize("code", ["InvalidRequest", "StsPackedPolicyTooLargeError", "StsNotAuthorizedError"])
def test_a_failure_that_is_about_one_key_is_not_that_of_another(
    memory: Memory, rules: Rules, aws_error: Callable[..., ClientError], code: str
) -> None:
    # They waited for it only because its answer might have served them.
    leader, other = decide(memory, ask("odd/key"), rules), decide(memory, ask("apac/x"), rules)
    start(leader)
    assert isinstance(start(other), Wait)
    with pytest.raises(ServiceFailure):
        resume(leader, aws_error(code, "about odd/key", 400))
    assert resume(other, None) == vend(ask("apac/x"))


def test_no_lock_is_held_while_somebody_asks_or_waits(memory: Memory, make_rules: MakeRules, no_grant: Refuses) -> None:
    deciding, waiting = decide(memory, ASK, make_rules()), decide(memory, ASK, make_rules())
    steps: list[Any] = [None, CALLER, ARN, no_grant(), HERE]
    for reply in steps:
        resume(deciding, reply)
        assert not memory.lock.locked()
    start(waiting)
    assert not memory.lock.locked()
