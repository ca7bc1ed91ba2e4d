"""The handle that ``register()`` returns: one set of options, what it remembers, and the clients it covers."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .cache import Vended
from .clients import InternalClients
from .config import AccessGrantsConfig
from .decision import Decision, Stats
from .exceptions import ConfigurationError
from .flow import Verdict
from .forks import leaf_lock
from .memory import Store
from .operations import Access
from .scopes import PERMISSIONS, SCHEME, GrantScope, MalformedScope, Permission, Target
from .steps import Rules

if TYPE_CHECKING:
    from .hook import ClientHook

__all__ = ["AccessGrantsProvider", "VendedCredentials"]

logger = logging.getLogger(__name__)

# After so many buckets the warnings start over; the set must not grow for ever.
MAX_WARNED = 10_000


@dataclass(frozen=True)
class VendedCredentials:
    """Frozen credentials of a grant: ``expiration`` is an aware UTC time, ``scope`` the grant's ``s3://`` URI."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expiration: datetime
    scope: str
    permission: Permission

    @classmethod
    def of(cls, vended: Vended) -> VendedCredentials:
        """Freeze what the cache holds."""
        signer, expiration = vended.signer, _utc(vended.expires_at)
        return cls(signer.access_key, signer.secret_key, signer.token, expiration, str(vended.scope), vended.permission)


