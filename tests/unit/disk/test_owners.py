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
from access_grants_provider.disk import DiskCache, default_folder
from access_grants_provider.exceptions import ConfigurationError

from .world import ANN, CONTEXT, NOBODY, everything, files, posix, record, the_file, warnings

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
from access_grants_provider.core.scopes import GrantScope
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
