"""A scope is one exact key or a prefix, in one bucket; a prefix counts by character."""

from __future__ import annotations

import pytest

from access_grants_provider.core.scopes import (
    PERMISSIONS,
    GrantScope,
    MalformedScope,
    Target,
    common_prefix,
    permission_of,
    permits,
    target_of,
)
from access_grants_provider.exceptions import ConfigurationError


def key(name: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, name, False)


def prefix(start: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, start, True)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("s3://sales/*", prefix("")),
        ("s3://sales*", prefix("")),
        ("s3://sales**", prefix("")),
        ("s3://sales/pre*", prefix("pre")),
        ("s3://sales/a/b/*", prefix("a/b/")),
        ("s3://sales/a/b/**", prefix("a/b/")),
        ("s3://sales/key", key("key")),
        ("s3://sales/a/b/", key("a/b/")),
        ("s3://sales/a*b", key("a*b")),
        ("s3://sales/a*b*", prefix("a*b")),
        ("s3://sales//a", key("/a")),
        ("s3://sales/s3://sales/a", key("s3://sales/a")),
        ("s3://sales/日本/*", prefix("日本/")),
    ],
)
def test_a_scope_reads_as_s3_access_grants_writes_it(text: str, scope: GrantScope) -> None:
    assert GrantScope.parse(text) == scope


@pytest.mark.parametrize(
    "text",
    ["", "s3:", "s3://", "s3://*", "s3:///key", "s3:///*", "s3://sales", "s3://sales/", "sales/key", "S3://sales/key",
     " s3://sales/key", "s3://sa*les/key", "s3://sales*/key", "https://sales/key", None, 7, b"s3://sales/key"],
)  # fmt: skip
def test_what_is_no_scope_is_refused_and_quoted(text: object) -> None:
    with pytest.raises(MalformedScope) as refused:
        GrantScope.parse(text)  # type: ignore[arg-type]
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (prefix(""), "s3://sales/*"),
        (prefix("a/"), "s3://sales/a/*"),
        (prefix("a"), "s3://sales/a*"),
        (key("a"), "s3://sales/a"),
    ],
)
def test_a_scope_is_written_as_an_s3_uri(scope: GrantScope, text: str) -> None:
    assert str(scope) == text
    assert GrantScope.parse(text) == scope


@pytest.mark.parametrize(
    ("scope", "held", "not_held"),
    [
        (prefix("team-a/"), ["team-a/x", "team-a/", "team-a/x/y"], ["team-a", "team-ab", "team-ab/x", "Team-a/x", ""]),
        (prefix("team-a"), ["team-a", "team-a/x", "team-ab", "team-ab/x"], ["team-", "team-b", "xteam-a"]),
        (prefix(""), ["", "a", "a/b"], []),
        (key("team-a"), ["team-a"], ["team-a/", "team-ab", "team", ""]),
    ],
)
def test_a_prefix_counts_by_character(scope: GrantScope, held: list[str], not_held: list[str]) -> None:
    assert [name for name in held + not_held if scope.covers(key(name))] == held


@pytest.mark.parametrize(
    ("scope", "listing", "lies_in_it"),
    [
        (prefix("a/"), prefix("a/"), True),
        (prefix("a/"), prefix("a/b"), True),
        (prefix("a/"), prefix("a"), False),
        (prefix("a/"), prefix(""), False),
        (prefix(""), prefix(""), True),
        (prefix("a"), prefix("ab/"), True),
        (key("a"), prefix("a"), False),
        (key("a/"), prefix("a/"), False),
    ],
)
def test_a_listing_lies_in_a_prefix_it_starts_with(scope: GrantScope, listing: GrantScope, lies_in_it: bool) -> None:
    assert scope.covers(listing) is lies_in_it


@pytest.mark.parametrize("text", ["s3://sales*", "s3://sales/*", "s3://sales**"])
def test_a_scope_never_reaches_into_a_bucket_whose_name_begins_the_same(text: str) -> None:
    scope = GrantScope.parse(text)
    assert scope.covers(key("x"))
    assert not scope.covers(key("x", "sales-archive"))
    assert not scope.covers(prefix("", "sales-archive"))


def test_the_same_key_in_another_bucket_is_another_object() -> None:
    assert not key("a").covers(key("a", "other"))
    assert not prefix("a").covers(key("a", "other"))


@pytest.mark.parametrize(
    ("held", "serves"),
    [("READ", ["READ"]), ("WRITE", ["WRITE"]), ("READWRITE", ["READ", "WRITE", "READWRITE"])],
)
def test_readwrite_serves_both_and_nothing_else_serves_another(held: str, serves: list[str]) -> None:
    assert [asked for asked in ("READ", "WRITE", "READWRITE") if permits(held, asked)] == serves  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "shared"),
    [
        (["a/b/c", "a/bc"], "a/b"),
        (["a"], "a"),
        (["a", "a"], "a"),
        (["a", "b"], ""),
        (["ab", "a"], "a"),
        (["", "a"], ""),
        (["x/1", "x/10", "x/2"], "x/"),
        (["日本", "日光"], "日"),
    ],
)
def test_the_common_prefix_is_the_longest_text_by_character(keys: list[str], shared: str) -> None:
    assert common_prefix(keys) == shared
    assert common_prefix(keys[::-1]) == shared


def test_scopes_are_values() -> None:
    assert GrantScope.parse("s3://sales*") == GrantScope.parse("s3://sales/*")
    assert len({key("a"), key("a"), prefix("a")}) == 2
    assert Target is GrantScope


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("s3://sales/a/b", key("a/b")),
        ("s3://sales/a/", prefix("a/")),
        ("s3://sales/a*", prefix("a")),
        ("s3://sales/a/*", prefix("a/")),
        ("s3://sales", prefix("")),
        ("s3://sales/", prefix("")),
        ("s3://sales/*", prefix("")),
        ("s3://sales*", prefix("")),
    ],
)
def test_a_user_s_uri_is_a_key_a_prefix_or_a_bucket(uri: str, target: GrantScope) -> None:
    assert target_of(uri) == target


@pytest.mark.parametrize("uri", ["", "s3://", "s3:///key", "sales/key", "https://sales/key", None, 7, b"s3://sales"])
def test_what_is_no_uri_of_s3_is_a_wrong_option(uri: object) -> None:
    with pytest.raises(ConfigurationError) as refused:
        target_of(uri)  # type: ignore[arg-type]
    assert f"target={uri!r} is not allowed" in str(refused.value)


def test_a_permission_is_one_of_three() -> None:
    assert [permission_of(text) for text in PERMISSIONS] == list(PERMISSIONS)
    for text in ("read", "READ ", "", "ALL"):
        with pytest.raises(ConfigurationError, match=f"permission={text!r} is not allowed"):
            permission_of(text)
