"""Names on disk tell nothing, and nothing that is shown holds a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk import record as disk_record
from access_grants_provider.disk.record import context_digest, requester_digest, requester_label

from .world import ANN, BOB, CONTEXT, OTHER, START, everything, files, record


def test_no_name_tells_a_bucket_a_key_or_a_credential(cache: DiskCache, folder: Path) -> None:
    cache.keep(ANN, CONTEXT, record())
    with cache.lock(ANN, CONTEXT, ("READ", "sales")) as lock:
        assert lock.held
        names = [path.relative_to(folder).as_posix() for path in everything(folder)]
    assert len(names) == 5
    digits = set("0123456789abcdef")
    for name in (part.partition(".") for path in names for part in path.split("/") if part != "locks"):
        assert len(name[0]) == 64
        assert set(name[0]) <= digits
        assert name[2] in ("", "json", "lock")


def test_the_records_show_no_secret(cache: DiskCache) -> None:
    cache.keep(ANN, CONTEXT, record())
    (entry,) = cache.entries()
    for text in (repr(record()), repr(entry), str(entry)):
        assert not [secret for secret in ("ASIAVENDED", "vended-secret", "vended-token") if secret in text]
    assert repr(entry) == (
        f"Entry(requester='{requester_label(ANN)}', scope='s3://sales/emea/*', permission='READ', "
        f"account_id='444455556666', region='eu-west-1', privilege='Default', expiration={START + 3600}, "
        f"vended_at={START}, size={entry.size})"
    )


def test_entries_are_those_of_all_requesters_expired_or_not_and_stay(
    cache: DiskCache, folder: Path, clock: Any
) -> None:
    cache.keep(ANN, CONTEXT, record(life=60))
    cache.keep(BOB, OTHER, record("WRITE"))
    clock.advance(60)
    shown = {(one.requester, one.permission) for one in cache.entries()}
    assert shown == {(requester_label(ANN), "READ"), (requester_label(BOB), "WRITE")}
    assert len(files(folder)) == 2


PARTS: Any = st.lists(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), max_size=4)


@given(PARTS, PARTS)
def test_two_lists_of_parts_have_one_digest_only_where_they_are_the_same(one: list[Any], other: list[Any]) -> None:
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (disk_record._digest("x", *one).digest() == disk_record._digest("x", *other).digest()) is same
    assert disk_record._digest("x", *one).digest() != disk_record._digest("y", *one).digest()


def test_digests_stay_the_same_from_process_to_process_and_version_to_version() -> None:
    assert ANN.hex() == "b963791a50ebcd15993bb0c4013191b724b6a51b1b7b996ab53d95053b873f15"
    assert (
        disk_record.lock_name(ANN, CONTEXT, ("READ", GrantScope("b", "k", True), None))
        == "2f81c24e89812bf70c926116bf956c64460789f137cdcf30a939c69919d367d6"
    )


def test_a_lock_s_key_that_another_process_could_not_make_is_a_programming_error(cache: DiskCache) -> None:
    with pytest.raises(TypeError, match="every process"):
        cache.lock(ANN, CONTEXT, ("READ", object()))


@pytest.mark.parametrize(
    "options",
    [
        {"account_id": "111122223333"},
        {"endpoint_url": "http://localhost:5000"},
        {"privilege": "Minimal"},
        {"duration_seconds": 900},
        {"audit_context": "x"},
    ],
)
def test_options_that_decide_what_is_vended_make_another_context(options: dict[str, Any]) -> None:
    assert context_digest(AccessGrantsConfig(**options)) != CONTEXT
    assert context_digest(AccessGrantsConfig(**options, fallback="never")) == context_digest(
        AccessGrantsConfig(**options)
    )


def test_a_token_that_is_empty_is_not_one_that_is_missing() -> None:
    assert requester_digest("a", "b", None) != requester_digest("a", "b", "")
    assert requester_digest("a", "bc", "d") != requester_digest("ab", "c", "d")
