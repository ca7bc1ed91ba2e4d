"""The order of decisions, written once.

Each function here is a generator. It yields what it needs from outside (a :mod:`step <.steps>`: a call to AWS, or to
wait for somebody else's call), is sent the answer, and returns what was decided. The edges perform the steps, with
threads or with tasks; nothing here blocks, and no credential passes through but as an opaque ``signer``.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from datetime import datetime
from typing import Any, NamedTuple

from ..exceptions import AccessDenied, NoInstance, PermissionMissing, ServiceFailure
from .caller_state import Denial, Flight, FlightKey, Memory
from .circuit_breaker import end_outage, note_failure, spared
from .config import AccessGrantsConfig
from .credential_cache import Vended
from .discovery import vend
from .io_requests import Ask, Rules, Step, Wait
from .results import Outcome, Source
from .service_errors import concerns_all, same_failure
from .single_flight import flight_key, single

__all__ = ["Verdict", "decide", "denied", "find", "nearer_grant", "refused"]

logger = logging.getLogger(__name__)

ADVICE = {
    "no grant": "ask the owner of the S3 Access Grants instance for a grant, or ask S3 for what one of yours covers",
    "no instance": "create an S3 Access Grants instance in the bucket's region, or set account_id if it is elsewhere",
    "permission missing": "allow s3:GetDataAccess on the S3 Access Grants instance in the caller's IAM policies",
    "two buckets": "copy with credentials that may read the one bucket and write the other",
}
ERRORS = {
    "no grant": AccessDenied,
    "no instance": NoInstance,
    "permission missing": PermissionMissing,
    "two buckets": AccessDenied,
}
FAILED_ADVICE = "the request may still be granted once S3 Access Grants can be asked again"


class Verdict(NamedTuple):
    """What was decided: granted with ``vended``, or not, for a ``reason``. ``error`` is what to raise if denied."""

    outcome: Outcome
    vended: Vended | None = None
    source: Source | None = None
    reason: str | None = None
    advice: str | None = None
    denial: Denial | None = None
    error: AccessDenied | None = None


def decide(memory: Memory, ask: Ask, rules: Rules) -> Generator[Step, Any, Verdict]:
    """Decide how one request is signed.

    Raises :class:`ServiceFailure` where Access Grants fails and the options do not say ``fallback="always"``.
    """
    try:
        found, source = yield from find(memory, ask, rules, spare=rules.config.fallback == "always")
    except ServiceFailure as failure:
        if rules.config.fallback != "always":
            raise
        return Verdict("fallback", reason=str(failure), advice=FAILED_ADVICE)
    if isinstance(found, Denial):
        return refused(found, ask.operation, rules.config)
    return Verdict("granted", found, source)


def refused(denial: Denial, operation: str, config: AccessGrantsConfig) -> Verdict:
    """Turn a denial into own credentials or, under ``fallback="never"``, into an error."""
    never = config.fallback == "never"
    return Verdict(
        "denied" if never else "fallback",
        reason=denial.reason,
        advice=ADVICE[denial.kind],
        denial=denial,
        error=denied(denial, operation) if never else None,
    )


def denied(denial: Denial, operation: str) -> AccessDenied:
    """Return the error for a denial, a new one each time, so that no traceback grows."""
    return ERRORS[denial.kind](f"{denial.reason}; {ADVICE[denial.kind]}", operation)


def nearer_grant(memory: Memory, ask: Ask, used: Vended, rules: Rules) -> Generator[Step, Any, bool]:
    """After a 403 under ``used``, a credential of a wider scope, see whether the target has a nearer grant.

    A nested location may map to another role. True means that another grant matched and is in the cache now.
    A failure to find out is no reason to hide S3's own 403: it is logged, and the answer is False.
    """
    if used.scope == ask.target or rules.config.privilege == "Minimal":
        return False
    key: FlightKey = (rules.lane, "nearer", ask.permission, ask.target)
    while True:
        now = rules.clock()
        with memory.flight(rules.who()) as mine:
            with memory.lock:
                held = memory.credentials.find(ask.permission, ask.target, now)
                if held is not None and held.scope != used.scope and now < held.renew_at:
                    return True
                if key not in memory.flights and not memory.may_recheck(ask.permission, used.scope, ask.target, now):
                    return False
                flight = memory.board(key, mine)
            if flight is mine:
                try:
                    found = yield from vend(memory, ask, rules, used)
                    if isinstance(found, Vended) and found.recalled and found.scope == used.scope:
                        # Another process has merely renewed what S3 has refused; nobody was asked for what is nearer.
                        found = yield from vend(memory, ask, rules, found)
                except ServiceFailure as failure:
                    logger.warning("S3 refused %s under the grant %r, and %s", ask.operation, str(used.scope), failure)
                    return False
                return isinstance(found, Vended) and found.scope != used.scope
        if flight.leader == rules.who():
            return False
        yield Wait(flight)


def find(
    memory: Memory, ask: Ask, rules: Rules, spare: bool = False
) -> Generator[Step, Any, tuple[Vended | Denial, Source]]:
    """Return credentials or a denial: take what is remembered, wait for who is asking already, or ask.

    ``spare``: during an :mod:`outage <.outages>` don't ask, and raise the failure that is remembered.
    """
    waited_for: set[FlightKey] = set()
    while True:
        now = rules.clock()
        with memory.flight(rules.who()) as mine:
            with memory.lock:
                held = memory.credentials.find(ask.permission, ask.target, now)
                usable = held is not None and now < held.renew_at and held.lasts(ask.lasting, now)
                key = flight_key(memory, ask, held, waited_for, rules)
                if held is not None and usable:
                    if key in memory.flights or now < held.refresh_at:
                        held.used_at = now
                        return held, "cache"
                else:
                    denial = memory.denial(ask.permission, ask.target, now)
                    if denial is not None:
                        return denial, "cache"
                failure = spared(memory, ask, now) if spare else None
                if failure is not None:
                    if held is not None and usable:
                        return held, "cache"
                    raise failure
                flight = memory.board(key, mine)
            # Coming again in the middle of one's own call, one asks alone rather than wait for oneself.
            if flight is mine or flight.leader == mine.leader:
                return (yield from _lead(mine, memory, ask, held, rules))
        yield Wait(flight)
        if flight.failure is not None and (key == single(ask, rules) or concerns_all(flight.failure)):
            raise same_failure(flight.failure, f"{ask.operation} on {str(ask.target)!r}")
        if flight.landed or flight.failure is not None:
            waited_for.add(key)


def _lead(
    mine: Flight, memory: Memory, ask: Ask, held: Vended | None, rules: Rules
) -> Generator[Step, Any, tuple[Vended | Denial, Source]]:
    """Make the call the others wait for. What is still usable after a call that brings nothing stays in use."""
    try:
        found = yield from vend(memory, ask, rules, held)
        mine.landed = True
        known = isinstance(found, Vended) and (found is held or found.recalled)
        if not known:
            end_outage(memory, ask)
    except ServiceFailure as failure:
        mine.failure = failure
        note_failure(memory, ask, failure, rules)
        if held is None or rules.clock() >= held.renew_at:
            raise
        _keep(held, str(failure), rules)
        return held, "cache"
    if isinstance(found, Denial) and held is not None and rules.clock() < held.renew_at:
        _keep(held, found.reason, rules)
        return held, "cache"
    return found, "cache" if known else "vended"


def _keep(held: Vended, why: str, rules: Rules) -> None:
    """Go on with credentials that could not be renewed, and try again after half of what is left of their window."""
    now = rules.clock()
    held.refresh_at = now + max(0.0, held.renew_at - now) / 2
    until = datetime.fromtimestamp(held.renew_at).astimezone().isoformat(timespec="seconds")
    logger.warning("the credentials of %r were not renewed and stay in use until %s: %s", str(held.scope), until, why)
