"""What processes share under ``cache="disk"``: credentials that one of them was vended, and one flight per grant.

Generators of the same kind as in :mod:`.flow`. Memory is asked first, always; only a miss comes here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any

from ..exceptions import ServiceFailure
from .caller_state import Denial, FlightKey, Memory
from .credential_cache import Vended
from .io_requests import Ask, Forget, Guard, Guarded, Keep, Lock, Recall, Rules, Step
from .single_flight import flight_key, learn_depth

__all__ = ["shared", "withdrawn"]

logger = logging.getLogger(__name__)

# How soon to look again for what another process is just renewing, while one's own credentials serve.
LOOK_AGAIN_SECONDS = 5
# The key of the flight changes once the depth of the bucket's grants is known; more often only if they are changed.
MAX_LOCKS = 3

Found = Generator[Step, Any, Vended | Denial]


def shared(memory: Memory, ask: Ask, rules: Rules, stale: Vended | None, ask_aws: Callable[[], Found]) -> Found:
    """Take what another process was vended, or ask while the others wait.

    ``stale`` are the credentials to be replaced, if any, and ``ask_aws`` asks Access Grants. Who has waited in vain
    does not make the next one wait: it may be that nobody gets anything here.
    """
    lock: Lock | None = None
    key: FlightKey | None = None
    try:
        for _ in range(MAX_LOCKS):
            recalled = yield from _recall(memory, ask, rules, stale)
            if recalled is not None:
                return recalled
            wanted = _key(memory, ask, stale, rules)
            if wanted == key:
                break
            if lock is not None:
                lock.release()
            key = wanted
            now = rules.clock()
            renewing = stale is not None and stale.refresh_at <= now < stale.renew_at
            serving = stale if renewing and stale is not None and stale.lasts(ask.lasting, now) else None
            guarded: Guarded = yield Guard(key, serving is None, rules.lane)
            lock, waited = guarded
            if lock is None and serving is not None:
                # Never past the mandatory window: a warm request looks at nothing else.
                serving.refresh_at = min(now + LOOK_AGAIN_SECONDS, serving.renew_at)
                return serving
            if waited:
                recalled = yield from _recall(memory, ask, rules, stale)
                if recalled is not None:
                    return recalled
                if lock is not None and _key(memory, ask, stale, rules) == key:
                    lock.release()
                    lock = None
        try:
            found = yield from ask_aws()
        except ServiceFailure as failure:
            left = _usable(memory, ask, rules)
            if stale is not None or left is None:
                raise
            logger.warning("the credentials of %r stay in use for the moment: %s", str(left.scope), failure)
            return left
        if isinstance(found, Vended):
            yield Keep(found)
        return found
    finally:
        if lock is not None:
            lock.release()


def withdrawn(vended: Vended, rules: Rules) -> Generator[Step, Any, None]:
    """After S3 has refused credentials as expired: no process shall take them any more."""
    if rules.config.cache == "disk":
        yield Forget(vended)


def _recall(memory: Memory, ask: Ask, rules: Rules, stale: Vended | None) -> Generator[Step, Any, Vended | None]:
    """Take over what other processes were vended in the bucket; return what serves the request and is fresh."""
    recalled: list[Vended] = yield Recall(ask.target.bucket)
    now = rules.clock()
    with memory.lock:
        for one in recalled:
            known = memory.credentials.exact(one.permission, one.scope)
            if now < one.renew_at and (known is None or known.expires_at < one.expires_at):
                memory.credentials.add(one, now)
                learn_depth(memory, one.permission, one.scope, rules)
        found = memory.credentials.find(ask.permission, ask.target, now)
    if found is None or found is stale or now >= found.refresh_at or not found.lasts(ask.lasting, now):
        return None
    return found


def _key(memory: Memory, ask: Ask, stale: Vended | None, rules: Rules) -> FlightKey:
    """Return the key of the flight among processes: a lane means something in this process only."""
    with memory.lock:
        return flight_key(memory, ask, stale, frozenset(), rules)[1:]


def _usable(memory: Memory, ask: Ask, rules: Rules) -> Vended | None:
    now = rules.clock()
    with memory.lock:
        found = memory.credentials.find(ask.permission, ask.target, now)
    return found if found is not None and now < found.renew_at else None
