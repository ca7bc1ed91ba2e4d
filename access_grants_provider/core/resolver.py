"""The order of decisions for one request, written once.

==================================================  ====================  ====================  ====================
what is known, in the order it is looked at         ``denied``            ``always``            ``never``
==================================================  ====================  ====================  ====================
 1 fresh credentials whose scope covers the target  grant                 grant                 grant
 2 the same in their advisory window, while         grant                 grant                 grant
   another request renews them
 3 a denial remembered of the target                caller                caller                raise
 4 a denial that follows from what is known of      caller; if S3         caller; if S3         go on with 6
   the bucket and the caller's list of grants       answers 403: 6        answers 403: 6
   (6 at once for what can't be sent again)
 5 an outage remembered of the region               go on with 6          caller                go on with 6
 6 a call under way that may serve the request      wait, then from 1     wait, then from 1     wait, then from 1
 7 what another process was vended (cache="disk")   grant                 grant                 grant
 8 the answers of S3 Access Grants                  see below             see below             see below
==================================================  ====================  ====================  ====================

============================================================  =================  =================  ================
what S3 Access Grants answers                                 ``denied``         ``always``         ``never``
============================================================  =================  =================  ================
credentials                                                   grant              grant              grant
no grant; no instance for the bucket; no single grant can     caller             caller             raise
cover the request; the caller may not call GetDataAccess
no answer, a failure, nonsense, the caller's own              raise              caller             raise
credentials not accepted
any of these while credentials at hand are still usable       those              those              those
(before their mandatory window)
============================================================  =================  =================  ================

"grant": the request is signed with the grant's credentials; "caller": with the caller's own.

The methods that need the outside are generators. Each yields what it needs (a :data:`~.io_requests.Step`), is sent the
answer, and returns what was decided. The drivers in ``sdk/`` perform the steps, with threads or with tasks; nothing
here blocks, and no secret passes through but as opaque ``credentials``.
"""

import logging
from collections.abc import Generator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from ..exceptions import AccessDenied, ServiceFailure
from .caller_state import CallerState, HeldGrant
from .circuit_breaker import CircuitBreaker
from .clock import Clock
from .config import AccessGrantsConfig
from .control_calls import CallBudget, wait_for
from .credential_cache import StoredCredentials
from .cross_process import load_shared
from .discovery import Discovery, known_denial
from .flow_context import FlowContext
from .folder_depth import call_key, learn_folder_depth, single_key
from .get_data_access import Vended
from .io_requests import DeleteShared, GrantRequest, Step, StoreShared
from .operations import RequiredAccess
from .scopes import Permission, Target, permits
from .service_errors import Denial, concerns_all, denied
from .single_flight import CallKey, InFlightCall

if TYPE_CHECKING:
    from .decision import Decision, Outcome, Source

__all__ = ["Resolution", "Resolver", "decision_of", "facts_of", "refused", "remembered_denial"]

FAILED_ADVICE = "The request may be granted again once S3 Access Grants answers"
# How often a call of somebody else's is waited for before the request is resolved by a call of its own.
MAX_WAITS = 2

Found = tuple[StoredCredentials | Denial, "Source"]


class Resolution(NamedTuple):
    """What was decided: granted with ``stored``, or not, for a ``reason``.

    ``error`` is what to raise if denied, ``grant`` what a probe is answered from.
    """

    outcome: "Outcome"
    stored: StoredCredentials | None = None
    source: "Source | None" = None
    reason: str | None = None
    denial: Denial | None = None
    error: AccessDenied | None = None
    grant: HeldGrant | None = None

    @property
    def advice(self) -> str | None:
        """What to do about it, for people."""
        if self.denial is not None:
            return self.denial.hint
        return FAILED_ADVICE if self.outcome == "fallback" else None


def refused(denial: Denial, operation: str, raises: bool, **facts: str | None) -> Resolution:
    """Turn a denial into own credentials or, where the options say so, into an error."""
    return Resolution(
        "denied" if raises else "fallback",
        reason=denial.reason,
        denial=denial,
        error=denied(denial, operation, **facts) if raises else None,
    )


