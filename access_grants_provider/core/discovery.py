"""Asking Access Grants: in which region, in whose account, and what its answer means.

Generators of the same kind as in :mod:`.flow`, which uses them.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..exceptions import MalformedAnswer
from .caller_state import DENIAL_SECONDS, BucketFacts, Denial, Memory
from .credential_cache import Vended
from .cross_process import shared
from .get_data_access import Found, account_in, ask_account, is_account, purpose_of, searches_everywhere
from .io_requests import Ask, BucketRegion, CallerAccount, FindInstance, ListGrants, Page, Rules, Step, Wait
from .scopes import PERMISSIONS, GrantScope, MalformedScope, permits
from .service_errors import WHO_ANSWERS, refusal, same_failure, translated
from .single_flight import learn_depth

__all__ = [
    "bucket_region",
    "caller_account",
    "instance_owner",
    "may_look_up",
    "vend",
]

logger = logging.getLogger(__name__)

# 1,000 grants a page. Whoever has more in one bucket is asked for key by key rather than listed at length.
MAX_PAGES = 10


def vend(memory: Memory, ask: Ask, rules: Rules, stale: Vended | None) -> Found:
    """Get the credentials ``ask`` needs, and remember the answer: credentials or a denial.

    ``stale`` are the credentials they are to replace, if any. Raises :class:`ServiceFailure`; then nothing is kept.
    """
    if rules.config.cache != "disk":
        return _ask(memory, ask, rules, stale)
    return shared(memory, ask, rules, stale, lambda: _ask(memory, ask, rules, stale))


def _ask(memory: Memory, ask: Ask, rules: Rules, stale: Vended | None) -> Found:
    with memory.lock:
        facts = memory.bucket(ask.target.bucket)
    found = yield from _search(memory, facts, ask, rules)
    if isinstance(found, Denial):
        if found.kind == "no grant" and rules.clock() >= facts.grants_until:
            yield from _learn_grants(found, memory, facts, ask, rules)
        with memory.lock:
            memory.deny(ask.permission, ask.target, found)
        return found
    with memory.lock:
        memory.credentials.add(found, rules.clock())
        learn_depth(memory, ask.permission, found.scope, rules)
        if stale is not None and _replaces(found, stale, rules.clock()):
            memory.credentials.drop(stale)
    logger.info("%s was vended %s on %r for %s", memory.label, found.permission, str(found.scope), ask.operation)
    return found


def _replaces(found: Vended, stale: Vended, now: float) -> bool:
    """Tell whether an old record must go: its time is up, or it would be found before a grant that does all it did."""
    serves_all = found.scope.covers(stale.scope) and permits(found.permission, stale.permission)
    return now >= stale.renew_at or (serves_all and found.scope != stale.scope)


def _search(memory: Memory, facts: BucketFacts, ask: Ask, rules: Rules) -> Found:
    """Ask where the answer most probably is, and look further only after a no."""
    region = facts.region or ask.region
    found = yield from _ask_in(region, memory, facts, ask, rules)
    if isinstance(found, Denial) and rules.clock() >= facts.region_until:
        actual = yield from bucket_region(ask.target.bucket, region)
        facts.region_until = rules.clock() + DENIAL_SECONDS
        if actual is not None:
            facts.region = actual
            if actual != region:
                region = actual
                found = yield from _ask_in(region, memory, facts, ask, rules)
        else:
            unknown = f"whether bucket {ask.target.bucket!r} is in another region could not be found out"
            found = found._replace(reason=f"{found.reason} ({unknown})")
    if isinstance(found, Denial) and found.account_id is not None and may_look_up(region, facts, rules):
        # An instance may be shared by its resource policy alone, where InstanceScope=ALL does not reach.
        found = yield from _ask_owner(found, region, memory, facts, ask, rules)
    return found


def may_look_up(region: str, facts: BucketFacts, rules: Rules) -> bool:
    """Tell whether the bucket's instance may be somebody else's, and has not been looked for in vain just now."""
    return rules.config.account_id is None and region not in facts.accounts and rules.clock() >= facts.no_owner_until


def _ask_in(region: str, memory: Memory, facts: BucketFacts, ask: Ask, rules: Rules) -> Found:
    """Ask the instance of one region with the fewest calls."""
    account_id = rules.config.account_id or facts.accounts.get(region)
    if account_id is None:
        account_id = yield from caller_account(memory, region, rules, purpose_of(ask))
        if not rules.knows_everywhere():
            owner = yield from instance_owner(account_id, region, memory, ask, rules)
            if isinstance(owner, Denial):
                return owner
            account_id = facts.accounts[region] = owner
    return (yield from ask_account(account_id, region, memory, ask, rules))


def _ask_owner(denial: Denial, region: str, memory: Memory, facts: BucketFacts, ask: Ask, rules: Rules) -> Found:
    """After a no of the caller's own and the shared instances, ask the bucket's owner if that is somebody else."""
    caller = yield from caller_account(memory, region, rules, purpose_of(ask))
    owner = yield from instance_owner(caller, region, memory, ask, rules)
    if isinstance(owner, Denial):
        return denial if denial.kind == "no grant" else owner
    facts.accounts[region] = owner
    if owner == caller:
        return denial
    return (yield from ask_account(owner, region, memory, ask, rules))


def caller_account(memory: Memory, region: str, rules: Rules, purpose: str) -> Generator[Step, Any, str]:
    """Return the requester's account; however many buckets are cold at once, STS is asked once.

    ``purpose`` says in an error what the account is wanted for: ``"for READ on 's3://b/k' (GetObject)"``.
    """
    while memory.account_id is None:
        with memory.flight(rules.who()) as mine:
            with memory.lock:
                flight = memory.board((rules.lane, "account"), mine)
            if flight is mine or flight.leader == mine.leader:
                memory.account_id = yield from _ask_sts(memory, region, purpose)
                break
        yield Wait(flight)
        if flight.failure is not None:
            raise same_failure(flight.failure, "another request")
    return memory.account_id


def _ask_sts(memory: Memory, region: str, purpose: str) -> Generator[Step, Any, str]:
    try:
        answer = yield CallerAccount(region)
    except (ClientError, BotoCoreError) as error:
        raise translated(error, "sts:GetCallerIdentity", region, memory.label, purpose) from error
    if not is_account(answer):
        asked = f"sts:GetCallerIdentity in {region} {purpose}, asked as {memory.label},"
        raise MalformedAnswer(f"{asked} answered with the account {answer!r}; {WHO_ANSWERS}")
    return str(answer)


def instance_owner(
    caller: str, region: str, memory: Memory, ask: Ask, rules: Rules
) -> Generator[Step, Any, str | Denial]:
    """Return the account of the bucket's instance; the caller's own where the caller may not look it up."""
    bucket = ask.target.bucket
    call = "s3:GetAccessGrantsInstanceForPrefix"
    try:
        arn = yield FindInstance(caller, region, ask.target)
    except (ClientError, BotoCoreError) as error:
        kind = refusal(error)
        if kind is None:
            raise translated(error, call, region, memory.label, f"for {str(ask.target)!r}") from error
        if kind == "no instance":
            with memory.lock:
                memory.bucket(bucket).no_owner(rules.clock())
            reason = f"no S3 Access Grants instance in {region} has a location that holds {str(ask.target)!r}"
            return Denial("no instance", reason, rules.clock() + DENIAL_SECONDS, None, region)
        logger.debug("%s may not call %s; asking its own account %s", memory.label, call, caller)
        return caller
    owner = account_in(arn)
    if owner is None:
        asked = f"{call} in {region} for {str(ask.target)!r}, asked as {memory.label},"
        raise MalformedAnswer(f"{asked} answered with the ARN {arn!r}; {WHO_ANSWERS}")
    return owner


def bucket_region(bucket: str, region: str) -> Generator[Step, Any, str | None]:
    """Find the bucket's region. It only helps to ask elsewhere, so a failure leaves the denial as it is."""
    try:
        actual: str | None = yield BucketRegion(bucket, region)
    except (ClientError, BotoCoreError) as error:
        logger.debug("the region of bucket %r could not be found out: %s", bucket, error)
        return None
    return actual


def _learn_grants(
    denial: Denial, memory: Memory, facts: BucketFacts, ask: Ask, rules: Rules
) -> Generator[Step, Any, None]:
    """List the caller's grants in the bucket, so that keys outside all of them need no call.

    A hint that spares calls: where the caller may not list, or the list can't be read, each key is asked for.
    """
    account_id, region, bucket = denial.account_id, denial.region, ask.target.bucket
    if account_id is None or region is None:
        return
    facts.grants, facts.grants_at = None, (account_id, region)
    facts.grants_until = rules.clock() + DENIAL_SECONDS
    step = ListGrants(account_id, region, bucket, searches_everywhere(account_id, memory, rules))
    listed: list[tuple[Any, GrantScope]] = []
    try:
        for _ in range(MAX_PAGES):
            page: Page = yield step
            listed += [(permission, GrantScope.parse(scope)) for permission, scope, *_ in page.grants]
            if page.token is None:
                if all(permission in PERMISSIONS for permission, _ in listed):
                    facts.grants = tuple(one for one in listed if one[1].bucket == bucket)
                return
            step = step._replace(token=page.token)
    except (ClientError, BotoCoreError, MalformedScope) as error:
        logger.debug("the caller's grants in bucket %r could not be listed: %s", bucket, error)
