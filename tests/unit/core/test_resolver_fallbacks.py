"""The table of fallbacks."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ParamValidationError, ReadTimeoutError

from access_grants_provider.core.caller_state import Denial, Memory
from access_grants_provider.core.io_requests import Page
from access_grants_provider.core.resolver import decide, denied, find, refused
from access_grants_provider.core.service_errors import UnreadableAnswer
from access_grants_provider.exceptions import (
    AccessDenied,
    ConfigurationError,
    NoInstance,
    PermissionMissing,
    ServiceFailure,
)

from .resolver_steps import (
    ARN,
    ASK,
    CALLER,
    HERE,
    LIST,
    OWNER,
    REGION,
    WHERE,
    WHO,
    MakeRules,
    Play,
    Refuses,
    end,
    start,
    vend,
)

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


def test_find_gives_the_denial_itself_whatever_the_fallback(
    memory: Memory, make_rules: MakeRules, no_instance: Refuses, play: Play
) -> None:
    found, source = play(
        find(memory, ASK, make_rules(account_id=OWNER, fallback="always")), (vend(ASK), no_instance()), (REGION, HERE)
    )
    assert (found.kind, source) == ("no instance", "vended")
