"""The cache on disk: vended credentials that the processes of one user on one machine share.

::

    ~/.aws/access-grants/cache/         0700, as everything below; the files are 0600
        <requester>/                    one set of the caller's credentials
            <context and bucket>/       the options that decide what is vended, and the bucket
                <record>.json           one set of vended credentials; its time of modification is when they end
        locks/<flight>.lock             there while a process asks

All names are digests (:mod:`.record`). What can't be used is never an error of the request: the cache then finds
nothing and keeps nothing, and says so once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from access_grants_provider.core.config import CACHE_FOLDER_VARIABLE
from access_grants_provider.exceptions import ConfigurationError

from .files import Refused, check_folder, inspect, make_folder, write
from .lock import DiskLock, filelock_package
from .record import MAX_BYTES, Entry, Record, decode, encode, folder_name, lock_name, record_name, requester_name
from .tree import LOCK, LOCKS, RECORD, clear, evict, folders, records, remove_left_locks, sweep

__all__ = ["POLL_SECONDS", "DiskCache", "default_folder"]

logger = logging.getLogger(__name__)

# This package's own folder in ~/.aws; where the cache lies right in it, both are made and checked.
OWN_FOLDER = "access-grants"
LOCK_SECONDS = 30.0
# 40 attempts a second at 0.2 ms each: 32 waiting processes take a quarter of one core.
POLL_SECONDS = 0.025
SWEEP_SECONDS = 300
# Per requester, context and bucket. Under privilege Minimal each object has a record, and all are read at once: 24 ms.
MAX_RECORDS = 256
EVICTED_SHARE = 1 / 16
# How often in a row a folder may be gone because another process clears: after that it is no coincidence any more.
ATTEMPTS = 20

ADVICE = {
    "ENOSPC": "make room there, or",
    "EDQUOT": "make room there, or",
    "EACCES": "see that you may write there, or",
    "EPERM": "see that you may write there, or",
}

# What this process has warned of, by folder and kind. setdefault() lets one thread through.
_said: dict[tuple[str, str], object] = {}


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the cache lies: ``S3_ACCESS_GRANTS_CACHE_FOLDER``, else ``~/.aws/access-grants/cache``.

    Raises :class:`ConfigurationError` for a path that is not absolute, and where there is no home folder.
    """
    given = environ.get(CACHE_FOLDER_VARIABLE)
    if given:
        folder = Path(given)
        if not folder.is_absolute():
            raise ConfigurationError(f"{CACHE_FOLDER_VARIABLE}={given!r} is not allowed; it must be an absolute path")
        return folder
    try:
        return Path("~/.aws").expanduser() / OWN_FOLDER / "cache"
    except RuntimeError:
        hint = f"set HOME or {CACHE_FOLDER_VARIABLE}, or use cache='memory'"
        raise ConfigurationError(f"cache='disk' needs a home folder, and there is none; {hint}") from None


