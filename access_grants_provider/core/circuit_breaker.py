"""An outage that is remembered, so that a job that may go on without grants does not wait for each request anew."""

from copy import copy
from typing import NamedTuple

from ..exceptions import ServiceFailure

__all__ = ["OPEN_SECONDS", "CircuitBreaker"]

# With `fallback="always"` each request would wait out `timeout_seconds` on an endpoint that swallows packets. Within
# half a minute about one request waits for that, and a grant is used again half a minute after the end of the outage at
# the latest. It does not grow: one request probes, so probing seldom spares nothing.
OPEN_SECONDS = 30


class Outage(NamedTuple):
    """Access Grants could not be asked. ``until``: monotonic seconds."""

    until: float
    failure: ServiceFailure


class CircuitBreaker:
    """Remembers that Access Grants fails in one region, for one caller. Times are monotonic seconds, passed in."""

    __slots__ = ("_outage",)

    def __init__(self) -> None:
        self._outage: Outage | None = None

    def open_failure(self, now: float) -> ServiceFailure | None:
        """Return the remembered failure while the circuit is open; None if this request should call or probe."""
        outage = self._outage
        if outage is None or now >= outage.until:
            return None
        return outage.failure.again(f"S3 Access Grants is not called again for {outage.until - now:.0f} s")

    def begin_probe(self, now: float) -> None:
        """Keep the circuit open for the other requests while this one calls. Does nothing on a closed circuit."""
        outage = self._outage
        if outage is not None:
            self._outage = outage._replace(until=now + OPEN_SECONDS)

    def record_failure(self, failure: ServiceFailure, now: float) -> None:
        """Open the circuit."""
        # A copy, without traceback and cause: those would keep the frames of the program alive.
        self._outage = Outage(now + OPEN_SECONDS, copy(failure))

    def record_success(self) -> None:
        """Close it: Access Grants has answered."""
        self._outage = None
