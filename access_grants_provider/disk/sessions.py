"""The sessions that were handed to other programs, so that no process of this user requests grants as one of them.

``access-grants exec`` and ``credentials`` give vended credentials to a program that may load this package too. A
vended session has no grants of its own, so a client that signs with one is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .files import is_private, write
from .private_folder import PrivateFolder
from .record import MAX_TIME, session_name
from .tree import SESSION, sweep_files

__all__ = ["VendedSessions"]

SESSIONS = "sessions"


class VendedSessions:
    """The vended sessions that this user's processes remember in a folder: the folder of the cache on disk.

    A session is an empty file: its name is a digest of the access key id, its modification time is the expiration.
    ``clock`` gives seconds since the epoch. Creating the object does no I/O and raises :class:`ConfigurationError` for
    a folder that is not an absolute path. No method raises for a failure of the disk: nothing is remembered then.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = PrivateFolder(folder, "the list of vended sessions")
        self._sessions = str(folder / SESSIONS)
        self._clock = clock

    def remember_session(self, access_key_id: str, expiration: float) -> None:
        """Remember until ``expiration`` (epoch seconds) that this key was vended; remove sessions that have ended."""
        now = self._clock()
        if not now < expiration < MAX_TIME:
            return
        with self._folder.tolerant(missing=True):
            self._folder.made(SESSIONS)
            write(Path(self._file_of(access_key_id)), b"", expiration)
        with self._folder.tolerant():
            sweep_files(self._folder.checked(SESSIONS), now)

    def is_vended_session(self, access_key_id: str) -> bool:
        """Tell whether a process of this user remembered this key and it has not expired."""
        # The file first: nearly always it is missing, and then one lstat() is all (8 µs). There is nothing to warn of
        # where this user may not even look, as in a container with the HOME of another user.
        try:
            info = os.lstat(self._file_of(access_key_id))
        except OSError:
            return False
        if not is_private(info) or info.st_mtime <= self._clock():
            return False
        with self._folder.tolerant():
            self._folder.checked(SESSIONS)
            return True
        return False

    def _file_of(self, access_key_id: str) -> str:
        # As text: a Path takes longer to make than the lstat() that follows.
        return f"{self._sessions}{os.sep}{session_name(access_key_id)}{SESSION}"
