"""Files and folders that belong to one user alone: made so, and used only where they still are.

Nothing is read or written through a symbolic link. Where the system knows no owners and no permission bits (Windows),
what the user's own profile folder grants holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

__all__ = ["TEMPORARY", "Refused", "check_folder", "inspect", "make_folder", "write"]

TEMPORARY = ".tmp"
OTHERS = 0o077
HAS_OWNERS = hasattr(os, "geteuid")

# Without O_NONBLOCK a pipe in a file's place would be waited for; a file does not mind it.
SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
# What open() says of a symbolic link under O_NOFOLLOW: Linux and macOS, the BSDs.
LINKED = (errno.ELOOP, errno.EMLINK)


class Refused(Exception):
    """A folder or file that must not be used; the message says why and what to do."""


def make_folder(folder: Path) -> None:
    """Make a folder that is the user's alone, with those above it that are missing; leave it as it is where it exists.

    Raises :class:`OSError`.
    """
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)


def check_folder(folder: Path) -> None:
    """Raise :class:`Refused` unless it is a real folder, the user's own and closed to others; :class:`OSError` too."""
    info = os.lstat(folder)
    if stat.S_ISLNK(info.st_mode):
        raise Refused(f"{folder} is a symbolic link; put a folder there")
    if not stat.S_ISDIR(info.st_mode):
        raise Refused(f"{folder} is not a folder; move it away")
    if HAS_OWNERS and info.st_uid != os.geteuid():
        raise Refused(
            f"{folder} belongs to user {info.st_uid}, and this is user {os.geteuid()}; use a folder of your own"
        )
    if HAS_OWNERS and info.st_mode & OTHERS:
        raise Refused(f"{folder} is open to others (mode {stat.S_IMODE(info.st_mode):04o}); run: chmod 700 '{folder}'")


def inspect(path: Path, limit: int, goes: Callable[[bytes | None], bool]) -> None:
    """Give a file's content to ``goes``, and remove the file where that says so; a missing file is no news.

    The content is None where the file can't be trusted: a link, no ordinary file, somebody else's, open to others, or
    longer than ``limit`` bytes. Raises :class:`OSError`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | SAFELY)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in LINKED:
            raise
        removed = goes(None)
    else:
        try:
            info = os.fstat(descriptor)
            content = _read(descriptor, limit) if _is_private(info) else None
            # Another process may have put a newer file there meanwhile, which has to stay. As long as this one is open,
            # no other file can have its number.
            removed = goes(content) and _is_still(path, info)
        finally:
            os.close(descriptor)
    if removed:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def write(path: Path, content: bytes, modified: float) -> None:
    """Put a file in place whole or not at all, for the user alone, with this time of modification (epoch seconds).

    Whatever happens on the way, no part of it stays, unless the process is killed: then a name ending in ``.tmp``.
    Raises :class:`OSError`.
    """
    temporary = path.with_name(f"{path.stem}.{secrets.token_hex(8)}{TEMPORARY}")
    try:
        _fill(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o600), content)
        os.utime(temporary, (modified, modified))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _fill(descriptor: int, content: bytes) -> None:
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _is_private(info: os.stat_result) -> bool:
    if not stat.S_ISREG(info.st_mode):
        return False
    return not HAS_OWNERS or (info.st_uid == os.geteuid() and not info.st_mode & OTHERS)


def _read(descriptor: int, limit: int) -> bytes | None:
    content = b""
    while len(content) <= limit:
        part = os.read(descriptor, limit + 1 - len(content))
        if not part:
            return content
        content += part
    return None


def _is_still(path: Path, info: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), info)
    except FileNotFoundError:
        return False
