"""Sessions that were handed to other programs are known in every process of this user, until they end."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from access_grants_provider.disk import DiskCache, VendedSessions
from access_grants_provider.disk.record import session_name

from .processes import herd
from .scenario import ANN, CONTEXT, NOBODY, START, everything, files, posix, record, the_file, warnings

KEY, OTHER = "ASIAVENDED", "ASIAOTHER"


@pytest.fixture
def sessions(folder: Path, clock: Callable[[], float]) -> VendedSessions:
    return VendedSessions(folder, clock)


def test_a_session_is_known_in_every_process_and_no_other_key_is(
    sessions: VendedSessions, folder: Path, clock: Callable[[], float]
) -> None:
    sessions.remember_session(KEY, START + 60)
    known = VendedSessions(folder, clock)
    assert known.is_vended_session(KEY)
    assert not known.is_vended_session(OTHER)
    assert not known.is_vended_session("")


def test_where_nothing_was_remembered_nothing_is_known_made_or_said(
    sessions: VendedSessions, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not sessions.is_vended_session(KEY)
    assert not folder.exists()
    assert caplog.records == []


def test_a_session_is_forgotten_when_it_ends_and_the_next_one_removes_it(
    sessions: VendedSessions, folder: Path, clock: Any
) -> None:
    sessions.remember_session(KEY, START + 60)
    clock.forward(59)
    assert sessions.is_vended_session(KEY)
    clock.forward(1)
    assert not sessions.is_vended_session(KEY)
    sessions.remember_session(OTHER, START + 3600)
    assert [path.stem for path in files(folder)] == [session_name(OTHER)]


def test_a_session_remembered_again_lives_as_long_as_was_said_last(sessions: VendedSessions, clock: Any) -> None:
    sessions.remember_session(KEY, START + 60)
    sessions.remember_session(KEY, START + 120)
    clock.forward(100)
    assert sessions.is_vended_session(KEY)


@pytest.mark.parametrize("expiration", [START, START - 1, float("nan"), float("inf"), 1e300])
def test_a_session_that_has_ended_or_never_ends_is_not_remembered(
    sessions: VendedSessions, folder: Path, expiration: float
) -> None:
    sessions.remember_session(KEY, expiration)
    assert not sessions.is_vended_session(KEY)
    assert everything(folder) == []


def test_the_file_is_empty_and_its_name_tells_no_key(sessions: VendedSessions, folder: Path) -> None:
    sessions.remember_session(KEY, START + 60)
    path = the_file(folder)
    assert path.read_bytes() == b""
    assert path.stat().st_mtime == START + 60
    assert KEY not in str(path)
    assert path == folder / "sessions" / "767e259f0f6647fc328776add27d38404c81da90e44fbd09a4b0d13d7d9d89a7.session"


def test_clear_leaves_the_sessions_that_programs_use(
    sessions: VendedSessions, folder: Path, clock: Callable[[], float]
) -> None:
    cache = DiskCache(folder, clock)
    cache.store(ANN, CONTEXT, record())
    sessions.remember_session(KEY, START + 60)
    assert cache.clear() == 1
    assert sessions.is_vended_session(KEY)
    assert cache.entries() == []


def test_what_a_killed_process_left_half_written_goes_after_a_while(
    sessions: VendedSessions, folder: Path, clock: Any
) -> None:
    sessions.remember_session(KEY, START + 3600)
    half = the_file(folder).with_name(f"{session_name(OTHER)}.{0:016x}.tmp")
    half.touch()
    os.utime(half, (START, START))
    clock.forward(599)
    sessions.remember_session(KEY, START + 3600)
    assert half.exists()
    clock.forward(1)
    sessions.remember_session(KEY, START + 3600)
    assert not half.exists()


# Whose files


@posix
@pytest.mark.parametrize("name", ["sessions", ".", ".."])
@pytest.mark.parametrize("mutation", ["mode", "owner", "link"])
def test_in_a_folder_that_can_t_be_trusted_no_session_is_known_and_that_is_told_once(
    sessions: VendedSessions,
    folder: Path,
    tmp_path: Path,
    name: str,
    mutation: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sessions.remember_session(KEY, START + 60)
    place = {"sessions": folder / "sessions", ".": folder, "..": folder.parent}[name]
    if mutation == "mode":
        place.chmod(0o750)
    elif mutation == "link":
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
    else:
        _give_away(place, monkeypatch)
    before = everything(tmp_path)
    for _ in range(2):
        assert not sessions.is_vended_session(KEY)
        sessions.remember_session(OTHER, START + 60)
    assert everything(tmp_path) == before
    (said,) = warnings(caplog)
    assert "the list of vended sessions is not used" in said
    assert "or set S3_ACCESS_GRANTS_CACHE_FOLDER to a folder that only you can access" in said
    assert "cache=" not in said


@posix
@pytest.mark.parametrize("mutation", ["mode", "owner", "link", "folder"])
def test_a_session_that_others_could_have_written_is_not_known(
    sessions: VendedSessions, folder: Path, tmp_path: Path, mutation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.remember_session(KEY, START + 60)
    path = the_file(folder)
    if mutation == "mode":
        path.chmod(0o640)
    elif mutation == "owner":
        _give_away(path, monkeypatch)
    else:
        path.rename(tmp_path / "elsewhere")
        if mutation == "link":
            path.symlink_to(tmp_path / "elsewhere")
        else:
            path.mkdir()
    os.utime(path, (START + 60, START + 60), follow_symlinks=False)
    assert not sessions.is_vended_session(KEY)


def _give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make another user the owner; where only root may do that, let it look so."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, -1)
        return
    real = os.lstat

    def lstat(place: Any) -> os.stat_result:
        info = real(place)
        return os.stat_result([*info[:4], NOBODY, *info[5:]]) if Path(place) == path else info

    monkeypatch.setattr(os, "lstat", lstat)


@posix
def test_folders_and_files_are_the_user_s_alone_whatever_the_umask(sessions: VendedSessions, folder: Path) -> None:
    before = os.umask(0)
    try:
        sessions.remember_session(KEY, START + 60)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in everything(folder.parent) if path.is_dir()} == {0o700}
    assert stat.S_IMODE(the_file(folder).stat().st_mode) == 0o600


def test_a_key_nobody_remembered_costs_one_look_at_the_disk(
    sessions: VendedSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.remember_session(KEY, START + 60)
    real, looks = os.lstat, []

    def lstat(path: Any) -> os.stat_result:
        looks.append(path)
        return real(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert not sessions.is_vended_session(OTHER)
    assert len(looks) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_sixteen_processes_that_remember_at_once_all_know_each_session(folder: Path) -> None:
    work = """
from access_grants_provider.disk import VendedSessions
sessions = VendedSessions(folder, time.time)

def work(number):
    for turn in range(20):
        sessions.remember_session(f"ASIA{number}/{turn}", time.time() + 3600)
        sessions.remember_session("ASIASHARED", time.time() + 3600)
        assert sessions.is_vended_session("ASIASHARED")
    return all(sessions.is_vended_session(f"ASIA{number}/{turn}") for turn in range(20))
"""
    assert herd(folder, 16, work) == [True] * 16
    assert len(files(folder)) == 16 * 20 + 1
