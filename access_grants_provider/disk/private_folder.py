"""The folder of the cache on disk: where it is, which folders are checked before use, and how a failure is reported."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from access_grants_provider.core.config import CACHE_FOLDER_VARIABLE
from access_grants_provider.exceptions import ConfigurationError

from .files import UntrustedPath, check_folder, make_folder

__all__ = ["PrivateFolder", "default_folder"]

logger = logging.getLogger("access_grants_provider.disk")

# This package's own folder in ~/.aws. Where it is the parent of the cache, it is made and checked too.
OWN_FOLDER = "access-grants"

ADVICE = {
    "ENOSPC": "Free some space there, or",
    "EDQUOT": "Free some space there, or",
    "EACCES": "Make it writable for this user, or",
    "EPERM": "Make it writable for this user, or",
}
OTHER_FOLDER = f"set {CACHE_FOLDER_VARIABLE} to a folder that only you can access"

# The warnings of this process, by folder, feature and kind. setdefault() is atomic, so that one thread alone warns.
_warned: dict[tuple[str, str, str], object] = {}


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the cache: ``S3_ACCESS_GRANTS_CACHE_FOLDER``, else ``~/.aws/access-grants/cache``.

    Raises :class:`ConfigurationError` for a path that is not absolute, and where there is no home folder.
    """
    configured = environ.get(CACHE_FOLDER_VARIABLE)
    if configured:
        return _absolute(Path(configured), f"{CACHE_FOLDER_VARIABLE}={configured!r}")
    try:
        home = Path("~").expanduser()
    except RuntimeError:
        raise ConfigurationError(
            "this user has no home folder, so there is no place for the cache on disk",
            hint=f"Set HOME or {CACHE_FOLDER_VARIABLE} to an absolute path",
        ) from None
    return _absolute(home, f"the home folder {str(home)!r}") / ".aws" / OWN_FOLDER / "cache"


class PrivateFolder:
    """A folder, at ``path``, that is used only while it belongs to this user alone. Creating the object does no I/O.

    ``feature`` and ``alternative`` are for the warnings: what does not work now, and what works without a folder.
    Raises :class:`ConfigurationError` for a path that is not absolute: a later chdir() must not move the cache.
    """

    def __init__(self, path: Path, feature: str, alternative: str = "") -> None:
        self.path = _absolute(path, f"the cache folder {str(path)!r}")
        self._feature = feature
        self._alternative = f", or {alternative}" if alternative else ""
        parent = self.path.parent
        self._own = (parent, self.path) if parent.name == OWN_FOLDER else (self.path,)

    def checked(self, *names: str) -> Path:
        """Return the folder below ``path`` that has these names, after a check of every folder on the way.

        Raises :class:`UntrustedPath` and :class:`OSError`.
        """
        for folder in self._way_to(names):
            check_folder(folder)
        return self.path.joinpath(*names)

    def made(self, *names: str) -> Path:
        """Do as :meth:`checked`, and create what is missing."""
        for folder in self._way_to(names):
            make_folder(folder)
            check_folder(folder)
        return self.path.joinpath(*names)

    @contextlib.contextmanager
    def tolerant(self, *, missing: bool = False, kind: str = "") -> Iterator[None]:
        """End the block at a failure of the disk, and report it: once per kind as a WARNING, then at DEBUG.

        A missing file is reported only where ``missing`` is true: reading expects some to be missing, writing does not.
        """
        try:
            yield
        except UntrustedPath as error:
            self._report(kind or "folder", f"{self._feature} is not used: {error}, or {OTHER_FOLDER}")
        except FileNotFoundError as error:
            if missing:
                self._report(kind or "disk", f"{self._feature} does not work: {error}. {_remedy(error)}")
        except OSError as error:
            self._report(kind or "disk", f"{self._feature} does not work: {error}. {_remedy(error)}")

    def _way_to(self, names: tuple[str, ...]) -> list[Path]:
        return [*self._own, *(self.path.joinpath(*names[: depth + 1]) for depth in range(len(names)))]

    def _report(self, kind: str, message: str) -> None:
        own = object()
        first = _warned.setdefault((str(self.path), self._feature, kind), own) is own
        logger.log(logging.WARNING if first else logging.DEBUG, "S3 Access Grants: %s%s", message, self._alternative)


def _absolute(path: Path, name: str) -> Path:
    if path.is_absolute() and _is_encodable(path):
        return path
    raise ConfigurationError(f"{name} is not an absolute path", hint=f"Set {CACHE_FOLDER_VARIABLE} to one")


def _is_encodable(path: Path) -> bool:
    """Tell whether the system takes such a name; else its functions raise ValueError, which is not an OSError."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _remedy(error: OSError) -> str:
    advice = ADVICE.get(errno.errorcode.get(error.errno or 0, ""))
    return f"{advice} {OTHER_FOLDER}" if advice else OTHER_FOLDER[0].upper() + OTHER_FOLDER[1:]
