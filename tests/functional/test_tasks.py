"""What only event loops have: herds of tasks, cancellations, several loops, clients that are opened and closed."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: it pins a botocore older than the newest")

import boto3
from aiobotocore.config import AioConfig

from access_grants_provider import exceptions
from access_grants_provider.core.single_flight import InFlightCall
from access_grants_provider.registration import _registry
from access_grants_provider.sdk.async_backend import running_backend

from .loops import point_at, read, session_of, session_on_trio, trio_or_skip

pytestmark = [
    pytest.mark.only("aiobotocore", reason="threads have no tasks, no cancellation and no event loops"),
    pytest.mark.alice("READ s3://data/a/*", objects={"s3://data/a/x": b"a"}),
]

TASKS = 64


@pytest.fixture
def grants(access_grants_server, monkeypatch):
    access_grants_server.bucket("data")
    point_at(access_grants_server, monkeypatch)
    return access_grants_server


async def in_thread(call, *args):
    return await asyncio.get_running_loop().run_in_executor(None, call, *args)


def client_of(session, **options):
    return session.create_client("s3", config=AioConfig(max_pool_connections=TASKS), **options)


def test_the_loop_turns_while_a_vend_hangs(grants, register, alice):
    async def main():
        session = session_of(alice)
        register(session)
        async with client_of(session) as s3:
            with grants.hold("GetDataAccess") as held:
                reading = asyncio.create_task(read(s3, "a/x"))
                await in_thread(held.wait_for, 1)
                for _ in range(1_000):
                    await asyncio.sleep(0)
                assert not reading.done()
                held.release()
                assert await reading == b"a"

    asyncio.run(main())


def test_a_cancelled_waiter_leaves_the_call_to_the_others(grants, register, alice):
    async def main():
        session = session_of(alice)
        register(session)
        async with client_of(session) as s3:
            with grants.hold("GetDataAccess") as held:
                leader = asyncio.create_task(read(s3, "a/x"))
                await in_thread(held.wait_for, 1)
                waiters = [asyncio.create_task(read(s3, "a/x")) for _ in range(3)]
                await until_they_wait(waiters)
                waiters[0].cancel()
                await asyncio.wait(waiters[:1])
                held.release()
                assert await asyncio.gather(leader, *waiters[1:]) == [b"a"] * 3
                assert waiters[0].cancelled()

    asyncio.run(main())
    assert grants.calls("GetDataAccess") == 1


async def until_they_wait(tasks) -> None:
    """Return when each of the tasks waits for a call that another task makes."""
    while not all("Backend.wait" in _frames(task) for task in tasks):
        await asyncio.sleep(0)


def _frames(task):
    coroutine, frames = task.get_coro(), []
    while coroutine is not None:
        frames.append(getattr(coroutine, "__qualname__", ""))
        coroutine = getattr(coroutine, "cr_await", None)
    return frames


def test_a_cancelled_leader_hands_over_to_a_waiter(grants, register, alice):
    async def main():
        session = session_of(alice)
        register(session)
        async with client_of(session) as s3:
            with grants.hold("GetDataAccess") as held:
                leader = asyncio.create_task(read(s3, "a/x"))
                await in_thread(held.wait_for, 1)
                waiters = [asyncio.create_task(read(s3, "a/x")) for _ in range(3)]
                await until_they_wait(waiters)
                leader.cancel()
                # One of the waiters asks anew, and the two others wait for that one.
                await in_thread(held.wait_for, 2)
                held.release()
                assert await asyncio.gather(*waiters) == [b"a"] * 3
                assert leader.cancelled()

    asyncio.run(main())
    assert grants.calls("GetDataAccess") == 2


def test_a_task_that_is_dropped_in_the_middle_leaves_no_call_behind(grants, register, alice):
    provider = None

    async def main():
        nonlocal provider
        session = session_of(alice)
        provider = register(session)
        async with client_of(session) as s3:
            with grants.hold("GetDataAccess") as held:
                tasks = [asyncio.create_task(read(s3, "a/x"))]
                await in_thread(held.wait_for, 1)
                held.release()
        assert not tasks[0].done()

    asyncio.run(main())
    assert [len(state.calls) for state in provider.runtime.settings.states._states.values()] == [0]


def test_two_loops_and_two_identities_share_nothing(grants, alice, monkeypatch):
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "access-grants=access_grants_provider")
    bob = grants.identity("bob", session=True)
    grants.grant(bob, "s3://data/b/*", "READ")
    grants.put("s3://data/b/x", b"b")
    together = threading.Barrier(2)

    async def work(identity, own, foreign):
        async with client_of(session_of(identity)) as s3:
            await in_thread(together.wait)
            bodies = await asyncio.gather(*[read(s3, own) for _ in range(8)])
            with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
                await read(s3, foreign)
            return set(bodies)

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(asyncio.run, work(alice, "a/x", "b/x"))
        other = pool.submit(asyncio.run, work(bob, "b/x", "a/x"))
        assert one.result() == {b"a"}
        assert other.result() == {b"b"}
    signed = {(one.key, one.signer, one.principal) for one in grants.s3_requests() if one.operation == "GetObject"}
    assert signed == {
        ("a/x", "grant", "alice"),
        ("b/x", "grant", "bob"),
        ("b/x", "alice", "alice"),
        ("a/x", "bob", "bob"),
    }
    assert grants.calls("GetDataAccess") == 4
    take_back_autoload()


def take_back_autoload() -> None:
    for provider in list(_registry.autoloaded.values()):
        provider.unregister()
    gc.collect()


def test_two_loops_of_one_identity_share_what_was_vended(grants, register, alice):
    session = session_of(alice)
    provider = register(session)

    async def work():
        async with client_of(session) as s3:
            return await read(s3, "a/x")

    assert asyncio.run(work()) == b"a"
    assert asyncio.run(work()) == b"a"
    assert provider.stats().vended == 1


def test_a_blocked_loop_makes_no_other_thread_wait_for_its_call(grants, alice, monkeypatch):
    """The loop's thread calls boto3 while a task of that loop is asking: to wait for the task would never end."""
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "access-grants=access_grants_provider")

    async def main():
        async with client_of(session_of(alice)) as s3:
            with grants.hold("GetDataAccess") as held, ThreadPoolExecutor(1) as pool:
                task = asyncio.create_task(read(s3, "a/x"))
                await in_thread(held.wait_for, 1)
                both = pool.submit(lambda: (held.wait_for(2), held.release()))
                blocking = boto3.Session(alice.access_key_id, alice.secret_access_key).client("s3")
                assert blocking.get_object(Bucket="data", Key="a/x")["Body"].read() == b"a"
                both.result()
                assert await task == b"a"

    asyncio.run(main())
    (provider,) = _registry.autoloaded.values()
    assert provider.stats().vended == 2
    take_back_autoload()


