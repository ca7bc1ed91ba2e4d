"""One flight across processes: a lock that its holder's death opens. Rests on the package ``filelock``, extra ``disk``.

Its files don't pile up: whoever lets go of a lock removes its file first, and whoever got hold of a file that is no
longer there has locked nothing and tries again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from access_grants_provider.core.fork_safety import in_forked_children
from access_grants_provider.exceptions import ConfigurationError

from .files import Refused, check_folder

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["DiskLock", "filelock_package"]


def filelock_package() -> Any:
    """Return the package ``filelock``. Raises :class:`ConfigurationError` where it is not installed."""
    try:
        import filelock
    except ImportError:
        hint = "pip install 'access-grants-provider[disk]'"
        raise ConfigurationError(f"the cache on disk needs the package filelock; run: {hint}") from None
    return filelock


class DiskLock:
    """The lock of one flight, or the attempt to get it: ``held`` tells. A context manager that releases it.

    ``contended``: somebody else had it when it was last tried. Neither of the two: it can't be had by anybody, and
    there is nothing to wait for.
    Any thread may release it. A forked child holds nothing: neither its exit nor its life touches the parent's lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.contended = False
        # What the holder notes of its event loop, for others in its process.
        self.lane: object = None
        self._package = filelock_package()
        # Not bound to a thread: a flight may end in another one than it began in.
        self._lock = self._package.FileLock(str(path), mode=0o600, thread_local=False)
        in_forked_children(self, DiskLock._disown)

    @property
    def held(self) -> bool:
        """Whether this process has the lock."""
        return bool(self._lock.is_locked)

    def take(self) -> bool:
        """Try once, without waiting.

        Raises :class:`Refused` for what is no lock file or where the file system knows no locks, and :class:`OSError`.
        """
        self.contended = False
        # filelock would make a folder that is missing, and make it open to others.
        check_folder(self.path.parent)
        try:
            # filelock opens through links before 3.20.
            if not stat.S_ISREG(os.lstat(self.path).st_mode):
                raise Refused(f"{self.path} is no lock file; remove it")
        except FileNotFoundError:
            pass
        try:
            # It also has a way to wait; but from 4.0 on that keeps a fork in another thread waiting as long.
            self._lock.acquire(blocking=False)
        except self._package.Timeout:
            self.contended = True
            return False
        except NotImplementedError:
            raise Refused(f"{self.path.parent} is on a file system without locks; use a folder on another") from None
        if self._removes_files() and not self._is_in_place():
            self._lock.release()
            self.contended = True
            return False
        return True

    def release(self) -> None:
        """Let others have it. Does nothing where it is not held."""
        try:
            if self.held and self._removes_files() and self._is_in_place():
                with contextlib.suppress(OSError):
                    os.unlink(self.path)
        finally:
            # A file system that fails here opens the lock when the file is closed.
            with contextlib.suppress(OSError):
                self._lock.release()

    def _removes_files(self) -> bool:
        """Tell whether the files are ours to remove: Windows' locks and those of last resort see to that themselves."""
        return isinstance(self._lock, self._package.UnixFileLock) and os.name == "posix"

    def _is_in_place(self) -> bool:
        """Tell whether the locked file is the one that others find under its name."""
        descriptor = self._lock._context.lock_file_fd
        try:
            return descriptor is not None and os.path.samestat(os.fstat(descriptor), os.lstat(self.path))
        except FileNotFoundError:
            return False

    def _disown(self) -> None:
        # In a forked child. The lock belongs to the open file, which both processes have: to unlock it here would open
        # it there, and to keep it open would outlast the parent's death. Closing does neither. Pinned by a test.
        context = self._lock._context
        descriptor, context.lock_file_fd, context.lock_counter = context.lock_file_fd, None, 0
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> DiskLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
