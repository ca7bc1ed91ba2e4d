"""The last line of ``access-grants doctor``: one sentence that answers whether the data can be read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from access_grants_provider.core.service_errors import one_line

from .findings import Status

__all__ = ["Conclusion", "conclude"]


class Conclusion(NamedTuple):
    """What the steps come to: a sentence, and whether the data can be read and written. None: it is not known."""

    sentence: str
    can_read: bool | None
    can_write: bool | None


def conclude(uri: str, statuses: Mapping[str, Status], obstacle: str | None) -> Conclusion:
    """Return the conclusion. ``statuses`` are by step, ``obstacle`` is why granted or missing data can't be read."""
    reads = False if obstacle is not None else _can_read(statuses)
    writes = _can_write(statuses)
    place = one_line(uri)
    if obstacle is not None:
        sentence = f"You can't read {place}: {obstacle}."
    elif reads is None:
        failed = [step for step, status in statuses.items() if status == "failed"]
        # A later step may have failed for the same reason, or for one that is no matter of reading.
        cause = "READ vend" if "READ vend" in failed else failed[-1]
        sentence = f"Whether you can read {place} is not known, because the step {cause!r} failed."
    else:
        sentence = _sentence(place, reads, writes, tried=statuses["canary put"] == "ok")
    return Conclusion(sentence, reads, writes)


def _sentence(place: str, reads: bool, writes: bool | None, *, tried: bool) -> str:
    if not reads:
        return f"You can write {place}, not read it." if writes else f"No grant lets you read or write {place}."
    if writes:
        return f"You can read and write {place}." if tried else f"You can read {place}, and a grant lets you write it."
    unknown = ". Whether you can write it is not known."
    return f"You can read {place}{', not write it.' if writes is False else unknown}"


def _can_read(statuses: Mapping[str, Status]) -> bool | None:
    if statuses["READ vend"] == "no":
        return False
    return True if "ok" in (statuses["listing"], statuses["reading"]) else None


def _can_write(statuses: Mapping[str, Status]) -> bool | None:
    vend, put = statuses["WRITE vend"], statuses["canary put"]
    if vend == "no" or put == "failed":
        return False
    return True if vend == "ok" else None
