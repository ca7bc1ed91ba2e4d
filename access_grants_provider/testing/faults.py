"""Faults on demand: failures, delays, altered answers, broken connections, held requests, and limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Condition
from types import TracebackType
from typing import Any

from .errors import Refusal
from .http_messages import Breakage, Response
from .rate_limits import RateLimit, throttled

Tamper = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Broken:
    """The client does not get the whole answer."""

    how: Breakage


Effect = Refusal | Response | Tamper | float | Broken


@dataclass
class _Fault:
    operation: str
    times: int | None
    effect: Effect


class Hold:
    """Requests of one operation wait here. A context manager: leaving it lets them go."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self._condition = Condition()
        self._waiting = 0
        self._open = False

    @property
    def waiting(self) -> int:
        """How many requests have arrived here so far."""
        with self._condition:
            return self._waiting

    def wait_for(self, count: int, timeout: float = 10.0) -> None:
        """Return once `count` requests have arrived here. Raises TimeoutError after `timeout` seconds."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._waiting >= count, timeout):
                raise TimeoutError(f"{self._waiting} of {count} {self.operation} requests came in {timeout} s")

    def release(self) -> None:
        """Let all go, those that are yet to come too."""
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def block(self) -> None:
        """Wait in here until released."""
        with self._condition:
            self._waiting += 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._open)

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Faults:
    """The faults in force, by operation name. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Condition()
        self._faults: list[_Fault] = []
        self._holds: list[Hold] = []
        self._limits: dict[str, RateLimit] = {}

    def add(self, operation: str, effect: Effect, times: int | None) -> None:
        """Apply `effect` to the next `times` requests: an error, an answer, an alteration, seconds, a breakage.

        None: to every request until `heal()`. Faults of one operation take effect in the order they were added.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is a positive number or None, not {times}")
        with self._lock:
            self._faults.append(_Fault(operation, times, effect))

    def limit(self, operation: str, limit: RateLimit) -> None:
        """Refuse requests of this operation that are over the limit; it replaces an earlier one."""
        with self._lock:
            self._limits[operation] = limit

    def hold(self, operation: str) -> Hold:
        """Hold the requests of this operation."""
        hold = Hold(operation)
        with self._lock:
            self._holds.append(hold)
        return hold

    def heal(self, operation: str | None = None) -> None:
        """End the faults of one operation, or all."""
        with self._lock:
            ended = [hold for hold in self._holds if operation in (None, hold.operation)]
            self._holds = [hold for hold in self._holds if hold not in ended]
            self._faults = [fault for fault in self._faults if operation not in (None, fault.operation)]
            self._limits = {name: limit for name, limit in self._limits.items() if operation not in (None, name)}
        for hold in ended:
            hold.release()

    def before(self, operation: str) -> Response | None:
        """Apply the faults that come before the request is carried out: wait, and return or raise their answer."""
        with self._lock:
            holds = [hold for hold in self._holds if hold.operation == operation]
            limit = self._limits.get(operation)
        if limit is not None and not limit.admits():
            raise throttled(operation)
        for hold in holds:
            hold.block()
        delay = self._take(operation, lambda effect: isinstance(effect, float))
        if delay is not None:
            time.sleep(delay)
        unanswered = self._take_broken(operation, ("silent", "refused"))
        if unanswered is not None:
            return Response(0, broken=unanswered)
        answer = self._take(operation, lambda effect: isinstance(effect, (Refusal, Response)))
        if isinstance(answer, Refusal):
            # A raised exception collects a traceback, so each request gets one of its own.
            raise Refusal(
                answer.code,
                answer.message,
                status=answer.status,
                details=answer.details,
                headers=answer.headers,
            )
        if answer is None:
            return None
        return Response(answer.status, dict(answer.headers), answer.body)

    def after(self, operation: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """The result to send instead of this one."""
        altered = dict(result)
        tamper = self._take(operation, callable)
        return altered if tamper is None else tamper(altered)

    def breakage(self, operation: str) -> Breakage | None:
        """How the connection is to end in the middle of this answer."""
        return self._take_broken(operation, ("reset", "cut off"))

    def _take_broken(self, operation: str, ways: tuple[Breakage, ...]) -> Breakage | None:
        broken = self._take(operation, lambda effect: isinstance(effect, Broken) and effect.how in ways)
        return None if broken is None else broken.how

    def _take(self, operation: str, is_wanted: Callable[[Any], bool]) -> Any:
        with self._lock:
            for fault in self._faults:
                if fault.operation == operation and is_wanted(fault.effect):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault.effect
        return None