def facts_of(state: CallerState, permission: Permission, target: Target) -> dict[str, str | None]:
    """Return what an error on a request says of it."""
    return {"target": str(target), "permission": permission, "caller": state.masked_key}


def remembered_denial(
    state: CallerState, operation: str, permission: Permission, target: Target, config: AccessGrantsConfig, clock: Clock
) -> Resolution | None:
    """Return the decision on a target whose denial is remembered; None where :class:`Resolver` has to look.

    That is row 3 of the table, looked at before anything is made that a decision with calls needs. Credentials that
    are held for the target, stale ones too, come first.
    """
    now = clock.monotonic()
    denial = state.denials.find(permission, target, now)
    if denial is None or denial.provisional or state.credentials.find(permission, target, clock.wall()) is not None:
        return None
    state.used_at = now
    facts = facts_of(state, permission, target) if config.raises_on_denial else {}
    return refused(denial, operation, config.raises_on_denial, **facts)


def decision_of(operation: str, access: RequiredAccess, region: str | None, resolution: Resolution) -> "Decision":
    """Put what is known of a resolution into the record for the user."""
    # On demand: most programs look at no decision, and the record takes a millisecond to import.
    from .decision import Decision

    stored = resolution.stored
    grant = stored or resolution.grant
    about = grant or resolution.denial
    return Decision(
        operation=operation,
        permission=access.permission,
        target=None if access.target is None else str(access.target),
        outcome=resolution.outcome,
        scope=None if grant is None else str(grant.scope),
        source=resolution.source,
        reason=resolution.reason,
        hint=resolution.advice,
        account_id=None if about is None else about.account_id,
        region=(about.region if about is not None else None) or region,
        expiration=None if stored is None else datetime.fromtimestamp(stored.expires_at, timezone.utc),
    )


