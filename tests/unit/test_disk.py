"""What is kept on disk, what is found there again, and what is left alone."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_grants_provider.config import AccessGrantsConfig, load
from access_grants_provider.disk import DiskCache, default_folder
from access_grants_provider.disk import cache as disk
from access_grants_provider.disk import files as disk_files
from access_grants_provider.disk import record as disk_record
from access_grants_provider.disk.record import Record, context_digest, requester_digest, requester_label
from access_grants_provider.exceptions import ConfigurationError
from access_grants_provider.scopes import GrantScope, Permission

START = 1_800_000_000.0
ANN, BOB = requester_digest("AKIAANN", "ann's secret", None), requester_digest("AKIABOB", "bob's secret", "token")
CONTEXT, OTHER = context_digest(AccessGrantsConfig()), context_digest(AccessGrantsConfig(privilege="Minimal"))
NOBODY = 65534
posix = pytest.mark.skipif(os.name != "posix", reason="no owners and no permission bits here")


def record(
    permission: Permission = "READ", scope: str = "s3://sales/emea/*", life: float = 3600, **changed: Any
) -> Record:
    made = Record(
        permission,
        GrantScope.parse(scope),
        "444455556666",
        "eu-west-1",
        "Default",
        START + life,
        START,
        "ASIAVENDED",
        "vended-secret",
        "vended-token",
    )
    return dataclasses.replace(made, **changed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".aws" / "access-grants" / "cache"


@pytest.fixture
def cache(folder: Path, clock: Callable[[], float]) -> DiskCache:
    return DiskCache(folder, clock, lock_seconds=0)


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def files(folder: Path) -> list[Path]:
    return [path for path in everything(folder) if not path.is_dir()]


def the_file(folder: Path) -> Path:
    (path,) = files(folder)
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


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


# What is not believed


def keep_content(cache: DiskCache, folder: Path, content: bytes) -> Path:
    """A record's file with other content."""
    cache.keep(ANN, CONTEXT, record())
    path = the_file(folder)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 60_000,
        b"9" * 60_000,
        b'{"version": 1, "check": null, "content": "{}"}',
        b'{"version": 1e999, "check": "", "content": NaN}',
        b" " * (disk_record.MAX_BYTES + 1),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_a_file_that_is_no_record_is_ignored_removed_and_replaced(
    cache: DiskCache, folder: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = keep_content(cache, folder, content)
    assert cache.entries() == []
    assert path.exists()
    assert cache.recall(ANN, CONTEXT, "sales") == []
    assert not path.exists()
    path.write_bytes(content)
    cache.keep(ANN, CONTEXT, record())
    assert cache.recall(ANN, CONTEXT, "sales") == [record()]
    assert warnings(caplog) == []


def test_a_record_of_another_version_is_ignored(
    cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_record, "VERSION", 0)
    cache.keep(ANN, CONTEXT, record())
    monkeypatch.undo()
    assert cache.recall(ANN, CONTEXT, "sales") == []
    assert files(folder) == []


def rewritten(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A file whose digest is right though its content is not what this version writes."""
    document = json.loads(disk_record.encode(record(), PLACE))
    fields = json.loads(document["content"])
    change(fields)
    content = json.dumps(fields)
    return json.dumps({"version": 1, "check": disk_record._check(content, PLACE), "content": content}).encode()


PLACE = ("requester", "bucket", "record")
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = [*disk_record.TEXTS, *disk_record.TIMES, "is_prefix"]


def test_the_unchanged_file_is_read() -> None:
    assert disk_record.decode(rewritten(lambda fields: None), PLACE) == record()


@given(st.sampled_from(NAMES), JSON)
def test_a_field_of_another_type_or_form_is_not_believed(name: str, value: Any) -> None:
    expected = {"permission": ["READ", "WRITE", "READWRITE"], "privilege": ["Default", "Minimal"]}.get(name)
    content = rewritten(lambda fields: fields.update({name: value}))
    try:
        read = disk_record.decode(content, PLACE)
    except ValueError:
        return
    shown = read.scope._asdict() if name in GrantScope._fields else dataclasses.asdict(read)
    assert type(value) is type(shown[name])
    assert value == shown[name]
    assert expected is None or value in expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("permission", "OWNER"),
        ("privilege", "Maximal"),
        ("account_id", "44445555666"),
        ("account_id", "４４４４５５５５６６６６"),
        ("bucket", ""),
        ("token", ""),
        ("token", None),
        ("is_prefix", 1),
        ("expiration", True),
        ("expiration", 10**400),
        ("expiration", float("inf")),
        ("vended_at", float("nan")),
        ("unknown", "field"),
    ],
)
def test_a_field_that_says_nothing_usable_is_not_believed(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="fields"):
        disk_record.decode(rewritten(lambda fields: fields.update({name: value})), PLACE)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_that_lacks_a_field_is_not_believed(name: str) -> None:
    with pytest.raises(ValueError, match="fields"):
        disk_record.decode(rewritten(lambda fields: fields.pop(name)), PLACE)


WRITTEN = disk_record.encode(record(), PLACE)


@given(st.integers(0, len(WRITTEN) - 1))
def test_no_truncated_file_is_believed(length: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        disk_record.decode(WRITTEN[:length], PLACE)


@given(st.integers(0, len(WRITTEN) * 8 - 1))
def test_a_flipped_bit_never_changes_what_is_read(position: int) -> None:
    damaged = bytearray(WRITTEN)
    damaged[position // 8] ^= 1 << position % 8
    try:
        read = disk_record.decode(bytes(damaged), PLACE)
    except ValueError:
        return
    assert read == record()


@given(JSON | st.builds(lambda content: {"version": 1, "check": "", "content": content}, JSON))
def test_no_other_json_is_believed(document: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        disk_record.decode(json.dumps(document).encode(), PLACE)


def test_a_file_copied_to_another_name_is_ignored(cache: DiskCache, folder: Path) -> None:
    cache.keep(ANN, CONTEXT, record())
    content = the_file(folder).read_bytes()
    for requester, context, kept in [
        (BOB, CONTEXT, record()),
        (ANN, OTHER, record()),
        (ANN, CONTEXT, record("WRITE")),
        (ANN, CONTEXT, record(scope="s3://other/emea/*")),
    ]:
        cache.clear(None)
        cache.keep(requester, context, kept)
        the_file(folder).write_bytes(content)
        assert cache.recall(requester, context, kept.scope.bucket) == []
        assert files(folder) == []


def test_a_file_moved_with_its_own_name_into_another_requester_s_folder_is_ignored(
    cache: DiskCache, folder: Path
) -> None:
    cache.keep(ANN, CONTEXT, record())
    own = the_file(folder)
    cache.keep(BOB, CONTEXT, record("WRITE"))
    (theirs,) = (path for path in files(folder) if path != own)
    own.rename(theirs.with_name(own.name))
    assert cache.recall(BOB, CONTEXT, "sales") == [record("WRITE")]


# Names and secrets


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


# Whose files


@posix
def test_folders_and_files_are_the_user_s_alone_whatever_the_umask(cache: DiskCache, folder: Path) -> None:
    modes: dict[str, int] = {}
    real = os.open

    def watched(path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:
        descriptor = real(path, flags, mode, **rest)
        if flags & os.O_CREAT:
            modes[str(path)] = stat.S_IMODE(os.fstat(descriptor).st_mode)
        return descriptor

    before = os.umask(0)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", watched)
            cache.keep(ANN, CONTEXT, record())
            lock = cache.lock(ANN, CONTEXT, ("READ",))
    finally:
        os.umask(before)
    home = folder.parent.parent.parent
    assert lock.held
    assert {stat.S_IMODE(path.lstat().st_mode) for path in [home, *everything(home)] if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.lstat().st_mode) for path in files(home)} == {0o600}
    assert any(name.endswith(".tmp") for name in modes)
    assert set(modes.values()) == {0o600}
    lock.release()


def shut(cache: DiskCache, caplog: pytest.LogCaptureFixture, expected: str) -> None:
    """The cache is an empty one that keeps nothing, and says why once."""
    for _ in range(2):
        assert cache.recall(ANN, CONTEXT, "sales") == []
        cache.keep(ANN, CONTEXT, record())
        cache.drop(ANN, CONTEXT, record())
        assert not cache.lock(ANN, CONTEXT, ("READ",), seconds=0).held
        assert cache.entries() == []
        assert cache.clear(None) == cache.clear(ANN) == 0
    (said,) = warnings(caplog)
    assert expected in said


@posix
@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("mode", [0o710, 0o707, 0o770, 0o755])
def test_a_folder_open_to_others_is_not_used(
    cache: DiskCache, folder: Path, name: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    cache.keep(ANN, CONTEXT, record())
    before = {path: path.stat().st_mtime_ns for path in everything(folder)}
    (folder / name).resolve().chmod(mode)
    shut(cache, caplog, f"is open to others (mode {mode:04o}); run: chmod 700 '")
    assert {path: path.stat().st_mtime_ns for path in everything(folder)} == before
    (folder / name).resolve().chmod(0o700)
    assert cache.recall(ANN, CONTEXT, "sales") == [record()]


@posix
@pytest.mark.parametrize("name", [".", ".."])
def test_a_folder_of_somebody_else_is_not_used(
    cache: DiskCache, folder: Path, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(ANN, CONTEXT, record())
    theirs = (folder / name).resolve()
    if os.geteuid() == 0:
        os.chown(theirs, NOBODY, -1)
    else:
        owned, real = os.stat_result, os.lstat

        def lstat(path: Any) -> os.stat_result:
            info = real(path)
            return owned([*info[:4], NOBODY, *info[5:]]) if Path(path) == theirs else info

        monkeypatch.setattr(os, "lstat", lstat)
    shut(cache, caplog, f"belongs to user {NOBODY}, and this is user {os.geteuid()}; use a folder of your own")
    assert len(files(folder)) == 1


@posix
def test_folders_and_files_of_another_user_are_known_by_the_effective_user(
    cache: DiskCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(ANN, CONTEXT, record())
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    shut(cache, caplog, f"and this is user {NOBODY}")


@posix
@pytest.mark.parametrize("name", ["..", "."])
def test_a_folder_that_is_a_link_is_not_used(
    cache: DiskCache, folder: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    link = folder.parent if name == ".." else folder
    link.parent.mkdir(parents=True, mode=0o700)
    link.symlink_to(elsewhere)
    shut(cache, caplog, "is a symbolic link; put a folder there")
    assert everything(elsewhere) == []


@posix
@pytest.mark.parametrize("depth", [1, 2])
def test_a_link_in_the_place_of_a_folder_in_the_cache_is_not_followed(
    cache: DiskCache, folder: Path, tmp_path: Path, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    cache.keep(ANN, CONTEXT, record())
    inside = the_file(folder).parents[2 - depth]
    elsewhere = tmp_path / "elsewhere"
    inside.rename(elsewhere)
    inside.symlink_to(elsewhere)
    before = everything(elsewhere)
    cache.keep(ANN, CONTEXT, record("WRITE"))
    assert cache.recall(ANN, CONTEXT, "sales") == []
    cache.drop(ANN, CONTEXT, record())
    assert cache.clear(ANN) == cache.clear(None) == 0
    assert cache.entries() == []
    assert everything(elsewhere) == before
    assert len(warnings(caplog)) == 1


@posix
def test_a_file_that_is_a_link_is_neither_read_nor_written_through(
    cache: DiskCache, folder: Path, tmp_path: Path
) -> None:
    cache.keep(ANN, CONTEXT, record())
    path, elsewhere = the_file(folder), tmp_path / "elsewhere"
    path.rename(elsewhere)
    content = elsewhere.read_bytes()
    path.symlink_to(elsewhere)
    cache.keep(ANN, CONTEXT, record(life=7200))
    assert not path.is_symlink()
    assert cache.recall(ANN, CONTEXT, "sales") == [record(life=7200)]
    path.unlink()
    path.symlink_to(elsewhere)
    assert cache.recall(ANN, CONTEXT, "sales") == []
    assert files(folder) == []
    assert elsewhere.read_bytes() == content


@posix
def test_a_lock_that_is_a_link_is_not_taken(
    cache: DiskCache, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with cache.lock(ANN, CONTEXT, ("READ",)):
        path = the_file(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    elsewhere.chmod(0o644)
    path.symlink_to(elsewhere)
    assert not cache.lock(ANN, CONTEXT, ("READ",)).held
    assert elsewhere.read_text() == "precious"
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644
    (said,) = warnings(caplog)
    assert "is no lock file; remove it" in said


@posix
@pytest.mark.parametrize("spoil", ["mode", "owner", "pipe"])
def test_a_file_that_others_had_access_to_is_not_believed(
    cache: DiskCache, folder: Path, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(ANN, CONTEXT, record())
    path = the_file(folder)
    if spoil == "mode":
        path.chmod(0o640)
    elif spoil == "pipe":
        path.unlink()
        os.mkfifo(path, 0o600)
    else:
        real = os.fstat

        def fstat(descriptor: int) -> os.stat_result:
            info = real(descriptor)
            return os.stat_result([*info[:4], NOBODY, *info[5:]])

        monkeypatch.setattr(os, "fstat", fstat)
    assert cache.recall(ANN, CONTEXT, "sales") == []
    assert files(folder) == []


# Where it lies


def test_it_lies_in_the_home_folder_or_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(tempfile.gettempdir()).absolute() / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.delenv("S3_ACCESS_GRANTS_CACHE_FOLDER")
    assert default_folder() == default_folder({}) == home / ".aws" / "access-grants" / "cache"
    assert default_folder({"S3_ACCESS_GRANTS_CACHE_FOLDER": str(home / "x")}) == home / "x"
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(home / "y"))
    assert default_folder() == home / "y"
    assert load({}, config=None, environ=os.environ, profile={}) == AccessGrantsConfig()


def test_a_folder_that_is_not_absolute_is_a_wrong_option() -> None:
    with pytest.raises(ConfigurationError, match=r"S3_ACCESS_GRANTS_CACHE_FOLDER='x/y' .* absolute path"):
        default_folder({"S3_ACCESS_GRANTS_CACHE_FOLDER": "x/y"})


@posix
def test_without_a_home_folder_one_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ConfigurationError, match="set HOME or S3_ACCESS_GRANTS_CACHE_FOLDER"):
        default_folder({})


@posix
def test_a_folder_of_one_s_own_may_lie_in_one_that_is_not(tmp_path: Path, clock: Callable[[], float]) -> None:
    tmp_path.chmod(0o755)
    cache = DiskCache(tmp_path / "mine", clock)
    cache.keep(ANN, CONTEXT, record())
    assert cache.recall(ANN, CONTEXT, "sales") == [record()]


def test_it_stays_where_it_is_when_the_process_goes_elsewhere(
    tmp_path: Path, clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = DiskCache(Path("cache"), clock)
    cache.keep(ANN, CONTEXT, record())
    monkeypatch.chdir("/")
    assert cache.recall(ANN, CONTEXT, "sales") == [record()]


def test_without_filelock_one_is_told_what_to_install(
    tmp_path: Path, clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(ConfigurationError, match=r"filelock; run: pip install 'access-grants-provider\[disk\]'"):
        DiskCache(tmp_path, clock)


def test_it_works_where_the_system_knows_no_owners_and_no_such_flags(tmp_path: Path) -> None:
    program = """
import os, pathlib, sys, time
for name in ("geteuid", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "fork", "register_at_fork"):
    if hasattr(os, name):
        delattr(os, name)
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk.record import Record
from access_grants_provider.scopes import GrantScope
now = time.time()
kept = Record("READ", GrantScope("b", "k", True), "1" * 12, "eu-west-1", "Default", now + 9, now, "a", "s", "t")
cache = DiskCache(pathlib.Path(sys.argv[1]), time.time)
cache.keep(b"ann", b"context", kept)
assert cache.recall(b"ann", b"context", "b") == [kept]
assert cache.clear(None) == 1
"""
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


# Disks that fail


@pytest.fixture
def unprivileged(tmp_path: Path, clock: Callable[[], float]) -> Iterator[Path]:
    """A home folder that this process may read but not write to, also where the tests run as root."""
    # What Python loads on the first need may lie where only root can read it.
    warm = DiskCache(tmp_path / "warm", clock)
    warm.keep(ANN, CONTEXT, record())
    warm.lock(ANN, CONTEXT, ("READ",)).release()
    with tempfile.TemporaryDirectory() as home:
        root = os.geteuid() == 0
        if root:
            os.chown(home, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            os.chmod(home, 0o500)
            yield Path(home)
            os.chmod(home, 0o700)
        finally:
            if root:
                os.seteuid(0)


@posix
def test_a_home_that_can_t_be_written_to_is_told_once_and_harms_nobody(
    unprivileged: Path, clock: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    cache = DiskCache(unprivileged / ".aws" / "access-grants" / "cache", clock)
    for _ in range(3):
        cache.keep(ANN, CONTEXT, record())
        assert not cache.lock(ANN, CONTEXT, ("READ",)).held
        assert cache.recall(ANN, CONTEXT, "sales") == []
        assert cache.clear(ANN) == 0
    (said,) = warnings(caplog)
    assert "Permission denied" in said
    assert "see that you may write there, or set S3_ACCESS_GRANTS_CACHE_FOLDER to a folder" in said


@posix
def test_a_file_that_can_t_be_read_does_not_hide_the_others(
    cache: DiskCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(ANN, CONTEXT, record())
    cache.keep(ANN, CONTEXT, record("WRITE"))
    real, failed = os.open, []

    def once(*arguments: Any, **rest: Any) -> int:
        if not failed:
            failed.append(arguments[0])
            raise OSError(errno.EIO, "Input/output error", str(arguments[0]))
        return real(*arguments, **rest)

    monkeypatch.setattr(os, "open", once)
    assert len(cache.recall(ANN, CONTEXT, "sales")) == 1
    assert failed[0].exists()
    assert len(warnings(caplog)) == 1


STEPS = ["mkdir", "lstat", "open", "write", "close", "utime", "replace", "listdir", "rmdir", "unlink"]
FAILURES = [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.ENOENT]


class Stumble:
    """Lets one call of the disk's functions fail: the ``at``-th, before or after it was done."""

    def __init__(self, at: int, error: BaseException, after: bool) -> None:
        self.at, self.error, self.after = at, error, after
        self.calls = 0
        self.met = False

    def over(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def step(*arguments: Any, **rest: Any) -> Any:
            self.calls += 1
            if self.calls - 1 != self.at:
                return real(*arguments, **rest)
            self.met = True
            if self.after or name == "close":
                with contextlib.suppress(OSError):
                    done = real(*arguments, **rest)
                    if name == "open":
                        real_close(done)
            raise self.error

        return step


real_close = os.close


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), *FAILURES],
    ids=lambda one: errno.errorcode.get(one, "Ctrl-C") if isinstance(one, int) else "Ctrl-C",
)
def test_whichever_step_of_keeping_fails_the_disk_is_whole_and_nothing_but_ctrl_c_comes_out(
    tmp_path: Path, clock: Callable[[], float], error: Any, after: bool, caplog: pytest.LogCaptureFixture
) -> None:
    raised = error if isinstance(error, BaseException) else OSError(error, os.strerror(error))
    for at in range(100):
        folder = tmp_path / str(at) / "access-grants" / "cache"
        cache = DiskCache(folder, clock)
        cache.keep(ANN, CONTEXT, record("WRITE"))
        cache._sweep_at = 0
        stumble = Stumble(at, raised, after)
        with pytest.MonkeyPatch.context() as patch:
            for name in STEPS:
                patch.setattr(os, name, stumble.over(name))
            interrupted = False
            try:
                cache.keep(ANN, CONTEXT, record())
            except KeyboardInterrupt:
                interrupted = True
        if not stumble.met:
            break
        assert interrupted is isinstance(raised, KeyboardInterrupt)
        assert [path for path in files(folder) if path.suffix != ".json"] == []
        found = cache.recall(ANN, CONTEXT, "sales")
        assert record("WRITE") in found
        assert [one for one in found if one not in (record("WRITE"), record())] == []
        cache.keep(ANN, CONTEXT, record())
        assert len(cache.recall(ANN, CONTEXT, "sales")) == 2
        assert len(warnings(caplog)) <= at + 1
    assert at > 20


