"""Counts that many threads add to without a lock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from ..core.results import Stats

__all__ = ["Counters"]


class Counters:
    """The counts behind ``stats()``. ``add`` has a function for each field that adds one to it.

    ``next()`` on ``itertools.count`` is one step of the interpreter. Its ``repr`` tells the number without a step.
    """

    def __init__(self) -> None:
        self._counts = {name: count() for name in Stats._fields}
        self.add: dict[str, Callable[[], int]] = {name: one.__next__ for name, one in self._counts.items()}

    def stats(self) -> Stats:
        """Return the counts as of now."""
        numbers = {name: int(repr(one)[len("count(") : -1]) for name, one in self._counts.items()}
        # A cache hit is counted once on its way, and is a granted request too.
        numbers["granted"] += numbers["cache_hits"]
        return Stats(**numbers)
