"""Limits on how many requests of an operation are answered."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from .errors import Refusal


class RateLimit:
    """At most `per_second` requests a second, and as many at once as a second admits, but one at least.

    Safe to use from several threads. `clock` gives epoch seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        if per_second <= 0:
            raise ValueError(f"per_second is a positive number, not {per_second}")
        self._per_second = per_second
        self._burst = max(1.0, per_second)
        self._clock = clock
        self._lock = Lock()
        self._left = self._burst
        self._counted_at = clock()

    def admits(self) -> bool:
        """Count one more request, and say whether it is within the limit."""
        with self._lock:
            now = self._clock()
            self._left = min(self._burst, self._left + max(0.0, now - self._counted_at) * self._per_second)
            self._counted_at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def throttled(operation: str) -> Refusal:
    """The answer to a request over the limit: S3 and S3 Control have their words for it, STS has its own."""
    if operation == "GetCallerIdentity":
        return Refusal("Throttling", "Rate exceeded")
    return Refusal("SlowDown", "Please reduce your request rate.")
