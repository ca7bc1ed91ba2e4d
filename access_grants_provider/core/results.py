"""What a user is handed: what was decided, for one request and in sum, credentials, and the caller's grants."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, NoReturn

from .scopes import Permission

__all__ = ["CallerGrant", "Decision", "Outcome", "Source", "Stats", "VendedCredentials"]

Outcome = Literal["granted", "fallback", "unsupported", "denied", "implied"]
Source = Literal["cache", "vended"]


# No named tuple, as Stats is: in somebody's callback "%s" % decision has to work.
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


class Stats(NamedTuple):
    """Counts since registration.

    ``granted``, ``fallback``, ``unsupported``, ``denied``: requests by outcome, each retry counting anew.
    ``failed``: requests refused because Access Grants failed. ``vended``: credentials fetched.
    ``cache_hits``: granted requests that needed no call. ``control_calls``: calls to S3 Control, STS and the
    bucket region look-up together. ``recovered``: requests sent once more after S3 refused a vended credential.
    ``implied``: probes answered from a grant; those that S3 was asked first count as fallback or unsupported too.
    """

    granted: int = 0
    fallback: int = 0
    unsupported: int = 0
    denied: int = 0
    failed: int = 0
    vended: int = 0
    cache_hits: int = 0
    control_calls: int = 0
    recovered: int = 0
    implied: int = 0


@dataclass(frozen=True)
class VendedCredentials:
    """Frozen credentials of a grant, which can't be pickled: a pickle is a file or a message with the keys in it.

    ``expiration`` is an aware UTC time, ``scope`` the grant's ``s3://`` URI. ``region`` is the instance's, which is the
    bucket's too.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expiration: datetime
    scope: str
    permission: Permission
    region: str

    def __reduce__(self) -> NoReturn:
        raise TypeError("vended credentials can't be pickled; ask for them in the process that needs them")

    def __copy__(self) -> VendedCredentials:
        return self

    def __deepcopy__(self, _memo: object) -> VendedCredentials:
        return self


class CallerGrant(NamedTuple):
    """A grant the caller has: ``scope`` as the service writes it, ``application`` ``"NA"``, ``"ALL"`` or an ARN."""

    permission: Permission
    scope: str
    application: str | None = None
