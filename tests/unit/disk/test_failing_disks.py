"""A disk that fails, at whichever step, is told and harms nobody."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from access_grants_provider.disk import DiskCache, VendedSessions
from access_grants_provider.disk import cache as disk
from access_grants_provider.disk import files as disk_files

from .scenario import ANN, CONTEXT, NOBODY, files, interrupted, posix, record, warnings


@pytest.fixture
def unprivileged(tmp_path: Path, clock: Callable[[], float]) -> Iterator[Path]:
    """A home folder that this process may read but not write to, also where the tests run as root."""
    # What Python loads on the first need may lie where only root can read it.
    warm = DiskCache(tmp_path / "warm", clock)
    warm.store(ANN, CONTEXT, record())
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
        cache.store(ANN, CONTEXT, record())
        assert cache.load(ANN, CONTEXT, "sales") == []
    (said,) = warnings(caplog)
    assert "Permission denied" in said
    assert "Make it writable for this user, or set S3_ACCESS_GRANTS_CACHE_FOLDER to a folder" in said


@posix
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_file_in_the_place_of_a_folder_is_told_once_and_harms_nobody(
    folder: Path, clock: Callable[[], float], depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = [folder, *folder.parents][depth]
    in_the_way.parent.mkdir(parents=True, mode=0o700)
    in_the_way.write_text("mine")
    cache, sessions = DiskCache(folder, clock), VendedSessions(folder, clock)
    for _ in range(3):
        cache.store(ANN, CONTEXT, record())
        assert cache.load(ANN, CONTEXT, "sales") == []
        assert cache.entries() == []
        cache.delete(ANN, CONTEXT, record())
    (said,) = warnings(caplog)
    assert str(in_the_way) in said
    assert "et S3_ACCESS_GRANTS_CACHE_FOLDER to a folder that only you can access, or use cache='memory'" in said
    for _ in range(3):
        sessions.remember_session("ASIAVENDED", clock() + 60)
        assert not sessions.is_vended_session("ASIAVENDED")
    (_, said) = warnings(caplog)
    assert "the list of vended sessions" in said
    assert in_the_way.read_text() == "mine"


@posix
def test_a_home_that_can_t_be_read_holds_no_sessions_and_asking_warns_of_nothing(
    unprivileged: Path, clock: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    sessions = VendedSessions(unprivileged / ".aws" / "access-grants" / "cache", clock)
    unprivileged.chmod(0)
    with pytest.raises(PermissionError):
        os.lstat(unprivileged / ".aws")
    assert not sessions.is_vended_session("ASIAVENDED")
    assert warnings(caplog) == []
    for _ in range(3):
        sessions.remember_session("ASIAVENDED", clock() + 60)
    (said,) = warnings(caplog)
    assert "the list of vended sessions does not work" in said


@posix
def test_a_file_that_can_t_be_read_does_not_hide_the_others(
    cache: DiskCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(ANN, CONTEXT, record())
    cache.store(ANN, CONTEXT, record("WRITE"))
    real = os.open
    failed: list[Any] = []

    def once(*arguments: Any, **rest: Any) -> int:
        if not failed:
            failed.append(arguments[0])
            raise OSError(errno.EIO, "Input/output error", str(arguments[0]))
        return real(*arguments, **rest)

    monkeypatch.setattr(os, "open", once)
    assert len(cache.load(ANN, CONTEXT, "sales")) == 1
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
def test_whichever_step_of_storing_fails_the_disk_is_whole_and_nothing_but_ctrl_c_comes_out(
    tmp_path: Path, clock: Callable[[], float], error: Any, after: bool, caplog: pytest.LogCaptureFixture
) -> None:
    raised = error if isinstance(error, BaseException) else OSError(error, os.strerror(error))
    for at in range(100):
        folder = tmp_path / str(at) / "access-grants" / "cache"
        cache = DiskCache(folder, clock)
        cache.store(ANN, CONTEXT, record("WRITE"))
        cache._swept_at = 0.0
        stumble = Stumble(at, raised, after)
        with pytest.MonkeyPatch.context() as patch:
            for name in STEPS:
                patch.setattr(os, name, stumble.over(name))
            interrupted = False
            try:
                cache.store(ANN, CONTEXT, record())
            except KeyboardInterrupt:
                interrupted = True
        if not stumble.met:
            break
        assert interrupted is isinstance(raised, KeyboardInterrupt)
        assert [path for path in files(folder) if path.suffix != ".json"] == []
        found = cache.load(ANN, CONTEXT, "sales")
        assert record("WRITE") in found
        assert [one for one in found if one not in (record("WRITE"), record())] == []
        cache.store(ANN, CONTEXT, record())
        assert len(cache.load(ANN, CONTEXT, "sales")) == 2
        assert len(warnings(caplog)) <= at + 1
    assert at > 20


def test_ctrl_c_at_any_line_of_storing_leaves_a_whole_record_or_none(cache: DiskCache, folder: Path) -> None:
    cache.store(ANN, CONTEXT, record("WRITE"))
    for at in range(1_000):
        if not interrupted(at, lambda: cache.store(ANN, CONTEXT, record()), disk, disk_files):
            break
        assert [path for path in files(folder) if path.suffix != ".json"] == []
        assert record("WRITE") in cache.load(ANN, CONTEXT, "sales")
    assert at > 50


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only_is_told_with_what_to_do(
    cache: DiskCache, folder: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    cache.store(ANN, CONTEXT, record())
    monkeypatch.setattr(os, "write", fails)
    for _ in range(3):
        cache.store(ANN, CONTEXT, record("WRITE"))
    assert cache.load(ANN, CONTEXT, "sales") == [record()]
    assert len(files(folder)) == 1
    (said,) = warnings(caplog)
    assert os.strerror(number) in said
    assert "cache='memory'" in said
    assert ("Free some space there" in said) is (number == errno.ENOSPC)


def test_a_disk_that_takes_a_part_of_a_file_at_a_time_gets_it_whole(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
    cache.store(ANN, CONTEXT, record())
    assert cache.load(ANN, CONTEXT, "sales") == [record()]


def test_a_folder_that_goes_while_it_is_used_is_made_again(
    cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    removed: list[Any] = []
    elsewhere = folder.with_name("elsewhere")

    def opened(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_CREAT and not removed:
            removed.append(path)
            folder.rename(elsewhere)
        return real(path, flags, *rest)

    cache.store(ANN, CONTEXT, record())
    monkeypatch.setattr(os, "open", opened)
    cache.store(ANN, CONTEXT, record("WRITE"))
    assert removed
    assert cache.load(ANN, CONTEXT, "sales") == [record("WRITE")]


def test_a_dead_link_in_the_way_is_told_and_does_not_hang(
    folder: Path, clock: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    home = folder.parent.parent.parent
    home.mkdir()
    (home / ".aws").symlink_to(home / "gone")
    cache = DiskCache(folder, clock)
    cache.store(ANN, CONTEXT, record())
    (said,) = warnings(caplog)
    assert "No such file or directory" in said


def test_a_newer_file_put_in_place_while_an_old_one_is_judged_stays(
    cache: DiskCache, folder: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(ANN, CONTEXT, record(life=60))
    clock.forward(60)
    real = disk_files._read

    def read(*arguments: Any) -> Any:
        content = real(*arguments)
        monkeypatch.setattr(disk_files, "_read", real)
        cache.store(ANN, CONTEXT, record())
        return content

    monkeypatch.setattr(disk_files, "_read", read)
    assert cache.load(ANN, CONTEXT, "sales") == []
    assert cache.load(ANN, CONTEXT, "sales") == [record()]
