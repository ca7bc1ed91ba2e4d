"""What a decision asks of the outside, and the replies: records without behaviour."""

from datetime import datetime
from typing import Any, NamedTuple

from .credential_cache import StoredCredentials
from .scopes import Permission, Target
from .single_flight import InFlightCall

__all__ = [
    "NO_BUCKET",
    "ON_DISK",
    "BucketRegion",
    "CallerAccount",
    "CallerGrant",
    "ControlCall",
    "DataAccessReply",
    "DeleteShared",
    "FindInstance",
    "GetDataAccess",
    "GrantPage",
    "GrantRequest",
    "ListGrants",
    "LoadShared",
    "Pause",
    "Step",
    "StoreShared",
    "TimedCall",
    "WaitFor",
]


class GrantRequest(NamedTuple):
    """One request that needs a grant: ``region`` is the one it is signed for.

    ``min_lifetime``: for how many seconds from now the signature shall be good, which is 0 but for what is presigned or
    handed to another program.
    """

    operation: str
    permission: Permission
    target: Target
    region: str
    min_lifetime: float = 0


class CallerAccount(NamedTuple):
    """Ask for the caller's account: 12 digits (STS GetCallerIdentity, unless the credentials tell)."""

    region: str


class FindInstance(NamedTuple):
    """Ask for the ARN of the instance that is responsible for the target (GetAccessGrantsInstanceForPrefix)."""

    account_id: str
    region: str
    target: Target


class GetDataAccess(NamedTuple):
    """Ask for credentials; the answer is a :class:`DataAccessReply`.

    ``shared_instances``: search the instances shared with the account too (``InstanceScope=ALL``). ``seconds``: how
    long the credentials are to live, in place of the option ``duration_seconds``.
    """

    account_id: str
    region: str
    permission: Permission
    target: Target
    shared_instances: bool
    seconds: int | None = None


class ListGrants(NamedTuple):
    """Ask for a page of the caller's grants (ListCallerAccessGrants); the answer is a :class:`GrantPage`.

    ``bucket``: the one whose grants are wanted, or empty for all.
    """

    account_id: str
    region: str
    bucket: str
    shared_instances: bool
    token: str | None = None


NO_BUCKET = ""


class BucketRegion(NamedTuple):
    """Ask for a bucket's region (HeadBucket); None where S3 does not say, ``NO_BUCKET`` where there is none."""

    bucket: str
    region: str


ControlCall = CallerAccount | FindInstance | GetDataAccess | ListGrants | BucketRegion


class TimedCall(NamedTuple):
    """Make a call to AWS once, and give up after ``seconds``."""

    call: ControlCall
    seconds: float


class Pause(NamedTuple):
    """Do nothing for so many seconds; nothing is answered."""

    seconds: float


class WaitFor(NamedTuple):
    """Wait until a call of somebody else's has ended, ``seconds`` at most; the answer is whether it has."""

    call: InFlightCall
    seconds: float


class LoadShared(NamedTuple):
    """Look for what other processes were vended for a bucket; the answer is a list of :class:`StoredCredentials`."""

    bucket: str


class StoreShared(NamedTuple):
    """Have other processes find what was vended; nothing is answered."""

    stored: StoredCredentials


class DeleteShared(NamedTuple):
    """Have other processes not find any more what S3 has refused; nothing is answered."""

    stored: StoredCredentials


# What the drivers do on disk rather than by a call.
ON_DISK = (LoadShared, StoreShared, DeleteShared)
Step = TimedCall | Pause | WaitFor | LoadShared | StoreShared | DeleteShared


class DataAccessReply(NamedTuple):
    """What GetDataAccess gave. ``credentials`` sign requests; what the answer lacked is None."""

    credentials: Any
    expiration: datetime | None
    matched: str | None
    instance_arn: str | None


class CallerGrant(NamedTuple):
    """A grant the caller has: ``scope`` as the service writes it, ``application`` ``"NA"``, ``"ALL"`` or an ARN."""

    permission: Permission
    scope: str
    application: str | None = None


class GrantPage(NamedTuple):
    """A page of grants, and the token of the next page if there is one."""

    grants: list[CallerGrant]
    token: str | None
