"""The load: threads and tasks that make calls until they are told to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from .journal import Journal
from .seats import WORK, Seat, Spoil, TasksSeat, ThreadsSeat
from .service import Service
from .world import PEOPLE, Person, Work, choose

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
    except Exception as error:  # noqa: BLE001  the judge decides which are right
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
    """The seats and the workers on them. ``tasks`` is 0 where aiobotocore is not installed."""

    def __init__(
        self, service: Service, journal: Journal, seed: str, threads: int, tasks: int, spoil: Spoil | None
    ) -> None:
        self.service, self.journal, self.seed = service, journal, seed
        self.stopped = threading.Event()
        self.threads = [
            threading.Thread(target=self._work, args=(number,), name=f"soak-{number}", daemon=True)
            for number in range(threads)
        ]
        self.seats: dict[tuple[str, str], Any] = {}
        for person in PEOPLE:
            self.seats[person.name, "threads"] = ThreadsSeat(service, person, journal, spoil)
            if tasks:
                self.seats[person.name, "tasks"] = TasksSeat(service, person, journal, None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_runs = threading.Event()
        self._loop_thread = threading.Thread(target=lambda: asyncio.run(self._run_tasks(tasks)), daemon=True)
        self._with_tasks = bool(tasks)

    def start(self) -> None:
        """Take the seats and begin."""
        for seat in self.of("threads"):
            seat.turn()
        if self._with_tasks:
            self._loop_thread.start()
            if not self._loop_runs.wait(PATIENCE):
                raise TimeoutError("the event loop did not start")
        for thread in self.threads:
            thread.start()

    def of(self, side: str) -> list[Seat]:
        """Return the seats of a side."""
        return [seat for (_, its_side), seat in self.seats.items() if its_side == side]

    def seats_of(self, person: Person) -> list[Seat]:
        """Return a person's seats."""
        return [seat for (name, _), seat in self.seats.items() if name == person.name]

    def turn(self, seat: Any) -> None:
        """Replace a seat's client, whatever its side."""
        if seat.side == "threads":
            seat.turn()
        elif self._loop is not None:
            asyncio.run_coroutine_threadsafe(seat.turn(), self._loop).result(PATIENCE)

    def stop(self) -> None:
        """Have all workers end, and close everything. What does not end in time is a failure."""
        self.stopped.set()
        until = time.monotonic() + PATIENCE
        for thread in [*self.threads, *([self._loop_thread] if self._with_tasks else [])]:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self.journal.fail(f"{thread.name} never came back")
        for seat in self.of("threads"):
            seat.leave()
            seat.close_idle()

    def _work(self, number: int) -> None:
        random, turn = Random(f"{self.seed}/thread/{number}"), 0
        while not self.stopped.wait(random.uniform(0, 2 * THREAD_PAUSE)):
            person = random.choice(PEOPLE)
            work = choose(random, person.name, f"{self.seed}t{number}", turn, "threads")
            with self.seats[person.name, "threads"].use() as (work.generation, client):
                make(client, work)
            self.journal.add(work)
            turn += 1

    async def _run_tasks(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        seats: list[Any] = self.of("tasks")
        for seat in seats:
            await seat.turn()
        self._loop_runs.set()
        await asyncio.gather(*[self._work_async(number) for number in range(count)])
        for seat in seats:
            seat.leave()
            await seat.close_idle()

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
            with self.seats[person.name, "tasks"].use() as (work.generation, client):
                await make_async(client, work)
            self.journal.add(work)
            turn += 1
