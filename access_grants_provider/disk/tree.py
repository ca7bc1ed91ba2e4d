"""The files in the folders of the cache on disk: which exist, and which are to be removed.

Files and folders with other names than the cache gives are never touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from .files import TEMPORARY

__all__ = ["RECORD", "SESSION", "clear", "evict", "folders", "records", "sweep", "sweep_files"]

RECORD, SESSION = ".json", ".session"

# A write takes milliseconds. An older temporary file was left by a process that was killed.
TEMPORARY_SECONDS = 600

NAME = re.compile("[0-9a-f]{64}")
FILE = re.compile(rf"[0-9a-f]{{64}}({re.escape(RECORD)}|{re.escape(SESSION)}|\.[0-9a-f]{{16}}{re.escape(TEMPORARY)})")


def folders(parent: Path) -> list[Path]:
    """Return the folders of callers in the cache, or of buckets in a caller's folder, without symbolic links."""
    named = [parent / name for name in os.listdir(parent) if NAME.fullmatch(name)]
    return [path for path, info in _existing(named) if stat.S_ISDIR(info.st_mode)]


def records(folder: Path) -> list[Path]:
    """Return the files of records in a bucket's folder."""
    return [path for path in _files(folder) if path.suffix == RECORD]


def sweep(caller: Path, now: float) -> None:
    """Remove what has expired from a caller's folder, and the folder if it is empty then. No file is opened."""
    _empty(caller, lambda path, info: _is_over(path, info, now))


def sweep_files(folder: Path, now: float) -> None:
    """Remove what has expired from one folder of files."""
    _remove(folder, lambda path, info: _is_over(path, info, now))


def clear(caller: Path) -> int:
    """Remove everything from a caller's folder, and the folder, and return how many records there were."""
    return _empty(caller, lambda path, info: True)


def evict(folder: Path, limit: int, share: float, newest: Path) -> None:
    """Remove the records that expire first from a bucket's folder with more than ``limit``, but never ``newest``.

    The share is removed on top, so that a full folder is not sorted again for each new record.
    """
    stored = records(folder)
    if len(stored) <= limit:
        return
    ends = sorted((info.st_mtime, path) for path, info in _existing(stored) if path != newest)
    for _, path in ends[: len(stored) - limit + int(limit * share)]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _is_over(path: Path, info: os.stat_result, now: float) -> bool:
    """Tell by the modification time, which is the expiration, whether a file is of no more use."""
    return info.st_mtime + (TEMPORARY_SECONDS if path.suffix == TEMPORARY else 0) <= now


def _empty(caller: Path, is_obsolete: Callable[[Path, os.stat_result], bool]) -> int:
    removed = 0
    for folder in folders(caller):
        with contextlib.suppress(FileNotFoundError):
            removed += _remove(folder, is_obsolete)
        _remove_empty(folder)
    _remove_empty(caller)
    return removed


def _remove(folder: Path, is_obsolete: Callable[[Path, os.stat_result], bool]) -> int:
    removed = 0
    for path, info in _existing(_files(folder)):
        # The cache makes no folder with the name of a file.
        if not stat.S_ISDIR(info.st_mode) and is_obsolete(path, info):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                removed += path.suffix == RECORD
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
