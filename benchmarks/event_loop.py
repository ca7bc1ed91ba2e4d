"""What a cold request does to the event loop, how herds of tasks wait, and what a warm task pays.

Beside the official plugin and s3fs-access-grants; where one crashes, the row says with what.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from typing import Any

import access_grants_provider

from .contestants import HAS_AIO, HAS_PEER, HAS_SCOPED_S3FS, cover_with_theirs, session_of
from .local import BUCKET, HERD, Service, service
from .rows import NOT_HERE, NOTHING, Cell, Effort, Row, count, over, spread

COLD_VEND_SECONDS = 0.5
HERD_VEND_SECONDS = 0.2
TICK_SECONDS = 0.001
# As the threads' herd in waiting.py, for the same reasons: ×3.5 and ×4.4 on a busy machine; one after another is ×64.
CI_HERD = 16.0
# A warm signature by ours over plain aiobotocore's. Our share of a signature is larger than of a request, and the
# figure is noisy: ×1.07 to ×1.40 was seen. This has to catch a client that is made or a thread started for each.
CI_SIGN = 2.0
TASKS = (1, 64, 1_000)

Made = tuple[float, str]


def session(identity: Any) -> Any:
    """Return an asynchronous session that signs as somebody."""
    return session_with(identity.access_key_id, identity.secret_access_key, identity.session_token)


def session_with(access_key: str, secret_key: str, token: str | None) -> Any:
    """Return an asynchronous session that signs with these credentials."""
    from aiobotocore.session import AioSession

    made = AioSession()
    made.set_credentials(access_key, secret_key, token)
    made.set_config_variable("region", "us-east-1")
    return made


def client(local: Service, of: Any) -> Any:
    """Return an asynchronous client that is still to be entered."""
    from aiobotocore.config import AioConfig

    return of.create_client("s3", endpoint_url=local.url, config=AioConfig(max_pool_connections=HERD))


async def read(s3: Any, key: str) -> None:
    """Read an object to its end."""
    response = await s3.get_object(Bucket=BUCKET, Key=key)
    async with response["Body"] as body:
        await body.read()


async def sign(s3: Any, key: str) -> None:
    """Sign a read without sending it: what S3 itself takes is not what is measured."""
    await s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})


async def lateness(work: Awaitable[object]) -> Made:
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
    worst, ended = 0.0, "read"
    try:
        await work
    except Exception as error:  # noqa: BLE001  a peer's crash is a result
        ended = type(error).__name__
    # Where the loop stood still to the end, the ticker has yet to notice.
    await asyncio.sleep(2 * TICK_SECONDS)
    ticking.cancel()
    return worst, ended


async def with_ours(local: Service) -> Made:
    """Make a cold request with access_grants_provider."""
    async with client(local, session(local.alice)) as s3:
        access_grants_provider.register(s3, endpoint_url=local.url, fallback="never")
        return await lateness(read(s3, "all/folder-0/x"))


async def with_theirs(local: Service) -> Made:
    """Make a cold request with the official plugin."""
    async with client(local, session(local.alice)) as s3:
        cover_with_theirs(s3, session_of(local.alice), False)
        return await lateness(read(s3, "all/folder-0/x"))


async def with_scoped_s3fs(local: Service) -> Made:
    """Make a cold request with s3fs-access-grants."""
    import s3fs_access_grants.filesystem

    # Any: it brings annotations for some of its functions only.
    scoped: Any = s3fs_access_grants.filesystem
    scoped._SCOPE_CACHE.clear()
    filesystem: Any = None

    async def work() -> None:
        nonlocal filesystem
        filesystem = scoped.ScopedS3FileSystem(
            asynchronous=True,
            skip_instance_cache=True,
            endpoint_url=local.url,
            grants_account_id=local.account_id,
            grants_region="us-east-1",
        )
        await filesystem._cat_file(f"{BUCKET}/all/folder-0/x")

    late = await lateness(work())
    if filesystem is not None:
        await filesystem._close_scopes()
        await filesystem._s3.close()
    return late


CONTESTANTS: dict[str, tuple[bool, Callable[[Service], Awaitable[Made]]]] = {
    "official": (HAS_PEER, with_theirs),
    "s3fs-access-grants": (HAS_SCOPED_S3FS, with_scoped_s3fs),
    "ours": (True, with_ours),
}


def lateness_row(local: Service, rounds: int, quick: bool) -> Iterator[Row]:
    """Measure the loop's worst lateness during one cold request, the contestants by turns."""
    local.call("heal")
    local.call("delay", "GetDataAccess", COLD_VEND_SECONDS)
    made: dict[str, list[Made]] = {
        name: [] for name, (here, _) in CONTESTANTS.items() if name == "ours" or (here and not quick)
    }
    for _ in range(rounds):
        for name, results in made.items():
            gc.collect()
            results.append(asyncio.run(CONTESTANTS[name][1](local)))  # type: ignore[arg-type]

    def text(name: str) -> str:
        if name not in made:
            return f"{name}: {NOT_HERE.text}"
        endings = ", ".join(sorted({ending for _, ending in made[name]}))
        return f"{name}: {spread([late for late, _ in made[name]], 'ms', 1e3).text}, {endings}"

    peers = Cell("; ".join(text(name) for name in CONTESTANTS if name != "ours"))
    late = [seconds for seconds, _ in made["ours"]]
    yield Row(
        f"the loop's worst lateness in a cold request, {COLD_VEND_SECONDS * 1e3:.0f} ms a vend",
        spread(late, "ms", 1e3),
        NOTHING,
        peers,
        median(late) * 1e3,
        "ms",
        50,
    )
    unread = sum(ending != "read" for _, ending in made["ours"])
    failed = [sum(ending != "read" for _, ending in made[name]) for name in made if name != "ours"]
    shown = Cell(" + ".join(map(str, failed))) if failed else NOT_HERE
    yield count(f"– of {rounds}, reads that failed", unread, 0, peer=shown)


