"""One vend: for how long, what its errors mean, and what its answer has to hold.

Rests on https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetDataAccess.html.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .caller_state import DENIAL_SECONDS, INSTANCE_SECONDS, CallerState
from .config import MAX_DURATION_SECONDS, MIN_DURATION_SECONDS, AccessGrantsConfig
from .control_calls import CallBudget, control_call
from .credential_cache import StoredCredentials
from .cross_process import load_shared
from .flow_context import FlowContext
from .io_requests import DataAccessReply, GetDataAccess, GrantRequest, Step
from .scopes import GrantScope, MalformedScope
from .service_errors import Denial, DenialKind, Purpose, denial_kind, refuses_duration

__all__ = ["Vended", "account_in", "get_data_access", "is_account", "purpose_of", "searches_shared_instances"]

# What GetDataAccess vends where no duration is asked for.
DEFAULT_DURATION_SECONDS = 3600

WRONG_ACCOUNT = "Set account_id to the account that has the instance, or leave it out to have it found"

Vended = Generator[Step, Any, StoredCredentials | Denial]


def searches_shared_instances(account_id: str, state: CallerState, context: FlowContext) -> bool:
    """Tell whether to search the instances shared with the caller too (``InstanceScope=ALL``), sparing a look-up."""
    return context.config.account_id is None and account_id == state.account_id


def get_data_access(
    account_id: str, region: str, state: CallerState, request: GrantRequest, context: FlowContext, budget: CallBudget
) -> Vended:
    """Call GetDataAccess and read its answer: credentials, or a denial. Raises :class:`ServiceFailure`.

    Under ``cache="disk"`` the answer may be another process's, who was vended the same while this call was throttled.
    """
    shared = searches_shared_instances(account_id, state, context)
    seconds = _seconds(request, context.config)
    call = GetDataAccess(account_id, region, request.permission, request.target, shared, seconds)
    purpose = purpose_of(request, "s3:GetDataAccess", region, state)
    vended_at = context.clock.wall()
    look_on_disk = None
    if context.config.cache == "disk":
        held = state.credentials.find(request.permission, request.target, vended_at)
        look_on_disk = partial(load_shared, state, request, context, held)
    try:
        try:
            reply = yield from control_call(call, context, budget, look_elsewhere=look_on_disk)
        except ClientError as error:
            if call.seconds is None or not refuses_duration(error):
                raise
            context.log.note(logging.DEBUG, "credentials of %d s are not to be had: %s", call.seconds, error)
            reply = yield from control_call(call._replace(seconds=None), context, budget)
    except (ClientError, BotoCoreError) as error:
        kind = denial_kind(error)
        if kind is None:
            raise purpose.failure(error) from error
        return _denial(kind, account_id, region, state, request, context)
    if isinstance(reply, StoredCredentials):
        return reply
    return _read_reply(reply, vended_at, account_id, region, purpose, request, context)


def _denial(
    kind: DenialKind, account_id: str, region: str, state: CallerState, request: GrantRequest, context: FlowContext
) -> Denial:
    now = context.clock.monotonic()
    if kind == "no grant":
        wanted = f"{request.permission} on {str(request.target)!r}"
        reason = f"No grant gives the caller ({state.described}) {wanted}"
        about = (request.permission, request.target)
        return Denial(kind, reason, now + DENIAL_SECONDS, account_id, region, wanted=about)
    # Neither depends on the target, so it holds for whatever this instance would be asked.
    advice = None
    if kind == "no instance":
        configured = context.config.account_id is not None
        set_so = f" (account_id is set to it in {context.config.place_of('account_id')})" if configured else ""
        reason = f"Account {account_id}{set_so} has no S3 Access Grants instance in {region}"
        advice = WRONG_ACCOUNT if configured else None
    else:
        reason = f"The caller ({state.described}) may not call s3:GetDataAccess of account {account_id} in {region}"
    denial = Denial(kind, reason, now + INSTANCE_SECONDS, account_id, region, advice=advice)
    state.instance_denials[account_id, region] = denial
    return denial


def _seconds(request: GrantRequest, config: AccessGrantsConfig) -> int | None:
    """Return how long credentials have to live where the usual length won't do.

    For what is presigned, twice as long as the URL, so that one set serves the URLs that are made for that long after
    it. With once the length, each URL of a second later would need credentials of its own. Credentials that are
    themselves what was asked for are handed out once.
    """
    usual = config.duration_seconds or DEFAULT_DURATION_SECONDS
    seconds = request.min_lifetime if request.operation == "GetDataAccess" else 2 * request.min_lifetime
    if seconds <= usual:
        return None
    return min(MAX_DURATION_SECONDS, max(MIN_DURATION_SECONDS, math.ceil(seconds)))


def _read_reply(
    reply: DataAccessReply,
    vended_at: float,
    account_id: str,
    region: str,
    purpose: Purpose,
    request: GrantRequest,
    context: FlowContext,
) -> StoredCredentials:
    """Check an answer before anything of it is kept. Raises :class:`MalformedAnswer`."""
    if reply.credentials is None:
        raise purpose.malformed("incomplete credentials")
    if reply.expiration is None:
        raise purpose.malformed("credentials without an Expiration")
    now = context.clock.wall()
    if reply.expiration.timestamp() <= now:
        ended = reply.expiration.isoformat()
        raise purpose.malformed(f"credentials that ended at {ended}", "Check that this machine's clock is right")
    # Minimal: the scope of the credentials is the target, whatever the answer repeats. And a key that ends in a star
    # comes back looking like a prefix: only the narrower reading is safe.
    if context.config.privilege == "Minimal" or reply.matched == str(request.target):
        scope = request.target
    else:
        try:
            scope = GrantScope.parse(reply.matched or "")
        except MalformedScope as error:
            raise purpose.malformed(f"a malformed MatchedGrantTarget: {error}") from None
        if not scope.covers(request.target):
            raise purpose.malformed(f"the grant {str(scope)!r}, which does not cover the target")
    lives = reply.expiration.timestamp() - now
    return StoredCredentials(
        request.permission,
        scope,
        reply.credentials,
        account_id=account_in(reply.instance_arn) or account_id,
        region=region,
        expiration=reply.expiration,
        now=vended_at,
        unmet_lifetime=request.min_lifetime if lives < request.min_lifetime else 0,
    )


def purpose_of(request: GrantRequest, call: str, region: str, state: CallerState) -> Purpose:
    """Return what a call is made for: ``call`` is the IAM action."""
    caller, operation, described = state.masked_key, request.operation, state.described
    if not request.target.bucket:
        everything = "for the grants of all buckets"
        return Purpose(call, region, everything, caller, operation=operation, described=described)
    what = f"for {request.permission} on {str(request.target)!r} ({operation})"
    return Purpose(call, region, what, caller, str(request.target), request.permission, operation, described)


def account_in(arn: object) -> str | None:
    """Return the account an ARN names; None where it names none."""
    parts = arn.split(":") if isinstance(arn, str) else []
    return parts[4] if len(parts) > 5 and is_account(parts[4]) else None


def is_account(text: object) -> bool:
    """Tell whether something is the id of an AWS account, 12 digits."""
    return isinstance(text, str) and len(text) == 12 and text.isascii() and text.isdigit()
