"""One call under way that others wait for, for a bounded time.

The term is that of Go's ``singleflight``. Nothing here can keep a thread for ever: a wait has a bound, after which the
waiting thread or task makes the call itself; and a thread that is in the middle of a decision of its own (a signal
handler or a ``__del__`` came in) does not wait at all, which is the resolver's rule.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..exceptions import ServiceFailure

__all__ = ["CallKey", "InFlightCall", "SingleFlight"]

CallKey = tuple[object, ...]


class InFlightCall:
    """A call that its owner, a thread or a task, makes for all who want the same.

    ``answered``: an answer came, be it a denial. ``failure``: what went wrong. A call that ended with neither was
    abandoned, and a waiter takes over. ``paused_until``: the monotonic time until which the owner waits before it tries
    again (throttling); who waits for it waits longer then.
    """

    __slots__ = ("_gate", "_listeners", "answered", "ended", "failure", "key", "paused_until", "process")

    def __init__(self) -> None:
        self.key: CallKey | None = None
        self.answered = False
        self.failure: ServiceFailure | None = None
        self.ended = False
        self.paused_until = 0.0
        # In a forked child the owner does not exist, so there the call never ends.
        self.process = os.getpid()
        # A bare lock: each of its methods is one step, and waiting has a time-out. A Future or an Event takes a second
        # lock inside, which an interrupted thread may hold.
        self._gate = threading.Lock()
        self._gate.acquire()
        self._listeners: list[Callable[[], object]] = []

    def wait(self, seconds: float) -> bool:
        """Wait in this thread; tell whether the call has ended."""
        if not self.ended and self._gate.acquire(timeout=max(0.0, seconds)):
            # For the next one who waits.
            self._gate.release()
        return self.ended

    def on_end(self, listener: Callable[[], object]) -> None:
        """Have a task told of the end: ``listener`` is called once, at once where the call has ended."""
        self._listeners.append(listener)
        if self.ended:
            self._tell()

    def end(self) -> None:
        """Let everybody go on. A second time does nothing."""
        if not self.ended:
            self.ended = True
            self._gate.release()
            self._tell()

    def _tell(self) -> None:
        while self._listeners:
            try:
                listener = self._listeners.pop()
            except IndexError:
                return
            listener()


class SingleFlight:
    """The calls of one caller that are under way, by what they may answer."""

    def __init__(self) -> None:
        self._calls: dict[CallKey, InFlightCall] = {}

    @contextmanager
    def own_call(self) -> Iterator[InFlightCall]:
        """Provide a call that may be started within the block, and end it with the block, whatever happens in it.

        It exists before anybody can see it, so no interrupt finds it under a key and without an end.
        """
        mine = InFlightCall()
        try:
            yield mine
        except ServiceFailure as failure:
            mine.failure = failure
            raise
        finally:
            try:
                if mine.key is not None and self._calls.get(mine.key) is mine:
                    self._calls.pop(mine.key, None)
            finally:
                mine.end()

    def join_or_start(self, key: CallKey, mine: InFlightCall, instead_of: InFlightCall | None = None) -> InFlightCall:
        """Return the call under ``key``: one that is under way, else ``mine``, which is then under way.

        ``instead_of``: a call that was waited for long enough; ``mine`` takes its place.
        """
        mine.key = key
        other = self._calls.setdefault(key, mine)
        if other is not mine and (other is instead_of or other.ended or other.process != mine.process):
            self._calls[key] = other = mine
        return other

    def under_way(self, key: CallKey) -> InFlightCall | None:
        """Return the call under ``key`` that somebody in this process makes."""
        call = self._calls.get(key)
        return call if call is not None and not call.ended and call.process == os.getpid() else None

    def __len__(self) -> int:
        return len(self._calls)
