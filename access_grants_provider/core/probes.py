"""Probes: requests that ask whether something is there, just outside of every grant that the caller has.

Programs ask such questions on their way to what is granted: s3fs asks HeadObject for ``emea`` before it lists
``emea/``, and GetBucketLocation before it writes. Whoever has a grant and no other right is refused. With the option
``probes="grants"`` a refusal is answered from the grant instead:

- HeadObject of a key K, where the caller has a grant on something within ``K/``: there is no such object (404).
- HeadBucket and GetBucketLocation of a bucket in which the caller has a grant: its region.

S3's own answer comes first wherever the request may be sent as the caller. Nothing that writes, and no listing, is ever
answered here. What S3 checks: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (403 without
s3:ListBucket) and https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from .caller_state import CallerState, HeldGrant
from .credential_cache import StoredCredentials
from .flow_context import FlowContext
from .io_requests import GrantRequest, Step
from .resolver import Resolution, Resolver
from .scopes import GrantScope, Target

__all__ = ["PROBES", "implied", "implying_grant", "probed_folder"]

PROBES = ("HeadObject", "HeadBucket", "GetBucketLocation")


def probed_folder(operation: str, params: Mapping[str, Any]) -> Target | None:
    """Return within what a grant must lie for a probe to be answered from it; None where the request is no probe."""
    if operation == "HeadObject":
        # A version that is asked for by name says nothing of a folder.
        if params.get("VersionId") is not None:
            return None
        return GrantScope(params["Bucket"], f"{params['Key']}/", True)
    return GrantScope(params["Bucket"], "", True) if operation in PROBES else None


def implying_grant(
    state: CallerState, folder: Target, operation: str, region: str, context: FlowContext
) -> Generator[Step, Any, HeldGrant | None]:
    """Return a grant of the caller's within ``folder``; None where none is found.

    What is remembered is looked at first. Else READ on the folder is asked for, which brings credentials for it or the
    caller's list of grants. Raises :class:`ServiceFailure`.
    """
    grant = _remembered(state, folder, context)
    if grant is None:
        request = GrantRequest(operation, "READ", folder, region)
        # S3 has answered the program already, so it is not kept waiting for the service's rate limit.
        resolution = yield from Resolver(state, request, context, is_patient=False).decide()
        if resolution.stored is not None:
            return _of(resolution.stored)
        grant = _remembered(state, folder, context)
    return grant


def implied(grant: HeldGrant, folder: Target) -> Resolution:
    """Return what was decided on a probe that is answered from a grant."""
    answer = f"there is no object {folder.key[:-1]!r}" if folder.key else f"the bucket is in {grant.region}"
    has = f"the caller has {grant.permission} on {str(grant.scope)!r}"
    return Resolution("implied", reason=f"where S3 refuses the caller, the answer is that {answer}: {has}", grant=grant)


def _remembered(state: CallerState, folder: Target, context: FlowContext) -> HeldGrant | None:
    for (account_id, region), listed in list(state.bucket(folder.bucket).listed.items()):
        if context.clock.monotonic() < listed.until:
            for permission, scope in listed.grants or ():
                if _meets(scope, folder):
                    return HeldGrant(permission, scope, account_id, region)
    now = context.clock.wall()
    for stored in state.credentials:
        if now < stored.expires_at and _meets(stored.scope, folder):
            return _of(stored)
    return None


def _meets(scope: GrantScope, folder: Target) -> bool:
    return folder.covers(scope) or scope.covers(folder)


def _of(stored: StoredCredentials) -> HeldGrant:
    return HeldGrant(stored.permission, stored.scope, stored.account_id, stored.region)
