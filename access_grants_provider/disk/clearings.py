"""When the cache on disk was cleared, so that a process that vended before that can't bring its credentials back.

A clearing is an empty file whose name is its time, in nanoseconds since the epoch. Creating it is one atomic step, and
no clearing can replace a later one.

The clock of the machine may be set at any moment:

- Set back: a clearing now lies in the future. It would hide whatever is vended from now on, so it counts as one of
  this moment, and its file is replaced. The cost is one vend for each record vended before.
- Set back: a record was vended in the future. Nothing tells whether that was before the clearing, so it counts as
  cleared. The cost is one vend.
- Set forward, or forward and back: a clearing goes when it is older than the longest session, so a record that comes
  back has ended, or ends within that time.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .files import touch

__all__ = ["CLEARINGS", "Clearing", "add_clearing", "last_clearing", "remove_old_clearings"]

CLEARINGS = "cleared"
NAME = re.compile("[0-9]{20}")
# GetDataAccess vends for 12 hours at most. The other hour is for the time between the call and its answer.
LONGEST_SESSION_SECONDS = 13 * 3600


class Clearing(NamedTuple):
    """The last clearing: ``nanoseconds`` since the epoch, or None where there was none lately."""

    nanoseconds: int | None

    def covers(self, vended_at: float, now: float) -> bool:
        """Tell whether credentials vended then are to be forgotten; both times are in epoch seconds.

        ``now`` has to be read after the record, else a record that was just written seems to come from the future.
        """
        if self.nanoseconds is None:
            return False
        # At the same time counts as before: that costs a vend at most, the reverse would break the promise.
        return not self.nanoseconds < _nanoseconds(vended_at) <= _nanoseconds(now)


def add_clearing(folder: Path, now: float) -> None:
    """Note that the cache is cleared now; ``folder`` is the one of the clearings. Raises :class:`OSError`."""
    touch(folder / f"{_nanoseconds(now):020}")
    # Another process may be clearing too. Its time stays if it is later, so that the last clearing is never lost.
    _remove(folder, [time for time in _times(folder) if time < _nanoseconds(now)])


def last_clearing(folder: Path, clock: Callable[[], float]) -> Clearing:
    """Return the last clearing, and replace those that lie in the future. Raises :class:`OSError`."""
    times = _times(folder)
    # Read after the names: a clearing among them is later only if the clock has been set back.
    now = clock()
    future = [time for time in times if time > _nanoseconds(now)]
    if future:
        add_clearing(folder, now)
        _remove(folder, future)
    # One in the future still covers this load: everything that was vended until now.
    return Clearing(max(times, default=None))


def remove_old_clearings(folder: Path, now: float) -> None:
    """Remove clearings that can't matter any more: everything vended before them has ended. Raises :class:`OSError`."""
    _remove(folder, [time for time in _times(folder) if time <= _nanoseconds(now - LONGEST_SESSION_SECONDS)])


def _times(folder: Path) -> list[int]:
    return [int(name) for name in os.listdir(folder) if NAME.fullmatch(name)]


def _remove(folder: Path, times: list[int]) -> None:
    for time in times:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / f"{time:020}")


def _nanoseconds(seconds: float) -> int:
    return max(0, int(seconds * 1e9))
