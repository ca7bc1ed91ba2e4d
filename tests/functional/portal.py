"""A synchronous view of aiobotocore and aioboto3, so that a test of behaviour is written once for both edges.

The tests go on in their own threads; every call on a client, a session, a body or a paginator is made in one event
loop, which turns in a thread of its own, and waited for. What is opened is closed with the portal, and whatever the
loop has to complain of by then, or keeps (a task nobody waits for, an HTTP session nobody closed), is an error.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any
from unittest.mock import patch

import aiohttp

ASYNCHRONOUS = ("aiobotocore", "aioboto3")
# What a session gives for a client or a resource: to be entered before use.
CREATORS = ("ClientCreatorContext", "ResourceCreatorContext")
# No call in these tests takes a second. One that takes this long waits for somebody who will never come.
PATIENCE = 60


class Portal:
    """An event loop in a thread. A context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_forever, name="portal")
        self._complaints: list[dict[str, Any]] = []
        self._open: dict[int, Any] = {}
        # Each one ever made while the portal is open: collected without being closed, it would complain too late.
        self._http_sessions: list[aiohttp.ClientSession] = []
        self._noting = patch.object(aiohttp.ClientSession, "__init__", self._noted(aiohttp.ClientSession.__init__))

    def __enter__(self) -> Portal:
        self._noting.start()
        self.loop.set_exception_handler(lambda _, context: self._complaints.append(context))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close_all()
            left = self.run(self._drain)
        finally:
            self._noting.stop()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()
        if left or self._complaints:
            raise AssertionError(f"left behind in the loop: {left}, complaints {self._complaints}")

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a function in the loop, wait for what it returns if that is to be awaited, and return it.

        The call sees the context variables of the thread that makes it.
        """

        async def called() -> Any:
            result = function(*args, **options)
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(PATIENCE)

    def view(self, value: Any) -> Any:
        """Return the synchronous view of what a call returned or an attribute holds."""
        if isinstance(value, dict):
            return {name: self.view(one) for name, one in value.items()}
        if type(value).__name__ in CREATORS:
            opened = self.run(value.__aenter__)
            self._open[id(opened)] = value
            return View(self, opened)
        if inspect.ismethod(value) or inspect.isfunction(value):
            return lambda *args, **options: self.view(self.run(value, *args, **options))
        return View(self, value) if _is_asynchronous(value) else value

    def close(self, opened: object) -> None:
        """Leave the context of a client or a resource."""
        self.run(self._open.pop(id(opened)).__aexit__, None, None, None)

    def close_all(self) -> None:
        """Close what is open still, last opened first."""
        while self._open:
            self.run(self._open.popitem()[1].__aexit__, None, None, None)

    def _noted(self, make: Callable[..., None]) -> Callable[..., None]:
        def noted(session: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
            make(session, *args, **options)
            self._http_sessions.append(session)

        return noted

    async def _drain(self) -> list[object]:
        """End what the loop has left to do, and return what nobody waited for and nobody closed."""
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        unclosed = [session for session in self._http_sessions if not session.closed]
        for session in unclosed:
            await session.close()
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()
        return [*tasks, *unclosed]


class View:
    """The synchronous view of one object. ``bare`` is the object; names with an underscore are its own, unchanged."""

    def __init__(self, portal: Portal, bare: Any) -> None:
        self.portal = portal
        self.bare = bare

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.bare, name)
        return value if name.startswith("_") else self.portal.view(value)

    def __iter__(self) -> Iterator[Any]:
        async def collected() -> list[Any]:
            return [one async for one in self.bare]

        return map(self.portal.view, self.portal.run(collected))

    def close(self) -> None:
        """Close a client or a resource, as the end of its ``async with`` block does."""
        self.portal.close(self.bare)


class SessionView(View):
    """A session of aiobotocore or aioboto3; both make clients by either name here."""

    def client(self, service: str, **options: Any) -> Any:
        """Return a client, open."""
        create = self.bare.client if hasattr(self.bare, "client") else self.bare.create_client
        return self.portal.view(create(service, **options))

    create_client = client


class ProviderView:
    """A provider whose questions are asked in the loop; all else is the provider's own."""

    def __init__(self, portal: Portal, bare: Any) -> None:
        self.portal = portal
        self.bare = bare

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)

    def explain(self, operation: str, **params: Any) -> Any:
        """Ask ``explain_async``."""
        return self.portal.run(self.bare.explain_async, operation, **params)

    def credentials(self, *args: Any) -> Any:
        """Ask ``credentials_async``."""
        return self.portal.run(self.bare.credentials_async, *args)


def _is_asynchronous(value: object) -> bool:
    names = {base.__module__ for base in type(value).__mro__}
    # A resource's ``meta`` is boto3's own, and holds the client.
    return any(name.partition(".")[0] in ASYNCHRONOUS for name in names) or "boto3.resources.base" in names
