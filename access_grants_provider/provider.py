"""The handle that ``register()`` returns: one set of options, what it remembers, and the clients it covers."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from .core.config import AccessGrantsConfig
from .core.scopes import Permission, Target, permission_of, target_of, targets_of
from .exceptions import ConfigurationError
from .sdk.client_hook import ClientHook
from .sdk.runtime import Observer, Runtime

if TYPE_CHECKING:
    from .core.decision import Decision
    from .core.io_requests import CallerGrant
    from .core.vended_credentials import VendedCredentials
    from .sdk.counters import Stats

__all__ = ["AccessGrantsProvider"]

ASYNCHRONOUS = "The session or client is asynchronous"
NO_PREFETCH = "asynchronous clients do not prefetch. Await credentials_async() instead"
AWAIT = "Await explain_async() or credentials_async(). For grants() take a session of boto3 or botocore"


class AccessGrantsProvider:
    """S3 Access Grants for the clients of one session, or for one client. Made by ``register()``; safe for threads."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        # By identity. Its references can be listed in one step, which a WeakSet's can't.
        self._hooks: weakref.WeakValueDictionary[int, ClientHook] = weakref.WeakValueDictionary()
        self._make_client: Callable[[], Any] | None = None
        self._asynchronous = False
        self._own_client: object = None
        self._undo: list[Callable[[], object]] = []
        # What is to be prefetched once there is a client.
        self._waiting: list[tuple[Permission, Target]] = []

    @property
    def config(self) -> AccessGrantsConfig:
        """The options in force."""
        return self.runtime.settings.config

    @property
    def closed(self) -> bool:
        """Whether :meth:`unregister` was called."""
        return self.runtime.closed

    @property
    def observer(self) -> Observer | None:
        """Called with each control call: what it asks, the call, the seconds it took, the error if it failed."""
        return self.runtime.observer

    @observer.setter
    def observer(self, observer: Observer | None) -> None:
        self.runtime.observer = observer

    def configure(self, config: AccessGrantsConfig) -> None:
        """Go on with other options, and forget what was remembered under the old ones. The same ones change nothing."""
        # Each task of Spark may register, in a worker that goes on.
        if config != self.config:
            self.runtime.configure(config)
            self.prefetch_as_configured()

    def prefetch_as_configured(self) -> None:
        """Vend what the option ``prefetch`` names, in the background."""
        self._prefetch(targets_of(self.config.prefetch or ""))

    def clear(self) -> None:
        """Forget all credentials and refusals, of all callers: what to call after a grant was given or taken.

        Credentials that S3 Access Grants has vended can't be revoked; elsewhere they work until they expire. Under
        ``cache="disk"`` everything that is kept on disk for this user is forgotten too; what other processes have in
        memory stays there.
        """
        # The disk first: a request in between would load from it again.
        disk = self.runtime.settings.disk
        if disk is not None:
            disk.clear()
        self.runtime.start_over()

    def unregister(self) -> None:
        """Take the provider off its session and off every client it covers, those already made included."""
        self.runtime.closed = True
        self._make_client = self._own_client = None
        self._waiting = []
        while self._undo:
            self._undo.pop(0)()
        for hook in self._living_hooks():
            if hook.give_back is not None:
                hook.give_back(hook)
            hook.detach()
        self.runtime.start_over()

    def explain(self, operation: str, **params: Any) -> Decision:
        """Say how a request would be signed, without making it.

        ``operation`` is ``"get_object"`` or ``"GetObject"``; ``params`` are its parameters, as many as decide its
        target. Access Grants is asked, and what it answers remembered, as for the request itself; before a refusal that
        includes the look-up of the bucket's region by HeadBucket. Outcome ``"denied"``
        stands for the error the request would raise. Raises :class:`ConfigurationError` for an unknown operation or
        a missing parameter and :class:`ServiceFailure` as the request would.
        """
        decision: Decision = self._sync_hook().explain(operation, params)
        return decision

    async def explain_async(self, operation: str, **params: Any) -> Decision:
        """Do what :meth:`explain` does for an asynchronous session or client, in its event loop.

        On a registered session it opens an S3 client for each question; on a registered client it uses that one.
        """
        async with self._aio_hook() as hook:
            decision: Decision = await hook.explain(operation, params)
            return decision

    def credentials(
        self, target: str, permission: Permission = "READ", *, min_lifetime: float = 0
    ) -> VendedCredentials:
        """Return credentials for a target, vended or remembered, for tools that botocore's events don't reach.

        ``target`` is an ``s3://`` URI: ``s3://b/key``, a prefix ``s3://b/p/`` or ``s3://b/p*``, or the bucket ``s3://b``.
        ``min_lifetime``: for how many seconds from now they are to be good at least. Where none that live so long can
        be had, they are what the service gave. Raises :class:`AccessDenied` where no grant covers the target, whatever
        ``fallback`` says, :class:`ServiceFailure` where Access Grants fails, and :class:`ConfigurationError` for
        anything else than such a URI and permission.
        """
        wanted = target_of(target), permission_of(permission)
        credentials: VendedCredentials = self._sync_hook().credentials(*wanted, min_lifetime)
        return credentials

    async def credentials_async(
        self, target: str, permission: Permission = "READ", *, min_lifetime: float = 0
    ) -> VendedCredentials:
        """Do what :meth:`credentials` does for an asynchronous session or client, in its event loop."""
        wanted = target_of(target), permission_of(permission)
        async with self._aio_hook() as hook:
            credentials: VendedCredentials = await hook.credentials(*wanted, min_lifetime)
            return credentials

    def prefetch(self, targets: Iterable[str], permission: Permission = "READ") -> None:
        """Have credentials vended in the background, so that the first requests find them.

        ``targets`` are ``s3://`` URIs as for :meth:`credentials`. It returns as soon as the caller's own credentials
        are there; the calls begin now or, where no client was made yet, with the first one. What fails or is not
        granted is a WARNING, and the request meets the same. Raises :class:`ConfigurationError` for anything else than
        such URIs and permission, after :meth:`unregister`, and for an asynchronous session or client: there await
        :meth:`credentials_async`.
        """
        if isinstance(targets, str) or not isinstance(targets, Iterable):
            raise ConfigurationError(f"targets={targets!r} is not allowed; it must be a list of s3:// URIs")
        if self.closed:
            raise ConfigurationError("Nothing is prefetched: the provider was unregistered", hint="Register again")
        wanted = [(permission_of(permission), target_of(target)) for target in targets]
        hooks = self._living_hooks()
        if self._asynchronous or (hooks and all(hook.asynchronous for hook in hooks)):
            raise ConfigurationError(ASYNCHRONOUS, hint="Await credentials_async()")
        self._prefetch(wanted)

    def grants(self, target: str | None = None) -> Iterator[CallerGrant]:
        """Yield the grants the caller has, each page (ListCallerAccessGrants) asked for when it is reached.

        ``target``, an ``s3://`` URI as for :meth:`credentials`, leaves those that have a key in common with it; None is
        all in the session's region, those with a scope of an unknown form too. Raises :class:`NoInstance` where there
        is no instance, :class:`PermissionMissing` where the caller may not list, :class:`ServiceFailure` and
        :class:`ConfigurationError` as :meth:`credentials`.
        """
        grants: Iterator[CallerGrant] = self._sync_hook().grants(None if target is None else target_of(target))
        return grants

    def stats(self) -> Stats:
        """Return the counts since registration, as of now."""
        return self.runtime.counters.stats()

    def add_client(self, hook: ClientHook) -> None:
        """Count a client's hook among those the provider covers."""
        self._hooks[id(hook)] = hook
        if self.closed:
            # The client was still being made when the provider was unregistered.
            hook.detach()
        else:
            self._prefetch([])

    def set_client_factory(self, make_client: Callable[[], Any], asynchronous: bool = False) -> None:
        """Say how to make a client of the session, for questions that come without one.

        ``asynchronous``: what it returns is an asynchronous context manager that gives the client.
        """
        self._make_client, self._asynchronous = make_client, asynchronous

    def on_unregister(self, undo: Callable[[], object]) -> None:
        """Note what to undo when the provider is taken off."""
        self._undo.append(undo)

    def _prefetch(self, wanted: list[tuple[Permission, Target]]) -> None:
        """Have the first client prefetch what is ``wanted`` and what waited for one; else it goes on waiting."""
        self._waiting += wanted
        if not self._waiting:
            return
        for hook in self._living_hooks():
            if hook.asynchronous:
                self.runtime.notices.inform(NO_PREFETCH)
            elif hook.can_ask():
                waiting, self._waiting = self._waiting, []
                hook.prefetch(waiting)
                return

    def _sync_hook(self) -> Any:
        """Return the hook that answers for the session, or for the client the provider was registered on."""
        if self._make_client is not None and self._own_client is None and not self._asynchronous:
            self._own_client = self._make_client()
        hook = None if self._asynchronous else self._hook_of(self._own_client)
        if hook is None or hook.asynchronous:
            raise ConfigurationError(ASYNCHRONOUS, hint=AWAIT)
        return hook

    @asynccontextmanager
    async def _aio_hook(self) -> AsyncIterator[Any]:
        """Provide the same of an asynchronous session, with a client that lives for the block, or of a client."""
        async with AsyncExitStack() as open_clients:
            client = None
            if self._make_client is not None and self._asynchronous:
                client = await open_clients.enter_async_context(self._make_client())
            synchronous = self._make_client is not None and not self._asynchronous
            hook = None if synchronous else self._hook_of(client)
            if hook is None or not hook.asynchronous:
                raise ConfigurationError(
                    "The session or client is not asynchronous", hint="Call explain() or credentials()"
                )
            yield hook

    def _hook_of(self, client: Any) -> ClientHook:
        """Return the hook of a client that was made for this, None standing for the one that was registered."""
        events = getattr(getattr(client, "meta", None), "events", None)
        for hook in self._living_hooks():
            if events is None or hook.belongs_to(events):
                return hook
        raise ConfigurationError(
            "There is no client to answer for: the provider was unregistered, or its client is gone",
            hint="Register on a session, or on a client that you keep",
        )

    def _living_hooks(self) -> list[ClientHook]:
        return [hook for hook in (reference() for reference in self._hooks.valuerefs()) if hook is not None]

    def __repr__(self) -> str:
        return f"<AccessGrantsProvider fallback={self.config.fallback!r}, clients: {len(self._living_hooks())}>"
