"""Nothing that an asynchronous client leaves behind goes unseen by the tests that look at it as a synchronous one."""

from __future__ import annotations

import asyncio
import gc

import pytest

pytest.importorskip(
    "aiobotocore", reason="aiobotocore is not installed: the tests of behaviour run over botocore alone"
)

from aiobotocore.session import AioSession

from .portal import Portal, SessionView


def test_what_the_loop_complains_of_is_an_error():
    async def fail() -> None:
        raise LookupError("nobody asked")

    async def forget() -> None:
        await asyncio.wait([asyncio.get_running_loop().create_task(fail())])
        gc.collect()

    with pytest.raises(AssertionError, match="never retrieved"), Portal() as portal:
        portal.run(forget)


def test_a_task_that_nobody_waits_for_is_an_error():
    tasks = []

    async def hang() -> None:
        await asyncio.Event().wait()

    async def leave() -> None:
        tasks.append(asyncio.get_running_loop().create_task(hang()))

    with pytest.raises(AssertionError, match=r"left behind in the loop.*hang"), Portal() as portal:
        portal.run(leave)
    assert tasks[0].cancelled()


def test_an_http_session_that_nobody_closes_is_an_error():
    clients = []

    async def leave() -> None:
        clients.append(await AioSession().create_client("sqs").__aenter__())
        # It opens one on the first need.
        await clients[0]._endpoint.http_session._get_session(None)

    with pytest.raises(AssertionError, match=r"left behind in the loop.*ClientSession"), Portal() as portal:
        portal.run(leave)


def test_what_is_viewed_is_closed_with_the_portal():
    with Portal() as portal:
        client = SessionView(portal, AioSession()).client("sqs")
        session = client._endpoint.http_session
        portal.run(session._get_session, None)
        assert session._sessions
    assert not session._sessions
