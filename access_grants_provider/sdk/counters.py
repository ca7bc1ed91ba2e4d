"""Counts that many threads add to without a lock."""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

__all__ = ["Counters", "Stats"]


class Stats(NamedTuple):
    """Counts since registration.

    ``granted``, ``fallback``, ``unsupported``, ``denied``: requests by outcome, each retry counting anew.
    ``failed``: requests refused because Access Grants failed. ``vended``: credentials fetched, also
    those whose answer could not be used.
    ``cache_hits``: granted requests that needed no call. ``control_calls``: calls to S3 Control, STS and the
    bucket region look-up together. ``recovered``: requests sent once more after S3 refused a vended credential.
    ``implied``: probes answered from a grant; those that S3 was asked first count as fallback or unsupported too.
    """

    granted: int = 0
    fallback: int = 0
    unsupported: int = 0
    denied: int = 0
    failed: int = 0
    vended: int = 0
    cache_hits: int = 0
    control_calls: int = 0
    recovered: int = 0
    implied: int = 0


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
