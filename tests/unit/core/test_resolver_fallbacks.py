"""The table at the head of the resolver: what each fallback does with each kind of answer."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ParamValidationError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.operations import RequiredAccess
from access_grants_provider.core.resolver import Resolution, decision_of, refused
from access_grants_provider.core.service_errors import Denial, UnreadableAnswer, denied
from access_grants_provider.exceptions import (
    AccessDenied,
    CallerCredentialsError,
    ConfigurationError,
    NoInstance,
    PermissionMissing,
    ServiceFailure,
)

from .resolver_steps import (
    ARN,
    CALLER,
    EMEA,
    HERE,
    LIST,
    NOTHING_LISTED,
    OWNER,
    REGION,
    REQUEST,
    TIMED_OUT,
    VEND,
    WHERE,
    WHO,
    ExpectSteps,
    MakeContext,
    MakeError,
    MakeReply,
    MakeStored,
    data_access,
    decide,
    end,
    find,
)

REFUSALS = {
    "no_grant": ("no grant", AccessDenied, "grant"),
    "no_instance": ("no instance", NoInstance, "instance"),
    "permission_missing": ("permission missing", PermissionMissing, "s3:GetDataAccess"),
}


@pytest.mark.parametrize("which", REFUSALS)
@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_where_access_grants_says_no(
    request: pytest.FixtureRequest,
    state: CallerState,
    make_context: MakeContext,
    expect_steps: ExpectSteps,
    which: str,
    fallback: str,
) -> None:
    kind, error, named = REFUSALS[which]
    refuses = request.getfixturevalue(which)
    steps: list[Any] = [(VEND, refuses()), (REGION, HERE)]
    if kind == "no grant":
        steps.append((LIST, NOTHING_LISTED))
    resolution = expect_steps(decide(state, REQUEST, make_context(account_id=OWNER, fallback=fallback)), *steps)
    assert resolution.denial.kind == kind
    assert resolution.stored is None
    assert named in resolution.reason
    assert named in resolution.advice
    if fallback == "never":
        assert (resolution.outcome, type(resolution.error)) == ("denied", error)
        assert resolution.error.response["Error"]["Code"] == "AccessDenied"
        assert resolution.error.operation_name == "GetObject"
        assert resolution.reason in str(resolution.error)
        assert resolution.advice in str(resolution.error)
        assert resolution.error.target == "s3://sales/emea/q3.csv"
        assert (resolution.error.permission, resolution.error.caller) == ("READ", state.masked_key)
        assert (resolution.error.account_id, resolution.error.region) == (OWNER, HERE)
    else:
        assert (resolution.outcome, resolution.error) == ("fallback", None)


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("kind", ["two buckets", "signed by hand"])
def test_where_no_single_grant_can_cover_it(raises: bool, kind: Any) -> None:
    resolution = refused(Denial(kind, "it copies between two buckets"), "CopyObject", raises)
    assert resolution.outcome == ("denied" if raises else "fallback")
    assert (type(resolution.error) is AccessDenied) is raises
    assert resolution.advice


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
@pytest.mark.parametrize(
    "trouble",
    ["bad_request", TIMED_OUT, ConnectTimeoutError(endpoint_url="https://s3-control"), UnreadableAnswer()],
    ids=["refused", "timed out", "unreachable", "broken"],
)
@pytest.mark.parametrize("call", ["sts", "vend", "look-up"])
def test_where_access_grants_can_not_be_asked(
    request: pytest.FixtureRequest,
    state: CallerState,
    make_context: MakeContext,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    trouble: Any,
    fallback: str,
    call: str,
) -> None:
    error = request.getfixturevalue(trouble)() if isinstance(trouble, str) else trouble
    own = data_access(REQUEST, CALLER)
    steps: list[Any] = [(WHO, CALLER), (own, no_grant()), (REGION, HERE), (WHERE, ARN)]
    number = {"sts": 0, "vend": 1, "look-up": 3}[call]
    steps = [*steps[:number], (steps[number][0], error)]
    deciding = decide(state, REQUEST, make_context(fallback=fallback))
    if fallback == "always":
        resolution = expect_steps(deciding, *steps)
        assert (resolution.outcome, resolution.stored, resolution.denial) == ("fallback", None, None)
        assert resolution.error is None
        assert resolution.advice
    else:
        with pytest.raises(ServiceFailure) as failed:
            expect_steps(deciding, *steps)
        assert failed.value.__cause__ is error
        assert (failed.value.target, failed.value.operation) == ("s3://sales/emea/q3.csv", "GetObject")
    assert len(state.calls) == 0
    assert len(state.denials) == 0


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_where_the_caller_s_own_credentials_are_not_accepted(
    state: CallerState, make_context: MakeContext, expect_steps: ExpectSteps, aws_error: Any, fallback: str
) -> None:
    deciding = decide(state, REQUEST, make_context(fallback=fallback))
    step = (WHO, aws_error("ExpiredToken", "The security token has expired", 403))
    if fallback == "always":
        assert expect_steps(deciding, step).outcome == "fallback"
    else:
        with pytest.raises(CallerCredentialsError):
            expect_steps(deciding, step)


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
@pytest.mark.parametrize(
    ("trouble", "raised"),
    [(ParamValidationError(report="bad"), ConfigurationError), (TypeError("a bug"), TypeError)],
)
def test_a_wrong_option_or_a_bug_is_always_raised(
    state: CallerState,
    make_context: MakeContext,
    expect_steps: ExpectSteps,
    trouble: Exception,
    raised: type[Exception],
    fallback: str,
) -> None:
    with pytest.raises(raised):
        expect_steps(decide(state, REQUEST, make_context(account_id=OWNER, fallback=fallback)), (VEND, trouble))
    assert len(state.calls) == 0


def test_each_denial_is_a_new_exception(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    context = make_context(account_id=OWNER, fallback="never")
    steps = (VEND, no_grant()), (REGION, HERE), (LIST, NOTHING_LISTED)
    errors = [
        expect_steps(decide(state, REQUEST, context), *steps).error,
        *(end(decide(state, REQUEST, context)).error for _ in range(2)),
    ]
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1
    assert denied(Denial("no grant", "no"), "GetObject") is not denied(Denial("no grant", "no"), "GetObject")


def test_find_gives_the_denial_itself_whatever_the_fallback(
    state: CallerState, make_context: MakeContext, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    found, source = expect_steps(
        find(state, REQUEST, make_context(account_id=OWNER, fallback="always")),
        (VEND, no_instance()),
        (REGION, HERE),
    )
    assert (found.kind, source) == ("no instance", "vended")


# Row 4 of the table: a denial that follows from what is known.


@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
def test_a_conclusion_is_good_enough_for_the_caller_s_own_credentials_and_not_for_an_error(
    state: CallerState,
    make_context: MakeContext,
    reply: MakeReply,
    no_grant: MakeError,
    no_instance: MakeError,
    expect_steps: ExpectSteps,
    fallback: str,
) -> None:
    context = make_context(fallback=fallback)
    outside = REQUEST._replace(target=REQUEST.target._replace(key="README"))
    expect_steps(
        decide(state, outside, context),
        (WHO, CALLER), (data_access(outside, CALLER), no_instance()), (REGION, HERE),
        (WHERE._replace(target=outside.target), no_instance()),
    )  # fmt: skip
    if fallback == "never":
        assert expect_steps(decide(state, REQUEST, context), (WHERE, ARN), (VEND, reply())).outcome == "granted"
    else:
        resolution = end(decide(state, REQUEST, context))
        assert (resolution.outcome, resolution.denial.provisional) == ("fallback", True)


# The record for the user.


def test_a_decision_says_what_was_granted(make_stored: MakeStored) -> None:
    stored = make_stored()
    access = RequiredAccess("READ", REQUEST.target)
    decision = decision_of("GetObject", access, "us-east-1", Resolution("granted", stored, "cache"))
    assert (decision.operation, decision.permission, decision.target) == ("GetObject", "READ", str(REQUEST.target))
    assert (decision.outcome, decision.scope, decision.source) == ("granted", EMEA, "cache")
    assert (decision.account_id, decision.region, decision.reason) == (OWNER, HERE, None)
    assert decision.expiration is not None
    assert decision.expiration.timestamp() == stored.expires_at


def test_a_decision_says_why_not() -> None:
    resolution = refused(Denial("no instance", "There is none", 0, None, None), "CopyObject", raises=False)
    decision = decision_of("CopyObject", RequiredAccess("READWRITE", None), HERE, resolution)
    assert (decision.target, decision.outcome, decision.scope) == (None, "fallback", None)
    assert (decision.reason, decision.region, decision.account_id) == ("There is none", HERE, None)
