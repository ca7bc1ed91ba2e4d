"""What the program did and what was done to it: written down as it happens, read by the oracle."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from threading import Lock

from .scenario import Work


@dataclass(frozen=True)
class Event:
    """Something that changes what is right: it began to hold after ``began`` and holds from ``ended`` on.

    ``kind``: ``granted`` and ``revoked`` (``about`` is the folder), ``fresh`` (somebody's provider of this side was
    cleared or made: it remembers nothing older), ``retired`` (this ``generation`` of somebody's client is not covered
    any more).
    """

    kind: str
    person: str
    began: float
    ended: float
    about: str = ""
    side: str = ""
    generation: int = 0


class Journal:
    """Works go to a file, so that the growth of memory that is measured is not that of the journal."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self.events: list[Event] = []
        self.failures: list[str] = []
        self.done = 0
        self.forks = 0
        self._numbers = count(1)

    def number(self) -> int:
        """Return a number that was not given before, for a client."""
        return next(self._numbers)

    def add(self, work: Work) -> None:
        """Write down a call that has ended."""
        with self._lock:
            pickle.dump(work, self._file)
            self.done += 1

    def note(self, event: Event) -> None:
        """Write down what changes the rules."""
        with self._lock:
            self.events.append(event)

    def fail(self, what: str) -> None:
        """Write down what must not happen."""
        with self._lock:
            self.failures.append(what)

    def works(self) -> Iterable[Work]:
        """Read all calls back."""
        with self._lock:
            self._file.seek(0)
            with suppress(EOFError):
                while True:
                    yield pickle.load(self._file)

    def close(self) -> None:
        """Throw the file away."""
        self._file.close()
