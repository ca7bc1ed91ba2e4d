"""A person's client on one side, threads or tasks: registered, used, unregistered and replaced while in use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from threading import Lock
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.loaders import create_loader

import access_grants_provider

from .journal import Event, Journal
from .scenario import REGION, Person
from .service import Service

# Which call a request belongs to; it goes into the user agent, which the service records and no signature covers.
WORK: ContextVar[str] = ContextVar("WORK", default="none")
# Own keys end after this; botocore fetches new ones in the last three seconds, or at the latest in the last.
ROTATION_SECONDS = 8
POOL = 64

# Reading botocore's model files is most of the work of making a client.
LOADER = create_loader()
Mutation = Callable[[Any], object]


def stamp(request: Any, **_: object) -> None:
    """Handle ``before-send.s3``: write the call's id into the user agent."""
    sent = request.headers["User-Agent"]
    text = sent.decode() if isinstance(sent, bytes) else sent
    request.headers["User-Agent"] = f"{text} soak/{WORK.get()}"


class ClientSlot:
    """A place for a person's client, on either side. ``generation`` numbers its clients; the last one is covered."""

    side = ""

    def __init__(self, service: Service, person: Person, journal: Journal, mutation: Mutation | None) -> None:
        self.service, self.person, self.journal, self.mutation = service, person, journal, mutation
        self.generation = self._coming = 0
        self.session: Any = None
        self.client: Any = None
        self.provider: Any = None
        self._lock = Lock()
        self._users: dict[int, int] = {}
        self._idle: list[Any] = []
        self._retired: dict[int, Any] = {}

    @contextmanager
    def use(self) -> Iterator[tuple[int, Any]]:
        """Provide the client of now, which stays open for the block even if it is replaced meanwhile."""
        with self._lock:
            generation, client = self.generation, self.client
            self._users[generation] = self._users.get(generation, 0) + 1
        try:
            yield generation, client
        finally:
            with self._lock:
                self._users[generation] -= 1
                self._sort_out()

    def _sort_out(self) -> None:
        for generation in [one for one in self._retired if not self._users.get(one)]:
            self._users.pop(generation, None)
            self._idle.append(self._retired.pop(generation))

    def idle(self) -> list[Any]:
        """Return the replaced clients that nobody uses any more, each once."""
        with self._lock:
            self._sort_out()
            idle, self._idle = self._idle, []
            return idle

    def register(self, session: Any, began: float) -> Any:
        """Cover the clients of a session."""
        person = self.person
        provider = access_grants_provider.register(
            session, fallback=person.fallback, cache=person.cache, endpoint_url=self.service.url
        )
        self._coming = self.journal.number()
        self._note("fresh", began, self._coming)
        return provider

    def install(self, session: Any, provider: Any, client: Any) -> None:
        """Put a new client in the place of the old one."""
        client.meta.events.register("before-send.s3", stamp)
        if self.mutation is not None:
            self.mutation(client)
        with self._lock:
            if self.client is not None:
                self._retired[self.generation] = self.client
            self.generation = self._coming
            self.session, self.provider, self.client = session, provider, client
            self._sort_out()

    def unregister(self) -> None:
        """End the cover of the client of now."""
        began = time.time()
        self.provider.unregister()
        self._note("retired", began, self.generation)

    def clear(self) -> None:
        """Have the provider forget."""
        began = time.time()
        self.provider.clear()
        self._note("fresh", began, self.generation)

    def retire_last(self) -> None:
        """Take the last client out of use."""
        self.unregister()
        with self._lock:
            self._retired[self.generation] = self.client
            self.client = self.session = self.provider = None

    def _note(self, kind: str, began: float, generation: int) -> None:
        self.journal.note(Event(kind, self.person.name, began, time.time(), side=self.side, generation=generation))

    def keys(self) -> dict[str, str]:
        """Return new keys of the person, as botocore takes them for refreshed ones."""
        identity = self.service.call("rotated", self.person.name)
        ends = datetime.now(timezone.utc) + timedelta(seconds=ROTATION_SECONDS)
        return {
            "access_key": identity.access_key_id,
            "secret_key": identity.secret_access_key,
            "token": identity.session_token,
            "expiry_time": ends.isoformat(),
        }


def hasty(credentials: Any) -> Any:
    """Have refreshable credentials refresh shortly before their short life ends."""
    credentials._advisory_refresh_timeout, credentials._mandatory_refresh_timeout = 3, 1
    return credentials


class SyncClientSlot(ClientSlot):
    """With boto3."""

    side = "threads"

    def replace_client(self) -> None:
        """Make a session, cover it, and have a client of it replace the one before."""
        core: Any = botocore.session.get_session()
        core.register_component("data_loader", LOADER)
        identity = self.service.identities[self.person.name]
        core._credentials = Credentials(identity.access_key_id, identity.secret_access_key)
        if self.person.rotates:
            core._credentials = hasty(RefreshableCredentials.create_from_metadata(self.keys(), self.keys, "soak"))
        session = boto3.Session(botocore_session=core, region_name=REGION)
        began = time.time()
        provider = self.register(session, began)
        self.install(session, provider, self.make(session))
        self.close_idle()

    def make(self, session: Any) -> Any:
        """Make a client."""
        return session.client("s3", endpoint_url=self.service.url, config=Config(max_pool_connections=POOL))

    def close_idle(self) -> None:
        """Close the replaced clients."""
        for client in self.idle():
            client.close()


class AioClientSlot(ClientSlot):
    """With aiobotocore, in the event loop."""

    side = "tasks"

    async def replace_client(self) -> None:
        """Do the same as on the other side."""
        from aiobotocore.config import AioConfig
        from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
        from aiobotocore.session import AioSession

        session = AioSession()
        session.register_component("data_loader", LOADER)
        session.set_config_variable("region", REGION)
        identity = self.service.identities[self.person.name]
        session._credentials = AioCredentials(identity.access_key_id, identity.secret_access_key)
        if self.person.rotates:
            keys = await self.fetch()
            session._credentials = hasty(AioRefreshableCredentials.create_from_metadata(keys, self.fetch, "soak"))
        began = time.time()
        provider = self.register(session, began)
        config = AioConfig(max_pool_connections=POOL)
        client = await session.create_client("s3", endpoint_url=self.service.url, config=config).__aenter__()
        self.install(session, provider, client)
        await self.close_idle()

    async def fetch(self) -> dict[str, str]:
        """Fetch new keys without stopping the loop."""
        return await asyncio.to_thread(self.keys)

    async def close_idle(self) -> None:
        """Close the replaced clients."""
        for client in self.idle():
            # A connection that a fault has cut may be closed already.
            with suppress(ConnectionError):
                await client.__aexit__(None, None, None)
