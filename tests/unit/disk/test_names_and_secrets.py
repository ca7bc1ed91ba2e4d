"""Names on disk tell nothing, and nothing that is shown holds a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.disk import DiskCache, VendedSessions
from access_grants_provider.disk import record as disk_record
from access_grants_provider.disk.record import caller_digest, caller_label, context_digest

from .scenario import ANN, BOB, CONTEXT, OTHER, START, everything, files, record


def test_no_name_tells_a_bucket_a_key_or_a_credential(cache: DiskCache, folder: Path, clock: Any) -> None:
    sessions = VendedSessions(folder, clock)
    cache.store(ANN, CONTEXT, record())
    sessions.remember_session("ASIAVENDED", START + 60)
    names = [path.relative_to(folder).as_posix() for path in everything(folder)]
    assert len(names) == 5
    digits = set("0123456789abcdef")
    for name in (part.partition(".") for path in names for part in path.split("/") if part != "sessions"):
        assert len(name[0]) == 64
        assert set(name[0]) <= digits
        assert name[2] in ("", "json", "session")


def test_the_records_show_no_secret(cache: DiskCache) -> None:
    cache.store(ANN, CONTEXT, record())
    (entry,) = cache.entries()
    for text in (repr(record()), repr(entry), str(entry)):
        assert not [secret for secret in ("ASIAVENDED", "vended-secret", "vended-token") if secret in text]
    assert repr(entry) == (
        f"Entry(caller='{caller_label(ANN)}', scope='s3://sales/emea/*', permission='READ', "
        f"account_id='444455556666', region='eu-west-1', privilege='Default', expiration={START + 3600}, "
        f"vended_at={START}, size={entry.size})"
    )


def test_entries_are_those_of_all_callers_expired_or_not_and_stay(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.store(ANN, CONTEXT, record(life=60))
    cache.store(BOB, OTHER, record("WRITE"))
    clock.forward(60)
    shown = {(one.caller, one.permission) for one in cache.entries()}
    assert shown == {(caller_label(ANN), "READ"), (caller_label(BOB), "WRITE")}
    assert len(files(folder)) == 2


PARTS: Any = st.lists(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), max_size=4)


@given(PARTS, PARTS)
def test_two_lists_of_parts_have_one_digest_only_where_they_are_the_same(one: list[Any], other: list[Any]) -> None:
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (disk_record._digest("x", *one).digest() == disk_record._digest("x", *other).digest()) is same
    assert disk_record._digest("x", *one).digest() != disk_record._digest("y", *one).digest()


def test_digests_stay_the_same_from_process_to_process_and_version_to_version() -> None:
    assert ANN.hex() == "122e1c6effc330925742cdadc36632a226019ba700098348c1ce4de105080a19"
    assert disk_record.session_name("ASIAVENDED") == "767e259f0f6647fc328776add27d38404c81da90e44fbd09a4b0d13d7d9d89a7"


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
    assert caller_digest("a", "b", None) != caller_digest("a", "b", "")
    assert caller_digest("a", "bc", "d") != caller_digest("ab", "c", "d")
