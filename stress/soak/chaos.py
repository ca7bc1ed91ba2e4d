"""What befalls the load meanwhile: grants come and go, memory is cleared, covers end, the process forks."""

from __future__ import annotations

import os
import pickle
import signal
import time
from random import Random
from typing import Any

from .clients import stamp
from .journal import Event, Journal
from .load import PATIENCE, Load, make
from .scenario import BUCKET, MOVING, PEOPLE, Work, choose, moving_folder
from .service import Service

FORK_SECONDS = 40  # a child that is not done by then is ended by its alarm clock
FORK_CALLS = 6


class Chaos:
    """One event after another, drawn from a seeded die, in the thread that calls."""

    def __init__(self, service: Service, load: Load, journal: Journal, seed: str) -> None:
        self.service, self.load, self.journal, self.seed = service, load, journal, seed
        self._random = Random(f"{seed}/chaos")
        # folder → the id of its grant
        self.grants: dict[tuple[str, str], str] = {}

    def run(self, seconds: float, calls: int) -> None:
        """Let things happen for so long, and on until so many calls were made; a load that is stuck is a failure."""
        until, enough = time.monotonic() + seconds, self.journal.done + calls
        while (now := time.monotonic()) < until or (self.journal.done < enough and now < until + PATIENCE):
            events = [self.grant_or_revoke, self.clear, self.replace_client, self.fork]
            self._random.choices(events, [10, 3, 2, 2])[0]()
            time.sleep(self._random.uniform(0, 0.6))
        if self.journal.done < enough:
            self.journal.fail(f"{enough - self.journal.done} of {calls} calls were not made within {PATIENCE} s more")

    def revoke_all(self) -> None:
        """Take all moving grants away, so that another load begins as this one did."""
        for name, folder in list(self.grants):
            self._revoke(name, folder)

    def grant_or_revoke(self) -> None:
        """Give a moving grant or take it; whoever gives one has the person's providers forget, mostly."""
        person = self._random.choice(PEOPLE)
        folder = moving_folder(person.name, self._random.randrange(MOVING))
        if (person.name, folder) in self.grants:
            self._revoke(person.name, folder)
            return
        began = time.time()
        identity = self.service.identities[person.name]
        scope = f"s3://{BUCKET}/{folder}*"
        self.grants[person.name, folder] = self.service.call("grant", identity, scope, "READWRITE")
        self.journal.note(Event("granted", person.name, began, time.time(), folder))
        if self._random.random() < 0.7:
            for slot in self.load.slots_of(person):
                slot.clear()

    def _revoke(self, name: str, folder: str) -> None:
        began = time.time()
        self.service.call("revoke", self.grants.pop((name, folder)))
        self.journal.note(Event("revoked", name, began, time.time(), folder))

    def clear(self) -> None:
        """Have somebody's provider forget."""
        self._random.choice(list(self.load.slots.values())).clear()

    def replace_client(self) -> None:
        """Unregister somebody's client while it is in use, use it without cover, and replace it by a new one."""
        slot: Any = self._random.choice(list(self.load.slots.values()))
        slot.unregister()
        if slot.side == "threads":
            for zone in ("own", "steady"):
                prefix = f"{zone}/{slot.person.name}/"
                parameters = {"Bucket": BUCKET, "Key": f"{prefix}base"}
                name = f"{self.seed}u{self.journal.done}{zone}"
                work = Work(name, slot.person.name, "threads", "get_object", zone, prefix, parameters)
                with slot.use() as (work.generation, client):
                    make(client, work)
                self.journal.add(work)
        self.load.replace_client(slot)

    def fork(self) -> None:
        """Fork, in the middle of everything, and have the child make calls with a client of the same session."""
        # Whose keys rotate fetches them through the pipe to the service, which belongs to this process.
        person = self._random.choice([one for one in PEOPLE if not one.rotates])
        slot = self.load.slots[person.name, "threads"]
        self.journal.forks += 1
        theirs, ours = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._be_child(slot, theirs, ours)
        os.close(ours)
        with os.fdopen(theirs, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(pid, 0)
        works: list[Work] = pickle.loads(told) if told else []
        for work in works:
            self.journal.add(work)
        if status or len(works) != FORK_CALLS:
            self.journal.fail(f"the forked child of {person.name} made {len(works)} calls and ended with {status}")

    def _be_child(self, slot: Any, theirs: int, ours: int) -> None:
        status = 1
        try:
            signal.alarm(FORK_SECONDS)
            os.close(theirs)
            random = Random(f"{self.seed}/child/{self.journal.forks}")
            client = slot.make(slot.session)
            client.meta.events.register("before-send.s3", stamp)
            worker, works = f"{self.seed}f{self.journal.forks}", []
            for number in range(FORK_CALLS):
                work = choose(random, slot.person.name, worker, number, "threads")
                work.generation = slot.generation
                make(client, work)
                works.append(work)
            with os.fdopen(ours, "wb") as pipe:
                pickle.dump(works, pipe)
            status = 0
        finally:
            # Without the parent's exit handlers.
            os._exit(status)