def herd(local: Service, keys: list[str], vend_seconds: float) -> tuple[float, int]:
    """Return the seconds until all requests are signed, and how many vends that took; the account is known."""
    local.call("heal")
    local.call("delay", "GetDataAccess", vend_seconds)

    async def main() -> float:
        of = session(local.alice)
        access_grants_provider.register(of, endpoint_url=local.url, account_id=local.account_id)
        async with client(local, of) as s3:
            begin = time.perf_counter()
            await asyncio.gather(*[sign(s3, key) for key in keys])
            return time.perf_counter() - begin

    before = local.call("calls", "GetDataAccess")
    seconds = asyncio.run(main())
    return seconds, local.call("calls", "GetDataAccess") - before


def herd_rows(local: Service, effort: Effort) -> Iterator[Row]:
    """Measure cold herds of tasks."""
    for tasks in TASKS[1:2] if effort.quick else TASKS:
        seconds, vends = herd(local, [f"all/folder-{number}/x" for number in range(tasks)], 0.0)
        what = f"GetDataAccess of {tasks:,} task{'s' * (tasks > 1)} cold, one grant, a folder each"
        yield Row(what, Cell(f"{vends} in {seconds * 1e3:.0f} ms", vends), NOTHING, NOTHING, vends, "count", 2, 2)
    one, every = [], []
    for _ in range(effort.of(3, 2)):
        one.append(herd(local, ["team-0/x"], HERD_VEND_SECONDS)[0])
        every.append(herd(local, [f"team-{number}/x" for number in range(HERD)], HERD_VEND_SECONDS)[0])
    yield Row(
        f"{HERD} tasks cold, {HERD} grants, {HERD_VEND_SECONDS * 1e3:.0f} ms a vend, until all are signed; over one",
        spread(every, "ms", 1e3),
        NOTHING,
        NOTHING,
        over(every, one),
        "ratio",
        3.0,
        CI_HERD,
        "waiting",
    )


def warm_rows(local: Service, effort: Effort) -> Iterator[Row]:
    """Measure the CPU of warm signatures by many tasks at once."""
    local.call("heal")

    async def main(tasks: int) -> tuple[list[float], list[float]]:
        covered = session(local.alice)
        provider = access_grants_provider.register(covered, endpoint_url=local.url)
        taken: dict[Any, list[float]] = {}
        async with client(local, covered) as ours:
            vended = await provider.credentials_async(f"s3://{BUCKET}/all/folder-0/x")
            # The same credentials sign for both: a longer token makes a URL dearer, whoever signs.
            with_them = session_with(vended.access_key, vended.secret_key, vended.token)
            async with client(local, with_them) as plain:
                for _ in range(5):
                    for s3 in (plain, ours):
                        repeat = max(1, 200 // tasks)
                        begin = time.process_time()
                        for _ in range(repeat):
                            await asyncio.gather(*[sign(s3, "all/folder-0/x") for _ in range(tasks)])
                        taken.setdefault(s3, []).append((time.process_time() - begin) / repeat / tasks)
                return taken[plain], taken[ours]

    for tasks in TASKS[1:2] if effort.quick else TASKS:
        plain, ours = asyncio.run(main(tasks))
        yield Row(
            f"CPU of a warm signature (a presigned URL), {tasks:,} task{'s' * (tasks > 1)} at once",
            spread(ours, "µs", 1e6),
            spread(plain, "µs", 1e6),
            NOTHING,
            over(ours, plain),
            "ratio",
            None,
            CI_SIGN,
        )


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the section; one row says so where aiobotocore is missing."""
    if not HAS_AIO:
        yield Row("event loops: aiobotocore is not installed (extra bench-aio)", NOT_HERE, NOT_HERE, NOT_HERE)
        return
    with service() as local:
        yield from lateness_row(local, effort.of(3, 1), effort.quick)
        yield from herd_rows(local, effort)
        yield from warm_rows(local, effort)
