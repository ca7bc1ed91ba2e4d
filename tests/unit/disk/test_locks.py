"""No lock that outlives its holder, and none that two hold."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from access_grants_provider.disk import DiskCache
from access_grants_provider.disk import cache as disk
from access_grants_provider.disk import lock as disk_lock

from .fleet import ANN, CONTEXT, KEY, PATIENCE, free, heard, herd, left, process, record
from .world import interrupted

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork and no flock here")
CLOCK, LOCK_SECONDS = time.time, PATIENCE


def test_never_two_processes_hold_a_lock_though_its_file_comes_and_goes(folder: Path) -> None:
    work = """
from access_grants_provider.disk.tree import remove_left_locks

def work(number):
    inside = folder / "inside"
    for turn in range(12):
        with cache.lock(ANN, CONTEXT, KEY) as lock:
            assert lock.held
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            os.unlink(inside)
        remove_left_locks(folder / "locks")
"""
    herd(folder, 8, work)
    assert left(folder, ".lock") == []


def test_a_killed_holder_lets_the_others_go_on(cache: DiskCache, folder: Path) -> None:
    holder = "lock = cache.lock(ANN, CONTEXT, KEY); say(lock.held); listen()"
    waiter = "say('waits'); lock = cache.lock(ANN, CONTEXT, KEY); say(lock.held); lock.release(); say('released')"
    with ExitStack() as stack:
        holding = stack.enter_context(process(folder, holder))
        assert heard(holding) == "True"
        waiting = [stack.enter_context(process(folder, waiter)) for _ in range(2)]
        assert [heard(one) for one in waiting] == ["waits"] * 2
        assert not free(cache)
        holding.kill()
        assert [heard(one) for one in waiting] == ["True"] * 2
        assert [heard(one) for one in waiting] == ["released"] * 2
    assert left(folder, ".lock") == []


@pytest.mark.parametrize("occasion", ["keep", "clear"])
def test_the_file_of_a_killed_holder_s_lock_goes_in_passing_and_a_held_one_stays(
    cache: DiskCache, folder: Path, occasion: str
) -> None:
    with process(folder, "lock = cache.lock(ANN, CONTEXT, ('other',)); say(lock.held); listen()") as holding:
        assert heard(holding) == "True"
        holding.kill()
        holding.wait()
    with cache.lock(ANN, CONTEXT, KEY):
        assert len(left(folder, ".lock")) == 2
        if occasion == "keep":
            cache.keep(ANN, CONTEXT, record())
        else:
            cache.clear(None)
        assert len(left(folder, ".lock")) == 1
        assert not free(cache)
    assert left(folder, ".lock") == []


def test_a_forked_child_that_ends_does_not_open_its_parent_s_lock(cache: DiskCache, folder: Path) -> None:
    program = """
lock = cache.lock(ANN, CONTEXT, KEY)
child = os.fork()
if not child:
    assert not lock.held
    lock.release()
    del lock
    gc.collect()
    sys.exit(7)
say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
say(lock.held)
listen()
lock.release()
say("released")
"""
    with process(folder, program) as running:
        assert [heard(running), heard(running)] == ["7", "True"]
        assert not free(cache)
        assert running.stdin is not None
        running.stdin.write("\n")
        running.stdin.flush()
        assert heard(running) == "released"
        assert free(cache)


def test_a_forked_child_that_lives_does_not_keep_its_killed_parent_s_lock(cache: DiskCache, folder: Path) -> None:
    program = """
lock = cache.lock(ANN, CONTEXT, KEY)
if os.fork():
    os.wait()