class Resolver:
    """Resolves one request of one caller.

    ``exact``: conclude nothing about the target from what is known of its bucket (row 4 of the table). ``is_patient``:
    whether to wait longer than ``timeout_seconds`` where the service limits its rate.
    """

    def __init__(
        self,
        state: CallerState,
        request: GrantRequest,
        context: FlowContext,
        exact: bool = False,
        is_patient: bool = True,
    ) -> None:
        self._state = state
        self._request = request
        self._context = context
        self._exact = exact or context.config.raises_on_denial
        # Set where a failure is as good as an answer: who needs credentials asks also during an outage.
        self._may_go_without = False
        self._is_patient = is_patient
        self._budget = CallBudget(context, is_patient=is_patient)
        self._unhelpful: set[CallKey] = set()
        state.used_at = context.clock.monotonic()

    def decide(self) -> Generator[Step, Any, Resolution]:
        """Decide how the request is signed. Raises :class:`ServiceFailure` where the options say so."""
        config, request = self._context.config, self._request
        self._may_go_without = config.continues_on_failure
        self._budget = CallBudget(self._context, is_patient=self._is_patient and not self._may_go_without)
        try:
            found, source = yield from self.find()
        except ServiceFailure as failure:
            if not config.continues_on_failure:
                raise
            return Resolution("fallback", reason=failure.message)
        if isinstance(found, Denial):
            return refused(found, request.operation, config.raises_on_denial, **self._facts())
        return Resolution("granted", found, source)

    def find(self) -> Generator[Step, Any, Found]:
        """Return credentials or a denial: take what is remembered, wait for a call under way, or call.

        Raises :class:`ServiceFailure`.
        """
        waits = 0
        overdue: InFlightCall | None = None
        while True:
            held = self._held()
            key = call_key(self._state, self._request, held, self._unhelpful, self._context)
            remembered = self._remembered(held, key, None)
            if remembered is not None:
                return remembered
            with self._state.calls.own_call() as mine:
                alone = not self._context.may_wait or waits >= MAX_WAITS
                call = mine if alone else self._state.calls.join_or_start(key, mine, overdue)
                if call is mine:
                    # The call before this one may have ended just after the look above.
                    held = self._held()
                    remembered = self._remembered(held, key, mine)
                    if remembered is not None:
                        return remembered
                    return (yield from self._lead(mine, held))
            if (yield from wait_for(call, self._context, self._budget)):
                self._take_outcome(call, key)
            else:
                waits, overdue = waits + 1, call

    def nearer_grant(self, used: StoredCredentials) -> Generator[Step, Any, bool]:
        """After a 403 under ``used``, credentials of a wider scope, see whether the target has a nearer grant.

        A nested location may map to another role. True means that another grant matched and is in the cache now.
        A failure to find out is no reason to hide S3's own 403: it is logged, and the answer is False.
        """
        request, state = self._request, self._state
        if used.scope == request.target or self._context.config.privilege == "Minimal":
            return False
        key: CallKey = (self._context.event_loop, "nearer", request.permission, request.target)
        while True:
            held = self._held()
            if held is not None and held.scope != used.scope and self._is_usable(held):
                return True
            with state.calls.own_call() as mine:
                under_way = state.calls.under_way(key) if self._context.may_wait else None
                if under_way is None:
                    now = self._context.clock.monotonic()
                    if not state.take_recheck(request.permission, used.scope, request.target, now):
                        return False
                    state.calls.join_or_start(key, mine)
                    return (yield from self._search_nearer(used))
            if not (yield from wait_for(under_way, self._context, self._budget)):
                return False

    def withdraw(self, stored: StoredCredentials) -> Generator[Step, Any, None]:
        """After S3 has refused credentials as such, drop them from memory and, under ``cache="disk"``, from disk."""
        self._state.credentials.drop(stored)
        if self._context.config.cache == "disk":
            yield DeleteShared(stored)

    def _facts(self) -> dict[str, str | None]:
        return facts_of(self._state, self._request.permission, self._request.target)

    def _held(self) -> StoredCredentials | None:
        return self._state.credentials.find(self._request.permission, self._request.target, self._context.clock.wall())

    def _is_usable(self, held: StoredCredentials | None) -> bool:
        now = self._context.clock.wall()
        if held is None or now >= held.mandatory_refresh_at:
            return False
        return held.is_valid_for(self._request.min_lifetime, now)

    def _remembered(self, held: StoredCredentials | None, key: CallKey, mine: InFlightCall | None) -> Found | None:
        """Return what rows 1 to 5 say; None where a call is needed. ``mine``: this request's own call, if any."""
        now, usable = self._context.clock.monotonic(), self._is_usable(held)
        if held is not None and usable:
            under_way = self._state.calls.under_way(key)
            renewed_by_another = (under_way is not None and under_way is not mine) or not self._context.may_wait
            if self._context.clock.wall() < held.advisory_refresh_at or renewed_by_another:
                held.used_at = self._context.clock.wall()
                return held, "cache"
        else:
            denial = known_denial(self._state, self._request, self._context)
            if denial is not None and not (denial.provisional and self._exact):
                return denial, "cache"
        if self._may_go_without:
            failure = self._breaker().open_failure(now)
            if failure is not None:
                if held is not None and usable:
                    return held, "cache"
                raise failure
        return None

    def _breaker(self) -> CircuitBreaker:
        """Return the breaker of where the request asks first: an outage of one region says nothing of another."""
        bucket = self._state.bucket(self._request.target.bucket)
        return self._state.breaker(bucket.region or self._request.region)

    def _take_outcome(self, call: InFlightCall, key: CallKey) -> None:
        """Take what another request's call has brought: its failure, or a reason not to wait for its like again."""
        failure = call.failure
        if failure is not None and (key == single_key(self._request, self._context) or concerns_all(failure)):
            facts = {"operation": self._request.operation, **self._facts()}
            raise failure.again(f"{self._request.operation} on {str(self._request.target)!r} waited for it", **facts)
        if call.answered or failure is not None:
            self._unhelpful.add(key)

    def _lead(self, mine: InFlightCall, held: StoredCredentials | None) -> Generator[Step, Any, Found]:
        """Make the call that others wait for. What is still usable after a call that brings nothing stays in use."""
        self._budget.owned.append(mine)
        breaker = self._breaker()
        breaker.begin_probe(self._context.clock.monotonic())
        try:
            found = yield from self._vend(held)
        except ServiceFailure as failure:
            mine.failure = failure
            if self._context.config.continues_on_failure and concerns_all(failure):
                breaker.record_failure(failure, self._context.clock.monotonic())
            if held is None or not self._is_usable(held):
                raise
            return self._keep(held, failure.message), "cache"
        mine.answered = True
        if isinstance(found, Denial):
            breaker.record_success()
            if held is not None and self._is_usable(held):
                return self._keep(held, found.reason), "cache"
            return found, "vended"
        if found.from_other_process:
            return found, "cache"
        breaker.record_success()
        return found, "vended"

    def _vend(self, stale: StoredCredentials | None) -> Vended:
        """Get what the request needs, and remember the answer: credentials or a denial.

        ``stale`` are the credentials they are to replace, if any. Raises :class:`ServiceFailure`; then nothing is kept.
        """
        state, request, context = self._state, self._request, self._context
        if context.config.cache == "disk":
            loaded = yield from load_shared(state, request, context, stale)
            if loaded is not None:
                return loaded
        try:
            found = yield from Discovery(state, request, context, self._budget).search()
        except ServiceFailure as failure:
            # Another process's credentials in their advisory window, which a renewal was to replace.
            loaded = self._held()
            if stale is not None or loaded is None or not self._is_usable(loaded):
                raise
            return self._keep(loaded, failure.message)
        if isinstance(found, Denial):
            state.denials.add(request.permission, request.target, found)
            return found
        if found.from_other_process:
            # It is in memory and on disk already.
            return found
        state.credentials.add(found)
        learn_folder_depth(state, request.permission, found.scope, context)
        if stale is not None and self._replaces(found, stale):
            state.credentials.drop(stale)
        context.log.note(
            logging.INFO, "%s was vended %s on %r for %s", state.masked_key, found.permission, str(found.scope),
            request.operation,
        )  # fmt: skip
        if context.config.cache == "disk":
            yield StoreShared(found)
        return found

    def _replaces(self, found: StoredCredentials, stale: StoredCredentials) -> bool:
        """Tell whether an old record must go: it has ended, or would be found before a grant that does all it did."""
        serves_all = found.scope.covers(stale.scope) and permits(found.permission, stale.permission)
        past = self._context.clock.wall() >= stale.mandatory_refresh_at
        return past or (serves_all and found.scope != stale.scope)

    def _keep(self, held: StoredCredentials, why: str) -> StoredCredentials:
        """Go on with credentials that could not be renewed, and try again after half of the rest of their window."""
        now = self._context.clock.wall()
        held.advisory_refresh_at = now + max(0.0, held.mandatory_refresh_at - now) / 2
        until = datetime.fromtimestamp(held.mandatory_refresh_at, timezone.utc).isoformat(timespec="seconds")
        text = "the credentials of %r were not renewed and stay in use until %s: %s"
        self._context.log.note(logging.WARNING, text, str(held.scope), until, why)
        return held

    def _search_nearer(self, used: StoredCredentials) -> Generator[Step, Any, bool]:
        try:
            found = yield from self._vend(used)
            if isinstance(found, StoredCredentials) and found.from_other_process and found.scope == used.scope:
                # Another process has merely renewed what S3 has refused; no call has asked for a nearer grant.
                found = yield from self._vend(found)
        except ServiceFailure as failure:
            text = "S3 refused %s under the grant %r, and a nearer grant could not be looked for: %s"
            self._context.log.note(logging.WARNING, text, self._request.operation, str(used.scope), failure)
            return False
        return isinstance(found, StoredCredentials) and found.scope != used.scope
