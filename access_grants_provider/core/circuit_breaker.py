"""What is remembered of an outage, so that a job that may go on without grants does not wait for each request anew."""

from __future__ import annotations

from typing import NamedTuple

from ..exceptions import ServiceFailure
from .caller_state import Memory
from .io_requests import Ask, Rules
from .service_errors import concerns_all

__all__ = ["OUTAGE_SECONDS", "Outage", "end_outage", "note_failure", "spared"]

# An endpoint that swallows packets costs 60 s a try with botocore's defaults and five tries: 300 s for each request.
# Within half a minute at most one request waits for that, and a grant is used again half a minute after the end of
# the outage at the latest. It does not grow: who asks again is one request, so asking seldom spares nothing.
OUTAGE_SECONDS = 30


class Outage(NamedTuple):
    """Access Grants could not be asked in a region. Until ``until`` (epoch seconds) nobody tries again."""

    until: float
    kind: type[ServiceFailure]
    text: str


def note_failure(memory: Memory, ask: Ask, failure: ServiceFailure, rules: Rules) -> None:
    """Remember a failure that would meet every request alike, where requests go on without: ``fallback="always"``."""
    if rules.config.fallback == "always" and concerns_all(failure):
        with memory.lock:
            memory.outages[_region(memory, ask)] = Outage(rules.clock() + OUTAGE_SECONDS, type(failure), str(failure))


def end_outage(memory: Memory, ask: Ask) -> None:
    """Note that Access Grants has answered."""
    with memory.lock:
        memory.outages.pop(_region(memory, ask), None)


def spared(memory: Memory, ask: Ask, now: float) -> ServiceFailure | None:
    """Return the failure a request would only meet again; None where it shall ask. Called with the lock held.

    Once the time is up, one request is told to ask and the time starts anew for the others, so they don't wait for it.
    """
    region = _region(memory, ask)
    outage: Outage | None = memory.outages.get(region)
    if outage is None:
        return None
    if now < outage.until:
        return outage.kind(f"{outage.text} (not asked again until {outage.until - now:.0f} s from now)")
    memory.outages[region] = outage._replace(until=now + OUTAGE_SECONDS)
    return None


def _region(memory: Memory, ask: Ask) -> str:
    """Return where the request asks first: an outage of one region says nothing of another."""
    return memory.bucket(ask.target.bucket).region or ask.region
