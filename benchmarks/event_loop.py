"""What a cold request does to the event loop, and how long herds of tasks wait: the official plugin and ours.

Run ``python -m benchmarks.event_loop`` in an environment with the extras ``testing`` and ``bench`` and with
aiobotocore. The local S3 Access Grants runs in a process of its own and counts what it is asked. The exit code is 1
where a count of ours leaves its bar; times are shown and not judged, for they depend on the machine.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import aiobotocore
import botocore
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

import access_grants_provider
from access_grants_provider.testing import AccessGrantsServer

BUCKET = "warehouse"
TASKS = 64
ROUNDS = 5
COLD_VEND_SECONDS = 0.5
HERD_VEND_SECONDS = 0.2
TICK_SECONDS = 0.001


def serve(pipe: Connection) -> None:
    """Run the service in this process: each message is a Python call on it, ``None`` ends it."""
    with AccessGrantsServer() as server:
        server.bucket(BUCKET)
        alice = server.identity("alice")
        for number in range(TASKS):
            server.put(f"s3://{BUCKET}/all/folder-{number}/x", b"1")
            server.put(f"s3://{BUCKET}/team-{number}/x", b"1")
            server.grant(alice, f"s3://{BUCKET}/team-{number}/*", "READ")
        server.grant(alice, f"s3://{BUCKET}/all/*", "READ")
        pipe.send((server.url, server.account_id, alice, server.environment(alice)))
        while (message := pipe.recv()) is not None:
            name, *arguments = message
            pipe.send(getattr(server, name)(*arguments))


class Service:
    """The service in the other process."""

    def __init__(self) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        self.url, self.account_id, self.alice, environment = self._pipe.recv()
        os.environ.update(environment)

    def call(self, *message: object) -> Any:
        """Call a method of the server, by name."""
        self._pipe.send(message)
        return self._pipe.recv()

    def stop(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()

    def session(self) -> AioSession:
        """Return a session that signs as the one who has the grants."""
        session = AioSession()
        session.set_credentials(self.alice.access_key_id, self.alice.secret_access_key)
        session.set_config_variable("region", "us-east-1")
        return session

    def client(self, session: AioSession) -> Any:
        """Return an asynchronous client that is still to be entered."""
        return session.create_client("s3", endpoint_url=self.url, config=AioConfig(max_pool_connections=TASKS))


async def read(s3: Any, key: str) -> None:
    """Read an object to its end."""
    response = await s3.get_object(Bucket=BUCKET, Key=key)
    async with response["Body"] as body:
        await body.read()


async def sign(s3: Any, key: str) -> None:
    """Sign a read without sending it: what S3 itself takes for 64 reads is not what is measured."""
    await s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})


async def lateness(work: Awaitable[object]) -> tuple[float, str]:
    """Return how many seconds a ticking task was late at worst while something ran, and how that ended."""
    worst = 0.0

    async def tick() -> None:
        nonlocal worst
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            worst = max(worst, time.perf_counter() - begin - TICK_SECONDS)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.02)
    worst, ended = 0.0, "signed with the grant"
    try:
        await work
    except Exception as error:  # noqa: BLE001  the peer's crash is a result
        ended = type(error).__name__
    # Where the loop stood still to the end, the ticker has yet to notice.
    await asyncio.sleep(2 * TICK_SECONDS)
    ticking.cancel()
    return worst, ended


def ours(service: Service, client: Any) -> None:
    """Cover a client with access_grants_provider."""
    access_grants_provider.register(client, endpoint_url=service.url)


def theirs(service: Service, client: Any) -> None:
    """Cover a client with the official plugin; its S3 Control client is sent to the local service."""
    from aws_s3_access_grants_boto3_plugin.cache.access_denied_cache import AccessDeniedCache
    from aws_s3_access_grants_boto3_plugin.cache.access_grants_cache import AccessGrantsCache
    from aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin import S3AccessGrantsPlugin
    from botocore.session import Session

    S3AccessGrantsPlugin.access_denied_cache = AccessDeniedCache()
    S3AccessGrantsPlugin.access_grants_cache = AccessGrantsCache()
    S3AccessGrantsPlugin.client_dict = {}
    session = Session()
    session.set_credentials(service.alice.access_key_id, service.alice.secret_access_key)
    session.set_config_variable("region", "us-east-1")
    S3AccessGrantsPlugin(client, fallback_enabled=False, customer_session=session).register()


def cold_request(service: Service, cover: Callable[[Service, Any], None]) -> tuple[float, str]:
    """Return the loop's worst lateness during one cold request, and how the request ended."""
    service.call("delay", "GetDataAccess", COLD_VEND_SECONDS)

    async def main() -> tuple[float, str]:
        async with service.client(service.session()) as s3:
            cover(service, s3)
            return await lateness(read(s3, "all/folder-0/x"))

    gc.collect()
    result = asyncio.run(main())
    service.call("heal")
    return result


def herd(service: Service, keys: list[str], vend_seconds: float) -> tuple[float, int]:
    """Return the seconds until all requests are signed, and how many vends that took; the account is known."""
    service.call("delay", "GetDataAccess", vend_seconds)

    async def main() -> float:
        session = service.session()
        access_grants_provider.register(session, endpoint_url=service.url, account_id=service.account_id)
        async with service.client(session) as s3:
            begin = time.perf_counter()
            await asyncio.gather(*[sign(s3, key) for key in keys])
            return time.perf_counter() - begin

    before = service.call("calls", "GetDataAccess")
    seconds = asyncio.run(main())
    service.call("heal")
    return seconds, service.call("calls", "GetDataAccess") - before


def main() -> int:
    """Run it all, print the table, return the exit code."""
    service = Service()
    try:
        rounds = [(cold_request(service, theirs), cold_request(service, ours)) for _ in range(ROUNDS)]
        one_vend = median(herd(service, ["all/folder-0/x"], HERD_VEND_SECONDS)[0] for _ in range(ROUNDS))
        one_grant = [herd(service, [f"all/folder-{n}/x" for n in range(TASKS)], 0.0) for _ in range(ROUNDS)]
        grants = [herd(service, [f"team-{n}/x" for n in range(TASKS)], HERD_VEND_SECONDS) for _ in range(ROUNDS)]
    finally:
        service.stop()
    print(f"Python {sys.version.split()[0]}, botocore {botocore.__version__}, aiobotocore {aiobotocore.__version__}")
    print(f"The loop's worst lateness during one cold request with a vend of {COLD_VEND_SECONDS * 1_000:.0f} ms:")
    for name, results in zip(("official plugin", "ours"), zip(*rounds, strict=True), strict=True):
        late = sorted(seconds * 1_000 for seconds, _ in results)
        endings = ", ".join(sorted({ending for _, ending in results}))
        print(f"  {name}: {median(late):.0f} ms ({late[0]:.0f} to {late[-1]:.0f}); the request: {endings}")
    vends = sorted({count for _, count in one_grant})
    print(f"{TASKS} tasks cold, one grant, {TASKS} folders: {vends} GetDataAccess (bar 2)")
    times = sorted(seconds * 1_000 for seconds, _ in grants)
    print(
        f"{TASKS} tasks cold, {TASKS} grants, {HERD_VEND_SECONDS * 1_000:.0f} ms a vend: {median(times):.0f} ms "
        f"({times[0]:.0f} to {times[-1]:.0f}); one cold request: {one_vend * 1_000:.0f} ms"
    )
    return 0 if vends[-1] <= 2 and all(ended == "signed with the grant" for _, (_, ended) in rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
