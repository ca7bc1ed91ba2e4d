"""What is stored on disk and found there again, and what goes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk import cache as disk
from access_grants_provider.disk import record as disk_record
from access_grants_provider.disk.record import caller_label

from .scenario import ANN, BOB, CONTEXT, OTHER, START, everything, files, record, the_file

# What is found again


def test_what_was_stored_is_found_again_by_another_process_s_cache(
    cache: DiskCache, folder: Path, clock: Callable[[], float]
) -> None:
    cache.store(ANN, CONTEXT, record())
    assert DiskCache(folder, clock).load(ANN, CONTEXT, "sales") == [record()]


def test_nothing_is_found_where_nothing_was_stored_and_no_folder_is_made(cache: DiskCache, folder: Path) -> None:
    assert cache.load(ANN, CONTEXT, "sales") == []
    assert not folder.exists()


def test_all_records_of_a_bucket_are_found(cache: DiskCache) -> None:
    stored = [
        record(),
        record("WRITE"),
        record("READWRITE"),
        record(scope="s3://sales/emea/q3"),
        record(region="us-east-1"),
        record(account_id="111122223333"),
    ]
    for one in stored:
        cache.store(ANN, CONTEXT, one)
    assert sorted(cache.load(ANN, CONTEXT, "sales"), key=repr) == sorted(stored, key=repr)


def test_a_newer_record_takes_the_place_of_an_older_one(cache: DiskCache, folder: Path) -> None:
    cache.store(ANN, CONTEXT, record())
    cache.store(ANN, CONTEXT, record(life=7200, access_key="ASIANEWER"))
    assert cache.load(ANN, CONTEXT, "sales") == [record(life=7200, access_key="ASIANEWER")]
    assert len(files(folder)) == 1


def test_callers_contexts_and_buckets_do_not_see_each_other_s(cache: DiskCache) -> None:
    cache.store(ANN, CONTEXT, record())
    assert cache.load(BOB, CONTEXT, "sales") == []
    assert cache.load(ANN, OTHER, "sales") == []
    assert cache.load(ANN, CONTEXT, "sale") == []


def test_a_key_that_ends_in_a_star_does_not_come_back_as_a_prefix(cache: DiskCache) -> None:
    stored = [record(scope=scope) for scope in ("s3://sales/a", "s3://sales/a*")]
    stored.append(record(privilege="Minimal"))
    stored[2] = dataclasses.replace(stored[2], scope=GrantScope("sales", "a*", False))
    for one in stored:
        cache.store(ANN, CONTEXT, one)
    assert {one.scope for one in cache.load(ANN, CONTEXT, "sales")} == {one.scope for one in stored}


@given(st.text(st.characters(exclude_characters="/*"), min_size=1), st.text(), st.booleans(), st.floats(0, 1e11))
def test_any_scope_and_time_comes_back_as_it_was(bucket: str, key: str, is_prefix: bool, seconds: float) -> None:
    stored = record(scope="s3://b/*", expiration=seconds + 1, vended_at=seconds)
    stored = dataclasses.replace(stored, scope=GrantScope(bucket, key, is_prefix))
    assert disk_record.decode(disk_record.encode(stored, ("a", "b")), ("a", "b")) == stored


def test_half_of_a_surrogate_pair_in_a_key_is_stored_too(cache: DiskCache) -> None:
    odd = dataclasses.replace(record(), scope=GrantScope("sales", "\ud800", False))
    cache.store(ANN, CONTEXT, odd)
    assert cache.load(ANN, CONTEXT, "sales") == [odd]


# What goes


def test_what_has_expired_is_not_found_and_its_file_goes(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.store(ANN, CONTEXT, record(life=60))
    cache.store(ANN, CONTEXT, record("WRITE", life=61))
    clock.forward(60)
    assert cache.load(ANN, CONTEXT, "sales") == [record("WRITE", life=61)]
    assert len(files(folder)) == 1


def test_what_has_expired_already_is_not_stored(cache: DiskCache, folder: Path) -> None:
    cache.store(ANN, CONTEXT, record(life=0))
    cache.store(ANN, CONTEXT, record(life=float("nan")))
    cache.store(ANN, CONTEXT, record(life=float("inf")))
    cache.store(ANN, CONTEXT, record(life=1e300))
    cache.store(ANN, CONTEXT, record(vended_at=float("nan")))
    assert everything(folder) == []


def test_what_is_too_long_is_not_stored(cache: DiskCache, folder: Path) -> None:
    cache.store(ANN, CONTEXT, record(token="t" * disk_record.MAX_BYTES))
    assert everything(folder) == []


def test_delete_removes_exactly_that_record(cache: DiskCache) -> None:
    cache.store(ANN, CONTEXT, record())
    cache.store(ANN, CONTEXT, record("WRITE"))
    cache.delete(ANN, CONTEXT, record(access_key="ASIAOLDER"))
    cache.delete(BOB, CONTEXT, record())
    assert len(cache.load(ANN, CONTEXT, "sales")) == 2
    cache.delete(ANN, CONTEXT, record())
    assert cache.load(ANN, CONTEXT, "sales") == [record("WRITE")]


def test_what_others_left_to_expire_goes_when_something_is_stored(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.store(BOB, OTHER, record(life=60))
    clock.forward(300)
    cache.store(ANN, CONTEXT, record())
    assert cache.entries()[0].caller == caller_label(ANN)
    assert len(files(folder)) == 1
    assert not (folder / disk_record.caller_name(BOB)).exists()


def test_what_a_killed_process_left_half_written_goes_after_a_while(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.store(ANN, CONTEXT, record())
    path = the_file(folder)
    left, fresh = (path.with_name(f"{path.stem}.{number:016x}.tmp") for number in range(2))
    for temporary, age in [(left, 600), (fresh, 599)]:
        temporary.write_text("half of")
        os.utime(temporary, (clock() + 300 - age, clock() + 300 - age))
    clock.forward(300)
    cache.store(ANN, CONTEXT, record())
    assert files(folder) == sorted([path, fresh])


def test_a_bucket_s_folder_never_holds_more_than_its_limit_and_what_ends_first_goes(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "MAX_RECORDS", 16)
    for number in range(40):
        life = 100 + (number * 7) % 40
        cache.store(ANN, CONTEXT, record(scope=f"s3://sales/{number}", life=life))
        found = cache.load(ANN, CONTEXT, "sales")
        assert len(found) <= 16
        assert f"s3://sales/{number}" in {str(one.scope) for one in found}
    assert len(found) >= 15
    assert max(one.expiration for one in found) == START + 139
