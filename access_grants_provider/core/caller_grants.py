"""The grants the caller has, page by page.

Generators of the same kind as in :mod:`.resolver`, and one function that drives them, so that whoever iterates sees
each page as it comes. Rests on
https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListCallerAccessGrants.html.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..exceptions import NoInstance, PermissionMissing
from .caller_state import CallerState
from .control_calls import CallBudget, control_call
from .discovery import Discovery
from .flow_context import FlowContext
from .get_data_access import searches_shared_instances
from .io_requests import CallerGrant, GrantPage, GrantRequest, ListGrants, Step
from .scopes import GrantScope, MalformedScope, Target
from .service_errors import Denial, Purpose, denial_kind

__all__ = ["caller_grants"]

OPERATION = "ListCallerAccessGrants"

First = tuple[ListGrants, GrantPage]
Run = Callable[[Generator[Step, Any, Any]], Any]


def caller_grants(
    run: Run, state: CallerState, target: Target | None, region: str, context: FlowContext
) -> Iterator[CallerGrant]:
    """Yield the grants of the caller that ``state`` belongs to; with a target, those that share a key with it.

    ``run`` performs a generator's steps and returns what it returns; ``region`` is where to ask first. Without a target
    a scope of a form that is not known here is one of the list; with one nobody can tell, and :class:`MalformedAnswer`
    is raised rather than a list that may lack it.
    """
    listing = _Listing(state, target, region, context)
    call, page = run(listing.first_page())
    while True:
        for grant in page.grants:
            if listing.concerns(grant, call):
                yield grant
        if page.token is None:
            return
        if page.token == call.token:
            raise listing.purpose(call).malformed("the token of the same page again")
        call = call._replace(token=page.token)
        page = run(listing.page(call))


class _Listing:
    """One listing: of all the caller's grants, or of those that touch ``target``. Each page has its own time."""

    def __init__(self, state: CallerState, target: Target | None, region: str, context: FlowContext) -> None:
        self._state = state
        self._target = target
        self._region = region
        self._context = context

    def first_page(self) -> Generator[Step, Any, First]:
        """Find the instance to ask as the vends do, the caller's own and those shared with it before another's."""
        configured = self._context.config.account_id
        everything = GrantScope("", "", True) if self._target is None else self._target
        request = GrantRequest(OPERATION, "READ", everything, self._region)
        discovery = Discovery(self._state, request, self._context, CallBudget(self._context))
        if self._target is None:
            account_id = configured or (yield from discovery.caller_account(self._region, may_guess=False))
            return (yield from self._begin(account_id, self._region, ""))
        name, bucket = self._target.bucket, self._state.bucket(self._target.bucket)
        if bucket.region is None:
            yield from discovery.bucket_region(self._region)
        region = bucket.region or self._region
        if configured is not None:
            return (yield from self._begin(configured, region, name))
        own = yield from discovery.caller_account(region, may_guess=False)
        first: First | NoInstance
        try:
            first = yield from self._begin(own, region, name)
        except NoInstance as error:
            first = error
        if not isinstance(first, NoInstance) and first[1].grants:
            return first
        owner = bucket.owner(region, self._context.clock.monotonic())
        if owner is None:
            looked_up = yield from discovery.instance_owner(region)
            owner = None if isinstance(looked_up, Denial) else looked_up
        if owner is not None and owner.account_id is not None and owner.account_id != own:
            return (yield from self._begin(owner.account_id, region, name))
        if isinstance(first, NoInstance):
            raise first
        return first

    def page(self, call: ListGrants) -> Generator[Step, Any, GrantPage]:
        """Ask for a page, and say of an error whose it is."""
        try:
            page: GrantPage = yield from control_call(call, self._context, CallBudget(self._context))
        except (ClientError, BotoCoreError) as error:
            kind = denial_kind(error)
            if kind is None:
                raise self.purpose(call).failure(error) from error
            facts = {"account_id": call.account_id, "region": call.region, "caller": self._state.masked_key}
            where = f"account {call.account_id} in {call.region}"
            if kind == "no instance":
                raise NoInstance(
                    f"There is no S3 Access Grants instance of {where} to list the grants of {_name(call)}",
                    operation=OPERATION,
                    hint="Set account_id if the instance is another account's, or ask in the region it is in",
                    **facts,
                ) from error
            raise PermissionMissing(
                f"The caller ({self._state.described}) may not list its grants of {where}",
                operation=OPERATION,
                hint=f"Allow s3:{OPERATION} on that instance in the caller's IAM policies",
                **facts,
            ) from error
        return page

    def concerns(self, grant: CallerGrant, call: ListGrants) -> bool:
        """Tell whether a grant has a key in common with the target: then one of the two holds the other."""
        if not grant.permission or not grant.scope:
            raise self.purpose(call).malformed("a grant without a Permission or a GrantScope")
        if self._target is None:
            return True
        try:
            scope = GrantScope.parse(grant.scope)
        except MalformedScope as error:
            raise self.purpose(call).malformed(f"a malformed GrantScope: {error}") from None
        return scope.covers(self._target) or self._target.covers(scope)

    def purpose(self, call: ListGrants) -> Purpose:
        """Return what a page is asked for, as errors say it."""
        return Purpose(
            f"s3:{OPERATION}",
            call.region,
            f"for {_name(call)}",
            self._state.masked_key,
            operation=OPERATION,
            described=self._state.described,
        )

    def _begin(self, account_id: str, region: str, bucket: str) -> Generator[Step, Any, First]:
        shared = searches_shared_instances(account_id, self._state, self._context)
        call = ListGrants(account_id, region, bucket, shared)
        return call, (yield from self.page(call))


def _name(call: ListGrants) -> str:
    return f"bucket {call.bucket!r}" if call.bucket else "all buckets"
