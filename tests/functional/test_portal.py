"""Nothing that an asynchronous client leaves behind goes unseen by the tests that look at it as a synchronous one."""

from __future__ import annotations

import asyncio
import gc

import pytest

pytest.importorskip(
    "aiobotocore", reason="aiobotocore is not installed: the tests of behaviour run over botocore alone"
)

from .portal import Portal


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
