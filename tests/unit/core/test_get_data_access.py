"""One vend: for how long, what its errors mean, and what its answer has to hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.control_calls import CallBudget
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.get_data_access import (
    account_in,
    get_data_access,
    is_account,
    purpose_of,
    searches_shared_instances,
)
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.exceptions import MalformedAnswer, ServiceFailure

from .resolver_steps import (
    ARN,
    CALLER,
    EMEA,
    HERE,
    OWNER,
    REQUEST,
    VEND,
    ExpectSteps,
    MakeContext,
    MakeError,
    MakeReply,
    data_access,
    wanted,
)

if TYPE_CHECKING:
    from ..conftest import Clock


def vend(state: CallerState, context: FlowContext, request: Any = REQUEST, account: str = OWNER) -> Any:
    return get_data_access(account, HERE, state, request, context, CallBudget(context))


def test_an_answer_becomes_a_record(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps, clock: Clock
) -> None:
    stored = expect_steps(vend(state, context), (VEND, reply()))
    assert (stored.permission, str(stored.scope), stored.account_id, stored.region) == ("READ", EMEA, OWNER, HERE)
    assert (stored.vended_at, stored.expires_at) == (clock(), clock() + 3600)
    assert (stored.unmet_lifetime, stored.from_other_process) == (0, False)
    # Keeping it is the resolver's business.
    assert len(state.credentials) == 0


def test_the_answer_names_the_instance_where_several_were_searched(
    state: CallerState, make_context: MakeContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    state.account_id = CALLER
    context = make_context()
    stored = expect_steps(vend(state, context, account=CALLER), (data_access(REQUEST, CALLER), reply(instance_arn=ARN)))
    assert stored.account_id == OWNER


@pytest.mark.parametrize(
    ("own", "configured", "searches"), [(True, None, True), (False, None, False), (True, CALLER, False)]
)
def test_instances_shared_with_the_caller_are_searched_from_its_own_account(
    state: CallerState, make_context: MakeContext, own: bool, configured: str | None, searches: bool
) -> None:
    state.account_id = CALLER if own else None
    context = make_context(account_id=configured)
    assert searches_shared_instances(CALLER, state, context) is searches


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no_grant", "No grant gives the caller (AKIA…WXYZ) READ on 's3://sales/emea/q3.csv'"),
        (
            "no_instance",
            f"Account {OWNER} (account_id is set to it in the program) has no S3 Access Grants instance in {HERE}",
        ),
        ("permission_missing", f"The caller (AKIA…WXYZ) may not call s3:GetDataAccess of account {OWNER} in {HERE}"),
    ],
)
def test_a_denial_says_who_was_refused_what_and_where(
    request: pytest.FixtureRequest,
    state: CallerState,
    context: FlowContext,
    expect_steps: ExpectSteps,
    clock: Clock,
    kind: str,
    said: str,
) -> None:
    denial = expect_steps(vend(state, context), (VEND, request.getfixturevalue(kind)()))
    assert denial.reason == said
    assert (denial.account_id, denial.region, denial.until) == (OWNER, HERE, clock.monotonic + 300)
    # What does not depend on the target is remembered of the instance.
    assert state.instance_denials == ({} if kind == "no_grant" else {(OWNER, HERE): denial})


def test_a_failure_says_what_it_was_for(
    state: CallerState, context: FlowContext, bad_request: MakeError, expect_steps: ExpectSteps
) -> None:
    with pytest.raises(ServiceFailure) as failed:
        expect_steps(vend(state, context), (VEND, bad_request()))
    error = failed.value
    assert (error.operation, error.target, error.permission) == ("GetObject", "s3://sales/emea/q3.csv", "READ")
    assert (error.region, error.caller) == (HERE, "AKIA…WXYZ")
    assert str(error).startswith(
        "s3:GetDataAccess in eu-west-1 for READ on 's3://sales/emea/q3.csv' (GetObject), called as AKIA…WXYZ, failed "
        "with InvalidRequest (400): The target is malformed."
    )


@pytest.mark.parametrize(
    ("duration", "min_lifetime", "seconds"),
    [
        (None, 0, None),
        (None, 1_800, None),
        (None, 1_801, 3_602),
        (None, 21_600, 43_200),
        (None, 604_800, 43_200),
        (900, 0, None),
        (900, 450, None),
        (900, 451, 902),
        (43_200, 604_800, 43_200),
    ],
)
def test_what_is_presigned_gets_credentials_for_twice_as_long(
    state: CallerState,
    make_context: MakeContext,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    duration: int | None,
    min_lifetime: float,
    seconds: int | None,
) -> None:
    context = make_context(account_id=OWNER, duration_seconds=duration)
    request = wanted(min_lifetime=min_lifetime)
    stored = expect_steps(vend(state, context, request), (data_access(request, seconds=seconds), reply(seconds=43_200)))
    assert stored.unmet_lifetime == (min_lifetime if min_lifetime > 43_200 else 0)


@pytest.mark.parametrize("code", ["InvalidRequest", "StsValidationError", "ValidationError", "ValidationException"])
def test_a_duration_that_a_role_does_not_allow_is_left_to_the_service(
    state: CallerState,
    context: FlowContext,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    aws_error: Callable[..., ClientError],
    code: str,
) -> None:
    request = wanted(min_lifetime=7_200)
    stored = expect_steps(
        vend(state, context, request),
        (data_access(request, seconds=14_400), aws_error(code, "too long", 400)),
        (data_access(request), reply(seconds=3_600)),
    )
    assert stored.unmet_lifetime == 7_200


def test_where_no_duration_was_asked_for_the_same_error_is_a_failure(
    state: CallerState, context: FlowContext, expect_steps: ExpectSteps, aws_error: Callable[..., ClientError]
) -> None:
    with pytest.raises(ServiceFailure, match="perhaps for its duration"):
        expect_steps(vend(state, context), (VEND, aws_error("StsValidationError", "…", 400)))


def test_credentials_that_have_ended_hint_at_the_clock(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    with pytest.raises(MalformedAnswer, match=r"credentials that ended at .* Check that this machine's clock is right"):
        expect_steps(vend(state, context), (VEND, reply(seconds=-1)))


def test_a_grant_that_does_not_cover_the_target_is_no_answer_to_it(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    with pytest.raises(MalformedAnswer, match="'s3://sales/apac/\\*', which does not cover the target"):
        expect_steps(vend(state, context), (VEND, reply("s3://sales/apac/*")))


@pytest.mark.parametrize(
    ("arn", "account"),
    [
        (ARN, OWNER),
        ("arn:aws-cn:s3:cn-north-1:444455556666:access-grants/default", OWNER),
        ("arn:aws:s3:eu-west-1::access-grants/default", None),
        ("arn:aws:s3:eu-west-1:444455556666", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_an_arn_names_its_account(arn: object, account: str | None) -> None:
    assert account_in(arn) == account


@pytest.mark.parametrize("text", ["", "1234", "1" * 13, "12345678901x", "١٢٣٤٥٦٧٨٩٠١٢", 111122223333, None])
def test_an_account_is_twelve_digits(text: object) -> None:
    assert not is_account(text)
    assert is_account("012345678901")


def test_a_purpose_names_call_target_and_caller(state: CallerState) -> None:
    request = wanted("a b", "WRITE")._replace(target=GrantScope("sales", "a", True))
    state.described = f"{state.masked_key}, from the environment"
    purpose = purpose_of(request, "s3:GetDataAccess", HERE, state)
    assert str(purpose) == (
        "s3:GetDataAccess in eu-west-1 for WRITE on 's3://sales/a*' (PutObject), "
        f"called as {state.masked_key}, from the environment,"
    )
