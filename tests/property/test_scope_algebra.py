"""Scopes against a naive oracle: the sets of keys themselves, over every key of up to three characters of ``ab/``."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from access_grants_provider.core.scopes import GrantScope, common_prefix, permits

BUCKETS = ["s", "sa"]
ALPHABET = "ab/"
KEYS = ["".join(letters) for length in range(5) for letters in product(ALPHABET, repeat=length)]
UNIVERSE = frozenset((bucket, key) for bucket in BUCKETS for key in KEYS)

# Shorter than the longest key of the universe, so that a prefix always holds more than one of its keys.
names = st.text(ALPHABET, max_size=3)
scopes = st.builds(GrantScope, st.sampled_from(BUCKETS), names, st.booleans())
anything = st.text(max_size=12)
bucket_names = st.text("abc-.0", min_size=1, max_size=8)
permissions: Any = st.sampled_from(["READ", "WRITE", "READWRITE"])


def keys_of(scope: GrantScope) -> frozenset[tuple[str, str]]:
    def holds(key: str) -> bool:
        return key.startswith(scope.key) if scope.is_prefix else key == scope.key

    return frozenset((bucket, key) for bucket, key in UNIVERSE if bucket == scope.bucket and holds(key))


@given(scopes, scopes)
def test_to_cover_is_to_hold_every_key(scope: GrantScope, other: GrantScope) -> None:
    assert scope.covers(other) == (keys_of(other) <= keys_of(scope))


@given(scopes, scopes, scopes)
def test_covering_is_an_order(one: GrantScope, two: GrantScope, three: GrantScope) -> None:
    assert one.covers(one)
    assert not (one.covers(two) and two.covers(one)) or one == two
    assert not (one.covers(two) and two.covers(three)) or one.covers(three)


@given(scopes, scopes)
def test_two_scopes_that_share_a_key_lie_one_in_the_other(one: GrantScope, two: GrantScope) -> None:
    if keys_of(one) & keys_of(two):
        assert one.covers(two) or two.covers(one)


def rights(permission: str) -> set[str]:
    return {right for right in ("READ", "WRITE") if right in permission}


@given(permissions, permissions)
def test_to_permit_is_to_hold_every_right(held: Any, asked: Any) -> None:
    assert permits(held, asked) == (rights(asked) <= rights(held))


@given(bucket_names, anything, st.booleans())
def test_a_scope_comes_back_from_its_text(bucket: str, key: str, is_prefix: bool) -> None:
    key = key.rstrip("*")
    scope = GrantScope(bucket, key if is_prefix else key or "key", is_prefix)
    assert GrantScope.parse(str(scope)) == scope


@given(bucket_names, anything, st.sampled_from(["", "*", "**"]), st.sampled_from(["", "/"]))
def test_whatever_is_read_is_written_in_one_way(bucket: str, key: str, stars: str, slash: str) -> None:
    text = f"s3://{bucket}/{key}{stars}" if key or slash else f"s3://{bucket}{stars or '*'}"
    if text == f"s3://{bucket}/":
        return
    scope = GrantScope.parse(text)
    assert scope.bucket == bucket
    assert GrantScope.parse(str(scope)) == scope
    assert scope.is_prefix == text.endswith("*")


@given(st.lists(anything, min_size=1, max_size=5))
@example(["a/b/c", "a/bc"])
def test_the_common_prefix_is_the_longest_start_that_all_keys_have(keys: list[str]) -> None:
    starts = [keys[0][:length] for length in range(len(keys[0]) + 1)]
    shared = [start for start in starts if all(key.startswith(start) for key in keys)]
    assert common_prefix(keys) == shared[-1]


@given(st.lists(names, min_size=1, max_size=4))
def test_the_common_prefix_is_the_nearest_scope_of_all_the_keys(keys: list[str]) -> None:
    nearest = GrantScope("s", common_prefix(keys), True)
    asked = [GrantScope("s", key, False) for key in keys]
    assert all(nearest.covers(one) for one in asked)
    for other in (GrantScope("s", key, True) for key in KEYS):
        assert not all(other.covers(one) for one in asked) or other.covers(nearest)