class AccessGrantsProvider:
    """S3 Access Grants for the clients of one session, or for one client. Made by ``register()``; safe for threads."""

    def __init__(
        self,
        config: AccessGrantsConfig,
        *,
        profile: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._profile = profile
        self._clock = clock
        self._lock = leaf_lock()
        self._hooks: weakref.WeakSet[ClientHook] = weakref.WeakSet()
        self._loader: object = None
        self.closed = False
        self._make_client: Callable[[], object] | None = None
        self._own_client: object = None
        self._undo: list[Callable[[], object]] = []
        self._counts = dict.fromkeys((one.name for one in fields(Stats)), 0)
        self.configure(config)

    def configure(self, config: AccessGrantsConfig) -> None:
        """Go on with other options. What was remembered under the old ones is forgotten."""
        self.config = config
        self.clients = InternalClients(self._profile, lambda: self._loader)
        self.rules = Rules(config, self._clock, self.clients.knows)
        self.clear()

    def clear(self) -> None:
        """Forget all credentials and refusals, of all requesters: what to call after a grant was given or taken.

        Credentials that S3 Access Grants has vended can't be revoked; elsewhere they work until they expire.
        """
        # A call that is under way now ends in the old store, where no later request looks.
        self.store = Store(self.config.privilege)
        self._warned: set[tuple[str, str]] = set()

    def unregister(self) -> None:
        """Take the provider off its session and off every client it covers, those already made included."""
        with self._lock:
            undo, self._undo = self._undo, []
            hooks, self._hooks = list(self._hooks), weakref.WeakSet()
            self._make_client = self._own_client = None
            self.closed = True
        for step in undo:
            step()
        for hook in hooks:
            hook.detach()
        self.clients.close()
        self.clear()

    def explain(self, operation: str, **params: Any) -> Decision:
        """Say how a request would be signed, without making it.

        ``operation`` is ``"get_object"`` or ``"GetObject"``; ``params`` are its parameters, as many as decide its
        target. Access Grants is asked, and what it answers remembered, as for the request itself; before a refusal that
        includes the look-up of the bucket's region by HeadBucket. Outcome ``"denied"``
        stands for the error the request would raise. Raises :class:`ConfigurationError` for an unknown operation or
        a missing parameter and :class:`ServiceFailure` as the request would.
        """
        return self._hook().explain(operation, params)

    def credentials(self, target: str, permission: Permission = "READ") -> VendedCredentials:
        """Return credentials for a target, vended or remembered, for tools that botocore's events don't reach.

        ``target`` is an ``s3://`` URI: ``s3://b/key``, a prefix ``s3://b/p/`` or ``s3://b/p*``, or the bucket ``s3://b``.
        Raises :class:`AccessDenied` where no grant covers it, whatever ``fallback`` says, :class:`ServiceFailure` where
        Access Grants fails, and :class:`ConfigurationError` for anything else than such a URI and permission.
        """
        if permission not in PERMISSIONS:
            raise ConfigurationError(f"permission={permission!r} is not allowed; it must be one of {PERMISSIONS}")
        return self._hook().credentials(_target_of(target), permission)

    def stats(self) -> Stats:
        """Return the counts since registration, as of now."""
        with self._lock:
            counts = dict(self._counts)
        # A cache hit is counted once on its way, and is a granted request too.
        counts["granted"] += counts["cache_hits"]
        return Stats(**counts)

    def count(self, name: str) -> None:
        """Add one to a field of :class:`Stats`; granted requests as ``cache_hits`` where they are."""
        with self._lock:
            self._counts[name] += 1

    def reports(self) -> bool:
        """Tell whether anybody wants to know of each decision."""
        return self.config.on_decision is not None or logger.isEnabledFor(logging.DEBUG)

    def report(
        self, operation: str, access: Access, region: str | None, verdict: Verdict, bucket: str = "", label: str = ""
    ) -> None:
        """Tell whoever wants to know of a decision: the log, and ``on_decision``, whose errors are not caught."""
        if verdict.outcome == "fallback":
            self._warn(bucket, verdict, label)
        if not self.reports():
            return
        decision = decision_of(operation, access, region, verdict)
        logger.debug("%s", decision)
        if self.config.on_decision is not None:
            self.config.on_decision(decision)

    def _warn(self, bucket: str, verdict: Verdict, label: str) -> None:
        kind = verdict.denial.kind if verdict.denial is not None else "failure"
        with self._lock:
            if (bucket, kind) in self._warned:
                return
            if len(self._warned) >= MAX_WARNED:
                self._warned.clear()
            self._warned.add((bucket, kind))
        logger.warning(
            "bucket %r: signing as the caller (%s) instead of with a grant: %s; %s. "
            "The next of these for this bucket are logged at DEBUG only",
            bucket,
            label,
            verdict.reason,
            verdict.advice,
        )

    def adopt(self, hook: ClientHook) -> None:
        """Count a client's hook among those the provider covers."""
        with self._lock:
            self._hooks.add(hook)
            closed = self.closed
        if closed:
            # The client was still being made when the provider was unregistered.
            hook.detach()
        self._loader = self._loader or hook.loader

    def answer_with(self, make_client: Callable[[], object] | None) -> None:
        """Say how to make a client of the session, for questions that come without one."""
        self._make_client = make_client

    def on_unregister(self, undo: Callable[[], object]) -> None:
        """Note what to undo when the provider is taken off."""
        self._undo.append(undo)

    def _hook(self) -> ClientHook:
        """Return the hook that answers for the session, or for the client the provider was registered on."""
        if self._make_client is not None and self._own_client is None:
            self._own_client = self._make_client()
        events = getattr(getattr(self._own_client, "meta", None), "events", None)
        with self._lock:
            hooks = list(self._hooks)
        for hook in hooks:
            if events is None or hook.belongs_to(events):
                return hook
        raise ConfigurationError(
            "there is no client to answer for: the provider was unregistered, or the client it was registered on "
            "is gone. Register it on a session or on a client that lives"
        )

    def __repr__(self) -> str:
        return f"<AccessGrantsProvider fallback={self.config.fallback!r}, {len(self._hooks)} clients>"


def decision_of(operation: str, access: Access, region: str | None, verdict: Verdict) -> Decision:
    """Put what is known of a decision into the record for the user."""
    vended, denial = verdict.vended, verdict.denial
    about = vended or denial
    return Decision(
        operation=operation,
        permission=access.permission,
        target=None if access.target is None else str(access.target),
        outcome=verdict.outcome,
        scope=None if vended is None else str(vended.scope),
        source=verdict.source,
        reason=verdict.reason,
        account_id=None if about is None else about.account_id,
        region=(about.region if about is not None else None) or region,
        expiration=None if vended is None else _utc(vended.expires_at),
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _target_of(uri: str) -> Target:
    if not isinstance(uri, str):
        raise ConfigurationError(f"target={uri!r} is not allowed; it must be an s3:// URI")
    bucket, slash, key = uri.removeprefix(SCHEME).partition("/")
    if slash and key and not key.endswith(("/", "*")):
        text = uri
    elif not slash and not bucket.endswith("*"):
        text = f"{uri}/*"
    else:
        text = f"{uri}*"
    try:
        return GrantScope.parse(text)
    except MalformedScope as error:
        raise ConfigurationError(f"target={uri!r} is not allowed: {error}") from None
