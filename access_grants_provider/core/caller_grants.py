"""The grants the caller has, page by page.

Generators of the same kind as in :mod:`.flow`, and one function that drives them, so that whoever iterates sees each
page as it comes. Rests on https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListCallerAccessGrants.html.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..exceptions import MalformedAnswer, NoInstance, PermissionMissing
from .caller_state import Denial, Memory
from .discovery import bucket_region, caller_account, instance_owner, may_look_up
from .get_data_access import searches_everywhere
from .io_requests import Ask, CallerGrant, ListGrants, Page, Rules, Step
from .scopes import GrantScope, MalformedScope, Target
from .service_errors import WHO_ANSWERS, refusal, translated

__all__ = ["caller_grants"]

OPERATION = "ListCallerAccessGrants"

First = tuple[ListGrants, Page]
Run = Callable[[Generator[Step, Any, Any]], Any]


def caller_grants(run: Run, memory: Memory, target: Target | None, region: str, rules: Rules) -> Iterator[CallerGrant]:
    """Yield the grants of the requester that ``memory`` belongs to; with a target, those that share a key with it.

    ``run`` performs a generator's steps and returns what it returns; ``region`` is where to ask first. Without a target
    a scope of a form that is not known here is one of the list; with one nobody can tell, and :class:`MalformedAnswer`
    is raised rather than a list that may lack it.
    """
    step, page = run(_first_page(memory, target, region, rules))
    while True:
        for grant in page.grants:
            if _concerns(grant, target, step, memory.label):
                yield grant
        if page.token is None:
            return
        if page.token == step.token:
            raise _malformed(step, memory.label, "the token of the same page again")
        step = step._replace(token=page.token)
        page = run(_turn(memory, step))


def _first_page(memory: Memory, target: Target | None, region: str, rules: Rules) -> Generator[Step, Any, First]:
    """Find the instance to ask as the vends do, the caller's own and those shared with it before anybody else's."""
    if target is None:
        purpose = "for the grants of all buckets"
        account_id = rules.config.account_id or (yield from caller_account(memory, region, rules, purpose))
        return (yield from _begin(account_id, region, "", memory, rules))
    with memory.lock:
        facts = memory.bucket(target.bucket)
    if facts.region is None:
        facts.region = yield from bucket_region(target.bucket, region)
    region = facts.region or region
    known = rules.config.account_id or facts.accounts.get(region)
    if known is not None:
        return (yield from _begin(known, region, target.bucket, memory, rules))
    caller = yield from caller_account(memory, region, rules, f"for the grants of bucket {target.bucket!r}")
    if rules.knows_everywhere():
        try:
            first = yield from _begin(caller, region, target.bucket, memory, rules)
        except NoInstance:
            if not may_look_up(region, facts, rules):
                raise
        else:
            if first[1].grants or not may_look_up(region, facts, rules):
                return first
    owner = yield from instance_owner(caller, region, memory, Ask(OPERATION, "READ", target, region), rules)
    # No location holds the target as a whole, and one that holds a part of it may still be the caller's.
    account_id = caller if isinstance(owner, Denial) else owner
    return (yield from _begin(account_id, region, target.bucket, memory, rules))


def _begin(account_id: str, region: str, bucket: str, memory: Memory, rules: Rules) -> Generator[Step, Any, First]:
    step = ListGrants(account_id, region, bucket, searches_everywhere(account_id, memory, rules))
    return step, (yield from _turn(memory, step))


def _turn(memory: Memory, step: ListGrants) -> Generator[Step, Any, Page]:
    """Ask for a page, and say of an error whose it is."""
    try:
        page: Page = yield step
    except (ClientError, BotoCoreError) as error:
        kind = refusal(error)
        if kind is None:
            what = f"for {_name(step)}"
            raise translated(error, f"s3:{OPERATION}", step.region, memory.label, what) from error
        where = f"account {step.account_id} in {step.region}"
        if kind == "no instance":
            raise NoInstance(
                f"no S3 Access Grants instance of {where} to list the grants of {_name(step)}; set account_id if it is "
                "another account's, or ask in the region it is in",
                OPERATION,
            ) from error
        raise PermissionMissing(
            f"the caller ({memory.label}) may not list its grants of {where}; allow s3:{OPERATION} on that instance in "
            "the caller's IAM policies",
            OPERATION,
        ) from error
    return page


def _name(step: ListGrants) -> str:
    return f"bucket {step.bucket!r}" if step.bucket else "all buckets"


def _concerns(grant: CallerGrant, target: Target | None, step: ListGrants, label: str) -> bool:
    """Tell whether a grant has a key in common with the target: then one of the two holds the other."""
    if not grant.permission or not grant.scope:
        raise _malformed(step, label, "a grant without a Permission or a GrantScope")
    if target is None:
        return True
    try:
        scope = GrantScope.parse(grant.scope)
    except MalformedScope as error:
        raise _malformed(step, label, f"a malformed GrantScope: {error}") from None
    return scope.covers(target) or target.covers(scope)


def _malformed(step: ListGrants, label: str, what: str) -> MalformedAnswer:
    asked = f"s3:{OPERATION} in {step.region} for {_name(step)}, asked as {label},"
    return MalformedAnswer(f"{asked} answered with {what}; {WHO_ANSWERS}")
