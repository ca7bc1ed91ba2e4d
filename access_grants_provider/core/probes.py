"""Probes: requests that ask whether something is there, just outside of every grant that the caller has.

Programs ask such questions on their way to what is granted: s3fs asks HeadObject for ``emea`` before it lists
``emea/``, and GetBucketLocation before it writes. Whoever has a grant and no other right is refused. With the option
``probes="grants"`` a refusal is answered from the grant instead:

- HeadObject of a key K, where the caller has a grant on something within ``K/`` and none that covers K: there is no
  such object (404).
- HeadBucket and GetBucketLocation of a bucket in which the caller has a grant: its region.

S3's own answer comes first wherever the request may be sent as the caller. Nothing that writes, and no listing, is ever
answered here. What S3 checks: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (403 without
s3:ListBucket) and https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from .caller_state import CallerState, HeldGrant
from .credential_cache import StoredCredentials
from .flow_context import FlowContext
from .io_requests import GrantRequest, Step
from .resolver import Resolution, Resolver
from .scopes import GrantScope, Target

__all__ = ["PROBES", "implied", "implying_grant", "probed_folder"]

PROBES = ("HeadObject", "HeadBucket", "GetBucketLocation")
# How soon after an answer, or none, Access Grants is asked for the same folder again.
ASK_AGAIN_SECONDS = 30


def probed_folder(operation: str, params: Mapping[str, Any]) -> Target | None:
    """Return within what a grant must lie for a probe to be answered from it; None where the request is no probe.

    A version asked for by name says nothing of a folder, and whoever names the bucket's owner asks for S3's own check.
    """
    if params.get("VersionId") is not None or params.get("ExpectedBucketOwner") is not None:
        return None
    if operation == "HeadObject":
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
    if grant is None and not _covers_key(state, folder, context) and _may_ask(state, folder, context):
        request = GrantRequest(operation, "READ", folder, region)
        # S3 has answered the program already, so it is not kept waiting for the service's rate limit.
        yield from Resolver(state, request, context, is_patient=False).find()
        grant = _remembered(state, folder, context)
    # Of a key that a grant covers S3 alone may say that it is not there: a program may write it anew.
    return None if _covers_key(state, folder, context) else grant


def implied(grant: HeldGrant, folder: Target) -> Resolution:
    """Return what was decided on a probe that is answered from a grant."""
    answer = f"there is no object {folder.key[:-1]!r}" if folder.key else f"the bucket is in {grant.region}"
    has = f"the caller has {grant.permission} on {str(grant.scope)!r}"
    return Resolution("implied", reason=f"where S3 refuses the caller, the answer is that {answer}: {has}", grant=grant)


def _may_ask(state: CallerState, folder: Target, context: FlowContext) -> bool:
    """Tell whether to ask for the folder: once in 30 s, and for 16 folders of a bucket in five minutes."""
    now = context.clock.monotonic()
    return state.take_recheck("READ", folder._replace(key=""), (folder.key, now // ASK_AGAIN_SECONDS), now)


def _remembered(state: CallerState, folder: Target, context: FlowContext) -> HeldGrant | None:
    for (account_id, region), listed in list(state.bucket(folder.bucket).listed.items()):
        if context.clock.monotonic() < listed.until:
            grant = listed.within(folder)
            if grant is not None:
                return HeldGrant(*grant, account_id, region)
    for stored in _live(state, context):
        if folder.covers(stored.scope):
            return HeldGrant(stored.permission, stored.scope, stored.account_id, stored.region)
    return None


def _covers_key(state: CallerState, folder: Target, context: FlowContext) -> bool:
    """Tell whether a grant of any permission covers the very key that HeadObject asks for."""
    if not folder.key:
        return False
    key = GrantScope(folder.bucket, folder.key[:-1], False)
    now = context.clock.monotonic()
    lists = [listed for listed in list(state.bucket(folder.bucket).listed.values()) if now < listed.until]
    if any(listed.permissions_on(key) for listed in lists):
        return True
    return any(stored.scope.covers(key) for stored in _live(state, context))


def _live(state: CallerState, context: FlowContext) -> Iterator[StoredCredentials]:
    now = context.clock.wall()
    return (stored for stored in state.credentials if now < stored.expires_at)
