"""Run the soak: ``python -m stress.soak --minutes 1``.

Needs the extra ``testing``; the tasks need aiobotocore. What happens is drawn from a seed, which is
printed; how threads take turns is not, so a seed repeats the events and not their order in time. The exit code is 0
where nothing failed.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from importlib.util import find_spec
from typing import Any

import botocore

from .chaos import Chaos
from .journal import Journal
from .leaks import held, leaks
from .load import TASKS, THREADS, Load
from .mutations import MUTATIONS, ONE_IN
from .oracle import Findings, examine
from .scenario import LIFE_SECONDS, PEOPLE
from .service import FAULT_SHARE, Service

SHOWN = 20


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m stress.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: 1)")
    parser.add_argument("--calls", type=int, default=0, help="go on until so many were made (default: 0)")
    parser.add_argument("--seed", type=int, default=None, help="repeat the events of an earlier run")
    parser.add_argument("--threads", type=int, default=THREADS, help=f"default: {THREADS}")
    parser.add_argument("--tasks", type=int, default=TASKS, help=f"default: {TASKS}; none without aiobotocore")
    wrongly = f"sign one request in {ONE_IN} wrongly, to see the check go red"
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help=wrongly)
    given = parser.parse_args()
    given.tasks = given.tasks if find_spec("aiobotocore") else 0
    given.seed = random.randrange(10**6) if given.seed is None else given.seed
    return given


def soak(given: argparse.Namespace, service: Service, journal: Journal) -> list[str]:
    """Warm up, measure, load, measure again; return what leaked."""
    mutation = MUTATIONS[given.mutation](service) if given.mutation else None

    def phase(name: str, seconds: float, calls: int = 0) -> None:
        seed = f"{given.seed}{name}"
        load = Load(service, journal, seed, given.threads, given.tasks, mutation)
        load.start()
        chaos = Chaos(service, load, journal, seed)
        chaos.run(seconds, calls)
        load.stop()
        chaos.revoke_all()

    # The first load leaves what a process needs once: models that were read, classes that were made, the heap.
    phase("w", min(15.0, 15 * given.minutes))
    before = held()
    phase("m", 60 * given.minutes, given.calls)
    after = held()
    print(f"before: {before}\nafter:  {after}")
    return leaks(before, after)


def closing_record(findings: Findings, faults: list[Any], service: Service, journal: Journal, leaked: list[str]) -> int:
    """Print what was counted and what was wrong; return the number of failures."""
    counts = findings.counts
    for name in sorted(name for name in counts if name.startswith("ended with") and counts[name]):
        print(f"  {counts[name]} calls {name}, as the rules say" if not findings.wrong else f"  {counts[name]} {name}")
    failures = [*findings.wrong, *journal.failures, *(f"left behind: {leak}" for leak in leaked)]
    for failure in failures[:SHOWN]:
        print(f"FAILURE: {failure}")
    print(
        f"{counts['calls']} calls, for {counts['calls of which one signer alone was right']} of them one signer alone "
        f"was right; {counts['arrived after the end of what signed them in time']} requests arrived after the end of "
        f"what had signed them in time; {journal.forks} forks, {len(journal.events)} events"
    )
    signers = f"{counts['by a grant']} by a grant, {counts['by the caller']} by the caller"
    print(
        f"requests = {counts['requests']} ({signers}), "
        f"vends = {counts['vends']}, rotations = {service.counts['rotated']}, faults injected = {len(faults)}, "
        f"failures = {len(failures)}"
    )
    return len(failures)


def main() -> int:
    """Run it all."""
    given = arguments()
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_ACCESS_GRANTS_", "BOTO")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    # What the package warns of here is what the faults are for.
    logging.getLogger("access_grants_provider").setLevel(logging.CRITICAL)
    print(
        f"seed {given.seed}: {given.minutes:g} minutes, {given.threads} threads, {given.tasks} tasks, "
        f"{len(PEOPLE)} identities, credentials of {LIFE_SECONDS} s, faults {FAULT_SHARE:.0%}; "
        f"Python {sys.version.split()[0]}, botocore {botocore.__version__}",
        flush=True,
    )
    if not given.tasks:
        print("no tasks: aiobotocore is not installed, or --tasks 0")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["S3_ACCESS_GRANTS_CACHE_FOLDER"] = f"{folder}/cache"
        service, journal = Service(given.seed), Journal()
        try:
            leaked = soak(given, service, journal)
            faults = service.call("fault_log")
            findings = examine(journal.works(), service.call("requests"), journal.events, faults)
        finally:
            service.stop()
        failures = closing_record(findings, faults, service, journal, leaked)
        journal.close()
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
