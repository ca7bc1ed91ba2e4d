"""The naive matching, case by case."""

import pytest

from access_grants_provider.testing.scopes import Scope, parse_scope


@pytest.mark.parametrize(
    ("scope", "target", "holds"),
    [
        ("s3://b/*", "s3://b/x", True),
        ("s3://b/*", "s3://b/*", True),
        ("s3://b/*", "s3://b", False),
        ("s3://b*", "s3://b/x", True),
        ("s3://b*", "s3://bb/x", False),
        ("s3://b*", "s3://b/*", True),
        ("s3://b/*", "s3://b*", True),
        ("s3://b/team-a/*", "s3://b/team-a/x", True),
        ("s3://b/team-a/*", "s3://b/team-a", False),
        ("s3://b/team-a/*", "s3://b/team-ab", False),
        ("s3://b/team-a*", "s3://b/team-ab", True),
        ("s3://b/team-a*", "s3://b/team-a", True),
        ("s3://b/a**", "s3://b/abc", True),
        ("s3://b/a/*", "s3://b/a/b/**", True),
        ("s3://b/a/b*", "s3://b/a/*", False),
        ("s3://b/key", "s3://b/key", True),
        ("s3://b/key", "s3://b/key*", False),
        ("s3://b/key", "s3://b/key2", False),
    ],
)
def test_what_a_scope_holds(scope: str, target: str, holds: bool) -> None:
    assert parse_scope(scope).holds(parse_scope(target)) is holds


def test_an_object_may_end_in_a_star() -> None:
    starred = parse_scope("s3://b/a*", is_object=True)
    assert starred.holds_key("b", "a*")
    assert not starred.holds_key("b", "ab")
    assert not starred.holds(parse_scope("s3://b/a*"))
    assert parse_scope("s3://b/a*").holds(starred)


def test_listings_lie_in_prefixes_only() -> None:
    assert parse_scope("s3://b/p/*").holds_prefix("b", "p/q")
    assert not parse_scope("s3://b/p/*").holds_prefix("b", "p")
    assert not parse_scope("s3://b/p").holds_prefix("b", "p")
    assert not parse_scope("s3://b*").holds_prefix("bb", "")


@pytest.mark.parametrize("text", ["", "b/x", "s3://", "s3:///key", "s3://*", "arn:aws:s3:::b"])
def test_what_is_no_location(text: str) -> None:
    with pytest.raises(ValueError, match="not an S3 location"):
        parse_scope(text)


def test_a_scope_is_written_with_its_star() -> None:
    assert str(Scope("s3://b/p/", exact=False)) == "s3://b/p/*"
    assert str(Scope("s3://b/p", exact=True)) == "s3://b/p"
