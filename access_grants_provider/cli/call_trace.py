"""Records the control calls behind a decision: operation, region, purpose and result, but no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from access_grants_provider.core.io_requests import (
    BucketRegion,
    CallerAccount,
    ControlCall,
    FindInstance,
    GetDataAccess,
    ListGrants,
)
from access_grants_provider.core.service_errors import ADVICE, DenialKind, denial_kind, one_line
from access_grants_provider.sdk.api_calls import ApiCall

__all__ = ["CallTrace", "TracedCall"]

LOOK_UP = "GetAccessGrantsInstanceForPrefix"


@dataclass(frozen=True)
class TracedCall:
    """One call: its API ``operation``, ``region``, purpose (``what``), duration, and error if it failed.

    ``kind`` is the kind of denial, where the error is a denial by S3 Access Grants. ``status`` is ``"ok"``, ``"no"``
    where AWS denied the call, and ``"failed"`` for any other error.
    """

    operation: str
    region: str
    what: str
    seconds: float
    error: str | None
    kind: DenialKind | None
    status: Literal["ok", "no", "failed"]

    def as_json(self) -> dict[str, Any]:
        """Return the record that ``--json`` prints."""
        return {
            "operation": self.operation,
            "region": self.region,
            "what": self.what,
            "seconds": round(self.seconds, 3),
            "status": self.status,
            "error": self.error,
        }


class CallTrace:
    """Collects the calls in order. Set it as ``AccessGrantsProvider.observer``."""

    def __init__(self) -> None:
        self.calls: list[TracedCall] = []

    def __call__(self, call: ControlCall, api_call: ApiCall, seconds: float, error: Exception | None) -> None:
        """Record one call. The description names the parameters it shows, so that no secret can be among them."""
        operation, what = _described(call)
        text, kind = _error_text(error), _kind(call, error)
        self.calls.append(TracedCall(operation, api_call.region, what, seconds, text, kind, _status(error)))

    def advice(self) -> str | None:
        """Return what helps against the denial that these calls ended in, or None where they ended in none.

        The last denial counts. But where an instance has answered that no grant matches, a later look-up that finds
        no other instance in that region does not replace that answer. The discovery in the core decides the same way.
        """
        decisive: TracedCall | None = None
        for call in self.calls:
            no_other_instance = call.kind == "no instance" and call.operation == LOOK_UP
            if call.kind is None or (
                no_other_instance and decisive and (decisive.kind, decisive.region) == ("no grant", call.region)
            ):
                continue
            decisive = call
        return None if decisive is None or decisive.kind is None else ADVICE[decisive.kind]


def _kind(call: ControlCall, error: Exception | None) -> DenialKind | None:
    if not isinstance(error, ClientError) or not isinstance(call, (FindInstance, GetDataAccess)):
        return None
    kind = denial_kind(error)
    # A caller who may not look up the instance is not denied: the caller's own account is tried instead.
    return kind if isinstance(call, GetDataAccess) or kind == "no instance" else None


def _status(error: Exception | None) -> Literal["ok", "no", "failed"]:
    if error is None:
        return "ok"
    return "no" if isinstance(error, ClientError) and denial_kind(error) is not None else "failed"


def _described(call: ControlCall) -> tuple[str, str]:
    if isinstance(call, CallerAccount):
        return "GetCallerIdentity", "the caller's account"
    if isinstance(call, FindInstance):
        return LOOK_UP, f"the instance with a location that holds {call.target}"
    if isinstance(call, GetDataAccess):
        also = ", or an instance shared with it" if call.shared_instances else ""
        return "GetDataAccess", f"{call.permission} on {call.target}, of account {call.account_id}{also}"
    if isinstance(call, ListGrants):
        return "ListCallerAccessGrants", f"the caller's grants in s3://{call.bucket}"
    if isinstance(call, BucketRegion):
        return "HeadBucket", f"the region of bucket {call.bucket!r}"
    raise TypeError(f"{call!r} is not a control call")


def _error_text(error: Exception | None) -> str | None:
    if error is None:
        return None
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return one_line(f"{details.get('Code', 'no code')}: {details.get('Message', '')}")
    return one_line(f"{type(error).__name__}: {error}")
