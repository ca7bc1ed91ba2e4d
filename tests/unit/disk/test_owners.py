"""Folders and files are the user's alone, or not used; and where they lie."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from access_grants_provider.core.config import AccessGrantsConfig, load
from access_grants_provider.disk import DiskCache, VendedSessions, default_folder
from access_grants_provider.exceptions import ConfigurationError

from .scenario import ANN, CONTEXT, NOBODY, START, everything, files, posix, record, the_file, warnings

# Whose files


@posix
def test_folders_and_files_are_the_user_s_alone_whatever_the_umask(cache: DiskCache, folder: Path, clock: Any) -> None:
    sessions = VendedSessions(folder, clock)
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
            cache.store(ANN, CONTEXT, record())
            cache.clear()
            clock.forward(1)
            cache.store(ANN, CONTEXT, record(vended_at=clock()))
            sessions.remember_session("ASIAVENDED", START + 60)
    finally:
        os.umask(before)
    home = folder.parent.parent.parent
    assert {stat.S_IMODE(path.lstat().st_mode) for path in [home, *everything(home)] if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.lstat().st_mode) for path in everything(home) if not path.is_dir()} == {0o600}
    assert len([path for path in everything(home) if not path.is_dir()]) == 3
    assert any(name.endswith(".tmp") for name in modes)
    assert set(modes.values()) == {0o600}


def shut(cache: DiskCache, caplog: pytest.LogCaptureFixture, expected: str) -> None:
    """The cache finds and stores nothing and says why once; clearing it fails and says so once too."""
    for _ in range(2):
        assert cache.load(ANN, CONTEXT, "sales") == []
        cache.store(ANN, CONTEXT, record())
        cache.delete(ANN, CONTEXT, record())
        assert cache.entries() == []
    (said,) = warnings(caplog)
    assert expected in said
    assert "or set S3_ACCESS_GRANTS_CACHE_FOLDER to a folder that only you can access, or use cache='memory'" in said
    assert cache.clear() == cache.clear(None) == 0
    assert warnings(caplog) == [said, said]


@posix
@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("mode", [0o710, 0o707, 0o770, 0o755])
def test_a_folder_open_to_others_is_not_used(
    cache: DiskCache, folder: Path, name: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(ANN, CONTEXT, record())
    before = {path: path.stat().st_mtime_ns for path in everything(folder)}
    (folder / name).resolve().chmod(mode)
    shut(cache, caplog, f"is open to other users (mode {mode:04o}). Run: chmod 700 '")
    assert {path: path.stat().st_mtime_ns for path in everything(folder)} == before
    (folder / name).resolve().chmod(0o700)
    assert cache.load(ANN, CONTEXT, "sales") == [record()]


@posix
@pytest.mark.parametrize("name", [".", ".."])
def test_a_folder_of_somebody_else_is_not_used(
    cache: DiskCache, folder: Path, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(ANN, CONTEXT, record())
    theirs = (folder / name).resolve()
    if os.geteuid() == 0:
        os.chown(theirs, NOBODY, -1)
    else:
        owned, real = os.stat_result, os.lstat

        def lstat(path: Any) -> os.stat_result:
            info = real(path)
            return owned([*info[:4], NOBODY, *info[5:]]) if Path(path) == theirs else info

        monkeypatch.setattr(os, "lstat", lstat)
    shut(cache, caplog, f"belongs to user {NOBODY}, but this process runs as user {os.geteuid()}. Change its owner")
    assert len(files(folder)) == 1


@posix
def test_folders_and_files_of_another_user_are_known_by_the_effective_user(
    cache: DiskCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(ANN, CONTEXT, record())
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    shut(cache, caplog, f"but this process runs as user {NOBODY}")


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
    shut(cache, caplog, "is a symbolic link. Replace it with a folder")
    assert everything(elsewhere) == []


@posix
@pytest.mark.parametrize("depth", [1, 2])
def test_a_link_in_the_place_of_a_folder_in_the_cache_is_not_followed(
    cache: DiskCache, folder: Path, tmp_path: Path, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(ANN, CONTEXT, record())
    inside = the_file(folder).parents[2 - depth]
    elsewhere = tmp_path / "elsewhere"
    inside.rename(elsewhere)
    inside.symlink_to(elsewhere)
    before = everything(elsewhere)
    cache.store(ANN, CONTEXT, record("WRITE"))
    assert cache.load(ANN, CONTEXT, "sales") == []
    cache.delete(ANN, CONTEXT, record())
    assert cache.entries() == []
    assert cache.clear() == 0
    assert everything(elsewhere) == before
    assert len(warnings(caplog)) == 1


@posix
def test_a_file_that_is_a_link_is_neither_read_nor_written_through(
    cache: DiskCache, folder: Path, tmp_path: Path
) -> None:
    cache.store(ANN, CONTEXT, record())
    path, elsewhere = the_file(folder), tmp_path / "elsewhere"
    path.rename(elsewhere)
    content = elsewhere.read_bytes()
    path.symlink_to(elsewhere)
    cache.store(ANN, CONTEXT, record(life=7200))
    assert not path.is_symlink()
    assert cache.load(ANN, CONTEXT, "sales") == [record(life=7200)]
    path.unlink()
    path.symlink_to(elsewhere)
    assert cache.load(ANN, CONTEXT, "sales") == []
    assert files(folder) == []
    assert elsewhere.read_bytes() == content


@posix
@pytest.mark.parametrize("mutation", ["mode", "owner", "pipe"])
def test_a_file_that_others_had_access_to_is_not_believed(
    cache: DiskCache, folder: Path, mutation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(ANN, CONTEXT, record())
    path = the_file(folder)
    if mutation == "mode":
        path.chmod(0o640)
    elif mutation == "pipe":
        path.unlink()
        os.mkfifo(path, 0o600)
    else:
        real = os.fstat

        def fstat(descriptor: int) -> os.stat_result:
            info = real(descriptor)
            return os.stat_result([*info[:4], NOBODY, *info[5:]])

        monkeypatch.setattr(os, "fstat", fstat)
    assert cache.load(ANN, CONTEXT, "sales") == []
    assert files(folder) == []


# Where it lies


def test_it_lies_in_the_home_folder_or_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(tempfile.gettempdir()).absolute() / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.delenv("S3_ACCESS_GRANTS_CACHE_FOLDER", raising=False)
    assert default_folder() == default_folder({}) == home / ".aws" / "access-grants" / "cache"
    assert default_folder({"S3_ACCESS_GRANTS_CACHE_FOLDER": str(home / "x")}) == home / "x"
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(home / "y"))
    assert default_folder() == home / "y"
    assert load({}, config=None, environ=os.environ, profile={}) == AccessGrantsConfig()


def test_a_folder_that_is_not_absolute_is_a_wrong_option() -> None:
    with pytest.raises(ConfigurationError, match=r"S3_ACCESS_GRANTS_CACHE_FOLDER='x/y' is not an absolute"):
        default_folder({"S3_ACCESS_GRANTS_CACHE_FOLDER": "x/y"})


@posix
def test_without_a_home_folder_one_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ConfigurationError, match="Set HOME or S3_ACCESS_GRANTS_CACHE_FOLDER"):
        default_folder({})


@posix
def test_a_folder_of_one_s_own_may_lie_in_one_that_is_not(tmp_path: Path, clock: Callable[[], float]) -> None:
    tmp_path.chmod(0o755)
    cache = DiskCache(tmp_path / "mine", clock)
    cache.store(ANN, CONTEXT, record())
    assert cache.load(ANN, CONTEXT, "sales") == [record()]


@pytest.mark.parametrize("make", [DiskCache, VendedSessions])
@pytest.mark.parametrize("folder", ["cache", "", "/a\0b", "/a\ud800b"])
def test_a_folder_that_no_system_takes_is_a_wrong_option_and_nothing_else(
    folder: str, make: Callable[..., object], clock: Callable[[], float]
) -> None:
    with pytest.raises(ConfigurationError, match=r"not an absolute path\. Set S3_ACCESS_GRANTS_CACHE_FOLDER"):
        make(Path(folder), clock)


@posix
def test_where_the_working_folder_is_gone_the_cache_does_not_mind(
    tmp_path: Path, folder: Path, clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    cache = DiskCache(folder, clock)
    cache.store(ANN, CONTEXT, record())
    assert cache.load(ANN, CONTEXT, "sales") == [record()]


def test_it_works_where_the_system_knows_no_owners_and_no_such_flags(tmp_path: Path) -> None:
    program = """
import os, pathlib, sys, time
for name in ("geteuid", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "fork", "register_at_fork"):
    if hasattr(os, name):
        delattr(os, name)
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk.record import Record
from access_grants_provider.core.scopes import GrantScope
now = time.time()
kept = Record("READ", GrantScope("b", "k", True), "1" * 12, "eu-west-1", "Default", now + 9, now, "a", "s", "t")
cache = DiskCache(pathlib.Path(sys.argv[1]), time.time)
cache.store(b"ann", b"context", kept)
assert cache.load(b"ann", b"context", "b") == [kept]
assert cache.clear(None) == 1
"""
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
