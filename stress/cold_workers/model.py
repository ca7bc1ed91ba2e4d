"""The model: each worker is a decision of the package's core, and the clock is virtual.

What a worker does (its calls, its pauses, when it gives up) is the core's own code. The service is the local service's
rate limit, and a time that each answer takes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Generator
from datetime import datetime, timezone
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.clock import Clock
from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.flow_context import FlowContext, PendingLog
from access_grants_provider.core.io_requests import (
    CallerAccount,
    DataAccessReply,
    GetDataAccess,
    GrantRequest,
    LoadShared,
    Pause,
    Step,
    StoreShared,
    TimedCall,
)
from access_grants_provider.core.resolver import Resolver
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.exceptions import AccessGrantsError
from access_grants_provider.testing.rate_limits import RateLimit, throttled

from .herd import BUCKET, GRANT, KEY, Ended, Herd, Outcome

__all__ = ["CALL_SECONDS", "simulate"]

ACCOUNT, REGION = "123456789012", "us-east-1"
# How long one answer takes.
CALL_SECONDS = 0.03
REQUEST = GrantRequest("GetObject", "READ", GrantScope(BUCKET, KEY, False), REGION)
Deciding = Generator[Step, Any, Any]


class _Service:
    """Access Grants and STS, at a virtual time."""

    def __init__(self, herd: Herd, outcome: Outcome, clock: Clock) -> None:
        self._limits = {name: RateLimit(herd.rate, clock.monotonic) for name in ("GetDataAccess", "GetCallerIdentity")}
        self._herd = herd
        self._outcome = outcome
        self._clock = clock

    def answer(self, call: object) -> tuple[Any, float]:
        """Return the answer to a call, an error where it is one, and how long that takes."""
        if isinstance(call, CallerAccount):
            if self._herd.account_known:
                return ACCOUNT, 0.0
            return self._admit("GetCallerIdentity") or ACCOUNT, CALL_SECONDS
        if not isinstance(call, GetDataAccess):
            raise TypeError(f"a cold read of what is granted makes no {call!r}")
        refusal = self._admit("GetDataAccess")
        if refusal is not None:
            return refusal, CALL_SECONDS
        self._outcome.vends += 1
        ends = datetime.fromtimestamp(self._clock.wall() + 3600, timezone.utc)
        return DataAccessReply(object(), ends, GRANT, None), CALL_SECONDS

    def _admit(self, operation: str) -> ClientError | None:
        self._outcome.calls[operation] += 1
        return None if self._limits[operation].admits() else _refusal(operation)


def _refusal(operation: str) -> ClientError:
    refusal = throttled(operation)
    answer = {
        "Error": {"Code": refusal.code, "Message": refusal.message},
        "ResponseMetadata": {"HTTPStatusCode": refusal.status},
    }
    return ClientError(answer, operation)  # type: ignore[arg-type]


def simulate(herd: Herd, seed: int = 1) -> Outcome:
    """Let a herd start at once, and return what came of it."""
    now = 0.0
    outcome = Outcome(herd)
    clock = Clock(lambda: 1e9 + now, lambda: now)
    service, hosts = _Service(herd, outcome, clock), _Hosts(herd)
    context = _context(herd, clock, random.Random(seed))
    # What is due next: when, in which order, which worker, its decision, and what that is sent.
    due: list[tuple[float, int, int, Deciding, Any]] = []
    order = count()
    for worker in range(herd.workers):
        state = CallerState(f"worker {worker}", clock, 10, lambda: 10)
        heapq.heappush(due, (0.0, next(order), worker, Resolver(state, REQUEST, context).decide(), None))
    while due:
        now, _, worker, deciding, reply = heapq.heappop(due)
        step = _next_step(deciding, reply, outcome, now)
        if step is None:
            continue
        if isinstance(step, TimedCall):
            reply, seconds = service.answer(step.call)
        elif isinstance(step, Pause):
            reply, seconds = None, step.seconds
        else:
            reply, seconds = hosts.answer(worker, step), 0.0
        heapq.heappush(due, (now + seconds, next(order), worker, deciding, reply))
    return outcome


def _next_step(deciding: Deciding, reply: Any, outcome: Outcome, now: float) -> Step | None:
    """Go on with a decision: return its next step, or note how it ended."""
    try:
        return deciding.throw(reply) if isinstance(reply, Exception) else deciding.send(reply)
    except StopIteration as done:
        how = "grant" if done.value.outcome == "granted" else "caller"
    except AccessGrantsError as error:
        how = type(error).__name__
    outcome.ended.append(Ended(how, now))
    return None


def _context(herd: Herd, clock: Clock, generator: random.Random) -> FlowContext:
    def jitter(seconds: float) -> float:
        return generator.uniform(0, seconds)

    config = AccessGrantsConfig(cache="disk" if herd.per_host else "memory", timeout_seconds=herd.timeout_seconds)
    return FlowContext(config, clock, jitter, PendingLog())


class _Hosts:
    """The caches on disk."""

    def __init__(self, herd: Herd) -> None:
        self._per_host = herd.per_host
        self._stored: dict[int, list[StoredCredentials]] = {}

    def answer(self, worker: int, step: Step) -> Any:
        """Perform a step on the disk of a worker's host."""
        stored = self._stored.setdefault(worker // self._per_host, [])
        if isinstance(step, StoreShared):
            stored.append(step.stored)
            return None
        if not isinstance(step, LoadShared):
            raise TypeError(f"a cold read of what is granted makes no {step!r}")
        return list(stored)
