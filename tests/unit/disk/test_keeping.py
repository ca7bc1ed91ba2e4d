"""What is kept on disk and found there again, and what goes."""

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
from access_grants_provider.disk.record import requester_label

from .world import ANN, BOB, CONTEXT, OTHER, START, everything, files, record, the_file

# What is found again


def test_what_was_kept_is_found_again_by_another_process_s_cache(
    cache: DiskCache, folder: Path, clock: Callable[[], float]
) -> None:
    cache.keep(ANN, CONTEXT, record())
    assert DiskCache(folder, clock).recall(ANN, CONTEXT, "sales") == [record()]


def test_nothing_is_found_where_nothing_was_kept_and_no_folder_is_made(cache: DiskCache, folder: Path) -> None:
    assert cache.recall(ANN, CONTEXT, "sales") == []
    assert not folder.exists()


def test_all_records_of_a_bucket_are_found(cache: DiskCache) -> None:
    kept = [
        record(),
        record("WRITE"),
        record("READWRITE"),
        record(scope="s3://sales/emea/q3"),
        record(region="us-east-1"),
        record(account_id="111122223333"),
    ]
    for one in kept:
        cache.keep(ANN, CONTEXT, one)
    assert sorted(cache.recall(ANN, CONTEXT, "sales"), key=repr) == sorted(kept, key=repr)


def test_a_newer_record_takes_the_place_of_an_older_one(cache: DiskCache, folder: Path) -> None:
    cache.keep(ANN, CONTEXT, record())
    cache.keep(ANN, CONTEXT, record(life=7200, access_key="ASIANEWER"))
    assert cache.recall(ANN, CONTEXT, "sales") == [record(life=7200, access_key="ASIANEWER")]
    assert len(files(folder)) == 1


def test_requesters_contexts_and_buckets_do_not_see_each_other_s(cache: DiskCache) -> None:
    cache.keep(ANN, CONTEXT, record())
    assert cache.recall(BOB, CONTEXT, "sales") == []
    assert cache.recall(ANN, OTHER, "sales") == []
    assert cache.recall(ANN, CONTEXT, "sale") == []


def test_a_key_that_ends_in_a_star_does_not_come_back_as_a_prefix(cache: DiskCache) -> None:
    kept = [record(scope=scope) for scope in ("s3://sales/a", "s3://sales/a*")]
    kept.append(record(privilege="Minimal"))
    kept[2] = dataclasses.replace(kept[2], scope=GrantScope("sales", "a*", False))
    for one in kept:
        cache.keep(ANN, CONTEXT, one)
    assert {one.scope for one in cache.recall(ANN, CONTEXT, "sales")} == {one.scope for one in kept}


@given(st.text(st.characters(exclude_characters="/*"), min_size=1), st.text(), st.booleans(), st.floats(0, 1e11))
def test_any_scope_and_time_comes_back_as_it_was(bucket: str, key: str, is_prefix: bool, seconds: float) -> None:
    kept = record(scope="s3://b/*", expiration=seconds + 1, vended_at=seconds)
    kept = dataclasses.replace(kept, scope=GrantScope(bucket, key, is_prefix))
    assert disk_record.decode(disk_record.encode(kept, ("a", "b")), ("a", "b")) == kept


def test_half_of_a_surrogate_pair_in_a_key_is_kept_too(cache: DiskCache) -> None:
    odd = dataclasses.replace(record(), scope=GrantScope("sales", "\ud800", False))
    cache.keep(ANN, CONTEXT, odd)
    assert cache.recall(ANN, CONTEXT, "sales") == [odd]


# What goes


def test_what_has_expired_is_not_found_and_its_file_goes(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.keep(ANN, CONTEXT, record(life=60))
    cache.keep(ANN, CONTEXT, record("WRITE", life=61))
    clock.advance(60)
    assert cache.recall(ANN, CONTEXT, "sales") == [record("WRITE", life=61)]
    assert len(files(folder)) == 1


def test_what_has_expired_already_is_not_kept(cache: DiskCache, folder: Path) -> None:
    cache.keep(ANN, CONTEXT, record(life=0))
    cache.keep(ANN, CONTEXT, record(life=float("nan")))
    cache.keep(ANN, CONTEXT, record(life=float("inf")))
    assert everything(folder) == []


def test_what_is_too_long_is_not_kept(cache: DiskCache, folder: Path) -> None:
    cache.keep(ANN, CONTEXT, record(token="t" * disk_record.MAX_BYTES))
    assert everything(folder) == []


def test_drop_removes_exactly_that_record(cache: DiskCache) -> None:
    cache.keep(ANN, CONTEXT, record())
    cache.keep(ANN, CONTEXT, record("WRITE"))
    cache.drop(ANN, CONTEXT, record(access_key="ASIAOLDER"))
    cache.drop(BOB, CONTEXT, record())
    assert len(cache.recall(ANN, CONTEXT, "sales")) == 2
    cache.drop(ANN, CONTEXT, record())
    assert cache.recall(ANN, CONTEXT, "sales") == [record("WRITE")]


def test_clear_removes_the_requester_s_own_and_says_how_many(cache: DiskCache, folder: Path) -> None:
    for requester, context, permission in [(ANN, CONTEXT, "READ"), (ANN, OTHER, "WRITE"), (BOB, CONTEXT, "READ")]:
        cache.keep(requester, context, record(permission))
    assert cache.clear(ANN) == 2
    assert cache.clear(ANN) == 0
    assert cache.recall(BOB, CONTEXT, "sales") == [record()]
    assert cache.clear(None) == 1
    assert everything(folder) == []


def test_clear_touches_nothing_but_what_has_the_cache_s_names(cache: DiskCache, folder: Path) -> None:
    cache.keep(ANN, CONTEXT, record())
    foreign = [folder / "notes.txt", folder / "other" / "a.json", the_file(folder).with_name("notes.json")]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert cache.clear(None) == 1
    assert all(path.read_text() == "mine" for path in foreign)


def test_what_others_left_to_expire_goes_when_something_is_kept(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.keep(BOB, OTHER, record(life=60))
    clock.advance(300)
    cache.keep(ANN, CONTEXT, record())
    assert cache.entries()[0].requester == requester_label(ANN)
    assert len(files(folder)) == 1
    assert not (folder / disk_record.requester_name(BOB)).exists()


def test_what_a_killed_process_left_half_written_goes_after_a_while(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.keep(ANN, CONTEXT, record())
    path = the_file(folder)
    left, fresh = (path.with_name(f"{path.stem}.{number:016x}.tmp") for number in range(2))
    for temporary, age in [(left, 600), (fresh, 599)]:
        temporary.write_text("half of")
        os.utime(temporary, (clock() + 300 - age, clock() + 300 - age))
    clock.advance(300)
    cache.keep(ANN, CONTEXT, record())
    assert files(folder) == sorted([path, fresh])


def test_a_bucket_s_folder_never_holds_more_than_its_limit_and_what_ends_first_goes(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "MAX_RECORDS", 16)
    for number in range(40):
        life = 100 + (number * 7) % 40
        cache.keep(ANN, CONTEXT, record(scope=f"s3://sales/{number}", life=life))
        found = cache.recall(ANN, CONTEXT, "sales")
        assert len(found) <= 16
        assert f"s3://sales/{number}" in {str(one.scope) for one in found}
    assert len(found) >= 15
    assert max(one.expiration for one in found) == START + 139
