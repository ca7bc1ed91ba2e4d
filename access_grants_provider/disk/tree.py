"""The folders and files of the cache on disk: which there are, and which have to go. Other names are never touched."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from .files import TEMPORARY
from .lock import DiskLock

__all__ = ["LOCK", "LOCKS", "RECORD", "clear", "evict", "folders", "records", "remove_left_locks", "sweep"]

LOCKS, LOCK, RECORD = "locks", ".lock", ".json"

# A write takes milliseconds. What is this old was left behind by a process that was killed.
TEMPORARY_SECONDS = 600

NAME = re.compile("[0-9a-f]{64}")
FILE = re.compile(rf"[0-9a-f]{{64}}({re.escape(RECORD)}|\.[0-9a-f]{{16}}{re.escape(TEMPORARY)})")


def folders(parent: Path) -> list[Path]:
    """Return the folders of requesters in the cache, or of buckets in a requester's folder; none that is a link."""
    named = [parent / name for name in os.listdir(parent) if NAME.fullmatch(name)]
    return [path for path, info in _existing(named) if stat.S_ISDIR(info.st_mode)]


def records(folder: Path) -> list[Path]:
    """Return the files of records in a bucket's folder."""
    return [path for path in _files(folder) if path.suffix == RECORD]


def sweep(requester: Path, now: float) -> None:
    """Remove what has ended from a requester's folder by the files' times alone, and the folder where nothing is left.

    A record's time of modification is when its credentials end.
    """

    def is_over(path: Path, info: os.stat_result) -> bool:
        return info.st_mtime + (0 if path.suffix == RECORD else TEMPORARY_SECONDS) <= now

    _empty(requester, is_over)


def clear(requester: Path) -> int:
    """Remove all from a requester's folder, and the folder, and return how many records there were."""
    return _empty(requester, lambda path, info: True)


def evict(folder: Path, limit: int, share: float, newest: Path) -> None:
    """Remove from a bucket's folder with more than ``limit`` records those that end first, ``newest`` not among them.

    The share is removed on top, so that a full folder does not pay for each record added.
    """
    kept = records(folder)
    if len(kept) <= limit:
        return
    ends = sorted((info.st_mtime, path) for path, info in _existing(kept) if path != newest)
    for _, path in ends[: len(kept) - limit + int(limit * share)]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove_left_locks(folder: Path) -> None:
    """Remove the files of locks whose holder died.

    The folder stays, for ``filelock`` would make it anew and open to others.
    """
    for name in os.listdir(folder):
        if name.endswith(LOCK) and NAME.fullmatch(name.removesuffix(LOCK)):
            lock = DiskLock(folder / name)
            if lock.take():
                lock.release()


def _empty(requester: Path, goes: Callable[[Path, os.stat_result], bool]) -> int:
    removed = 0
    for folder in folders(requester):
        with contextlib.suppress(FileNotFoundError):
            for path, info in _existing(_files(folder)):
                # A folder in a file's place is not this cache's.
                if not stat.S_ISDIR(info.st_mode) and goes(path, info):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                        removed += path.suffix == RECORD
        _remove_empty(folder)
    _remove_empty(requester)
    return removed


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in os.listdir(folder) if FILE.fullmatch(name)]


def _existing(paths: list[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            continue
        yield path, info