say("child")
sys.stdin.readline()
"""
    with process(folder, program) as running:
        assert heard(running) == "child"
        assert not free(cache)
        running.kill()
        running.wait()
        # The child is still there, blocked on the pipe that this process holds open.
        assert free(cache)


def test_a_lock_may_be_released_by_another_thread_and_twice(cache: DiskCache) -> None:
    lock = cache.lock(ANN, CONTEXT, KEY)
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert not lock.held
    assert free(cache)
    lock.release()


def test_threads_of_one_process_exclude_each_other_too(cache: DiskCache, folder: Path) -> None:
    inside: list[int] = []
    wrong: list[object] = []

    def work() -> None:
        for _ in range(10):
            with cache.lock(ANN, CONTEXT, KEY) as lock:
                inside.append(1)
                wrong.extend(one for one in [not lock.held, len(inside) != 1] if one)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert left(folder, ".lock") == []


@pytest.mark.parametrize("other", [(b"bob", CONTEXT, KEY), (ANN, b"other", KEY), (ANN, CONTEXT, ("WRITE", KEY[1]))])
def test_other_flights_fly_beside_it(cache: DiskCache, other: tuple[bytes, bytes, tuple[object, ...]]) -> None:
    with cache.lock(ANN, CONTEXT, KEY), cache.lock(*other, seconds=0) as beside:
        assert beside.held


def test_after_the_time_limit_one_goes_on_without_the_lock_and_says_so_once(
    cache: DiskCache, caplog: pytest.LogCaptureFixture
) -> None:
    with cache.lock(ANN, CONTEXT, KEY):
        assert not cache.lock(ANN, CONTEXT, KEY, seconds=0).held
        assert caplog.records == []
        for _ in range(2):
            began = time.monotonic()
            with cache.lock(ANN, CONTEXT, KEY, seconds=0.06) as lock:
                assert not lock.held
            assert time.monotonic() - began >= 0.06
    (said,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert "has asked for the same credentials for 0.06 s; asking too" in said


def test_letting_go_of_a_lock_whose_file_was_removed_leaves_the_next_one_s_alone(
    cache: DiskCache, folder: Path
) -> None:
    first = cache.lock(ANN, CONTEXT, KEY)
    (folder / "locks" / left(folder, ".lock")[0]).unlink()
    second = cache.lock(ANN, CONTEXT, KEY)
    assert first.held
    assert second.held
    first.release()
    assert not free(cache)
    second.release()
    assert free(cache)


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_none(
    cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    real, locked = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        real(descriptor, operation)
        if operation & fcntl.LOCK_EX:
            locked.append(descriptor)
            if len(locked) == 1:
                (folder / "locks" / left(folder, ".lock")[0]).unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with cache.lock(ANN, CONTEXT, KEY) as lock:
        assert lock.held
        assert len(locked) == 2
        assert len(left(folder, ".lock")) == 1


def test_it_tells_a_lock_that_somebody_has_from_one_that_is_not_to_be_had(
    cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried() -> tuple[bool, bool]:
        lock = cache.lock(ANN, CONTEXT, KEY, seconds=0)
        return lock.held, lock.contended

    held = cache.lock(ANN, CONTEXT, KEY)
    assert (held.held, held.contended) == (True, False)
    assert tried() == (False, True)
    held.release()
    with monkeypatch.context() as patched:
        # Whoever had it has removed its file just now.
        patched.setattr(disk_lock.DiskLock, "_is_in_place", lambda _: False)
        assert tried() == (False, True)
    folder.chmod(0o755)
    assert tried() == (False, False)


def test_the_locks_folder_is_made_again_when_it_goes_while_one_waits(
    cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = cache.lock(ANN, CONTEXT, KEY)

    def remove_all(_: float) -> None:
        for path in (folder / "locks").iterdir():
            path.unlink()
        (folder / "locks").rmdir()

    monkeypatch.setattr(time, "sleep", remove_all)
    with cache.lock(ANN, CONTEXT, KEY) as lock:
        assert lock.held
        assert (folder / "locks").stat().st_mode & 0o777 == 0o700
    held.release()


def test_a_file_system_without_locks_is_told_once_and_nobody_waits(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def acquire(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(disk_lock.filelock_package().FileLock, "acquire", acquire)
    for _ in range(2):
        assert not cache.lock(ANN, CONTEXT, KEY).held
    (said,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert "is on a file system without locks; use a folder on another" in said


def test_ctrl_c_while_one_waits_comes_out_and_leaves_the_holder_its_lock(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with cache.lock(ANN, CONTEXT, KEY):
        monkeypatch.setattr(time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.lock(ANN, CONTEXT, KEY)
        assert not free(cache)
    assert free(cache)


def test_ctrl_c_at_any_line_of_locking_and_releasing_leaves_no_lock_behind(cache: DiskCache) -> None:
    def lock_and_release() -> None:
        with cache.lock(ANN, CONTEXT, KEY) as lock:
            assert lock.held

    for at in range(1_000):
        if not interrupted(at, lock_and_release, disk, disk_lock):
            break
        assert free(cache)
    assert at > 40


def test_filelock_s_open_file_is_where_the_lock_looks_for_it(cache: DiskCache, folder: Path) -> None:
    with cache.lock(ANN, CONTEXT, KEY) as lock:
        descriptor = lock._lock._context.lock_file_fd
        path = folder / "locks" / left(folder, ".lock")[0]
        assert os.path.samestat(os.fstat(descriptor), path.stat())
        assert path.stat().st_mode & 0o777 == 0o600
        assert not os.get_inheritable(descriptor)
    assert lock._lock._context.lock_file_fd is None
