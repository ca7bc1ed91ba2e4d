"""The cache on disk: vended credentials that the processes of one user on one machine share.

::

    ~/.aws/access-grants/cache/         0700, as every folder below it; the files are 0600
        <caller>/                       one set of the caller's credentials
            <context and bucket>/       the options that decide what is vended, and the bucket
                <record>.json           one set of vended credentials; the modification time is its expiration
        cleared/<time>                  when the cache was cleared (:mod:`.clearings`)
        sessions/<session>.session      a session that was handed to another process (:mod:`.sessions`)

All other names are digests (:mod:`.record`). No process ever waits for another one: a file is put in place by one
rename, and processes that need the same credentials at the same time each request them; the last one's stay.
A disk that fails is never an error of the request: the cache then finds nothing and stores nothing, and says so once.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from .clearings import CLEARINGS, Clearing, add_clearing, last_clearing, remove_old_clearings
from .files import check_folder, inspect, write
from .private_folder import PrivateFolder
from .record import MAX_BYTES, MAX_TIME, Entry, Record, caller_name, decode, encode, folder_name, record_name
from .tree import RECORD, clear, evict, folders, records, sweep

__all__ = ["DiskCache"]

logger = logging.getLogger("access_grants_provider.disk")

SWEEP_SECONDS = 300
# Per caller, context and bucket. Under privilege Minimal each object has a record, and all are read at once: 24 ms.
MAX_RECORDS = 256
EVICTED_SHARE = 1 / 16
# How often in a row another process may remove the folder that a record goes to, by clearing or sweeping.
ATTEMPTS = 20


class DiskCache:
    """Vended credentials in a folder. Safe for threads, processes, forks and signal handlers: it has no locks.

    ``caller`` and ``context`` are what :func:`.caller_digest` and :func:`.context_digest` return. ``clock`` gives
    seconds since the epoch. Creating a cache does no I/O and raises :class:`ConfigurationError` for a folder that is
    not an absolute path. No method raises for a failure of the disk.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = PrivateFolder(folder, "the cache on disk", "use cache='memory'")
        self._clock = clock
        self._swept_at = 0.0

    @property
    def folder(self) -> Path:
        """Where the cache is."""
        return self._folder.path

    def load(self, caller: bytes, context: bytes, bucket: str) -> list[Record]:
        """Return all usable records, in no order. Remove the files of the others: expired, cleared, damaged."""
        usable: list[Record] = []
        with self._folder.tolerant():
            # Before the records: one that is written meanwhile by a process that vended before is covered then.
            clearing = self._last_clearing()
            folder = self._folder.checked(caller_name(caller), folder_name(caller, context, bucket))
            for path in records(folder):

                def is_obsolete(content: bytes | None, path: Path = path) -> bool:
                    record = _decoded(content, path)
                    now = self._clock()
                    if record is None or record.scope.bucket != bucket or not _is_usable(record, clearing, now):
                        return True
                    usable.append(record)
                    return False

                with self._folder.tolerant():
                    inspect(path, MAX_BYTES, is_obsolete)
        return usable

    def store(self, caller: bytes, context: bytes, record: Record) -> None:
        """Write a record, in place of the one with the same region, account, scope and permission."""
        path = self._path_of(caller, context, record)
        content = encode(record, _place(path))
        if len(content) > MAX_BYTES or not (record.expiration < MAX_TIME and 0 <= record.vended_at < MAX_TIME):
            return
        with self._folder.tolerant(missing=True):
            if self._write(path, content, record):
                with self._folder.tolerant():
                    evict(path.parent, MAX_RECORDS, EVICTED_SHARE, path)
        # Also after a failure: it makes room on a full disk.
        self._sweep()

    def delete(self, caller: bytes, context: bytes, record: Record) -> None:
        """Remove exactly this record; a newer one in its place stays."""
        with self._folder.tolerant():
            path = self._path_of(caller, context, record)
            self._folder.checked(*_place(path)[:-1])
            inspect(path, MAX_BYTES, lambda content: _decoded(content, path) in (None, record))

    def clear(self, caller: None = None) -> int:
        """Forget the records of all callers, and return how many there were.

        No process finds them again. That includes credentials that were requested before the clearing and are stored
        after it. Files that are not the cache's stay, and so do the vended sessions. ``caller`` is always None.
        """
        removed = 0
        # A kind of its own: whoever clears is told that it failed, whatever was reported before.
        with self._folder.tolerant(missing=True, kind="clear"):
            # Before anything is removed, so that nothing slips in between.
            add_clearing(self._folder.made(CLEARINGS), self._clock())
        with self._folder.tolerant(kind="clear"):
            for folder in folders(self._folder.checked()):
                with self._folder.tolerant(kind="clear"):
                    check_folder(folder)
                    removed += clear(folder)
        return removed

    def entries(self) -> list[Entry]:
        """Return what is stored of all callers, expired or not, but not cleared. No record is changed or removed."""
        entries: list[Entry] = []
        with self._folder.tolerant():
            clearing = self._last_clearing()
            for path in self._all_records():

                def show(content: bytes | None, path: Path = path) -> bool:
                    record = _decoded(content, path)
                    now = self._clock()
                    if content is not None and record is not None and not clearing.covers(record.vended_at, now):
                        entries.append(Entry.of(record, path.parent.parent.name, len(content)))
                    return False

                with self._folder.tolerant():
                    inspect(path, MAX_BYTES, show)
        return entries

    def _all_records(self) -> Iterator[Path]:
        for caller in folders(self._folder.checked()):
            # Another process may remove it just now.
            with contextlib.suppress(FileNotFoundError):
                for folder in folders(caller):
                    yield from records(folder)

    def _last_clearing(self) -> Clearing:
        try:
            return last_clearing(self._folder.checked(CLEARINGS), self._clock)
        except FileNotFoundError:
            return Clearing(None)

    def _write(self, path: Path, content: bytes, record: Record) -> bool:
        """Write a usable record, and tell whether it is one."""
        for left in reversed(range(ATTEMPTS)):
            try:
                if not _is_usable(record, self._last_clearing(), self._clock()):
                    break
                self._folder.made(*_place(path)[:-1])
                write(path, content, record.expiration)
                return True
            except FileNotFoundError:
                if not left:
                    raise
        return False

    def _sweep(self) -> None:
        now = self._clock()
        # The difference is negative after the clock was set back.
        if 0 <= now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        with self._folder.tolerant():
            for folder in folders(self._folder.checked()):
                with self._folder.tolerant():
                    sweep(folder, now)
            remove_old_clearings(self._folder.checked(CLEARINGS), now)

    def _path_of(self, caller: bytes, context: bytes, record: Record) -> Path:
        folder = self.folder / caller_name(caller) / folder_name(caller, context, record.scope.bucket)
        return folder / (record_name(caller, context, record) + RECORD)


def _is_usable(record: Record, clearing: Clearing, now: float) -> bool:
    return now < record.expiration and not clearing.covers(record.vended_at, now)


def _place(path: Path) -> tuple[str, ...]:
    """Return the names of a record's two folders and its own."""
    return (path.parent.parent.name, path.parent.name, path.stem)


def _decoded(content: bytes | None, path: Path) -> Record | None:
    if content is None:
        return None
    try:
        return decode(content, _place(path))
    except ValueError as error:
        logger.debug("a file of the cache on disk is not a record: %s", error)
        return None
