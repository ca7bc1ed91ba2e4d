"""What differs between asyncio and trio: waiting, time limits, and work in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from access_grants_provider.core.service_errors import OutOfTime
from access_grants_provider.core.single_flight import InFlightCall
from access_grants_provider.sdk.async_backend import Backend, running_backend

trio = pytest.importorskip("trio", reason="trio is not installed: pip install trio")

# As good as for ever: a test that waits for it has failed.
LONG = 20.0
SHORT = 0.01

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine function on each kind of event loop, not for ever."""

    def in_trio(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def bounded() -> Any:
            with trio.fail_after(LONG):
                return await work()

        return trio.run(bounded)

    if request.param == "trio":
        return in_trio
    return lambda work: asyncio.run(asyncio.wait_for(work(), LONG))


async def never() -> None:
    await running_backend().event().wait()


def test_the_backend_is_that_of_the_loop_that_runs(run: Run) -> None:
    async def work() -> Backend:
        backend, again = running_backend(), running_backend()
        assert backend.loop is again.loop
        return backend

    first, second = run(work), run(work)
    assert first.loop is not second.loop


def test_without_a_loop_there_is_none() -> None:
    with pytest.raises(RuntimeError):
        running_backend()


# A time limit.


def test_what_ends_in_time_returns(run: Run) -> None:
    async def work() -> int:
        async def quick() -> int:
            await running_backend().pause(0)
            return 7

        return await running_backend().within(LONG, quick())

    assert run(work) == 7


def test_what_raises_in_time_raises(run: Run) -> None:
    async def work() -> None:
        async def broken() -> None:
            await running_backend().pause(0)
            raise ZeroDivisionError

        await running_backend().within(LONG, broken())

    with pytest.raises(ZeroDivisionError):
        run(work)


def test_what_takes_longer_is_cancelled_and_out_of_time(run: Run) -> None:
    async def work() -> list[str]:
        happened = []

        async def slow() -> None:
            try:
                await never()
            finally:
                happened.append("cancelled")

        with pytest.raises(OutOfTime, match=r"no answer within 0\.0 s"):
            await running_backend().within(SHORT, slow())
        # The task goes on as if nothing had been.
        await running_backend().pause(0)
        return happened

    assert run(work) == ["cancelled"]


def test_what_ended_in_time_is_not_cancelled_later(run: Run) -> None:
    async def work() -> str:
        await running_backend().within(SHORT, running_backend().pause(0))
        await running_backend().pause(3 * SHORT)
        return "went on"

    assert run(work) == "went on"


def test_it_is_awaited_in_the_same_task(run: Run) -> None:
    async def work() -> str:
        async def inside() -> None:
            variable.set("inside")

        await running_backend().within(LONG, inside())
        return variable.get()

    assert run(work) == "inside"


def test_a_time_limit_within_another_ends_by_itself(run: Run) -> None:
    async def work() -> None:
        async def inner() -> str:
            with pytest.raises(OutOfTime):
                await running_backend().within(SHORT, never())
            return "went on"

        assert await running_backend().within(LONG, inner()) == "went on"

    run(work)


def test_a_task_of_asyncio_that_is_cancelled_is_cancelled() -> None:
    async def work() -> None:
        entered = asyncio.Event()

        async def slow() -> None:
            entered.set()
            await never()

        task = asyncio.ensure_future(running_backend().within(LONG, slow()))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(work())


def test_a_scope_of_trio_that_is_cancelled_is_cancelled() -> None:
    async def work() -> None:
        with trio.move_on_after(SHORT) as scope:
            await running_backend().within(LONG, never())
        assert scope.cancelled_caught

    trio.run(work)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout() came with Python 3.11")
def test_a_time_limit_of_the_program_around_it_works_still() -> None:
    # mypy checks as on Python 3.10.
    timeout: Any = getattr(asyncio, "timeout", None)

    async def work() -> None:
        async with timeout(LONG):
            with pytest.raises(OutOfTime):
                await running_backend().within(SHORT, never())
            await asyncio.sleep(0)
        task: Any = asyncio.current_task()
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with timeout(SHORT):
                await running_backend().within(LONG, never())

    asyncio.run(work())


# Waiting for a call of somebody else's.


def test_a_wait_ends_when_a_thread_ends_the_call(run: Run) -> None:
    async def work() -> bool:
        call = InFlightCall()
        thread = threading.Thread(target=call.end, daemon=True)

        def subscribe(tell: Callable[[], object]) -> None:
            call.on_end(tell)
            thread.start()

        await running_backend().wait(subscribe, LONG)
        return call.ended

    assert run(work) is True


def test_a_wait_for_a_call_that_has_ended_ends_at_once(run: Run) -> None:
    async def work() -> None:
        call = InFlightCall()
        call.end()
        await running_backend().wait(call.on_end, LONG)

    run(work)


def test_a_wait_is_bounded(run: Run) -> None:
    async def work() -> bool:
        call = InFlightCall()
        await running_backend().wait(call.on_end, SHORT)
        return call.ended

    assert run(work) is False


def test_a_call_that_ends_after_the_loop_does_tells_nobody(run: Run) -> None:
    call = InFlightCall()

    async def work() -> None:
        await running_backend().wait(call.on_end, SHORT)

    run(work)
    call.end()
    assert call.ended


# Work in a thread.


def test_work_is_done_in_a_thread_of_its_own(run: Run) -> None:
    async def work() -> threading.Thread:
        return await running_backend().in_thread(threading.current_thread)

    thread = run(work)
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert thread.name == "access-grants"


def test_work_needs_no_thread_of_the_loop_s_own() -> None:
    # A program may have filled them with threads that wait for the loop.
    async def work() -> str:
        release, loop = threading.Event(), asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as executor:
            loop.set_default_executor(executor)
            waiting = loop.run_in_executor(None, release.wait, LONG)
            try:
                return await running_backend().within(LONG, running_backend().in_thread(lambda: "done"))
            finally:
                release.set()
                await waiting

    assert asyncio.run(work()) == "done"


def test_work_needs_none_of_trio_s_threads() -> None:
    async def work() -> str:
        limiter = trio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 1
        async with limiter:
            return await running_backend().within(LONG, running_backend().in_thread(lambda: "done"))

    assert trio.run(work) == "done"


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_what_it_raises_is_raised_in_the_task(run: Run, error: BaseException) -> None:
    async def work() -> BaseException:
        def broken() -> None:
            raise error

        try:
            await running_backend().in_thread(broken)
        except BaseException as raised:  # noqa: BLE001
            return raised
        raise AssertionError("nothing was raised")

    assert run(work) is error


def test_a_task_that_is_cancelled_leaves_the_thread_to_end_by_itself(run: Run) -> None:
    release, ended = threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(LONG)
        ended.set()

    async def work() -> None:
        with pytest.raises(OutOfTime):
            await running_backend().within(SHORT, running_backend().in_thread(slow))

    run(work)
    release.set()
    assert ended.wait(LONG)
