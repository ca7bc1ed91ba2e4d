"""What the tests of the cache on disk share: a record, two callers, the files in a folder, Ctrl-C at any line."""

from __future__ import annotations

import dataclasses
import dis
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.scopes import GrantScope, Permission
from access_grants_provider.disk.clearings import CLEARINGS
from access_grants_provider.disk.record import Record, caller_digest, context_digest

START = 1_800_000_000.0
ANN, BOB = caller_digest("AKIAANN", "ann's secret", None), caller_digest("AKIABOB", "bob's secret", "token")
CONTEXT, OTHER = context_digest(AccessGrantsConfig()), context_digest(AccessGrantsConfig(privilege="Minimal"))
NOBODY = 65534
posix = pytest.mark.skipif(os.name != "posix", reason="no owners and no permission bits here")


def record(
    permission: Permission = "READ", scope: str = "s3://sales/emea/*", life: float = 3600, **changed: Any
) -> Record:
    made = Record(
        permission,
        GrantScope.parse(scope),
        "444455556666",
        "eu-west-1",
        "Default",
        START + life,
        START,
        "ASIAVENDED",
        "vended-secret",
        "vended-token",
    )
    return dataclasses.replace(made, **changed)


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def files(folder: Path) -> list[Path]:
    """All files but those that say when the cache was cleared."""
    return [path for path in everything(folder) if not path.is_dir() and path.parent.name != CLEARINGS]


def the_file(folder: Path) -> Path:
    (path,) = files(folder)
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


class Interrupt:
    """Ctrl-C before the ``at``-th line that runs in these modules.

    Not where a line begins with leaving an ``except`` block, at which Python handles no signal either: an exception of
    a trace function would leave the one that was caught behind in the thread, for good (CPython 3.11 to 3.13).
    """

    def __init__(self, at: int, *modules: Any) -> None:
        self.left = at
        self.files = {module.__file__ for module in modules}

    def __call__(self, frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event == "line" and dis.opname[frame.f_code.co_code[frame.f_lasti]] != "POP_EXCEPT":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def interrupted(at: int, work: Callable[[], object], *modules: Any) -> bool:
    """Do some work with an :class:`Interrupt`; False where it was done before so many lines had run."""
    before = sys.gettrace()
    sys.settrace(Interrupt(at, *modules))
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    assert sys.exc_info() == (None, None, None), "what was interrupted has left an exception behind in this thread"
    return False
