"""Let many workers start cold at once under a rate limit: ``python -m stress.cold_workers``.

Needs the extra ``testing``, and Linux or macOS for the processes. Each row is one start, in processes and in the model,
or in the model alone. The exit code is 0 where nobody failed, nobody signed as the caller, and the last first byte came
within 1.5 x calls / rate; where the service admits fewer in two minutes than there are workers, some must fail.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

import botocore

from .herd import UNLIMITED, Herd, Outcome
from .model import simulate
from .processes import run

COLUMNS = "workers", "limit", "calls / rate", "run in", "last first byte", "x", "failed", "as caller", "calls", "STS"
ROW = "| {:>7} | {:>9} | {:>12} | {:>9} | {:>15} | {:>5} | {:>6} | {:>9} | {:>7} | {:>5} |"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m stress.cold_workers", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=200, help="how many processes (default: 200; 0: none)")
    many = "how many workers in the model alone (default: 1000 10000)"
    parser.add_argument("--simulated", type=int, nargs="*", default=[1000, 10000], help=many)
    rates = "GetDataAccess calls a second that are admitted (default: 10 50 200)"
    parser.add_argument("--rates", type=float, nargs="+", default=[10.0, 50.0, 200.0], help=rates)
    parser.add_argument(
        "--account-unknown", action="store_true", help="the credentials do not name the account: ask STS"
    )
    parser.add_argument(
        "--per-host", type=int, default=0, help='so many workers share cache="disk" (default: no cache)'
    )
    patience = "the option timeout_seconds (default: 20); throttling is put up with for 120 s, or for this if longer"
    parser.add_argument("--timeout-seconds", type=float, default=20.0, help=patience)
    parser.add_argument("--seed", type=int, default=1, help="of the model (default: 1)")
    return parser.parse_args()


def show(outcome: Outcome, where: str) -> None:
    """Print a row: the calls are those to GetDataAccess, and to STS, per worker."""
    herd = outcome.herd
    limited = herd.rate != UNLIMITED
    each = {name: f"{number / herd.workers:.1f}" for name, number in outcome.calls.items()}
    row = ROW.format(
        herd.workers,
        f"{herd.rate:g}/s" if limited else "none",
        f"{herd.needed_seconds:,.1f} s" if limited else "",
        where,
        f"{outcome.seconds:.1f} s",
        f"{outcome.ratio:.2f}" if limited else "",
        outcome.failures,
        outcome.as_caller,
        each.get("GetDataAccess", "0"),
        each.get("GetCallerIdentity", "0"),
    )
    print(row, flush=True)


def main() -> int:
    """Run the processes, then the model."""
    given = arguments()
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_ACCESS_GRANTS_", "BOTO")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    begun, faults, short = time.monotonic(), list[str](), list[str]()

    def of(workers: int, rate: float) -> Herd:
        return Herd(workers, rate, not given.account_unknown, given.per_host, given.timeout_seconds)

    def judge(outcome: Outcome, where: str, machine_seconds: float = 0.0) -> None:
        show(outcome, where)
        herd = outcome.herd
        faults.extend(f"{herd}, {where}: {fault}" for fault in outcome.faults(machine_seconds))
        if herd.needed_seconds > herd.patience:
            short.append(f"{herd}: {herd.needed_seconds:,.0f} s are needed, and {herd.patience:g} s are waited")

    print(f"Python {platform.python_version()}, botocore {botocore.__version__}, seed {given.seed}")
    print(ROW.format(*COLUMNS))
    if given.processes:
        machine = run(of(given.processes, UNLIMITED))
        judge(machine, "processes", machine.seconds)
        for rate in given.rates:
            judge(run(of(given.processes, rate)), "processes", machine.seconds)
            judge(simulate(of(given.processes, rate), given.seed), "model")
    for workers in given.simulated:
        for rate in given.rates:
            judge(simulate(of(workers, rate), given.seed), "model")
    for reason in short:
        print(f"some had to fail: {reason}")
    for fault in faults:
        print(f"FAILURE: {fault}")
    print(f"failures = {len(faults)}; {time.monotonic() - begun:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
