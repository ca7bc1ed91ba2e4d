"""Processes for the tests of the cache on disk: a herd that goes all at once, and one that is talked to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk.record import Record

ANN, CONTEXT, KEY = b"ann", b"context", ("READ", GrantScope("sales", "emea/", True))
# Far more than anything here takes; who waits this long has found a fault.
PATIENCE = 60

PRELUDE = """
import gc, json, logging, os, sys, time
from pathlib import Path
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk.record import Record
from access_grants_provider.core.scopes import GrantScope

ANN, CONTEXT, KEY = b"ann", b"context", ("READ", GrantScope("sales", "emea/", True))
folder = Path(sys.argv[1])
cache = DiskCache(folder, time.time, lock_seconds=60)
said = []

class Listener(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())

logging.getLogger("access_grants_provider").addHandler(Listener(logging.WARNING))

def record(number, scope="emea/"):
    name = f"ASIA{number}"
    now = time.time()
    place = GrantScope("sales", scope, True), "444455556666", "eu-west-1", "Default", now + 3600, now
    return Record("READ", *place, name, f"the secret of {name}", name * 400)

def say(word):
    print(word, flush=True)

def listen():
    assert sys.stdin.readline(), "the test has ended"
"""

# Forks the workers, lets them go all at once, and prints what each of them returned.
HERD = """
def herd(count, work):
    gate, opener = os.pipe()
    ends = []
    for number in range(count):
        end, answer = os.pipe()
        if os.fork() == 0:
            status = 1
            try:
                os.close(opener)
                os.read(gate, 1)
                os.write(answer, json.dumps([work(number), said]).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(answer)
        ends.append(end)
    os.close(opener)
    for end in ends:
        with open(end) as answer:
            say(answer.read())
        os.wait()
"""


def herd(folder: Path, count: int, work: str) -> list[Any]:
    """What each of ``count`` processes returned that ran ``work(number)`` at once; none of them warned of anything."""
    program = f"{PRELUDE}{HERD}{work}\nherd({count}, work)"
    run = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [said for _, said in answers] == [[]] * count
    return [answer for answer, _ in answers]


@contextmanager
def process(folder: Path, program: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own; killed at the end."""
    command = [sys.executable, "-c", PRELUDE + program, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def heard(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def free(cache: DiskCache, key: tuple[object, ...] = KEY) -> bool:
    with cache.lock(ANN, CONTEXT, key, seconds=0) as lock:
        return lock.held


def left(folder: Path, suffix: str) -> list[str]:
    return [path.name for path in folder.rglob(f"*{suffix}")]


def record(life: float = 3600) -> Record:
    now = time.time()
    scope = GrantScope("sales", "emea/", True)
    return Record("READ", scope, "444455556666", "eu-west-1", "Default", now + life, now, "ASIA", "secret", "token")
