"""What differs between asyncio and trio: waiting, time limits, and work in a thread.

Work in a thread never takes one of the event loop's own: asyncio's default executor and trio's limiter have few, and a
program may have filled them with threads that wait for the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ..core.service_errors import OutOfTime

__all__ = ["Backend", "running_backend"]

Returned = TypeVar("Returned")


class Backend:
    """The event loop that runs now. ``loop`` is its identity."""

    loop: object

    def event(self) -> Any:
        """Return an event that tasks wait for."""
        raise NotImplementedError

    def call_soon(self, work: Callable[[], object]) -> None:
        """Have the loop call something; from any thread. Raises ``RuntimeError`` where the loop has ended."""
        raise NotImplementedError

    async def pause(self, seconds: float) -> None:
        """Do nothing for so many seconds."""
        raise NotImplementedError

    async def within(self, seconds: float, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Await ``work``. Raises :class:`OutOfTime` where it takes longer, and cancels it."""
        raise NotImplementedError

    async def wait(self, subscribe: Callable[[Callable[[], object]], object], seconds: float) -> None:
        """Wait until the function that is handed to ``subscribe`` is called, in any thread, or the time is up."""
        happened = self.event()

        def tell() -> None:
            # The owner of a call may be collected after its loop was closed, which both loops say with a RuntimeError.
            with contextlib.suppress(RuntimeError):
                self.call_soon(happened.set)

        subscribe(tell)
        with contextlib.suppress(OutOfTime):
            await self.within(seconds, _wait(happened))

    async def in_thread(self, work: Callable[[], Returned]) -> Returned:
        """Do ``work`` in a thread of its own. A task that is cancelled leaves the thread to end by itself."""
        done = self.event()
        results: list[tuple[Returned | None, BaseException | None]] = []

        def run() -> None:
            try:
                results.append((work(), None))
            except BaseException as error:  # noqa: BLE001  raised in the task
                results.append((None, error))
            with contextlib.suppress(RuntimeError):
                self.call_soon(done.set)

        thread = threading.Thread(target=run, name="access-grants", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # Where the system gives no more threads: a loop that stands still for a moment is better than an error.
            return work()
        await done.wait()
        returned, error = results.pop()
        if error is not None:
            raise error
        return returned  # type: ignore[return-value]


async def _wait(event: Any) -> None:
    await event.wait()


class _Asyncio(Backend):
    """asyncio, also under anyio."""

    def __init__(self) -> None:
        self.loop: Any = asyncio.get_running_loop()

    def event(self) -> Any:
        return asyncio.Event()

    def call_soon(self, work: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(work)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, work: Coroutine[Any, Any, Returned]) -> Returned:
        # Awaited in this very task, not in one of its own as wait_for() does it before Python 3.12: aiohttp's time-outs
        # and the program's context variables belong to the task.
        task, expired = asyncio.current_task(), False
        # Not 0 in the clean-up of a task that was cancelled already.
        cancelled_before = task.cancelling() if task is not None and hasattr(task, "cancelling") else 0

        def expire() -> None:
            nonlocal expired
            expired = True
            if task is not None:
                task.cancel()

        timer = self.loop.call_later(seconds, expire)
        try:
            return await work
        except asyncio.CancelledError:
            if not expired:
                raise
            # From 3.11 on a task counts its cancellations, and asyncio.timeout() of the program looks at the count.
            uncancel = getattr(task, "uncancel", None)
            if uncancel is not None and uncancel() > cancelled_before:
                raise
            raise OutOfTime(seconds=seconds) from None
        finally:
            timer.cancel()


class _Trio(Backend):
    """trio, on which aiobotocore runs with its ``HttpxSession``."""

    def __init__(self) -> None:
        import trio

        self._trio: Any = trio
        self.loop: Any = trio.lowlevel.current_trio_token()

    def event(self) -> Any:
        return self._trio.Event()

    def call_soon(self, work: Callable[[], object]) -> None:
        self.loop.run_sync_soon(work)

    async def pause(self, seconds: float) -> None:
        await self._trio.sleep(seconds)

    async def within(self, seconds: float, work: Awaitable[Returned]) -> Returned:
        with self._trio.move_on_after(seconds):
            return await work
        raise OutOfTime(seconds=seconds)


def running_backend() -> Backend:
    """Return the backend of the loop that runs now."""
    try:
        return _Asyncio()
    except RuntimeError:
        return _Trio()
