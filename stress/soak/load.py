"""The load: threads and tasks that make calls until they are told to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from .clients import WORK, AioClientSlot, ClientSlot, Mutation, SyncClientSlot
from .journal import Journal
from .scenario import PEOPLE, Person, Work, choose
from .service import Service

THREADS = 32
TASKS = 200
# Between two calls of one worker, in seconds and on average. All in all some 80 calls a second: enough to meet in
# every window, and little enough that two cores deliver what was signed within the half second before its end.
THREAD_PAUSE = 0.8
TASK_PAUSE = 5.0
PATIENCE = 60  # seconds; whoever has not come back by then is stuck


def answered(response: Mapping[str, Any]) -> str:
    """Name how a call ended that raised nothing: a multi-object delete tells its refusals in the answer."""
    return "".join(f"ClientError:{one['Code']}" for one in response.get("Errors", [])[:1]) or "ok"


def raised(error: Exception) -> str:
    """Name an error: our own by its class, S3's by its code."""
    if type(error).__module__.startswith("access_grants_provider."):
        return type(error).__name__
    if isinstance(error, ClientError):
        return f"ClientError:{error.response.get('Error', {}).get('Code')}"
    return f"{type(error).__module__}.{type(error).__name__}"


def make(client: Any, work: Work) -> None:
    """Make a call with a client of boto3, and write into ``work`` how it ended."""
    token = WORK.set(work.id)
    work.began = time.time()
    try:
        response = getattr(client, work.method)(**work.parameters)
        if "Body" in response:
            response["Body"].read()
        work.ending = answered(response)
    except Exception as error:  # noqa: BLE001  the oracle decides which are right
        work.ending, work.message = raised(error), str(error)
    finally:
        work.ended = time.time()
        WORK.reset(token)


async def make_async(client: Any, work: Work) -> None:
    """Do the same with a client of aiobotocore."""
    token = WORK.set(work.id)
    work.began = time.time()
    try:
        response = await getattr(client, work.method)(**work.parameters)
        if "Body" in response:
            async with response["Body"] as body:
                await body.read()
        work.ending = answered(response)
    except Exception as error:  # noqa: BLE001
        work.ending, work.message = raised(error), str(error)
    finally:
        work.ended = time.time()
        WORK.reset(token)


class Load:
    """The slots and the workers that use their clients. ``tasks`` is 0 where aiobotocore is not installed."""

    def __init__(
        self, service: Service, journal: Journal, seed: str, threads: int, tasks: int, mutation: Mutation | None
    ) -> None:
        self.service, self.journal, self.seed = service, journal, seed
        self.stopped = threading.Event()
        self.threads = [
            threading.Thread(target=self._work, args=(number,), name=f"soak-{number}", daemon=True)
            for number in range(threads)
        ]
        self.slots: dict[tuple[str, str], Any] = {}
        for person in PEOPLE:
            self.slots[person.name, "threads"] = SyncClientSlot(service, person, journal, mutation)
            if tasks:
                self.slots[person.name, "tasks"] = AioClientSlot(service, person, journal, None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_runs = threading.Event()
        self._loop_thread = threading.Thread(target=lambda: asyncio.run(self._run_tasks(tasks)), daemon=True)
        self._with_tasks = bool(tasks)

    def start(self) -> None:
        """Put a client into each slot and begin."""
        for slot in self.of("threads"):
            slot.replace_client()
        if self._with_tasks:
            self._loop_thread.start()
            if not self._loop_runs.wait(PATIENCE):
                raise TimeoutError("the event loop did not start")
        for thread in self.threads:
            thread.start()

    def of(self, side: str) -> list[Any]:
        """Return the slots of a side. Any: what a thread calls on one side, a task awaits on the other."""
        return [slot for (_, its_side), slot in self.slots.items() if its_side == side]

    def slots_of(self, person: Person) -> list[ClientSlot]:
        """Return a person's slots."""
        return [slot for (name, _), slot in self.slots.items() if name == person.name]

    def replace_client(self, slot: Any) -> None:
        """Replace a slot's client, whatever its side."""
        if slot.side == "threads":
            slot.replace_client()
        elif self._loop is not None:
            asyncio.run_coroutine_threadsafe(slot.replace_client(), self._loop).result(PATIENCE)

    def stop(self) -> None:
        """Have all workers end, and close everything. What does not end in time is a failure."""
        self.stopped.set()
        until = time.monotonic() + PATIENCE
        for thread in [*self.threads, *([self._loop_thread] if self._with_tasks else [])]:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self.journal.fail(f"{thread.name} never came back")
        for slot in self.of("threads"):
            slot.retire_last()
            slot.close_idle()

    def _work(self, number: int) -> None:
        random, turn = Random(f"{self.seed}/thread/{number}"), 0
        while not self.stopped.wait(random.uniform(0, 2 * THREAD_PAUSE)):
            person = random.choice(PEOPLE)
            work = choose(random, person.name, f"{self.seed}t{number}", turn, "threads")
            with self.slots[person.name, "threads"].use() as (work.generation, client):
                make(client, work)
            self.journal.add(work)
            turn += 1

    async def _run_tasks(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        slots = self.of("tasks")
        for slot in slots:
            await slot.replace_client()
        self._loop_runs.set()
        await asyncio.gather(*[self._work_async(number) for number in range(count)])
        for slot in slots:
            slot.retire_last()
            await slot.close_idle()

    async def _work_async(self, number: int) -> None:
        random, turn = Random(f"{self.seed}/task/{number}"), 0
        while True:
            pause = random.uniform(0, 2 * TASK_PAUSE)
            while pause > 0 and not self.stopped.is_set():
                await asyncio.sleep(min(pause, 0.5))
                pause -= 0.5
            if self.stopped.is_set():
                return
            person = random.choice(PEOPLE)
            work = choose(random, person.name, f"{self.seed}a{number}", turn, "tasks")
            with self.slots[person.name, "tasks"].use() as (work.generation, client):
                await make_async(client, work)
            self.journal.add(work)
            turn += 1
