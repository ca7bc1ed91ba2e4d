"""The control calls behind a decision: what was asked, where, and what came of it. Nothing secret is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import DenialKind
from access_grants_provider.core.io_requests import BucketRegion, CallerAccount, FindInstance, ListGrants, Step, Vend
from access_grants_provider.core.resolver import ADVICE
from access_grants_provider.core.service_errors import one_line, refusal
from access_grants_provider.sdk.api_calls import Call

__all__ = ["Asked", "Trail"]

LOOK_UP = "GetAccessGrantsInstanceForPrefix"


@dataclass(frozen=True)
class Asked:
    """One call: the API ``operation``, its ``region``, ``what`` for in words, how long it took, its error if any.

    ``kind`` is which "no" of S3 Access Grants the error is, if it is one.
    """

    operation: str
    region: str
    what: str
    seconds: float
    error: str | None
    kind: DenialKind | None

    def as_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "operation": self.operation,
            "region": self.region,
            "what": self.what,
            "seconds": round(self.seconds, 3),
            "error": self.error,
        }


class Trail:
    """The calls in order: an observer of ``AccessGrantsProvider.observer``."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def __call__(self, step: Step, call: Call, seconds: float, error: Exception | None) -> None:
        """Note one call. Of its parameters only those are told that are no secret, and by name."""
        operation, what = _described(step)
        self.asked.append(Asked(operation, call.region, what, seconds, _said(error), _kind(step, error)))

    def advice(self) -> str | None:
        """Return what would help against the denial these calls ended in; None where they end in none.

        The last "no" counts. But where a region's instance gives no grant, that no other instance is there for the
        bucket changes nothing, as in :func:`.asking._ask_owner`.
        """
        decisive: Asked | None = None
        for one in self.asked:
            another = one.kind == "no instance" and one.operation == LOOK_UP
            if one.kind is None or (
                another and decisive and (decisive.kind, decisive.region) == ("no grant", one.region)
            ):
                continue
            decisive = one
        return None if decisive is None or decisive.kind is None else ADVICE[decisive.kind]


def _kind(step: Step, error: Exception | None) -> DenialKind | None:
    if not isinstance(error, ClientError) or not isinstance(step, (FindInstance, Vend)):
        return None
    kind = refusal(error)
    # Who may not look an instance up is asked for in the caller's own account instead.
    return kind if isinstance(step, Vend) or kind == "no instance" else None


def _described(step: Step) -> tuple[str, str]:
    if isinstance(step, CallerAccount):
        return "GetCallerIdentity", "the caller's account"
    if isinstance(step, FindInstance):
        return LOOK_UP, f"the instance with a location that holds {step.target}"
    if isinstance(step, Vend):
        also = ", or an instance shared with it" if step.everywhere else ""
        return "GetDataAccess", f"{step.permission} on {step.target}, of account {step.account_id}{also}"
    if isinstance(step, ListGrants):
        return "ListCallerAccessGrants", f"the caller's grants in s3://{step.bucket}"
    if isinstance(step, BucketRegion):
        return "HeadBucket", f"the region of bucket {step.bucket!r}"
    raise TypeError(f"{step!r} is performed without a call")


def _said(error: Exception | None) -> str | None:
    if error is None:
        return None
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return one_line(f"{details.get('Code', 'no code')}: {details.get('Message', '')}")
    return one_line(f"{type(error).__name__}: {error}")
