"""Where a request is granted: which calls find it, in which order, and what they spare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.discovery import known_denial
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import BucketRegion, GrantPage, Pause, WaitFor
from access_grants_provider.core.service_errors import UnreadableAnswer
from access_grants_provider.exceptions import MalformedAnswer, NoInstance, ServiceFailure, Unreachable

from .resolver_steps import (
    ARN,
    CALLER,
    EMEA,
    HERE,
    LIST,
    NOTHING_LISTED,
    OWN_ARN,
    OWNER,
    REGION,
    REQUEST,
    THERE,
    TIMED_OUT,
    VEND,
    WHERE,
    WHO,
    ExpectSteps,
    MakeContext,
    MakeError,
    MakeReply,
    data_access,
    decide,
    end,
    finish,
    instance_for,
    list_of,
    resume,
    start,
    wanted,
)

if TYPE_CHECKING:
    from ..conftest import Clock

OWN = data_access(REQUEST, CALLER)
OTHER = wanted("apac/x")


# The order of the calls.


def test_the_account_of_the_options_spares_every_look_up(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(decide(state, REQUEST, context), (VEND, reply()))
    assert (resolution.outcome, resolution.source, resolution.reason) == ("granted", "vended", None)
    assert (str(resolution.stored.scope), resolution.stored.permission) == (EMEA, "READ")
    assert (resolution.stored.account_id, resolution.stored.region) == (OWNER, HERE)


def test_the_account_of_the_options_is_the_only_one_called(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    state.account_id = OWNER
    resolution = expect_steps(
        decide(state, REQUEST, make_context(account_id=OWNER)),
        (VEND, no_grant()),
        (REGION, HERE),
        (LIST, NOTHING_LISTED),
    )
    assert resolution.outcome == "fallback"
    assert not resolution.denial.provisional


def test_without_it_the_caller_s_own_instance_is_called_first(
    state: CallerState, make_context: MakeContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    context = make_context()
    resolution = expect_steps(decide(state, REQUEST, context), (WHO, CALLER), (OWN, reply()))
    assert resolution.stored.account_id == CALLER
    # The account is not asked for again, in another bucket neither.
    elsewhere = wanted(bucket="hr")
    expect_steps(decide(state, elsewhere, context), (data_access(elsewhere, CALLER), reply("s3://hr/*")))


def test_an_account_that_the_credentials_tell_is_not_asked_for(
    state: CallerState, make_context: MakeContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    state.account_id = CALLER
    assert expect_steps(decide(state, REQUEST, make_context()), (OWN, reply())).outcome == "granted"


@pytest.mark.parametrize("kind", ["no_grant", "no_instance", "permission_missing"])
def test_after_a_no_the_region_is_looked_up_and_then_the_owner(
    request: pytest.FixtureRequest,
    state: CallerState,
    make_context: MakeContext,
    reply: MakeReply,
    expect_steps: ExpectSteps,
    kind: str,
) -> None:
    context = make_context()
    resolution = expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (OWN, request.getfixturevalue(kind)()),
        (REGION, HERE),
        (WHERE, ARN),
        (VEND, reply()),
    )
    assert resolution.stored.account_id == OWNER
    # From then on the owner is called first.
    expect_steps(decide(state, OTHER, context), (data_access(OTHER), reply("s3://sales/apac/*")))


def test_the_instances_shared_with_the_caller_are_searched_at_once(
    state: CallerState, make_context: MakeContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(
        decide(state, REQUEST, make_context()),
        (WHO, CALLER),
        (data_access(REQUEST, CALLER), reply(instance_arn=ARN)),
    )
    assert resolution.stored.account_id == OWNER


def test_a_guessed_account_that_grants_needs_no_sts(
    state: CallerState, make_context: MakeContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    state.account_id, state.account_is_guessed = CALLER, True
    assert expect_steps(decide(state, REQUEST, make_context()), (OWN, reply())).outcome == "granted"


def test_a_wrong_guess_of_the_account_is_found_out_before_its_no_counts(
    state: CallerState, make_context: MakeContext, reply: MakeReply, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    wrong = "999999999999"
    state.account_id, state.account_is_guessed = wrong, True
    asked = data_access(REQUEST, wrong, shared=True)
    resolution = expect_steps(
        decide(state, REQUEST, make_context()), (asked, no_instance()), (WHO, CALLER), (OWN, reply())
    )
    assert (resolution.outcome, state.account_id) == ("granted", CALLER)


def test_a_guess_that_one_request_has_confirmed_denies_no_other_request(
    state: CallerState, make_context: MakeContext, reply: MakeReply, no_instance: MakeError
) -> None:
    wrong, context = "999999999999", make_context()
    elsewhere = wanted(bucket="theirs")
    state.account_id, state.account_is_guessed = wrong, True
    first, second = decide(state, REQUEST, context), decide(state, elsewhere, context)
    next(first), next(second)
    assert resume(first, no_instance()) == WHO
    # STS has not answered yet: the second waits for that, and concludes nothing.
    assert isinstance(resume(second, no_instance()), WaitFor)
    assert resume(first, CALLER) == OWN
    assert resume(second, True) == data_access(elsewhere, CALLER)


def test_nothing_is_known_of_a_denial_while_the_account_is_a_guess(
    state: CallerState, make_context: MakeContext, no_instance: MakeError, clock: Clock
) -> None:
    wrong, context = "999999999999", make_context()
    state.account_id, state.account_is_guessed = wrong, True
    state.bucket("sales").region_until = clock.monotonic + 300
    deciding = decide(state, REQUEST, context)
    next(deciding)
    # From now on it is remembered that the wrong account has no instance.
    assert resume(deciding, no_instance()) == WHO
    assert known_denial(state, REQUEST, context) is None
    state.account_is_guessed = False
    assert known_denial(state, REQUEST, context) is not None


def test_a_right_guess_of_the_account_is_confirmed_once_before_a_no(
    state: CallerState, make_context: MakeContext, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    state.account_id, state.account_is_guessed = CALLER, True
    context = make_context()
    steps = [(OWN, no_instance()), (WHO, CALLER), (REGION, HERE), (WHERE, no_instance())]
    assert expect_steps(decide(state, REQUEST, context), *steps).outcome == "fallback"
    assert not state.account_is_guessed


def test_an_instance_shared_by_its_policy_alone_is_found_after_a_no(
    state: CallerState, make_context: MakeContext, reply: MakeReply, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(
        decide(state, REQUEST, make_context()),
        (WHO, CALLER),
        (data_access(REQUEST, CALLER), no_instance()),
        (REGION, HERE),
        (WHERE, ARN),
        (VEND, reply()),
    )
    assert resolution.stored.account_id == OWNER


def test_each_instance_that_said_no_grant_is_asked_for_its_list(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(
        decide(state, REQUEST, make_context()),
        (WHO, CALLER),
        (OWN, no_grant()),
        (REGION, HERE),
        (WHERE, ARN),
        (VEND, no_grant()),
        (LIST, NOTHING_LISTED),
        (list_of(CALLER), NOTHING_LISTED),
    )
    assert (resolution.denial.kind, resolution.denial.account_id) == ("no grant", OWNER)


def test_a_missing_instance_is_asked_for_no_list(
    state: CallerState,
    make_context: MakeContext,
    no_grant: MakeError,
    no_instance: MakeError,
    expect_steps: ExpectSteps,
) -> None:
    expect_steps(
        decide(state, REQUEST, make_context()),
        (WHO, CALLER),
        (OWN, no_instance()),
        (REGION, HERE),
        (WHERE, ARN),
        (VEND, no_grant()),
        (LIST, NOTHING_LISTED),
    )


def test_an_own_instance_that_is_responsible_is_not_called_twice(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    context, other = make_context(), wanted("apac/x", "WRITE")
    resolution = expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (data_access(REQUEST, CALLER), no_grant()),
        (REGION, HERE),
        (WHERE, OWN_ARN),
        (list_of(CALLER), GrantPage([("WRITE", "s3://sales/apac/*")], None)),  # type: ignore[list-item]
    )
    assert resolution.denial.kind == "no grant"
    expect_steps(decide(state, other, context), (data_access(other, CALLER), no_grant()))


# The look-up of the owner, whichever way AWS reads its question.


def test_a_look_up_that_names_nobody_is_remembered_for_the_target_alone(
    state: CallerState,
    make_context: MakeContext,
    reply: MakeReply,
    no_grant: MakeError,
    no_instance: MakeError,
    expect_steps: ExpectSteps,
) -> None:
    # A key outside every location, where the look-up answers by location.
    context = make_context(fallback="never")
    first = expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (OWN, no_grant()),
        (REGION, HERE),
        (WHERE, no_instance()),
        (list_of(CALLER), NOTHING_LISTED),
    )
    assert end(decide(state, REQUEST, context)).denial is first.denial
    # Another key is looked up anew, and its owner is the bucket's.
    expect_steps(
        decide(state, OTHER, context), (instance_for(OTHER), ARN), (data_access(OTHER), reply("s3://sales/apac/*"))
    )
    third = wanted("apac2/x")
    expect_steps(decide(state, third, context), (data_access(third), reply("s3://sales/apac2/*")))


def test_a_denial_that_a_look_up_might_lift_is_provisional(
    state: CallerState,
    make_context: MakeContext,
    no_grant: MakeError,
    no_instance: MakeError,
    expect_steps: ExpectSteps,
) -> None:
    context = make_context()
    first = expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (OWN, no_grant()),
        (REGION, HERE),
        (WHERE, no_instance()),
        (list_of(CALLER), NOTHING_LISTED),
    )
    assert not first.denial.provisional
    concluded = end(decide(state, OTHER, context))
    assert (concluded.outcome, concluded.denial.provisional) == ("fallback", True)
    # After S3's 403 the question is put about this very target.
    assert start(decide(state, OTHER, context, exact=True)) == instance_for(OTHER)


def test_a_denial_of_all_that_are_responsible_is_final(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    context = make_context()
    expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (OWN, no_grant()),
        (REGION, HERE),
        (WHERE, OWN_ARN),
        (list_of(CALLER), NOTHING_LISTED),
    )
    for exact in (False, True):
        concluded = end(decide(state, OTHER, context, exact))
        assert (concluded.denial.kind, concluded.denial.provisional) == ("no grant", False)


def test_two_targets_without_an_instance_deny_nothing_else(
    state: CallerState, make_context: MakeContext, reply: MakeReply, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    context, listing, head = make_context(fallback="never"), wanted("", listing=True), wanted("README")
    expect_steps(
        decide(state, listing, context),
        (WHO, CALLER),
        (data_access(listing, CALLER), no_instance()),
        (REGION, HERE),
        (instance_for(listing), no_instance()),
    )
    denied = expect_steps(decide(state, head, context), (instance_for(head), no_instance()))
    assert type(denied.error) is NoInstance
    granted = expect_steps(decide(state, REQUEST, context), (WHERE, ARN), (VEND, reply()))
    assert granted.stored.account_id == OWNER


def test_where_nobody_is_responsible_the_reason_says_where_and_for_what(
    state: CallerState, make_context: MakeContext, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(
        decide(state, REQUEST, make_context(fallback="never")),
        (WHO, CALLER),
        (OWN, no_instance()),
        (REGION, HERE),
        (WHERE, no_instance()),
    )
    assert type(resolution.error) is NoInstance
    assert str(REQUEST.target) in resolution.reason
    assert HERE in resolution.reason


def test_a_caller_that_may_not_look_up_has_its_own_instance_alone(
    state: CallerState,
    make_context: MakeContext,
    no_grant: MakeError,
    permission_missing: MakeError,
    expect_steps: ExpectSteps,
) -> None:
    context = make_context()
    resolution = expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (OWN, no_grant()),
        (REGION, HERE),
        (WHERE, permission_missing()),
        (list_of(CALLER), permission_missing()),
    )
    assert resolution.denial.account_id == CALLER
    # It may not for other keys either.
    expect_steps(decide(state, OTHER, context), (data_access(OTHER, CALLER), no_grant()))


def test_an_owner_that_has_no_instance_any_more_is_forgotten(
    state: CallerState,
    make_context: MakeContext,
    reply: MakeReply,
    no_instance: MakeError,
    expect_steps: ExpectSteps,
) -> None:
    context = make_context()
    expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER), (OWN, no_instance()), (REGION, HERE), (WHERE, ARN), (VEND, reply()),
    )  # fmt: skip
    moved = "arn:aws:s3:eu-west-1:777788889999:access-grants/default"
    resolution = expect_steps(
        decide(state, OTHER, context),
        (data_access(OTHER), no_instance()),
        (instance_for(OTHER), moved),
        (data_access(OTHER, "777788889999"), reply("s3://sales/apac/*")),
    )
    assert resolution.stored.account_id == "777788889999"


def test_the_order_of_the_first_requests_does_not_decide_what_is_granted_later(
    state: CallerState, make_context: MakeContext, reply: MakeReply, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    # Two instances know the bucket: the caller's own has apac/, the owner's has emea/.
    context = make_context(fallback="never")
    expect_steps(decide(state, OTHER, context), (WHO, CALLER), (data_access(OTHER, CALLER), reply("s3://sales/apac/*")))
    expect_steps(decide(state, REQUEST, context), (OWN, no_grant()), (REGION, HERE), (WHERE, ARN), (VEND, reply()))
    third = wanted("apac/x", "WRITE")
    granted = expect_steps(
        decide(state, third, context),
        (data_access(third), no_grant()),
        (data_access(third, CALLER), reply("s3://sales/apac/*")),
    )
    assert granted.stored.account_id == CALLER


def test_the_owner_is_looked_up_again_after_five_minutes(
    state: CallerState,
    make_context: MakeContext,
    reply: MakeReply,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    context = make_context()
    expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER), (OWN, no_grant()), (REGION, HERE), (WHERE, ARN), (VEND, reply()),
    )  # fmt: skip
    clock.advance(300)
    # Set back, the clock makes nothing last longer.
    clock.set_back(8 * 3600)
    expect_steps(
        decide(state, OTHER, context),
        (data_access(OTHER, CALLER), no_grant()),
        (REGION, HERE),
        (instance_for(OTHER), ARN),
        (data_access(OTHER), reply("s3://sales/apac/*")),
    )


# The lists.


def test_a_list_speaks_only_for_its_own_instance(
    state: CallerState, make_context: MakeContext, reply: MakeReply, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    # The owner's grants come by the instance's policy; the caller's own instance is empty.
    context = make_context()
    expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (OWN, no_grant()),
        (REGION, HERE),
        (WHERE, ARN),
        (VEND, no_grant()),
        (LIST, GrantPage([("READ", "s3://sales/apac/*")], None)),  # type: ignore[list-item]
        (list_of(CALLER), NOTHING_LISTED),
    )
    expect_steps(decide(state, OTHER, context), (data_access(OTHER), reply("s3://sales/apac/*")))
    assert end(decide(state, wanted("amer/x"), context)).denial.kind == "no grant"


def test_an_instance_without_a_list_is_called_for_each_key_and_the_other_is_not(
    state: CallerState,
    make_context: MakeContext,
    no_grant: MakeError,
    permission_missing: MakeError,
    expect_steps: ExpectSteps,
) -> None:
    context = make_context()
    expect_steps(
        decide(state, REQUEST, context),
        (WHO, CALLER),
        (OWN, no_grant()),
        (REGION, HERE),
        (WHERE, ARN),
        (VEND, no_grant()),
        (LIST, permission_missing()),
        (list_of(CALLER), NOTHING_LISTED),
    )
    expect_steps(decide(state, OTHER, context), (data_access(OTHER), no_grant()))


def test_a_list_of_several_pages_is_read_to_its_end(
    state: CallerState, context: FlowContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    expect_steps(
        decide(state, REQUEST, context),
        (VEND, no_grant()),
        (REGION, HERE),
        (LIST, GrantPage([("READ", "s3://sales/a/*")], "1")),  # type: ignore[list-item]
        (LIST._replace(token="1"), GrantPage([("READ", "s3://sales/b/*")], None)),  # type: ignore[list-item]
    )
    assert end(decide(state, wanted("c"), context)).outcome == "fallback"
    for key in ("a/x", "b/x"):
        assert start(decide(state, wanted(key), context)) == data_access(wanted(key))


def test_a_list_that_does_not_end_is_no_list(
    state: CallerState, context: FlowContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    pages = [
        (LIST._replace(token=str(number) if number else None), GrantPage([], str(number + 1))) for number in range(10)
    ]
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), *pages)
    assert start(decide(state, wanted("c"), context)) == data_access(wanted("c"))


@pytest.mark.parametrize(
    "listing",
    [
        "no_grant",
        "bad_request",
        GrantPage([("READ", "nonsense")], None),  # type: ignore[list-item]
        UnreadableAnswer(),
        GrantPage([("READ", None)], None),  # type: ignore[list-item]
        GrantPage([(None, "s3://sales/*")], None),  # type: ignore[list-item]
        TIMED_OUT,
    ],
)
def test_a_list_that_can_not_be_had_or_read_denies_nothing(
    request: pytest.FixtureRequest,
    state: CallerState,
    context: FlowContext,
    no_grant: MakeError,
    expect_steps: ExpectSteps,
    listing: Any,
) -> None:
    if isinstance(listing, str):
        listing = request.getfixturevalue(listing)()
    resolution = expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, listing))
    assert resolution.denial.kind == "no grant"
    # Nor is it asked for again within five minutes.
    other = wanted("c")
    expect_steps(decide(state, other, context), (data_access(other), no_grant()))


# The bucket's region.


def test_after_a_no_the_bucket_s_real_region_is_called(
    state: CallerState, context: FlowContext, reply: MakeReply, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(
        decide(state, REQUEST, context),
        (VEND, no_instance()),
        (REGION, THERE),
        (data_access(REQUEST, region=THERE), reply()),
    )
    assert (resolution.outcome, resolution.stored.region) == ("granted", THERE)
    expect_steps(decide(state, OTHER, context), (data_access(OTHER, region=THERE), reply("s3://sales/apac/*")))


def test_in_the_real_region_the_owner_is_looked_up(
    state: CallerState, make_context: MakeContext, reply: MakeReply, no_instance: MakeError, expect_steps: ExpectSteps
) -> None:
    resolution = expect_steps(
        decide(state, REQUEST, make_context()),
        (WHO, CALLER),
        (OWN, no_instance()),
        (REGION, THERE),
        (data_access(REQUEST, CALLER, THERE), no_instance()),
        (instance_for(REQUEST, THERE), ARN),
        (data_access(REQUEST, region=THERE), reply()),
    )
    assert resolution.outcome == "granted"


def test_no_region_is_looked_up_while_access_grants_says_yes(
    state: CallerState, context: FlowContext, reply: MakeReply, expect_steps: ExpectSteps
) -> None:
    expect_steps(decide(state, REQUEST, context), (VEND, reply()))
    assert state.bucket("sales").region is None


def test_the_region_is_looked_up_once_in_five_minutes(
    state: CallerState,
    context: FlowContext,
    no_grant: MakeError,
    permission_missing: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
) -> None:
    later = wanted("amer/x")
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, HERE), (LIST, permission_missing()))
    expect_steps(decide(state, OTHER, context), (data_access(OTHER), no_grant()))
    clock.advance(299)
    clock.set_back(8 * 3600)
    last = wanted("last/x")
    expect_steps(decide(state, last, context), (data_access(last), no_grant()))
    clock.advance(1)
    expect_steps(
        decide(state, later, context),
        (data_access(later), no_grant()),
        (BucketRegion("sales", HERE), HERE),
        (LIST, permission_missing()),
    )


@pytest.mark.parametrize(
    "trouble",
    [
        None,
        ReadTimeoutError(endpoint_url="https://s3"),
        UnreadableAnswer(),
    ],
)
def test_a_region_that_can_not_be_found_out_leaves_the_denial_and_says_so(
    state: CallerState, context: FlowContext, no_grant: MakeError, expect_steps: ExpectSteps, trouble: Any
) -> None:
    resolution = expect_steps(
        decide(state, REQUEST, context), (VEND, no_grant()), (REGION, trouble), (LIST, NOTHING_LISTED)
    )
    assert resolution.denial.kind == "no grant"
    assert "whether bucket 'sales' is in another region could not be found out" in resolution.reason


@pytest.mark.parametrize(
    ("answer", "seconds"), [(TIMED_OUT, 30), (None, 300), (HERE, 300)], ids=["no answer", "no region", "a region"]
)
def test_a_look_up_that_failed_is_made_again_soon(
    state: CallerState,
    context: FlowContext,
    no_grant: MakeError,
    permission_missing: MakeError,
    expect_steps: ExpectSteps,
    clock: Clock,
    answer: Any,
    seconds: float,
) -> None:
    # A lost packet must not deny a bucket of another region for five minutes.
    expect_steps(decide(state, REQUEST, context), (VEND, no_grant()), (REGION, answer), (LIST, permission_missing()))
    clock.advance(seconds - 1)
    expect_steps(decide(state, OTHER, context), (data_access(OTHER), no_grant()))
    clock.advance(1)
    third = decide(state, wanted("third"), context)
    start(third)
    assert resume(third, no_grant()) == REGION


# The caller's account.


@pytest.mark.parametrize("account", [None, "", "1234", "12345678901x", "١٢٣٤٥٦٧٨٩٠١٢", 111122223333])
def test_an_account_that_is_none_is_malformed_and_not_kept(
    state: CallerState, make_context: MakeContext, expect_steps: ExpectSteps, account: object
) -> None:
    with pytest.raises(MalformedAnswer):
        expect_steps(decide(state, REQUEST, make_context()), (WHO, account))
    assert state.account_id is None


@pytest.mark.parametrize("arn", [None, "", "nonsense", "arn:aws:s3:eu-west-1::access-grants/default", 7])
def test_an_instance_arn_that_names_no_account_is_malformed(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps, arn: object
) -> None:
    with pytest.raises(MalformedAnswer):
        expect_steps(
            decide(state, REQUEST, make_context()),
            (WHO, CALLER), (OWN, no_grant()), (REGION, HERE), (WHERE, arn),
        )  # fmt: skip
    assert not len(state.denials)


def test_a_look_up_that_fails_is_a_failure_and_no_denial(
    state: CallerState, make_context: MakeContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    with pytest.raises(ServiceFailure, match="GetAccessGrantsInstanceForPrefix"):
        expect_steps(
            decide(state, REQUEST, make_context()),
            (WHO, CALLER), (OWN, no_grant()), (REGION, HERE), (WHERE, TIMED_OUT),
        )  # fmt: skip
    assert not len(state.denials)


def test_what_is_known_of_a_bucket_denies_nothing_while_the_account_is_not_known(
    state: CallerState, make_context: MakeContext, clock: Clock
) -> None:
    # As after grants(), which looks the region up first.
    state.bucket("sales").region_until = clock.monotonic + 300
    assert start(decide(state, REQUEST, make_context())) == WHO


def test_sts_is_called_once_however_many_buckets_are_cold(
    state: CallerState, make_context: MakeContext, reply: MakeReply
) -> None:
    context, elsewhere = make_context(), wanted(bucket="hr")
    first, second = decide(state, REQUEST, context), decide(state, elsewhere, context)
    assert start(first) == WHO
    assert isinstance(start(second), WaitFor)
    assert resume(first, CALLER) == OWN
    assert resume(second, True) == data_access(elsewhere, CALLER)
    assert finish(second, reply("s3://hr/*")).outcome == "granted"


def test_a_request_that_waited_for_sts_in_vain_calls_it(state: CallerState, make_context: MakeContext) -> None:
    context = make_context()
    first, second = decide(state, REQUEST, context), decide(state, wanted(bucket="hr"), context)
    start(first)
    start(second)
    assert resume(second, False) == WHO


def test_a_failure_of_sts_is_shared_by_all_who_waited_and_names_each_one_s_own_target(
    state: CallerState, make_context: MakeContext
) -> None:
    context = make_context()
    first, second = decide(state, REQUEST, context), decide(state, wanted(bucket="hr"), context)
    start(first)
    start(second)
    with pytest.raises(Unreachable, match="sts:GetCallerIdentity"):
        resume(first, TIMED_OUT)
    with pytest.raises(Unreachable, match="sts:GetCallerIdentity") as failed:
        resume(second, True)
    assert failed.value.target == "s3://hr/emea/q3.csv"


def test_who_waits_for_sts_waits_on_while_it_is_throttled(
    state: CallerState, make_context: MakeContext, slow_down: MakeError, clock: Clock
) -> None:
    context = make_context()
    first, second = decide(state, REQUEST, context), decide(state, wanted(bucket="hr"), context)
    start(first)
    step = start(second)
    pause = resume(first, slow_down())
    assert isinstance(pause, Pause)
    clock.advance(step.seconds)
    step.call.paused_until = clock.monotonic + 10
    assert isinstance(resume(second, False), WaitFor)


def test_a_refused_connection_to_s3_leaves_the_denial_too(
    state: CallerState, context: FlowContext, no_grant: MakeError, expect_steps: ExpectSteps
) -> None:
    refused = EndpointConnectionError(endpoint_url="https://s3")
    resolution = expect_steps(
        decide(state, REQUEST, context),
        (VEND, no_grant()),
        (REGION, refused), (Pause(0.1), None), (REGION, refused), (Pause(0.2), None), (REGION, refused),
        (LIST, NOTHING_LISTED),
    )  # fmt: skip
    assert resolution.denial.kind == "no grant"
