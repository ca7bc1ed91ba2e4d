"""What clear() forgets, no process finds again, not even one that was vending meanwhile; however the clock is set."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_grants_provider.core.scopes import Permission
from access_grants_provider.disk import DiskCache, private_folder
from access_grants_provider.disk import cache as disk
from access_grants_provider.disk import clearings as disk_clearings
from access_grants_provider.disk import files as disk_files
from access_grants_provider.disk.clearings import CLEARINGS, LONGEST_SESSION_SECONDS, Clearing
from access_grants_provider.disk.record import caller_name

from .scenario import ANN, BOB, CONTEXT, OTHER, START, everything, files, interrupted, posix, record, warnings

HOUR = 3600


def clearings(folder: Path) -> list[str]:
    return sorted(os.listdir(folder / CLEARINGS))


def test_clear_removes_the_records_of_all_callers_and_says_how_many(cache: DiskCache, folder: Path) -> None:
    stored: list[tuple[bytes, bytes, Permission]] = [
        (ANN, CONTEXT, "READ"),
        (ANN, OTHER, "WRITE"),
        (BOB, CONTEXT, "READ"),
    ]
    for caller, context, permission in stored:
        cache.store(caller, context, record(permission))
    assert cache.clear() == 3
    assert cache.clear(None) == 0
    assert files(folder) == []
    assert not (folder / caller_name(ANN)).exists()


def test_clear_touches_nothing_but_what_has_the_cache_s_names(cache: DiskCache, folder: Path) -> None:
    cache.store(ANN, CONTEXT, record())
    foreign = [folder / "notes.txt", folder / "other" / "a.json", files(folder)[0].with_name("notes.json")]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert cache.clear() == 1
    assert all(path.read_text() == "mine" for path in foreign)


def test_clear_in_a_process_that_has_made_no_request_is_for_every_other_one(
    cache: DiskCache, folder: Path, clock: Callable[[], float]
) -> None:
    cache.store(ANN, CONTEXT, record())
    assert DiskCache(folder, clock).clear() == 1
    assert cache.load(ANN, CONTEXT, "sales") == []


@pytest.mark.parametrize("waited", [0, 1, HOUR - 1])
def test_what_was_vended_before_the_clearing_and_is_stored_after_it_is_not_found(
    cache: DiskCache, folder: Path, clock: Any, waited: float
) -> None:
    DiskCache(folder, clock).clear()
    clock.forward(waited)
    cache.store(ANN, CONTEXT, record(vended_at=START))
    assert files(folder) == []
    cache.store(ANN, CONTEXT, record(vended_at=START - 60))
    assert DiskCache(folder, clock).load(ANN, CONTEXT, "sales") == []


def test_what_is_written_just_while_another_process_clears_is_ignored_and_removed(
    cache: DiskCache, folder: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = disk_files.make_folder

    def make_late(path: Path) -> None:
        monkeypatch.setattr(private_folder, "make_folder", real)
        DiskCache(folder, clock).clear()
        real(path)

    monkeypatch.setattr(private_folder, "make_folder", make_late)
    cache.store(ANN, CONTEXT, record())
    assert len(files(folder)) == 1
    assert cache.entries() == []
    assert len(files(folder)) == 1
    assert cache.load(ANN, CONTEXT, "sales") == []
    assert files(folder) == []


def test_what_was_vended_after_the_clearing_is_found(cache: DiskCache, clock: Any) -> None:
    cache.clear()
    clock.forward(1e-6)
    cache.store(ANN, CONTEXT, record(vended_at=clock()))
    assert len(cache.load(ANN, CONTEXT, "sales")) == 1


def test_of_two_clearings_the_later_one_counts_whichever_is_written_last(folder: Path, clock: Any) -> None:
    late, early = DiskCache(folder, lambda: START + 10), DiskCache(folder, lambda: START)
    late.clear()
    early.clear()
    clock.forward(20)
    cache = DiskCache(folder, clock)
    cache.store(ANN, CONTEXT, record(vended_at=START + 5))
    assert cache.load(ANN, CONTEXT, "sales") == []
    late.clear()
    assert clearings(folder) == [f"{START + 10:.0f}000000000".zfill(20)]


def test_a_clearing_goes_when_everything_vended_before_it_has_ended(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.clear()
    clock.forward(LONGEST_SESSION_SECONDS - 1)
    cache.store(ANN, CONTEXT, record(life=LONGEST_SESSION_SECONDS + HOUR, vended_at=clock()))
    assert len(clearings(folder)) == 1
    clock.forward(300)
    cache.store(ANN, CONTEXT, record(life=LONGEST_SESSION_SECONDS + HOUR, vended_at=clock()))
    assert clearings(folder) == []
    assert len(cache.load(ANN, CONTEXT, "sales")) == 1


# The clock of the machine is set


def vend_and_share(folder: Path, clock: Any) -> int:
    """Let two processes need credentials, one a second after the other; return how many of them vended."""
    vends = 0
    for _ in range(2):
        cache = DiskCache(folder, clock)
        if not cache.load(ANN, CONTEXT, "sales"):
            vends += 1
            clock.forward(1e-3)
            cache.store(ANN, CONTEXT, record(vended_at=clock(), expiration=clock() + HOUR))
        clock.forward(1)
    return vends


@pytest.mark.parametrize("ahead", [1e-3, 60, 8 * HOUR, 400 * 24 * HOUR])
def test_a_clearing_by_a_clock_that_was_ahead_hides_nothing_that_is_vended_later(
    folder: Path, clock: Any, ahead: float
) -> None:
    clock.set_back(-ahead)
    DiskCache(folder, clock).clear()
    clock.set_back(ahead)
    assert vend_and_share(folder, clock) == 1
    (name,) = clearings(folder)
    assert int(name) <= clock() * 1e9


def test_a_clearing_by_a_clock_that_was_ahead_still_forgets_what_was_vended_before(folder: Path, clock: Any) -> None:
    clock.set_back(-8 * HOUR)
    DiskCache(folder, clock).clear()
    clock.set_back(8 * HOUR)
    cache = DiskCache(folder, clock)
    cache.store(ANN, CONTEXT, record(vended_at=START - 60))
    assert cache.load(ANN, CONTEXT, "sales") == []


@pytest.mark.parametrize("back", [60, 8 * HOUR])
def test_a_clearing_by_a_clock_that_is_behind_forgets_what_was_vended_before_and_shares_what_comes_next(
    folder: Path, clock: Any, back: float
) -> None:
    clock.set_back(back)
    cache = DiskCache(folder, clock)
    cache.clear()
    # Vended before the clock was set back: by the records' times it is the later one.
    cache.store(ANN, CONTEXT, record(vended_at=START))
    assert cache.load(ANN, CONTEXT, "sales") == []
    clock.forward(1)
    assert vend_and_share(folder, clock) == 1


@pytest.mark.parametrize("ahead", [60, 8 * HOUR])
def test_a_record_by_a_clock_that_was_ahead_is_forgotten_and_hides_nothing(
    folder: Path, clock: Any, ahead: float
) -> None:
    DiskCache(folder, clock).clear()
    clock.set_back(ahead)
    cache = DiskCache(folder, clock)
    # The clearing is in the future now, and so is what was vended before it.
    cache.store(ANN, CONTEXT, record(vended_at=START))
    assert cache.load(ANN, CONTEXT, "sales") == []
    clock.forward(1)
    assert vend_and_share(folder, clock) == 1


def test_without_a_clearing_a_clock_that_is_set_hides_nothing(cache: DiskCache, clock: Any) -> None:
    cache.store(ANN, CONTEXT, record())
    clock.set_back(8 * HOUR)
    assert cache.load(ANN, CONTEXT, "sales") == [record()]


def test_the_folder_is_swept_also_after_the_clock_was_set_back(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.store(ANN, CONTEXT, record())
    clock.set_back(8 * HOUR)
    cache.store(BOB, CONTEXT, record(life=60 - 8 * HOUR))
    clock.forward(301)
    cache.store(ANN, CONTEXT, record("WRITE"))
    assert len(files(folder)) == 2


@given(st.lists(st.sampled_from([-8.0 * HOUR, -60.0, -1.0, 60.0, 8.0 * HOUR]), max_size=4), st.data())
def test_however_the_clock_is_set_processes_share_again_at_once_and_nothing_returns_for_longer_than_it_lives(
    tmp_path_factory: pytest.TempPathFactory, steps: list[float], data: st.DataObject
) -> None:
    class Machine:
        """``real`` seconds pass; the clock shows them with an error."""

        real, error = START, 0.0

        def __call__(self) -> float:
            return self.real + self.error

    machine = Machine()
    folder = tmp_path_factory.mktemp("clock") / "cache"
    cache = DiskCache(folder, machine)
    for step in steps:
        machine.error += step
        if data.draw(st.booleans(), label="vend"):
            cache.store(ANN, CONTEXT, record(vended_at=machine(), expiration=machine.real + HOUR, access_key="OLD"))
        if data.draw(st.booleans(), label="clear"):
            cache.clear()
            assert (cache.load(ANN, CONTEXT, "sales"), cache.entries()) == ([], [])
        machine.real += 1
    machine.error = 0.0
    machine.real += 1
    vends = 0
    for _ in range(3):
        if not cache.load(ANN, CONTEXT, "sales"):
            vends += 1
            machine.real += 1
            cache.store(ANN, CONTEXT, record(vended_at=machine(), expiration=machine.real + 2 * HOUR))
        machine.real += 1
    assert vends <= 1
    machine.real += HOUR
    assert "OLD" not in {one.access_key for one in cache.load(ANN, CONTEXT, "sales")}


# Clearings that are not this cache's, or can't be written


@posix
@pytest.mark.parametrize("name", ["mode", "link", "file"])
def test_a_folder_of_clearings_that_can_t_be_trusted_is_told_and_nothing_is_found(
    cache: DiskCache, folder: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(ANN, CONTEXT, record())
    place, elsewhere = folder / CLEARINGS, tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if name == "mode":
        place.mkdir(mode=0o755)
    elif name == "link":
        place.symlink_to(elsewhere)
    else:
        place.write_text("")
    for _ in range(2):
        assert (cache.load(ANN, CONTEXT, "sales"), cache.entries()) == ([], [])
    assert len(warnings(caplog)) == 1
    # What can be removed is removed, though it may come back: that is told.
    assert cache.clear() == 1
    assert len(warnings(caplog)) == 2
    assert everything(elsewhere) == []


def test_other_names_among_the_clearings_mean_nothing(cache: DiskCache, folder: Path, clock: Any) -> None:
    cache.clear()
    for name in ("notes", "9" * 19, "9" * 21, "²" * 20):
        (folder / CLEARINGS / name).touch()
    clock.forward(1)
    cache.store(ANN, CONTEXT, record(vended_at=clock()))
    assert len(cache.load(ANN, CONTEXT, "sales")) == 1
    assert len(clearings(folder)) == 5


def test_a_clearing_that_fails_is_told_although_the_cache_was_known_not_to_work(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> int:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(os, "open", fails)
    monkeypatch.setattr(os, "mkdir", fails)
    cache.store(ANN, CONTEXT, record())
    assert len(warnings(caplog)) == 1
    cache.clear()
    assert len(warnings(caplog)) == 2


def test_ctrl_c_at_any_line_of_clearing_never_brings_anything_back(folder: Path, clock: Any, tmp_path: Path) -> None:
    for at in range(1_000):
        cache = DiskCache(tmp_path / str(at), clock)
        cache.store(ANN, CONTEXT, record())
        ended = not interrupted(at, cache.clear, disk, disk_clearings, disk_files)
        found = cache.load(ANN, CONTEXT, "sales")
        # Either nothing was cleared yet, and clear() did not return, or all of it is forgotten.
        assert found in ([], [record()])
        assert not (found and os.path.isdir(cache.folder / CLEARINGS) and clearings(cache.folder))
        if ended:
            break
    assert found == []
    assert at > 10


def test_a_thread_that_clears_while_others_store_leaves_nothing_old(folder: Path, clock: Any) -> None:
    stop = threading.Event()
    cache = DiskCache(folder, clock)

    def store() -> None:
        while not stop.is_set():
            cache.store(ANN, CONTEXT, record())

    threads = [threading.Thread(target=store) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        cache.clear()
    stop.set()
    for thread in threads:
        thread.join()
    assert cache.load(ANN, CONTEXT, "sales") == []


def test_the_clearing_is_of_this_user_s_folder_alone(tmp_path: Path, clock: Any) -> None:
    one, other = DiskCache(tmp_path / "one", clock), DiskCache(tmp_path / "other", clock)
    for cache in (one, other):
        cache.store(ANN, CONTEXT, record())
    assert one.clear() == 1
    assert other.load(ANN, CONTEXT, "sales") == [record()]


def test_a_time_counts_to_the_microsecond() -> None:
    cleared = Clearing(int(START * 1e9))
    assert cleared.covers(START, START + 1)
    assert not cleared.covers(START + 1e-6, START + 1)
    assert not Clearing(None).covers(0, START)