class DiskCache:
    """Vended credentials in a folder. Safe for threads and processes; a fork takes nothing along.

    ``requester`` and ``context`` are what :func:`.requester_digest` and :func:`.context_digest` return. No method
    raises for what the disk does; making one raises :class:`ConfigurationError` where ``filelock`` is missing.
    ``clock`` gives epoch seconds. ``lock_seconds`` are real ones: how long :meth:`lock` waits.
    """

    def __init__(self, folder: Path, clock: Callable[[], float], *, lock_seconds: float = LOCK_SECONDS) -> None:
        filelock_package()
        # A later chdir() must not move it.
        self.folder = Path(os.path.abspath(folder))
        self._clock = clock
        self.lock_seconds = lock_seconds
        self._sweep_at = 0.0
        parent = self.folder.parent
        self._own = (parent, self.folder) if parent.name == OWN_FOLDER else (self.folder,)

    def recall(self, requester: bytes, context: bytes, bucket: str) -> list[Record]:
        """Return all records that have not expired, in no order. Expired and broken files are removed in passing."""
        found: list[Record] = []
        now = self._clock()
        with self._tolerant():
            folder = self._checked(requester_name(requester), folder_name(requester, context, bucket))
            for path in records(folder):

                def goes(content: bytes | None, path: Path = path) -> bool:
                    record = _decoded(content, path)
                    if record is None or record.expiration <= now or record.scope.bucket != bucket:
                        return True
                    found.append(record)
                    return False

                with self._tolerant():
                    inspect(path, MAX_BYTES, goes)
        return found

    def keep(self, requester: bytes, context: bytes, record: Record) -> None:
        """Write a record, in place of the one with the same region, account, scope and permission."""
        path, now = self._path_of(requester, context, record), self._clock()
        names = _place(path)[:-1]
        content = encode(record, _place(path))
        if len(content) > MAX_BYTES or not now < record.expiration < math.inf:
            return
        with self._tolerant(missing=True):
            for left in reversed(range(ATTEMPTS)):
                try:
                    self._made(*names)
                    write(path, content, record.expiration)
                    break
                except FileNotFoundError:
                    if not left:
                        raise
        with self._tolerant():
            evict(path.parent, MAX_RECORDS, EVICTED_SHARE, path)
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            with self._tolerant():
                for one in folders(self._checked()):
                    sweep(one, now)
                remove_left_locks(self._checked(LOCKS))

    def drop(self, requester: bytes, context: bytes, record: Record) -> None:
        """Remove exactly this record; a newer one in its place stays."""
        with self._tolerant():
            path = self._path_of(requester, context, record)
            self._checked(*_place(path)[:-1])
            inspect(path, MAX_BYTES, lambda content: _decoded(content, path) in (None, record))

    def lock(
        self, requester: bytes, context: bytes, key: tuple[object, ...], *, seconds: float | None = None
    ) -> DiskLock:
        """Wait for the lock of a flight, and return it, whether ``held`` or not: after ``seconds`` one goes on without.

        ``seconds`` is ``lock_seconds`` unless given; 0 tries once and says nothing. Raises :class:`TypeError` for a
        ``key`` that is not the same in every process.
        """
        lock = DiskLock(self.folder / LOCKS / (lock_name(requester, context, key) + LOCK))
        seconds = self.lock_seconds if seconds is None else seconds
        deadline = time.monotonic() + seconds
        made, missing = False, 0
        with self._tolerant(missing=True):
            while True:
                try:
                    if not made:
                        self._made(LOCKS)
                    if lock.take():
                        return lock
                    made, missing = True, 0
                except FileNotFoundError:
                    made, missing = False, missing + 1
                    if missing == ATTEMPTS:
                        raise
                    continue
                wait = min(POLL_SECONDS, deadline - time.monotonic())
                if wait <= 0:
                    break
                time.sleep(wait)
            if seconds > 0:
                self.waited_in_vain(seconds)
        return lock

    def waited_in_vain(self, seconds: float) -> None:
        """Say that a lock was waited for and that one goes on without."""
        self._say(
            "lock",
            f"another process has asked for the same credentials for {seconds:g} s; "
            "asking too. Should this come again, one of your processes hangs",
        )

    def clear(self, requester: bytes | None) -> int:
        """Remove what is kept for a requester, or for all (None), and return how many records that were.

        Only what has this cache's names is touched. A record that another process is just fetching comes after it.
        """
        removed = 0
        with self._tolerant():
            folder = self._checked()
            for one in folders(folder) if requester is None else [folder / requester_name(requester)]:
                with self._tolerant():
                    check_folder(one)
                    removed += clear(one)
            if requester is None:
                remove_left_locks(self._checked(LOCKS))
        return removed

    def entries(self) -> list[Entry]:
        """Return what is kept, of all requesters, expired or not. Nothing is changed, and nothing secret shown."""
        found: list[Entry] = []
        with self._tolerant():
            for requester in folders(self._checked()):
                for path in (path for folder in folders(requester) for path in records(folder)):

                    def show(content: bytes | None, path: Path = path) -> bool:
                        record = _decoded(content, path)
                        if record is not None and content is not None:
                            found.append(Entry.of(record, path.parent.parent.name, len(content)))
                        return False

                    with self._tolerant():
                        inspect(path, MAX_BYTES, show)
        return found

    def _path_of(self, requester: bytes, context: bytes, record: Record) -> Path:
        folder = self.folder / requester_name(requester) / folder_name(requester, context, record.scope.bucket)
        return folder / (record_name(requester, context, record) + RECORD)

    def _checked(self, *names: str) -> Path:
        """Return a folder of the cache after a look at it and at all above it that are the cache's."""
        for folder in self._path_to(names):
            check_folder(folder)
        return self.folder.joinpath(*names)

    def _made(self, *names: str) -> None:
        """Make a folder of the cache, and look at it and at all above it that are the cache's."""
        for folder in self._path_to(names):
            make_folder(folder)
            check_folder(folder)

    def _path_to(self, names: tuple[str, ...]) -> list[Path]:
        return [*self._own, *(self.folder.joinpath(*names[: depth + 1]) for depth in range(len(names)))]

    @contextlib.contextmanager
    def _tolerant(self, missing: bool = False) -> Iterator[None]:
        """Go on without what the disk refuses, and say so; that something is not there is worth it if ``missing``."""
        try:
            yield
        except Refused as error:
            self._say("folder", f"the cache on disk is not used: {error}")
        except FileNotFoundError as error:
            if missing:
                self._say("disk", _failed(error))
        except OSError as error:
            self._say("disk", _failed(error))

    def _say(self, kind: str, message: str) -> None:
        mine = object()
        first = _said.setdefault((str(self.folder), kind), mine) is mine
        logger.log(logging.WARNING if first else logging.DEBUG, "S3 Access Grants: %s", message)


def _failed(error: OSError) -> str:
    advice = ADVICE.get(errno.errorcode.get(error.errno or 0, ""), "")
    way_out = f"set {CACHE_FOLDER_VARIABLE} to a folder that is yours alone, or use cache='memory'"
    return f"the cache on disk does not work: {error}; {f'{advice} ' if advice else ''}{way_out}"


def _place(path: Path) -> tuple[str, ...]:
    """Return the three names that a record's file stands under."""
    return (path.parent.parent.name, path.parent.name, path.stem)


def _decoded(content: bytes | None, path: Path) -> Record | None:
    if content is None:
        return None
    try:
        return decode(content, _place(path))
    except ValueError as error:
        logger.debug("a file of the cache on disk is no record: %s", error)
        return None
