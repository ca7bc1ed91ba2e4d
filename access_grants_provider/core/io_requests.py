"""What a decision asks of the outside world, and what it is answered: records without behaviour."""

# No "from __future__ import annotations": typing compiles each of a NamedTuple's annotations that is a text, which
# would double what this module takes to import.

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from .caller_state import Flight, FlightKey
from .config import AccessGrantsConfig
from .credential_cache import Vended
from .scopes import Permission, Target

__all__ = [
    "ON_DISK",
    "Answer",
    "Ask",
    "BucketRegion",
    "CallerAccount",
    "CallerGrant",
    "FindInstance",
    "Forget",
    "Guard",
    "Guarded",
    "Keep",
    "ListGrants",
    "Page",
    "Recall",
    "Rules",
    "Step",
    "Vend",
    "Wait",
]


class Ask(NamedTuple):
    """One request that needs a grant: ``region`` is the one it is signed for.

    ``lasting``: for how many seconds from now the signature shall be good, which is 0 but for what is presigned.
    """

    operation: str
    permission: Permission
    target: Target
    region: str
    lasting: float = 0


class CallerAccount(NamedTuple):
    """Ask for the caller's account: 12 digits (STS GetCallerIdentity, unless the credentials tell)."""

    region: str


class FindInstance(NamedTuple):
    """Ask for the ARN of the instance with a location that holds the target (GetAccessGrantsInstanceForPrefix)."""

    account_id: str
    region: str
    target: Target


class Vend(NamedTuple):
    """Ask for credentials (GetDataAccess); the answer is an :class:`Answer`.

    ``everywhere``: search the instances shared with the account too (``InstanceScope=ALL``). ``seconds``: how long they
    are to live, in place of the option ``duration_seconds``.
    """

    account_id: str
    region: str
    permission: Permission
    target: Target
    everywhere: bool
    seconds: int | None = None


class ListGrants(NamedTuple):
    """Ask for a page of the caller's grants (ListCallerAccessGrants); the answer is a :class:`Page`.

    ``bucket``: the one whose grants are wanted, or empty for all.
    """

    account_id: str
    region: str
    bucket: str
    everywhere: bool
    token: str | None = None


class CallerGrant(NamedTuple):
    """A grant the caller has: ``scope`` as the service writes it, ``application`` ``"NA"``, ``"ALL"`` or an ARN."""

    permission: Permission
    scope: str
    application: str | None = None


class Page(NamedTuple):
    """A page of grants, and the token of the next page if there is one."""

    grants: list[CallerGrant]
    token: str | None


class BucketRegion(NamedTuple):
    """Ask for a bucket's region (HeadBucket); None where there is no such bucket."""

    bucket: str
    region: str


class Wait(NamedTuple):
    """Wait until a flight is over; the answer is nothing."""

    flight: Flight


class Recall(NamedTuple):
    """Look for what other processes were vended for a bucket; the answer is a list of :class:`Vended`."""

    bucket: str


class Guard(NamedTuple):
    """Take the lock of a flight among processes; the answer is a :class:`Guarded`.

    ``patient``: wait for it, for a limited time. ``key`` is the flight's, without its ``lane``.
    """

    key: FlightKey
    patient: bool
    lane: object = None


class Lock(Protocol):
    """What another process waits for."""

    def release(self) -> None:
        """Let go of it."""


class Guarded(NamedTuple):
    """The lock if this process has got it, and whether another had it at first."""

    lock: Lock | None
    waited: bool


class Keep(NamedTuple):
    """Have other processes find what was vended; nothing is answered."""

    vended: Vended


class Forget(NamedTuple):
    """Have other processes not find any more what S3 has refused; nothing is answered."""

    vended: Vended


# What the edges do on disk rather than by a call.
ON_DISK = (Recall, Guard, Keep, Forget)
Step = CallerAccount | FindInstance | Vend | ListGrants | BucketRegion | Wait | Recall | Guard | Keep | Forget


class Answer(NamedTuple):
    """What GetDataAccess gave. ``signer`` signs requests; what the answer lacked is None."""

    signer: Any
    expiration: datetime | None
    matched: str | None
    instance_arn: str | None


class Rules(NamedTuple):
    """What stays the same for all requests of a provider.

    ``clock`` gives seconds since the epoch. ``knows`` tells whether botocore's GetDataAccess has a parameter. ``who``
    tells what runs: the thread, or the task. ``lane`` is the event loop it runs in, None for threads: nobody waits for
    a call in another lane, since a loop may stand still (its thread waits for ours, say) for as long as it likes.
    """

    config: AccessGrantsConfig
    clock: Callable[[], float]
    knows: Callable[[str], bool]
    who: Callable[[], object] = threading.get_ident
    lane: object = None

    def knows_everywhere(self) -> bool:
        """Tell whether one call can search the instances shared with the caller too."""
        return self.knows("InstanceScope")
