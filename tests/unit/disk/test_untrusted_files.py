"""Files on disk that are damaged, foreign or copied are not believed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk import record as disk_record

from .scenario import ANN, BOB, CONTEXT, OTHER, files, record, the_file, warnings


def write_content(cache: DiskCache, folder: Path, content: bytes) -> Path:
    """A record's file with other content."""
    cache.store(ANN, CONTEXT, record())
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
    path = write_content(cache, folder, content)
    assert cache.entries() == []
    assert path.exists()
    assert cache.load(ANN, CONTEXT, "sales") == []
    assert not path.exists()
    path.write_bytes(content)
    cache.store(ANN, CONTEXT, record())
    assert cache.load(ANN, CONTEXT, "sales") == [record()]
    assert warnings(caplog) == []


def test_a_record_of_another_version_is_ignored(
    cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_record, "VERSION", 0)
    cache.store(ANN, CONTEXT, record())
    monkeypatch.undo()
    assert cache.load(ANN, CONTEXT, "sales") == []
    assert files(folder) == []


def rewritten(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A file whose digest is right though its content is not what this version writes."""
    document = json.loads(disk_record.encode(record(), PLACE))
    fields = json.loads(document["content"])
    change(fields)
    content = json.dumps(fields)
    return json.dumps({"version": 1, "check": disk_record._check(content, PLACE), "content": content}).encode()


PLACE = ("caller", "bucket", "record")
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
    cache.store(ANN, CONTEXT, record())
    content = the_file(folder).read_bytes()
    for caller, context, kept in [
        (BOB, CONTEXT, record()),
        (ANN, OTHER, record()),
        (ANN, CONTEXT, record("WRITE")),
        (ANN, CONTEXT, record(scope="s3://other/emea/*")),
    ]:
        for path in files(folder):
            path.unlink()
        cache.store(caller, context, kept)
        the_file(folder).write_bytes(content)
        assert cache.load(caller, context, kept.scope.bucket) == []
        assert files(folder) == []


def test_a_file_moved_with_its_own_name_into_another_caller_s_folder_is_ignored(cache: DiskCache, folder: Path) -> None:
    cache.store(ANN, CONTEXT, record())
    own = the_file(folder)
    cache.store(BOB, CONTEXT, record("WRITE"))
    (theirs,) = (path for path in files(folder) if path != own)
    own.rename(theirs.with_name(own.name))
    assert cache.load(BOB, CONTEXT, "sales") == [record("WRITE")]
