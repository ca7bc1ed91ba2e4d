"""What one step of ``access-grants doctor`` found."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Status"]

# "no": the caller may not, and nothing is broken. "note": a setting that may not do what it was meant to do.
Status = Literal["ok", "no", "failed", "skipped", "on", "off", "note"]


class Finding(NamedTuple):
    """The result of one step. ``hint`` is what to do about it."""

    step: str
    status: Status
    found: str
    hint: str | None = None