class Interrupt:
    """Ctrl-C before the ``at``-th line that runs in these modules."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.files = {disk.__file__, disk_files.__file__}

    def __call__(self, frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def test_ctrl_c_at_any_line_of_keeping_leaves_a_whole_record_or_none(cache: DiskCache, folder: Path) -> None:
    cache.keep(ANN, CONTEXT, record("WRITE"))
    for at in range(1_000):
        before = sys.gettrace()
        sys.settrace(Interrupt(at))
        try:
            cache.keep(ANN, CONTEXT, record())
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(before)
        assert [path for path in files(folder) if path.suffix != ".json"] == []
        assert record("WRITE") in cache.recall(ANN, CONTEXT, "sales")
    assert at > 50


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only_is_told_with_what_to_do(
    cache: DiskCache, folder: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    cache.keep(ANN, CONTEXT, record())
    monkeypatch.setattr(os, "write", fails)
    for _ in range(3):
        cache.keep(ANN, CONTEXT, record("WRITE"))
    assert cache.recall(ANN, CONTEXT, "sales") == [record()]
    assert len(files(folder)) == 1
    (said,) = warnings(caplog)
    assert os.strerror(number) in said
    assert "cache='memory'" in said
    assert ("make room there" in said) is (number == errno.ENOSPC)


def test_a_disk_that_takes_a_part_of_a_file_at_a_time_gets_it_whole(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
    cache.keep(ANN, CONTEXT, record())
    assert cache.recall(ANN, CONTEXT, "sales") == [record()]


def test_a_folder_that_goes_while_it_is_used_is_made_again(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    real, cleared = os.open, []

    def opened(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_CREAT and not cleared:
            cleared.append(cache.clear(None))
        return real(path, flags, *rest)

    cache.keep(ANN, CONTEXT, record())
    monkeypatch.setattr(os, "open", opened)
    cache.keep(ANN, CONTEXT, record("WRITE"))
    assert cleared == [1]
    assert cache.recall(ANN, CONTEXT, "sales") == [record("WRITE")]


def test_a_dead_link_in_the_way_is_told_and_does_not_hang(
    folder: Path, clock: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    home = folder.parent.parent.parent
    home.mkdir()
    (home / ".aws").symlink_to(home / "gone")
    cache = DiskCache(folder, clock)
    cache.keep(ANN, CONTEXT, record())
    assert not cache.lock(ANN, CONTEXT, ("READ",)).held
    (said,) = warnings(caplog)
    assert "No such file or directory" in said


def test_a_newer_file_put_in_place_while_an_old_one_is_judged_stays(
    cache: DiskCache, folder: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(ANN, CONTEXT, record(life=60))
    clock.advance(60)
    real = disk_files._read

    def read(*arguments: Any) -> Any:
        content = real(*arguments)
        monkeypatch.setattr(disk_files, "_read", real)
        cache.keep(ANN, CONTEXT, record())
        return content

    monkeypatch.setattr(disk_files, "_read", read)
    assert cache.recall(ANN, CONTEXT, "sales") == []
    assert cache.recall(ANN, CONTEXT, "sales") == [record()]
