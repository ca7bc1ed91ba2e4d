"""Files and folders that belong to one user alone: how they are made, checked, read and written.

Nothing is read or written through a symbolic link. Where the system has no owners and no permission bits (Windows),
the permissions of the user's profile folder apply.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

__all__ = ["TEMPORARY", "UntrustedPath", "check_folder", "inspect", "is_private", "make_folder", "touch", "write"]

TEMPORARY = ".tmp"
OTHERS = 0o077
HAS_OWNERS = hasattr(os, "geteuid")

# Without O_NONBLOCK, opening a pipe in a file's place would block; a file ignores the flag.
SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
# The errors of open() for a symbolic link under O_NOFOLLOW: Linux and macOS, the BSDs.
LINKED = (errno.ELOOP, errno.EMLINK)


class UntrustedPath(Exception):
    """A folder that must not be used; the message gives the reason and what to do."""


def make_folder(folder: Path) -> None:
    """Create a folder that only the user can access, and its missing parents. Change nothing where it exists.

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
    """Raise :class:`UntrustedPath` unless this is a real folder, owned by the user and closed to others.

    Raises :class:`OSError` too.
    """
    info = os.lstat(folder)
    if stat.S_ISLNK(info.st_mode):
        raise UntrustedPath(f"{folder} is a symbolic link. Replace it with a folder")
    if not stat.S_ISDIR(info.st_mode):
        raise UntrustedPath(f"{folder} is not a folder. Move it away")
    if HAS_OWNERS and info.st_uid != os.geteuid():
        raise UntrustedPath(
            f"{folder} belongs to user {info.st_uid}, but this process runs as user {os.geteuid()}. Change its owner"
        )
    if HAS_OWNERS and info.st_mode & OTHERS:
        mode = stat.S_IMODE(info.st_mode)
        raise UntrustedPath(f"{folder} is open to other users (mode {mode:04o}). Run: chmod 700 '{folder}'")


def is_private(info: os.stat_result) -> bool:
    """Tell whether this is an ordinary file, owned by the user and closed to others."""
    if not stat.S_ISREG(info.st_mode):
        return False
    return not HAS_OWNERS or (info.st_uid == os.geteuid() and not info.st_mode & OTHERS)


def inspect(path: Path, limit: int, is_obsolete: Callable[[bytes | None], bool]) -> None:
    """Pass the content of a file to ``is_obsolete``, and remove the file if that returns True. Ignore a missing file.

    The content is None where the file can't be trusted: a link, not an ordinary file, owned by another user, open to
    others, or longer than ``limit`` bytes. Raises :class:`OSError`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | SAFELY)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in LINKED:
            raise
        remove = is_obsolete(None)
    else:
        try:
            info = os.fstat(descriptor)
            content = _read(descriptor, limit) if is_private(info) else None
            # Another process may have put a newer file there meanwhile, which has to stay. While this one is open, no
            # other file can have its inode number.
            remove = is_obsolete(content) and _is_same_file(path, info)
        finally:
            os.close(descriptor)
    if remove:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def write(path: Path, content: bytes, modified: float) -> None:
    """Put a complete file in place or none, for the user alone, with this modification time (epoch seconds).

    Whatever fails on the way, no part of it stays. Only a process that is killed leaves a file that ends in ``.tmp``.
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


def touch(path: Path) -> None:
    """Create an empty file for the user alone; leave one that exists. Raises :class:`OSError`."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | SAFELY, 0o600))


def _fill(descriptor: int, content: bytes) -> None:
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _read(descriptor: int, limit: int) -> bytes | None:
    content = b""
    while len(content) <= limit:
        part = os.read(descriptor, limit + 1 - len(content))
        if not part:
            return content
        content += part
    return None


def _is_same_file(path: Path, info: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), info)
    except FileNotFoundError:
        return False
