"""How deep a bucket's grants lie, and which misses wait for each other."""

from __future__ import annotations

from typing import Any

import pytest

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.folder_depth import call_key, depth_of, learn_folder_depth, single_key
from access_grants_provider.core.scopes import GrantScope

from .resolver_steps import REQUEST, MakeContext, MakeStored, wanted


@pytest.mark.parametrize(
    ("scope", "depth"),
    [
        ("s3://sales/*", 0),
        ("s3://sales/a/*", 1),
        ("s3://sales/a/b/*", 2),
        ("s3://sales//*", 1),
        ("s3://sales/a*", None),
        ("s3://sales/a/b*", None),
        ("s3://sales/a/b", None),
        ("s3://sales/a/", None),
    ],
)
def test_a_folder_tells_how_deep_grants_lie_and_nothing_else_does(scope: str, depth: int | None) -> None:
    assert depth_of(GrantScope.parse(scope)) == depth


def keys(state: CallerState, context: FlowContext, *requests: Any) -> list[Any]:
    return [call_key(state, request, None, frozenset(), context) for request in requests]


def test_the_first_miss_in_a_bucket_is_waited_for_by_all_others(state: CallerState, context: FlowContext) -> None:
    assert len(set(keys(state, context, wanted("a/1"), wanted("b/2"), wanted("c/", listing=True)))) == 1


def test_later_misses_wait_for_those_of_their_folder(state: CallerState, context: FlowContext) -> None:
    learn_folder_depth(state, "READ", GrantScope.parse("s3://sales/a/b/*"), context)
    same = keys(state, context, wanted("a/b/1"), wanted("a/b/2"), wanted("a/b/c/3"))
    assert len(set(same)) == 1
    assert len({*same, *keys(state, context, wanted("a/c/1"), wanted("a"))}) == 3
    # Nothing is known of what may be written.
    assert keys(state, context, wanted("a/b/1", "WRITE")) == keys(state, context, wanted("c", "WRITE"))


def test_where_grants_are_no_folders_each_target_goes_by_itself(state: CallerState, context: FlowContext) -> None:
    learn_folder_depth(state, "READ", GrantScope.parse("s3://sales/a/1"), context)
    assert keys(state, context, REQUEST) == [single_key(REQUEST, context)]


def test_one_object_s_grant_tells_nothing_of_folders_known_already(state: CallerState, context: FlowContext) -> None:
    for scope in ("s3://sales/a/b/*", "s3://sales/a/1"):
        learn_folder_depth(state, "READ", GrantScope.parse(scope), context)
    assert state.bucket("sales").folder_depths == {"READ": 2}


def test_a_renewal_is_waited_for_by_all_that_the_credentials_serve(
    state: CallerState, context: FlowContext, make_stored: MakeStored
) -> None:
    held = make_stored()
    renewing = [call_key(state, wanted(f"emea/{n}"), held, frozenset(), context) for n in range(3)]
    assert len(set(renewing)) == 1


def test_a_call_that_has_disappointed_is_not_waited_for_again(state: CallerState, context: FlowContext) -> None:
    coarse = call_key(state, REQUEST, None, frozenset(), context)
    assert call_key(state, REQUEST, None, {coarse}, context) == single_key(REQUEST, context)
    assert coarse != single_key(REQUEST, context)


def test_under_minimal_each_target_goes_by_itself_and_nothing_is_learnt(
    state: CallerState, make_context: MakeContext
) -> None:
    context = make_context(privilege="Minimal")
    learn_folder_depth(state, "READ", GrantScope.parse("s3://sales/a/*"), context)
    assert keys(state, context, REQUEST) == [single_key(REQUEST, context)]
    assert state.bucket("sales").folder_depths == {}


def test_each_event_loop_has_keys_of_its_own(state: CallerState, make_context: MakeContext, held: Any) -> None:
    contexts = [make_context(event_loop=loop) for loop in ("one", "another", None)]
    for stored in (None, held):
        assert len({call_key(state, REQUEST, stored, frozenset(), context) for context in contexts}) == 3
