"""What tasks share with other processes under ``cache="disk"``, and that they never wait for them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: it pins a botocore older than the newest")

import boto3
from aiobotocore.config import AioConfig

from access_grants_provider.registration import _registry
from access_grants_provider.sdk import aio_client as aio

from .loops import point_at, read, session_of, session_on_trio, trio_or_skip

pytestmark = pytest.mark.only("aiobotocore", reason="event loops are aiobotocore's")

# Far less than any time-out here, far more than what is waited for takes.
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


async def read_as_a_new_process(register, session, key="a/x"):
    register(session, cache="disk")
    async with session.create_client("s3") as s3:
        return await read(s3, key)


def test_tasks_load_what_another_process_was_vended(grants, register, alice):
    for _ in range(2):
        assert asyncio.run(read_as_a_new_process(register, session_of(alice))) == b"a"
    assert grants.calls("GetDataAccess") == 1


def test_on_trio_tasks_load_what_a_process_on_asyncio_was_vended(grants, register, alice):
    trio = trio_or_skip()
    assert asyncio.run(read_as_a_new_process(register, session_of(alice))) == b"a"
    assert trio.run(read_as_a_new_process, register, session_on_trio(alice)) == b"a"
    assert grants.calls("GetDataAccess") == 1


def test_tasks_use_the_disk_though_all_threads_of_the_loop_s_executor_wait_for_the_loop(grants, register, alice):
    async def main():
        loop, busy, done = asyncio.get_running_loop(), threading.Event(), threading.Event()
        session = session_of(alice)
        register(session, cache="disk")
        async with session.create_client("s3") as s3:
            # The first request of each client is aiobotocore's own use of the executor: it reads the certificates.
            await read(s3, "d/x")
            pool = ThreadPoolExecutor(1)
            loop.set_default_executor(pool)
            pool.submit(lambda: (busy.set(), done.wait(SOON * 2)))
            assert busy.wait(SOON)
            try:
                return await asyncio.wait_for(read(s3, "a/x"), SOON)
            finally:
                done.set()

    assert asyncio.run(main()) == b"a"
    assert grants.calls("GetDataAccess") == 2
    assert asyncio.run(read_as_a_new_process(register, session_of(alice))) == b"a"
    assert grants.calls("GetDataAccess") == 2


def test_a_task_cancelled_while_it_vends_leaves_nothing_that_another_process_waits_for(grants, register, alice):
    async def cancelled():
        with grants.hold("GetDataAccess") as held:
            task = asyncio.create_task(read_as_a_new_process(register, session_of(alice)))
            await asyncio.to_thread(held.wait_for, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # Held still, so that the cancelled call can't have ended.
            started = time.monotonic()
            other = asyncio.create_task(read_as_a_new_process(register, session_of(alice), "b/x"))
            await asyncio.to_thread(held.wait_for, 2)
            assert time.monotonic() - started < SOON
            held.release()
            assert await other == b"b"

    asyncio.run(cancelled())


@pytest.mark.parametrize("autoload", [True, False], ids=["one provider", "two providers"])
def test_a_call_that_blocks_the_loop_does_not_wait_for_a_task_of_that_loop(
    grants, register, alice, monkeypatch, autoload
):
    """The loop's thread calls boto3 while a task of that loop is asking for the same grant."""
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
