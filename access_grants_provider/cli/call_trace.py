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
from access_grants_provider.core.service_errors import denial_kind, one_line
from access_grants_provider.sdk.api_calls import ApiCall

__all__ = ["CallTrace", "TracedCall"]


@dataclass(frozen=True)
class TracedCall:
    """One call: its API ``operation``, ``region``, purpose (``what``), duration, and error if it failed.

    ``status`` is ``"ok"``, ``"no"`` where AWS denied the call, and ``"failed"`` for any other error.
    """

    operation: str
    region: str
    what: str
    seconds: float
    error: str | None
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
        self.calls.append(TracedCall(operation, api_call.region, what, seconds, _error_text(error), _status(error)))


def _status(error: Exception | None) -> Literal["ok", "no", "failed"]:
    if error is None:
        return "ok"
    return "no" if isinstance(error, ClientError) and denial_kind(error) is not None else "failed"


def _described(call: ControlCall) -> tuple[str, str]:
    if isinstance(call, CallerAccount):
        return "GetCallerIdentity", "the caller's account"
    if isinstance(call, FindInstance):
        return "GetAccessGrantsInstanceForPrefix", f"the instance with a location that holds {call.target}"
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
