"""One call to AWS, within the time a decision has, and made again where that helps.

botocore's own retries are off for these calls: they would try a refused connection five times, and each time-out too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .flow_context import FlowContext
from .io_requests import ControlCall, Pause, Step, TimedCall, WaitFor
from .service_errors import OutOfTime, RetryKind, retry_kind
from .single_flight import InFlightCall

__all__ = ["CallBudget", "control_call", "wait_for"]

# A job that starts 1,000 workers at once meets the service's rate limit in most of them. Full jitter spreads them:
# https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
# Once fewer calls come than the service admits, each worker gets through with its next one: the last of them loses one
# pause. So the longest pause is half of the time that the request has waited, and no power of the attempts, many of
# which fit into a short time: the last of N workers is through after 1.2 x N / rate. `python -m stress.cold_workers`
# measures it.
THROTTLE_SECONDS = 120.0
THROTTLE_FIRST_PAUSE, THROTTLE_LONGEST_PAUSE, THROTTLE_SHARE = 0.5, 10.0, 1 / 2
# What else is tried again, how often in all: a connection that the service has closed meanwhile, an error of its own.
ATTEMPTS: dict[RetryKind, int] = {"broken": 3, "failed": 3}
FIRST_PAUSE = 0.1
# How long one waits for a call of somebody else's before one makes it oneself. Vends take 0.1 to 0.3 s; two such waits
# leave at least half of the time for one's own calls.
WAIT_SECONDS, WAIT_SHARE = 5.0, 1 / 4


class CallBudget:
    """The time that the calls of one decision have together: ``timeout_seconds``, and what throttling costs on top."""

    __slots__ = (
        "_clock",
        "_deadline",
        "_has_called",
        "_jitter",
        "_seconds",
        "_throttled_at",
        "is_patient",
        "owned",
    )

    def __init__(self, context: FlowContext, *, is_patient: bool = True) -> None:
        self._clock = context.clock
        self._jitter = context.jitter
        self._seconds = context.config.timeout_seconds
        self._deadline = context.clock.monotonic() + self._seconds
        # A request that may go on without a grant does not wait two minutes for one.
        self.is_patient = is_patient
        self._has_called = False
        # When the service first refused a call of this decision for its rate limit.
        self._throttled_at: float | None = None
        # The calls that others wait for while this decision pauses.
        self.owned: list[InFlightCall] = []

    def left(self) -> float:
        """Return the seconds that are left for a call. Raises :class:`OutOfTime`.

        The first call gets some time in any case: a signal handler may have come in and taken all there was.
        """
        left = self._deadline - self._clock.monotonic()
        if not self._has_called:
            self._has_called = True
            return max(left, self._seconds * WAIT_SHARE)
        if left <= 0:
            raise OutOfTime(seconds=self._seconds)
        return left

    def wait_seconds(self) -> float:
        """Return how long to wait for a call of somebody else's."""
        return min(WAIT_SECONDS, self._seconds * WAIT_SHARE)

    def extend(self, seconds: float) -> None:
        """Add time that was spent waiting because the service limits its rate."""
        self._deadline += seconds

    def pause_after(self, error: ClientError | BotoCoreError, attempt: int) -> float | None:
        """Return how long to pause before the call is made again; None where it is not."""
        kind = retry_kind(error)
        if kind == "throttled":
            return self._throttle_pause()
        if kind is None or attempt + 1 >= ATTEMPTS[kind]:
            return None
        return self._jitter(FIRST_PAUSE * 2.0**attempt)

    def _throttle_pause(self) -> float | None:
        now = self._clock.monotonic()
        if self._throttled_at is None:
            self._throttled_at = now
        waited = now - self._throttled_at
        # Whoever gives a decision more than two minutes gives them to this too.
        left = max(THROTTLE_SECONDS, self._seconds) - waited if self.is_patient else self._deadline - now
        longest = min(THROTTLE_LONGEST_PAUSE, max(THROTTLE_FIRST_PAUSE, waited * THROTTLE_SHARE))
        # What rounding leaves of the time is none: a clock does not move by it.
        if left < 0.001 or (longest > left and not self.is_patient):
            return None
        pause = min(left, self._jitter(longest))
        if self.is_patient:
            self.extend(pause)
        for call in self.owned:
            call.paused_until = now + pause
        return pause


def control_call(
    call: ControlCall,
    context: FlowContext,
    budget: CallBudget,
    *,
    is_needed: bool = True,
    look_elsewhere: Callable[[], Generator[Step, Any, Any]] | None = None,
) -> Generator[Step, Any, Any]:
    """Make a call and return its reply. What is not needed for the decision is asked for once, and not again.

    What ``look_elsewhere`` finds after a pause, if it finds anything, is returned in place of a reply.
    Raises ``ClientError`` for an answer that is an error and ``BotoCoreError`` where there is none, for the caller of
    this to translate.
    """
    attempts: dict[RetryKind | None, int] = {}
    while True:
        try:
            return (yield TimedCall(call, budget.left()))
        except (ClientError, BotoCoreError) as error:
            kind = retry_kind(error)
            pause = budget.pause_after(error, attempts.get(kind, 0)) if is_needed else None
            if pause is None:
                raise
        attempts[kind] = attempts.get(kind, 0) + 1
        yield Pause(pause)
        found = None if look_elsewhere is None else (yield from look_elsewhere())
        if found is not None:
            return found


def wait_for(call: InFlightCall, context: FlowContext, budget: CallBudget) -> Generator[Step, Any, bool]:
    """Wait for a call of somebody else's, for a bounded time; tell whether it has ended.

    A patient request goes on waiting while that call pauses for the service's rate limit: a call of its own would only
    add to the load.
    """
    seconds = budget.wait_seconds()
    while True:
        if (yield WaitFor(call, seconds)):
            return True
        if not budget.is_patient or call.paused_until + seconds < context.clock.monotonic():
            return False
        budget.extend(seconds)