def test_the_calls_go_through_the_clients_own_http_session(grants, register, alice):
    async def main():
        session = session_of(alice)
        provider = register(session)
        async with client_of(session) as s3:
            await read(s3, "a/x")
            (hook,) = provider._living_hooks()
            assert len(hook._clients) >= 2
            for internal in hook._clients.values():
                assert internal._endpoint.http_session is s3._endpoint.http_session
        return provider

    asyncio.run(main())
    # A session that is left open says so when it is collected, and here warnings are errors.
    gc.collect()


def test_a_client_that_is_closed_is_named(grants, register, alice):
    async def main():
        session = session_of(alice)
        register(session)
        async with client_of(session) as s3:
            pass
        if s3._endpoint.http_session._sessions is not None:
            pytest.skip("this aiobotocore opens a closed client again")
        with pytest.raises(exceptions.ConfigurationError, match="The S3 client is closed, or its 'async with' block"):
            await read(s3, "a/x")

    asyncio.run(main())
    assert grants.requests == []


def test_an_asynchronous_session_is_asked_with_await(grants, register, alice):
    session = session_of(alice)
    provider = register(session)
    with pytest.raises(exceptions.ConfigurationError, match=r"is asynchronous\. Await explain_async"):
        provider.explain("get_object", Bucket="data", Key="a/x")
    with pytest.raises(exceptions.ConfigurationError, match=r"is asynchronous\. Await explain_async"):
        provider.credentials("s3://data/a/")
    decision = asyncio.run(provider.explain_async("get_object", Bucket="data", Key="a/x"))
    assert (decision.outcome, decision.scope) == ("granted", "s3://data/a/*")
    assert asyncio.run(provider.credentials_async("s3://data/a/")).scope == "s3://data/a/*"
    assert grants.calls("GetDataAccess") == 1


def test_a_synchronous_session_is_asked_without(grants, register, alice):
    provider = register(grants.session(alice), endpoint_url=grants.url)
    with pytest.raises(exceptions.ConfigurationError, match=r"is not asynchronous\. Call explain"):
        asyncio.run(provider.explain_async("get_object", Bucket="data", Key="a/x"))


def test_a_registered_asynchronous_client_answers_itself(grants, register, alice):
    async def main():
        async with client_of(session_of(alice)) as s3:
            provider = register(s3)
            assert (await provider.explain_async("head_object", Bucket="data", Key="a/x")).outcome == "granted"
            await s3.head_object(Bucket="data", Key="a/x")
            provider.unregister()
            with pytest.raises(s3.exceptions.ClientError):
                await s3.head_object(Bucket="data", Key="a/x")

    asyncio.run(main())
    assert [one.signer for one in grants.s3_requests()][-2:] == ["grant", "alice"]


def test_on_trio_it_is_the_same(grants, register, alice):
    trio = trio_or_skip()
    idle = pytest.importorskip("trio.testing").wait_all_tasks_blocked

    async def main():
        session = session_on_trio(alice)
        register(session)
        async with session.create_client("s3") as s3:
            with grants.hold("GetDataAccess") as held:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(read_on_trio, s3)
                    await trio.to_thread.run_sync(held.wait_for, 1)
                    for _ in range(7):
                        nursery.start_soon(read_on_trio, s3)
                    await idle()
                    held.release()

    async def read_on_trio(s3):
        assert await read(s3, "a/x") == b"a"

    trio.run(main)
    assert grants.calls("GetDataAccess") == 1
    assert {one.signer for one in grants.s3_requests()} == {"grant"}


async def cancelled_on_asyncio(waiting):
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancelled_on_trio(waiting):
    with trio_or_skip().move_on_after(0):
        await waiting


@pytest.mark.parametrize("on_trio", [False, True], ids=["asyncio", "trio"])
def test_a_call_that_ends_after_its_loop_wakes_nobody_and_says_nothing(on_trio, caplog):
    # Of a task that is never resumed, and collected as garbage after its loop.
    call = InFlightCall()

    async def waiting():
        await running_backend().wait(call.on_end, 60)

    if on_trio:
        trio_or_skip().run(cancelled_on_trio, waiting())
    else:
        asyncio.run(cancelled_on_asyncio(waiting()))
    call.end()
    assert caplog.messages == []
