"""A herd of processes for the tests of the cache on disk: they start their work all at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ANN, CONTEXT = b"ann", b"context"

PRELUDE = """
import json, logging, os, sys, time
from pathlib import Path
from access_grants_provider.disk import DiskCache
from access_grants_provider.disk.record import Record
from access_grants_provider.core.scopes import GrantScope

ANN, CONTEXT = b"ann", b"context"
folder = Path(sys.argv[1])
cache = DiskCache(folder, time.time)
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


def left(folder: Path, suffix: str) -> list[str]:
    return [path.name for path in folder.rglob(f"*{suffix}")]
