"""Where a request is granted: in which region, by whose instance, and what the caller may have there.

The order of the calls for one request, each left out where its answer is known:

1. STS GetCallerIdentity, for the caller's account (where STS has told it of the same access key id before: only after
   a "no");
2. GetDataAccess of the bucket owner's instance if that is known, else of the caller's own (with ``InstanceScope=ALL``,
   of those shared with the caller too);
3. after a "no": HeadBucket, for the bucket's region, and 2. again if it is another;
4. GetAccessGrantsInstanceForPrefix, and GetDataAccess of the owner it names;
5. ListCallerAccessGrants of each instance that said "no grant", so that the next keys need no call.

Nobody outside AWS knows whether 4. answers by the bucket's account and region, or only where a location holds the very
prefix. An owner that it names is the bucket's under both readings, so that is remembered. That it names none is
remembered for the target alone.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .caller_state import (
    DENIAL_SECONDS,
    INSTANCE_SECONDS,
    LIST_SECONDS,
    REGION_RETRY_SECONDS,
    REGION_SECONDS,
    CallerState,
    Owner,
)
from .control_calls import CallBudget, control_call, wait_for
from .flow_context import FlowContext
from .get_data_access import (
    Vended,
    account_in,
    get_data_access,
    is_account,
    purpose_of,
    searches_shared_instances,
)
from .io_requests import NO_BUCKET, BucketRegion, CallerAccount, FindInstance, GrantPage, GrantRequest, ListGrants, Step
from .listed_grants import ListedGrants
from .scopes import PERMISSIONS, GrantScope, MalformedScope, Permission
from .service_errors import Denial, DenialKind, Purpose, denial_kind

__all__ = ["Discovery", "known_denial"]

# 1,000 grants a page. For a caller with more grants in one bucket, each key is asked for on its own.
MAX_PAGES = 10
# Of two denials the one that tells more about what to do.
TELLING: dict[DenialKind, int] = {"no instance": 0, "no grant": 1, "permission missing": 2}

LOOK_UP = "s3:GetAccessGrantsInstanceForPrefix"
NO_LOCATION = "No S3 Access Grants instance in {region} is responsible for {target!r}"


def known_denial(state: CallerState, request: GrantRequest, context: FlowContext) -> Denial | None:
    """Return the denial that a request would meet, if that is known without a call.

    It is ``provisional`` where GetAccessGrantsInstanceForPrefix might still name an instance for this very target.
    """
    permission, target, now = request.permission, request.target, context.clock.monotonic()
    exact = state.denials.find(permission, target, now)
    if exact is not None:
        return exact
    bucket = state.bucket(target.bucket)
    region = bucket.region or request.region
    configured = context.config.account_id
    if now >= bucket.region_until:
        return None
    owner = bucket.owner(region, now)
    denial: Denial | None = None
    for account_id in [configured] if configured is not None else _accounts(state, owner):
        if account_id is None:
            return None
        said = state.instance_denial(account_id, region, permission, target, now)
        if said is None:
            return None
        denial = _more_telling(denial, said)
    if denial is None or configured is not None or owner is not None:
        return denial
    return denial._replace(provisional=True)


def _accounts(state: CallerState, owner: Owner | None) -> list[str | None]:
    """Return the accounts whose instances are asked, in order; None for the caller's own while that is not certain."""
    own = None if state.account_is_guessed else state.account_id
    if owner is None or owner.account_id is None or owner.account_id == state.account_id:
        return [own]
    return [owner.account_id, own]


def _more_telling(earlier: Denial | None, later: Denial) -> Denial:
    if earlier is None or TELLING.get(later.kind, 0) >= TELLING.get(earlier.kind, 0):
        return later
    return earlier


