"""What was decided on one request, as a user is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .scopes import Permission

__all__ = ["Decision", "Outcome", "Source"]

Outcome = Literal["granted", "fallback", "unsupported", "denied", "implied"]
Source = Literal["cache", "vended"]


# No named tuple: in somebody's callback "%s" % decision has to work.
@dataclass(frozen=True)
class Decision:
    """What was decided for one S3 request. Holds nothing secret.

    ``operation``: the S3 API name, ``"GetObject"``.
    ``permission``: ``"READ"``, ``"WRITE"``, ``"READWRITE"``; None where S3 Access Grants does not know the request.
    ``target``: ``s3://`` URI of what the request touches, ``…*`` for a prefix; None where no single grant can
    cover it or none is needed.
    ``outcome``: ``"granted"`` (signed with the grant), ``"fallback"`` (signed as the caller, for want of a
    grant), ``"unsupported"`` (signed as the caller, Access Grants has no say), ``"denied"`` (refused), ``"implied"``
    (a probe that S3 refuses to the caller, answered from a grant; see the option ``probes``).
    ``scope``: ``s3://`` URI of the matched grant, or of the one that a probe is answered from. ``source``: ``"cache"``
    or ``"vended"``, only if granted. ``reason``: why it is not granted, a sentence. ``hint``: what to do about that.
    ``account_id``: of the Access Grants instance, where known. ``region``: where Access Grants was asked.
    ``expiration``: when the credentials end, in UTC.
    """

    operation: str
    permission: Permission | None
    target: str | None
    outcome: Outcome
    scope: str | None = None
    source: Source | None = None
    reason: str | None = None
    hint: str | None = None
    account_id: str | None = None
    region: str | None = None
    expiration: datetime | None = None
