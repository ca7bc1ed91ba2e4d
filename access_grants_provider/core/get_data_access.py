"""One call of GetDataAccess: for how long, what its errors mean, and what its answer has to hold.

Generators of the same kind as in :mod:`.flow`. Rests on
https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetDataAccess.html.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..exceptions import ConfigurationError, MalformedAnswer
from .caller_state import DENIAL_SECONDS, Denial, Memory
from .config import MAX_DURATION_SECONDS, MIN_DURATION_SECONDS
from .credential_cache import Vended
from .io_requests import Answer, Ask, Rules, Step, Vend
from .scopes import GrantScope, MalformedScope
from .service_errors import WHO_ANSWERS, refusal, refuses_duration, translated

__all__ = ["Found", "account_in", "ask_account", "is_account", "purpose_of", "searches_everywhere"]

logger = logging.getLogger(__name__)

# What GetDataAccess vends where no duration is asked for.
DEFAULT_DURATION_SECONDS = 3600

Found = Generator[Step, Any, Vended | Denial]


def searches_everywhere(account_id: str, memory: Memory, rules: Rules) -> bool:
    """Tell whether to search the instances shared with the caller too (``InstanceScope=ALL``), sparing a look-up."""
    return rules.config.account_id is None and account_id == memory.account_id and rules.knows_everywhere()


def ask_account(account_id: str, region: str, memory: Memory, ask: Ask, rules: Rules) -> Found:
    """Call GetDataAccess and read its answer: credentials, or a denial."""
    if rules.config.audit_context is not None and not rules.knows("AuditContext"):
        raise ConfigurationError("audit_context is set, and this botocore's GetDataAccess does not know it: upgrade it")
    everywhere = searches_everywhere(account_id, memory, rules)
    step = Vend(account_id, region, ask.permission, ask.target, everywhere, _seconds(ask, rules))
    try:
        try:
            answer = yield step
        except ClientError as error:
            if step.seconds is None or not refuses_duration(error):
                raise
            logger.debug("%s of %d s are not to be had: %s", ask.permission, step.seconds, error)
            answer = yield step._replace(seconds=None)
    except (ClientError, BotoCoreError) as error:
        kind = refusal(error)
        if kind is None:
            raise translated(error, "s3:GetDataAccess", region, memory.label, purpose_of(ask)) from error
        if kind == "no instance":
            # The instance may have moved: what is remembered of its account is worth nothing now.
            with memory.lock:
                memory.bucket(ask.target.bucket).accounts.pop(region, None)
        if kind == "no grant":
            reason = f"no grant gives the caller ({memory.label}) {ask.permission} on {str(ask.target)!r}"
        elif kind == "no instance":
            reason = f"account {account_id} has no S3 Access Grants instance in {region}"
        else:
            reason = f"the caller ({memory.label}) may not call s3:GetDataAccess of account {account_id} in {region}"
        return Denial(kind, reason, rules.clock() + DENIAL_SECONDS, account_id, region)
    return _read_answer(answer, account_id, region, memory.label, ask, rules)


def _seconds(ask: Ask, rules: Rules) -> int | None:
    """Return how long credentials have to live for what is presigned, where the usual length won't do.

    Twice as long as the URL, so that one set serves the URLs that are made for that long after it.
    """
    usual = rules.config.duration_seconds or DEFAULT_DURATION_SECONDS
    if 2 * ask.lasting <= usual:
        return None
    return min(MAX_DURATION_SECONDS, max(MIN_DURATION_SECONDS, math.ceil(2 * ask.lasting)))


def _read_answer(answer: Answer, account_id: str, region: str, label: str, ask: Ask, rules: Rules) -> Vended:
    """Check an answer before anything of it is kept. Raises :class:`MalformedAnswer`."""
    where = f"s3:GetDataAccess in {region} answered {ask.permission} on {str(ask.target)!r}, asked as {label}, with"
    if answer.signer is None:
        raise MalformedAnswer(f"{where} incomplete credentials; {WHO_ANSWERS}")
    if answer.expiration is None:
        raise MalformedAnswer(f"{where} credentials without an Expiration; {WHO_ANSWERS}")
    now = rules.clock()
    if answer.expiration.timestamp() <= now:
        ended = answer.expiration.isoformat()
        raise MalformedAnswer(f"{where} credentials that ended at {ended}; is this machine's clock right?")
    # Minimal: the scope of the credentials is the target, whatever the answer repeats. And a key that ends in a star
    # comes back looking like a prefix: only the narrower reading is safe.
    if rules.config.privilege == "Minimal" or answer.matched == str(ask.target):
        scope = ask.target
    else:
        try:
            scope = GrantScope.parse(answer.matched or "")
        except MalformedScope as error:
            raise MalformedAnswer(f"{where} a malformed MatchedGrantTarget: {error}; {WHO_ANSWERS}") from None
        if not scope.covers(ask.target):
            raise MalformedAnswer(f"{where} the grant {str(scope)!r}, which does not hold it; {WHO_ANSWERS}")
    return Vended(
        ask.permission,
        scope,
        answer.signer,
        account_id=account_in(answer.instance_arn) or account_id,
        region=region,
        expiration=answer.expiration,
        now=now,
        fell_short_of=ask.lasting if answer.expiration.timestamp() < now + ask.lasting else 0,
    )


def purpose_of(ask: Ask) -> str:
    """Return what a call was made for, as errors say it: ``"for READ on 's3://b/k' (GetObject)"``."""
    return f"for {ask.permission} on {str(ask.target)!r} ({ask.operation})"


def account_in(arn: object) -> str | None:
    """Return the account an ARN names; None where it names none."""
    parts = arn.split(":") if isinstance(arn, str) else []
    return parts[4] if len(parts) > 5 and is_account(parts[4]) else None


def is_account(text: object) -> bool:
    """Tell whether something is the id of an AWS account, 12 digits."""
    return isinstance(text, str) and len(text) == 12 and text.isascii() and text.isdigit()
