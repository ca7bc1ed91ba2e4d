"""The caller's grants, page by page: of which instance, and what is no list."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from access_grants_provider.core.caller_grants import caller_grants
from access_grants_provider.core.caller_state import CallerState, Owner
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import CallerGrant, FindInstance, GrantPage, ListGrants
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.exceptions import MalformedAnswer, NoInstance, PermissionMissing, Unreachable

from .resolver_steps import (
    ARN,
    CALLER,
    HERE,
    LIST,
    NOTHING_LISTED,
    OWN_ARN,
    OWNER,
    REGION,
    THERE,
    TIMED_OUT,
    WHO,
    MakeContext,
    MakeError,
    list_of,
)

BUCKET = GrantScope("sales", "", True)
EMEA = CallerGrant("READ", "s3://sales/emea/*", "NA")
APAC = CallerGrant("WRITE", "s3://sales/apac/*", "ALL")
EVERYWHERE = ListGrants(OWNER, HERE, "", False)


class Listing:
    """``caller_grants`` with a driver that expects these calls, in order."""

    def __init__(self, state: CallerState, context: FlowContext, *exchanges: tuple[Any, Any]) -> None:
        self._state = state
        self._context = context
        self.exchanges = list(exchanges)

    def of(self, target: GrantScope | None) -> Any:
        return caller_grants(self._run, self._state, target, HERE, self._context)

    def _run(self, steps: Generator[Any, Any, Any]) -> Any:
        reply: Any = None
        try:
            while True:
                step = steps.throw(reply) if isinstance(reply, BaseException) else steps.send(reply)
                expected, reply = self.exchanges.pop(0)
                assert step.call == expected
        except StopIteration as done:
            return done.value


def test_all_grants_of_the_configured_account(state: CallerState, context: FlowContext) -> None:
    listing = Listing(state, context, (EVERYWHERE, GrantPage([EMEA, APAC], None)))
    assert list(listing.of(None)) == [EMEA, APAC]


def test_each_page_comes_as_it_is_iterated_over(state: CallerState, context: FlowContext) -> None:
    listing = Listing(
        state, context, (EVERYWHERE, GrantPage([EMEA], "1")), (EVERYWHERE._replace(token="1"), GrantPage([APAC], None))
    )
    grants = listing.of(None)
    assert next(grants) == EMEA
    assert len(listing.exchanges) == 1
    assert list(grants) == [APAC]
    assert not listing.exchanges


def test_a_target_s_are_those_that_share_a_key_with_it(state: CallerState, context: FlowContext) -> None:
    for target, grants in (
        (BUCKET, [EMEA, APAC]),
        (GrantScope("sales", "emea/x", False), [EMEA]),
        (GrantScope("sales", "emea", True), [EMEA]),
        (GrantScope("sales", "emea", False), []),
    ):
        state.bucket("sales").region = HERE
        assert list(Listing(state, context, (LIST, GrantPage([EMEA, APAC], None))).of(target)) == grants


def test_of_a_bucket_its_own_region_is_asked(state: CallerState, context: FlowContext) -> None:
    listing = Listing(state, context, (REGION, THERE), (list_of(region=THERE), GrantPage([EMEA], None)))
    assert list(listing.of(BUCKET)) == [EMEA]


def test_the_caller_s_own_instance_comes_before_the_owner_s(state: CallerState, make_context: MakeContext) -> None:
    own = list_of(CALLER)
    listing = Listing(state, make_context(), (REGION, HERE), (WHO, CALLER), (own, GrantPage([EMEA], None)))
    assert list(listing.of(BUCKET)) == [EMEA]


@pytest.mark.parametrize("missing", [True, False])
def test_where_it_has_none_the_owner_s_are_listed(
    state: CallerState, make_context: MakeContext, no_instance: MakeError, missing: bool
) -> None:
    listing = Listing(
        state,
        make_context(),
        (REGION, HERE),
        (WHO, CALLER),
        (list_of(CALLER), no_instance() if missing else NOTHING_LISTED),
        (FindInstance(CALLER, HERE, BUCKET), ARN),
        (LIST, GrantPage([APAC], None)),
    )
    assert list(listing.of(BUCKET)) == [APAC]
    assert not listing.exchanges


def test_an_owner_that_is_known_is_not_looked_up(
    state: CallerState, make_context: MakeContext, no_instance: MakeError
) -> None:
    state.account_id, state.bucket("sales").region = CALLER, HERE
    state.bucket("sales").owners[HERE] = Owner(OWNER, 1e9)
    listing = Listing(state, make_context(), (list_of(CALLER), no_instance()), (LIST, GrantPage([APAC], None)))
    assert list(listing.of(BUCKET)) == [APAC]


@pytest.mark.parametrize("found", ["own", "none"])
def test_where_nobody_else_has_any_the_caller_s_own_answer_counts(
    state: CallerState, make_context: MakeContext, no_instance: MakeError, found: str
) -> None:
    state.account_id, state.bucket("sales").region = CALLER, HERE
    look_up = (FindInstance(CALLER, HERE, BUCKET), OWN_ARN if found == "own" else no_instance())
    assert list(Listing(state, make_context(), (list_of(CALLER), NOTHING_LISTED), look_up).of(BUCKET)) == []
    state.bucket("sales").owners.clear()
    look_up = (FindInstance(CALLER, HERE, BUCKET), OWN_ARN if found == "own" else no_instance())
    with pytest.raises(NoInstance) as raised:
        list(Listing(state, make_context(), (list_of(CALLER), no_instance()), look_up).of(BUCKET))
    assert (raised.value.account_id, raised.value.region, raised.value.caller) == (CALLER, HERE, state.masked_key)


def test_a_caller_that_may_not_list_is_told_so(
    state: CallerState, context: FlowContext, permission_missing: MakeError
) -> None:
    with pytest.raises(PermissionMissing, match="s3:ListCallerAccessGrants") as raised:
        list(Listing(state, context, (EVERYWHERE, permission_missing())).of(None))
    assert raised.value.operation_name == "ListCallerAccessGrants"


def test_a_list_that_fails_is_a_failure(state: CallerState, context: FlowContext) -> None:
    with pytest.raises(Unreachable, match="ListCallerAccessGrants in eu-west-1 for all buckets"):
        list(Listing(state, context, (EVERYWHERE, TIMED_OUT)).of(None))


def test_the_token_of_the_same_page_again_does_not_go_round_for_ever(state: CallerState, context: FlowContext) -> None:
    again = GrantPage([EMEA], "1")
    listing = Listing(state, context, (EVERYWHERE, again), (EVERYWHERE._replace(token="1"), again))
    with pytest.raises(MalformedAnswer, match="token of the same page"):
        list(listing.of(None))


@pytest.mark.parametrize(
    "grant",
    [CallerGrant(None, "s3://sales/*"), CallerGrant("READ", None), CallerGrant("READ", "")],  # type: ignore[arg-type]
)
def test_half_a_grant_is_malformed(state: CallerState, context: FlowContext, grant: CallerGrant) -> None:
    with pytest.raises(MalformedAnswer):
        list(Listing(state, context, (EVERYWHERE, GrantPage([grant], None))).of(None))


def test_a_scope_of_a_form_that_is_not_known_is_listed_unless_a_target_is_asked_for(
    state: CallerState, context: FlowContext
) -> None:
    odd = CallerGrant("READ", "s3-new://sales/*")
    assert list(Listing(state, context, (EVERYWHERE, GrantPage([odd], None))).of(None)) == [odd]
    state.bucket("sales").region = HERE
    with pytest.raises(MalformedAnswer, match="s3-new"):
        list(Listing(state, context, (LIST, GrantPage([odd], None))).of(BUCKET))


def test_each_page_has_its_own_time(state: CallerState, make_context: MakeContext, clock: Any) -> None:
    context = make_context(account_id=OWNER, timeout_seconds=10)
    listing = Listing(
        state, context, (EVERYWHERE, GrantPage([EMEA], "1")), (EVERYWHERE._replace(token="1"), GrantPage([APAC], None))
    )
    grants = listing.of(None)
    next(grants)
    clock.advance(3600)
    assert list(grants) == [APAC]
