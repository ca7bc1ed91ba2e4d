"""The handle that ``register()`` returns: one set of options, what it remembers, and the clients it covers."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from .core.caller_state import Store
from .core.config import AccessGrantsConfig
from .core.fork_safety import leaf_lock
from .core.io_requests import CallerGrant, Rules, Step
from .core.operations import Access
from .core.resolver import Verdict
from .core.results import Decision, Stats
from .core.scopes import Permission
from .exceptions import ConfigurationError
from .sdk.answers import VendedCredentials, decision_of, permission_of, target_of
from .sdk.api_calls import Call
from .sdk.internal_clients import InternalClients
from .sdk.notices import Notices

if TYPE_CHECKING:
    from .sdk.aio_client import TasksHook
    from .sdk.client_hook import ClientHook
    from .sdk.disk_steps import Processes
    from .sdk.sync_client import ThreadsHook

__all__ = ["AccessGrantsProvider"]

logger = logging.getLogger(__name__)

ASYNCHRONOUS = (
    "it is asynchronous: await explain_async() or credentials_async(); for grants() take a session of boto3 or botocore"
)


class AccessGrantsProvider:
    """S3 Access Grants for the clients of one session, or for one client. Made by ``register()``; safe for threads."""

    def __init__(
        self,
        config: AccessGrantsConfig,
        *,
        profile: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.profile = profile
        self._clock = clock
        self._lock = leaf_lock()
        self._hooks: weakref.WeakSet[ClientHook] = weakref.WeakSet()
        self._loader: object = None
        # Told of each control call: its step, the call, how many seconds it took, and the error if it failed.
        self.observer: Callable[[Step, Call, float, Exception | None], object] | None = None
        self.closed = False
        self._make_client: Callable[[], Any] | None = None
        self._asynchronous = False
        self._own_client: object = None
        self._undo: list[Callable[[], object]] = []
        self.notices = Notices()
        self._counts = dict.fromkeys(Stats._fields, 0)
        self.configure(config)

    def configure(self, config: AccessGrantsConfig) -> None:
        """Go on with other options. What was remembered under the old ones is forgotten."""
        self.config = config
        self.clients = InternalClients(self.profile, lambda: self._loader)
        self.rules = Rules(config, self._clock, self.clients.knows)
        self.processes = _processes(config, self._clock) if config.cache == "disk" else None
        self._start_over()

    def clear(self) -> None:
        """Forget all credentials and refusals, of all requesters: what to call after a grant was given or taken.

        Credentials that S3 Access Grants has vended can't be revoked; elsewhere they work until they expire. Under
        ``cache="disk"`` what other processes have in memory stays there.
        """
        self._start_over()
        if self.processes is not None:
            self.processes.clear()

    def _start_over(self) -> None:
        # A call that is under way now ends in the old store, where no later request looks.
        self.store = Store(self.config.privilege)
        self.notices.start_over()

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
        self._start_over()

    def explain(self, operation: str, **params: Any) -> Decision:
        """Say how a request would be signed, without making it.

        ``operation`` is ``"get_object"`` or ``"GetObject"``; ``params`` are its parameters, as many as decide its
        target. Access Grants is asked, and what it answers remembered, as for the request itself; before a refusal that
        includes the look-up of the bucket's region by HeadBucket. Outcome ``"denied"``
        stands for the error the request would raise. Raises :class:`ConfigurationError` for an unknown operation or
        a missing parameter and :class:`ServiceFailure` as the request would.
        """
        return self._threads_hook().explain(operation, params)

    async def explain_async(self, operation: str, **params: Any) -> Decision:
        """Do what :meth:`explain` does for an asynchronous session or client, in its event loop.

        On a registered session it opens an S3 client for each question; on a registered client it uses that one.
        """
        async with self._tasks_hook() as hook:
            return await hook.explain(operation, params)

    def credentials(self, target: str, permission: Permission = "READ") -> VendedCredentials:
        """Return credentials for a target, vended or remembered, for tools that botocore's events don't reach.

        ``target`` is an ``s3://`` URI: ``s3://b/key``, a prefix ``s3://b/p/`` or ``s3://b/p*``, or the bucket ``s3://b``.
        Raises :class:`AccessDenied` where no grant covers it, whatever ``fallback`` says, :class:`ServiceFailure` where
        Access Grants fails, and :class:`ConfigurationError` for anything else than such a URI and permission.
        """
        return self._threads_hook().credentials(target_of(target), permission_of(permission))

    async def credentials_async(self, target: str, permission: Permission = "READ") -> VendedCredentials:
        """Do what :meth:`credentials` does for an asynchronous session or client, in its event loop."""
        wanted = target_of(target), permission_of(permission)
        async with self._tasks_hook() as hook:
            return await hook.credentials(*wanted)

    def grants(self, target: str | None = None) -> Iterator[CallerGrant]:
        """Yield the grants the caller has, each page (ListCallerAccessGrants) asked for when it is reached.

        ``target``, an ``s3://`` URI as for :meth:`credentials`, leaves those that have a key in common with it; None is
        all in the session's region, those with a scope of an unknown form too. Raises :class:`NoInstance` where there
        is no instance, :class:`PermissionMissing` where the caller may not list, :class:`ServiceFailure` and
        :class:`ConfigurationError` as :meth:`credentials`.
        """
        return self._threads_hook().grants(None if target is None else target_of(target))

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
            self.notices.fallback(bucket, verdict, label)
        if not self.reports():
            return
        decision = decision_of(operation, access, region, verdict)
        logger.debug("%s", decision)
        if self.config.on_decision is not None:
            self.config.on_decision(decision)

    @contextmanager
    def observed(self, step: Step, call: Call) -> Iterator[None]:
        """Tell :attr:`observer`, if there is one, of the control call that is made within the block."""
        started = time.monotonic()
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
            raise
        finally:
            if self.observer is not None:
                self.observer(step, call, time.monotonic() - started, failed)

    def adopt(self, hook: ClientHook) -> None:
        """Count a client's hook among those the provider covers."""
        with self._lock:
            self._hooks.add(hook)
            closed = self.closed
        if closed:
            # The client was still being made when the provider was unregistered.
            hook.detach()
        self._loader = self._loader or hook.loader

    def answer_with(self, make_client: Callable[[], Any], asynchronous: bool = False) -> None:
        """Say how to make a client of the session, for questions that come without one.

        ``asynchronous``: what it returns is an asynchronous context manager that gives the client.
        """
        self._make_client, self._asynchronous = make_client, asynchronous

    def on_unregister(self, undo: Callable[[], object]) -> None:
        """Note what to undo when the provider is taken off."""
        self._undo.append(undo)

    def _threads_hook(self) -> ThreadsHook:
        """Return the hook that answers for the session, or for the client the provider was registered on."""
        if self._make_client is not None and self._own_client is None and not self._asynchronous:
            self._own_client = self._make_client()
        hook: Any = None if self._asynchronous else self._hook_of(self._own_client)
        if hook is None or hook.asynchronous:
            raise ConfigurationError(ASYNCHRONOUS)
        answering: ThreadsHook = hook
        return answering

    @asynccontextmanager
    async def _tasks_hook(self) -> AsyncIterator[TasksHook]:
        """Provide the same of an asynchronous session, with a client that lives for the block, or of a client."""
        async with AsyncExitStack() as open_clients:
            client = None
            if self._make_client is not None and self._asynchronous:
                client = await open_clients.enter_async_context(self._make_client())
            of_threads = self._make_client is not None and not self._asynchronous
            hook: Any = None if of_threads else self._hook_of(client)
            if hook is None or not hook.asynchronous:
                raise ConfigurationError("it is not asynchronous: call explain() or credentials()")
            yield hook

    def _hook_of(self, client: Any) -> ClientHook:
        """Return the hook of a client that was made for this, None standing for the one that was registered."""
        events = getattr(getattr(client, "meta", None), "events", None)
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


def _processes(config: AccessGrantsConfig, clock: Callable[[], float]) -> Processes:
    # On demand: most programs do without, and importing it takes time.
    from .sdk.disk_steps import Processes

    return Processes(config, clock)