class Discovery:
    """The search for one request's credentials, for one caller.

    The methods that need the outside are generators, which yield :data:`~.io_requests.Step` and are sent the replies.
    """

    def __init__(self, state: CallerState, request: GrantRequest, context: FlowContext, budget: CallBudget) -> None:
        self._state = state
        self._request = request
        self._context = context
        self._budget = budget
        self._bucket = state.bucket(request.target.bucket)

    def search(self) -> Vended:
        """Return credentials, or the denial of all who could give them. Nothing of it is kept here."""
        region = self._bucket.region or self._request.region
        # Before it is asked: another request may have the guess confirmed, or replaced, meanwhile.
        guess = self._state.account_id if self._state.account_is_guessed else None
        found = yield from self._ask_known(region)
        if isinstance(found, Denial) and guess is not None:
            found = yield from self._ask_confirmed(region, guess, found)
        if isinstance(found, Denial) and self._now() >= self._bucket.region_until:
            actual = yield from self.bucket_region(region)
            if actual == NO_BUCKET:
                missing = f"There is no bucket {self._request.target.bucket!r}"
                return Denial("no bucket", missing, self._now() + REGION_RETRY_SECONDS, None, region)
            if actual is None:
                name = self._request.target.bucket
                unknown = f"whether bucket {name!r} is in another region could not be found out"
                found = found._replace(reason=f"{found.reason} ({unknown})")
            elif actual != region:
                region = actual
                found = yield from self._ask_known(region)
        if isinstance(found, Denial):
            found = yield from self._ask_owner(region, found)
        if isinstance(found, Denial) and found.kind == "no grant":
            yield from self._list_grants(region)
            found = found._replace(lists=self._bucket.current_lists(self._now()))
        return found

    def _now(self) -> float:
        return self._context.clock.monotonic()

    def _ask_known(self, region: str) -> Vended:
        """Ask the configured instance, else the bucket owner's if that is known, and the caller's own."""
        configured = self._context.config.account_id
        if configured is not None:
            return (yield from self._ask(configured, region))
        own = yield from self.caller_account(region)
        owner = self._bucket.owner(region, self._now())
        first, *others = _accounts(self._state, owner)
        found = yield from self._ask(first or own, region)
        for account_id in others:
            if not isinstance(found, Denial):
                return found
            later = yield from self._ask(account_id or own, region)
            found = _more_telling(found, later) if isinstance(later, Denial) else later
        return found

    def _ask_confirmed(self, region: str, guess: str, denial: Denial) -> Vended:
        """Before a "no" of a guessed account counts, have STS tell the account, and ask again if it is another."""
        if (yield from self.caller_account(region, may_guess=False)) == guess:
            return denial
        return (yield from self._ask_known(region))

    def _ask(self, account_id: str, region: str) -> Vended:
        """Ask one instance, unless it is known what it would say."""
        request = self._request
        known = self._state.instance_denial(account_id, region, request.permission, request.target, self._now())
        if known is not None:
            return known
        found = yield from get_data_access(account_id, region, self._state, request, self._context, self._budget)
        if isinstance(found, Denial) and found.kind == "no instance":
            # It may have moved: what is remembered of the owner is worth nothing now.
            owner = self._bucket.owners.get(region)
            if owner is not None and owner.account_id == account_id:
                self._bucket.owners.pop(region, None)
        return found

    def _ask_owner(self, region: str, denial: Denial) -> Vended:
        """After a "no" of the instances that are known, look up the one that is responsible for the target."""
        if self._context.config.account_id is not None or self._bucket.owner(region, self._now()) is not None:
            return denial
        owner = yield from self.instance_owner(region)
        if isinstance(owner, Denial):
            return _more_telling(denial, owner)
        if owner.account_id is None:
            unknown = f"another account may have one, but the caller may not call {LOOK_UP} to find out"
            return denial._replace(reason=f"{denial.reason} ({unknown})") if denial.kind == "no instance" else denial
        if owner.account_id == self._state.account_id:
            return denial
        found = yield from self._ask(owner.account_id, region)
        return _more_telling(denial, found) if isinstance(found, Denial) else found

    def caller_account(self, region: str, may_guess: bool = True) -> Generator[Step, Any, str]:
        """Return the caller's account. Requests that wait share one call; one whose wait has ended makes its own.

        ``may_guess``: whether an account that is only guessed will do.
        """
        state, key = self._state, (self._context.event_loop, "account")
        if state.account_id is not None and (may_guess or not state.account_is_guessed):
            return state.account_id
        with state.calls.own_call() as mine:
            call = state.calls.join_or_start(key, mine) if self._context.may_wait else mine
            if call is not mine:
                yield from wait_for(call, self._context, self._budget)
                if call.failure is not None:
                    request = self._request
                    raise call.failure.again(
                        "another request waited for the same call",
                        operation=request.operation,
                        target=str(request.target),
                        permission=request.permission,
                    )
            if state.account_id is None or state.account_is_guessed:
                self._budget.owned.append(mine)
                try:
                    state.account_id = yield from self._get_caller_identity(region)
                    state.account_is_guessed = False
                finally:
                    self._budget.owned.remove(mine)
        return state.account_id

    def _get_caller_identity(self, region: str) -> Generator[Step, Any, str]:
        purpose = self._purpose("sts:GetCallerIdentity", region)
        try:
            answer = yield from control_call(CallerAccount(region), self._context, self._budget)
        except (ClientError, BotoCoreError) as error:
            raise purpose.failure(error) from error
        if not is_account(answer):
            raise purpose.malformed(f"the account {answer!r}")
        return str(answer)

    def bucket_region(self, region: str) -> Generator[Step, Any, str | None]:
        """Find the bucket's region by HeadBucket, and remember it.

        ``NO_BUCKET``: there is none. None: the call failed, and the denial stands.
        """
        name = self._request.target.bucket
        actual: str | None = None
        try:
            actual = yield from control_call(BucketRegion(name, region), self._context, self._budget)
        except (ClientError, BotoCoreError) as error:
            self._context.log.note(logging.DEBUG, "the region of bucket %r could not be found out: %s", name, error)
            seconds = REGION_RETRY_SECONDS
        else:
            seconds = REGION_SECONDS
            if actual == NO_BUCKET:
                # Not remembered: the bucket may be created at any moment.
                return NO_BUCKET
        self._bucket.region_until = self._now() + seconds
        if actual is not None:
            self._bucket.region = actual
        return actual

    def instance_owner(self, region: str) -> Generator[Step, Any, Owner | Denial]:
        """Look up whose instance is responsible for the target; a denial where none is."""
        own = yield from self.caller_account(region)
        target = self._request.target
        purpose = self._purpose(LOOK_UP, region)
        until = self._now() + INSTANCE_SECONDS
        try:
            arn = yield from control_call(FindInstance(own, region, target), self._context, self._budget)
        except (ClientError, BotoCoreError) as error:
            kind = denial_kind(error)
            if kind is None:
                raise purpose.failure(error) from error
            if kind == "no instance":
                reason = NO_LOCATION.format(region=region, target=str(target))
                return Denial("no instance", reason, self._now() + DENIAL_SECONDS, None, region)
            masked = self._state.masked_key
            self._context.log.note(logging.DEBUG, "%s may not call %s of account %s", masked, LOOK_UP, own)
            owner = Owner(None, until)
        else:
            account_id = account_in(arn)
            if account_id is None:
                raise purpose.malformed(f"the ARN {arn!r}")
            owner = Owner(account_id, until)
        self._bucket.owners[region] = owner
        return owner

    def _list_grants(self, region: str) -> Generator[Step, Any, None]:
        """List what the caller has of each instance that was asked, where that is not known.

        A list that spares calls: where the caller may not list, or the list can't be read, each key is asked for.
        """
        configured = self._context.config.account_id
        owner = self._bucket.owner(region, self._now())
        for account_id in [configured] if configured is not None else _accounts(self._state, owner):
            refused = self._state.instance_denials.get((account_id or "", region))
            if account_id is None or (refused is not None and self._now() < refused.until):
                continue
            listed = self._bucket.listed.get((account_id, region))
            if listed is None or self._now() >= listed.until:
                grants = yield from self._grants_of(account_id, region)
                self._bucket.listed[account_id, region] = ListedGrants(grants, self._now() + LIST_SECONDS)

    def _grants_of(
        self, account_id: str, region: str
    ) -> Generator[Step, Any, tuple[tuple[Permission, GrantScope], ...] | None]:
        bucket = self._request.target.bucket
        shared = searches_shared_instances(account_id, self._state, self._context)
        call = ListGrants(account_id, region, bucket, shared)
        grants: list[tuple[Permission, GrantScope]] = []
        try:
            for _ in range(MAX_PAGES):
                page: GrantPage = yield from control_call(call, self._context, self._budget, is_needed=False)
                grants += [(permission, GrantScope.parse(scope)) for permission, scope, *_ in page.grants]
                if page.token is None:
                    if all(permission in PERMISSIONS for permission, _ in grants):
                        return tuple(grant for grant in grants if grant[1].bucket == bucket)
                    return None
                call = call._replace(token=page.token)
        except (ClientError, BotoCoreError, MalformedScope) as error:
            self._context.log.note(
                logging.DEBUG, "the caller's grants in bucket %r could not be listed: %s", bucket, error
            )
        return None

    def _purpose(self, action: str, region: str) -> Purpose:
        return purpose_of(self._request, action, region, self._state)
