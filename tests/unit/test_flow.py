"""The order of decisions: what is asked, in which order, what is kept, and who waits for whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError, ReadTimeoutError

from access_grants_provider.cache import Vended
from access_grants_provider.exceptions import (
    AccessDenied,
    ConfigurationError,
    MalformedAnswer,
    NoInstance,
    PermissionMissing,
    ServiceFailure,
)
from access_grants_provider.failures import UnreadableAnswer
from access_grants_provider.flow import decide, denied, find, nearer_grant, refused
from access_grants_provider.memory import Denial, Memory
from access_grants_provider.scopes import GrantScope, Permission
from access_grants_provider.steps import (
    Answer,
    Ask,
    BucketRegion,
    CallerAccount,
    FindInstance,
    ListGrants,
    Page,
    Rules,
    Step,
    Vend,
    Wait,
)

MakeRules = Callable[..., Rules]
MakeAnswer = Callable[..., Answer]
MakeVended = Callable[..., Vended]
Refuses = Callable[[], ClientError]
Play = Callable[..., Any]

CALLER, OWNER = "111122223333", "444455556666"
HERE, THERE = "eu-west-1", "us-east-2"
ARN = f"arn:aws:s3:{HERE}:{OWNER}:access-grants/default"
OWN_ARN = f"arn:aws:s3:{HERE}:{CALLER}:access-grants/default"
EMEA = "s3://sales/emea/*"


def at(key: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, key, False)


def ask(
    key: str = "emea/q3.csv", permission: Permission = "READ", *, bucket: str = "sales", listing: bool = False
) -> Ask:
    operation = (
        "ListObjectsV2" if listing else {"READ": "GetObject", "WRITE": "PutObject"}.get(permission, "CopyObject")
    )
    return Ask(operation, permission, GrantScope(bucket, key, listing), HERE)


def vend(one: Ask, account: str = OWNER, region: str = HERE, everywhere: bool = False) -> Vend:
    return Vend(account, region, one.permission, one.target, everywhere)


ASK = ask()
WHO = CallerAccount(HERE)
WHERE = FindInstance(CALLER, HERE, ASK.target)
REGION = BucketRegion("sales", HERE)
LIST = ListGrants(OWNER, HERE, "sales", False)


@pytest.fixture
def rules(make_rules: MakeRules) -> Rules:
    """Account configured: one call a vend."""
    return make_rules(account_id=OWNER)


def start(generator: Generator[Step, Any, Any]) -> Step:
    return next(generator)


def finish(generator: Generator[Step, Any, Any], answer: Any) -> Any:
    """Send the last answer (or throw it in) and return what the generator returns."""
    with pytest.raises(StopIteration) as ended:
        resume(generator, answer)
    return ended.value.value


def resume(generator: Generator[Step, Any, Any], answer: Any) -> Step:
    return generator.throw(answer) if isinstance(answer, BaseException) else generator.send(answer)


def end(generator: Generator[Step, Any, Any]) -> Any:
    """Return what a generator returns that needs nothing from outside."""
    return finish(generator, None)


# Where the instance is.


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


# What an answer must be like.


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


# The fallback table.

REFUSALS = {
    "no_grant": ("no grant", AccessDenied, "grant"),
    "no_instance": ("no instance", NoInstance, "instance"),
    "permission_missing": ("permission missing", PermissionMissing, "s3:GetDataAccess"),
}


@pytest.mark.parametrize("which", REFUSALS)
@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_where_access_grants_says_no(
    request: pytest.FixtureRequest, memory: Memory, make_rules: MakeRules, play: Play, which: str, fallback: str
) -> None:
    kind, error, named = REFUSALS[which]
    refuses = request.getfixturevalue(which)
    steps: list[Any] = [(vend(ASK), refuses()), (REGION, HERE)]
    if kind == "no grant":
        steps.append((LIST, Page([], None)))
    verdict = play(decide(memory, ASK, make_rules(account_id=OWNER, fallback=fallback)), *steps)
    assert verdict.denial.kind == kind
    assert verdict.vended is None
    assert named in verdict.reason
    assert named in verdict.advice
    if fallback == "never":
        assert (verdict.outcome, type(verdict.error)) == ("denied", error)
        assert verdict.error.response["Error"]["Code"] == "AccessDenied"
        assert verdict.error.operation_name == "GetObject"
        assert verdict.reason in str(verdict.error)
        assert verdict.advice in str(verdict.error)
    else:
        assert (verdict.outcome, verdict.error) == ("fallback", None)


@pytest.mark.parametrize(("fallback", "outcome"), [("denied", "fallback"), ("always", "fallback"), ("never", "denied")])
def test_where_no_single_grant_can_cover_it(make_rules: MakeRules, fallback: str, outcome: str) -> None:
    verdict = refused(Denial("two buckets", "two buckets"), "CopyObject", make_rules(fallback=fallback).config)
    assert verdict.outcome == outcome
    assert (type(verdict.error) is AccessDenied) is (outcome == "denied")


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
@pytest.mark.parametrize(
    "trouble",
    [
        "slow_down",
        EndpointConnectionError(endpoint_url="https://s3-control"),
        ReadTimeoutError(endpoint_url="https://s3-control"),
        UnreadableAnswer(error="not well-formed"),
    ],
    ids=["throttled", "unreachable", "timed out", "broken"],
)
@pytest.mark.parametrize("call", ["sts", "instance", "vend"])
def test_where_access_grants_can_not_be_asked(
    memory: Memory, make_rules: MakeRules, slow_down: Refuses, play: Play, trouble: Any, fallback: str, call: str
) -> None:
    error = slow_down() if trouble == "slow_down" else trouble
    steps: list[Any] = [(WHO, CALLER), (WHERE, ARN), (vend(ASK), None)]
    number = ["sts", "instance", "vend"].index(call)
    steps = [*steps[:number], (steps[number][0], error)]
    deciding = decide(memory, ASK, make_rules(fallback=fallback))
    if fallback == "always":
        verdict = play(deciding, *steps)
        assert (verdict.outcome, verdict.vended, verdict.denial, verdict.error) == ("fallback", None, None, None)
        assert verdict.advice
    else:
        with pytest.raises(ServiceFailure) as failed:
            play(deciding, *steps)
        assert failed.value.__cause__ is error
    assert not memory.flights
    assert not memory.denials
    assert memory.bucket("sales").denial is None


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
@pytest.mark.parametrize(
    ("trouble", "raised"),
    [(ParamValidationError(report="bad"), ConfigurationError), (TypeError("a bug"), TypeError)],
)
def test_a_wrong_option_or_a_bug_is_always_raised(
    memory: Memory, make_rules: MakeRules, play: Play, trouble: Exception, raised: type[Exception], fallback: str
) -> None:
    with pytest.raises(raised):
        play(decide(memory, ASK, make_rules(account_id=OWNER, fallback=fallback)), (vend(ASK), trouble))
    assert not memory.flights


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_an_option_this_botocore_does_not_know_is_a_wrong_option(
    memory: Memory, make_rules: MakeRules, fallback: str
) -> None:
    rules = make_rules(account_id=OWNER, fallback=fallback, audit_context="nightly", knows=())
    with pytest.raises(ConfigurationError, match="audit_context"):
        start(decide(memory, ASK, rules))
    assert not memory.flights


def test_each_denial_is_a_new_exception(memory: Memory, make_rules: MakeRules, no_grant: Refuses, play: Play) -> None:
    rules = make_rules(account_id=OWNER, fallback="never")
    steps = (vend(ASK), no_grant()), (REGION, HERE), (LIST, Page([], None))
    errors = [
        play(decide(memory, ASK, rules), *steps).error,
        *(end(decide(memory, ASK, rules)).error for _ in range(2)),
    ]
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1
    assert denied(Denial("no grant", "no"), "GetObject") is not denied(Denial("no grant", "no"), "GetObject")


# Denials are remembered.


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


# The two windows.


@pytest.fixture
def held(memory: Memory, make_vended: MakeVended) -> Vended:
    vended = make_vended("READ", EMEA)
    memory.credentials.add(vended, 0)
    return vended


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


# One flight.


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


# A nearer grant after a 403.


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


# What is found for tools that sign by themselves.


def test_find_gives_the_denial_itself_whatever_the_fallback(
    memory: Memory, make_rules: MakeRules, no_instance: Refuses, play: Play
) -> None:
    found, source = play(
        find(memory, ASK, make_rules(account_id=OWNER, fallback="always")), (vend(ASK), no_instance()), (REGION, HERE)
    )
    assert (found.kind, source) == ("no instance", "vended")


def test_no_secret_is_in_what_is_logged(
    memory: Memory, rules: Rules, answer: MakeAnswer, play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        verdict = play(decide(memory, ASK, rules), (vend(ASK), answer(signer="AKIASECRET")))
    assert "AKIASECRET" not in caplog.text + repr(verdict)
    assert EMEA in caplog.text
