"""How tasks wait for other processes under ``cache="disk"``: without threads, and never for their own loop."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: it pins a botocore older than the newest")

import boto3
from aiobotocore.config import AioConfig

from access_grants_provider.registration import _registry
from access_grants_provider.sdk import aio_client as aio
from access_grants_provider.sdk.disk_steps import Processes

from .loops import point_at, read, session_of, session_on_trio, trio_or_skip

pytestmark = pytest.mark.only("aiobotocore", reason="threads that wait for a lock are the caller's own")

# Far less than the 30 s that a lock is waited for, far more than what is waited for here takes.
SOON = 10


@pytest.fixture
def grants(access_grants_server, monkeypatch, tmp_path):
    access_grants_server.bucket("data")
    point_at(access_grants_server, monkeypatch)
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(tmp_path / "cache"))
    return access_grants_server


@pytest.fixture
def alice(grants):
    alice = grants.identity("alice")
    for folder in "abcd":
        grants.grant(alice, f"s3://data/{folder}/*", "READ")
        grants.put(f"s3://data/{folder}/x", folder.encode())
    return alice


@asynccontextmanager
async def begun(session, register):
    """Client, provider and requester; how deep the grants lie is known by now, so that flights are by folder."""
    provider = register(session, cache="disk")
    async with session.create_client("s3") as s3:
        await read(s3, "d/x")
        (who,) = provider.processes._met
        yield s3, provider, who


def hold(provider, requester, folder):
    """Take the lock of one folder's flight, as another process would."""
    lock = provider.processes._disk.lock(requester, provider.processes._context, ("READ", "data", folder), seconds=0)
    assert lock.held
    return lock


def test_tasks_that_wait_for_other_processes_leave_the_threads_to_those_that_need_not(grants, register, alice):
    async def main():
        pool = ThreadPoolExecutor(2)
        asyncio.get_running_loop().set_default_executor(pool)
        async with begun(session_of(alice), register) as (s3, provider, who):
            held = [hold(provider, who, folder) for folder in "ab"]
            waiting = [asyncio.create_task(read(s3, f"{folder}/x")) for folder in "ab"]
            while len(provider.store._made) != 1 or len(next(iter(provider.store._made)).flights) < 2:
                await asyncio.sleep(0)
            try:
                assert await asyncio.wait_for(read(s3, "c/x"), SOON) == b"c"
                assert not any(task.done() for task in waiting)
            finally:
                for lock in held:
                    lock.release()
            assert await asyncio.gather(*waiting) == [b"a", b"b"]

    asyncio.run(main())


def test_a_task_that_waits_for_another_process_can_be_cancelled_and_keeps_no_thread(grants, register, alice):
    async def main():
        async with begun(session_of(alice), register) as (s3, provider, who):
            held = hold(provider, who, "a")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(read(s3, "a/x"), 1)
        return held

    started = time.monotonic()
    held = asyncio.run(main())
    assert time.monotonic() - started < SOON
    held.release()


def test_on_trio_tasks_wait_for_another_process_and_can_be_cancelled(grants, register, alice):
    trio = trio_or_skip()

    async def main():
        bodies = []

        async def keep(key):
            bodies.append(await read(s3, key))

        async with begun(session_on_trio(alice), register) as (s3, provider, who):
            held = hold(provider, who, "a")
            with trio.move_on_after(1) as patience:
                await keep("a/x")
            assert patience.cancelled_caught
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep, "a/x")
                with trio.fail_after(SOON):
                    await keep("c/x")
                assert bodies == [b"c"]
                held.release()
            assert bodies == [b"c", b"a"]

    trio.run(main)
    assert grants.calls("GetDataAccess") == 3


def test_a_task_cancelled_just_when_it_gets_the_lock_leaves_it_to_others(grants, register, alice, monkeypatch):
    taken, answers = threading.Event(), []
    guard = Processes._guard

    def told(*args):
        answer = guard(*args)
        # Held here, so that it is not let go of by being collected.
        answers.append(answer)
        taken.set()
        return answer

    async def main():
        async with begun(session_of(alice), register) as (s3, provider, who):
            monkeypatch.setattr(Processes, "_guard", told)
            pool = ThreadPoolExecutor(1)
            asyncio.get_running_loop().set_default_executor(pool)
            task = asyncio.create_task(read(s3, "a/x"))
            while not pool._threads or not taken.is_set():
                await asyncio.sleep(0)
                # Held up here from the moment the lock is asked for: the answer comes while the loop stands still.
                if any("_perform_on_disk" in name for name in names(task)) and told_of_guard(task):
                    assert taken.wait(SOON)
                    pool.submit(lambda: None).result()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            lock = hold(provider, who, "a")
            lock.release()
            assert list((provider.processes._disk.folder / "locks").iterdir()) == []

    asyncio.run(main())


def chain(task):
    coroutine = task.get_coro()
    while coroutine is not None and hasattr(coroutine, "cr_frame"):
        yield coroutine
        coroutine = coroutine.cr_await


def names(task):
    return [one.__qualname__ for one in chain(task)]


def told_of_guard(task):
    return any(
        type(one.cr_frame.f_locals.get("step")).__name__ == "Guard" for one in chain(task) if one.cr_frame is not None
    )


@pytest.mark.parametrize("autoload", [True, False], ids=["one provider", "two providers"])
def test_a_blocked_loop_makes_nobody_wait_for_its_lock(grants, register, alice, monkeypatch, autoload):
    """The loop's thread calls boto3 while a task of that loop is asking, and holds the lock on disk."""
    if autoload:
        monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "access-grants=access_grants_provider")
        monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE", "disk")

    async def main():
        session, other = session_of(alice), boto3.Session(alice.access_key_id, alice.secret_access_key)
        if not autoload:
            register(session, cache="disk")
            register(other, cache="disk")
        async with session.create_client("s3", config=AioConfig(max_pool_connections=8)) as s3:
            with grants.hold("GetDataAccess") as held, ThreadPoolExecutor(1) as pool:
                task = asyncio.create_task(read(s3, "a/x"))
                await asyncio.to_thread(held.wait_for, 1)
                both = pool.submit(lambda: (held.wait_for(2), held.release()))
                started = time.monotonic()
                assert other.client("s3").get_object(Bucket="data", Key="a/x")["Body"].read() == b"a"
                took = time.monotonic() - started
                both.result()
                assert await task == b"a"
                assert took < SOON

    try:
        asyncio.run(main())
    finally:
        for provider in list(_registry.autoloaded.values()):
            provider.unregister()


def test_a_client_that_a_cancelled_task_is_still_making_shares_no_session_with_the_next_one(
    grants, register, alice, monkeypatch
):
    """botocore's sessions are not safe for threads, and the thread of a cancelled task goes on."""
    sessions, entered, go_on = [], threading.Event(), threading.Event()
    create = aio.create_nested_client

    def slow(session, *args, **kwargs):
        sessions.append(session)
        if len(sessions) == 1:
            entered.set()
            go_on.wait(SOON)
        return create(session, *args, **kwargs)

    monkeypatch.setattr(aio, "create_nested_client", slow)

    async def main():
        session = session_of(alice)
        register(session)
        async with session.create_client("s3") as s3:
            first = asyncio.create_task(read(s3, "a/x"))
            await asyncio.to_thread(entered.wait, SOON)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await read(s3, "a/x") == b"a"
            go_on.set()

    asyncio.run(main())
    assert all(one is not sessions[0] for one in sessions[1:])
