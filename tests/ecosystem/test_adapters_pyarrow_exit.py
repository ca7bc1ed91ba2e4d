"""Short programs with the adapter's filesystem end with exit code 0, whatever pyarrow's threads still do."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed here (extra: pyarrow)")
pytest.importorskip("pyarrow._s3fs", reason="this pyarrow was built without S3")

from access_grants_provider.adapters.arrow_threads import task_counter, wait_until_idle  # noqa: E402

from .conftest import ARROW  # noqa: E402

FILES = 24
PROGRAMS = 6
# A program that has not ended by then never will.
SECONDS = 120

# The object is collected when the interpreter has begun to finalize. Its pause gives pyarrow's threads the time to call
# Python, which on a busy machine they had in every fourth program as well.
SLOW_FINALIZATION = """
import time

class Late:
    def __del__(self, sleep=time.sleep):
        sleep(1)

late = Late()
"""
FILESYSTEM = """
import pyarrow.dataset as ds, pyarrow.parquet as pq
from access_grants_provider.adapters import pyarrow as grants
fs = grants.filesystem("s3://data/")
"""
READS = {
    "first batch": 'next(iter(ds.dataset("data/in/set", filesystem=fs).to_batches()))',
    "first batch, the scan is kept": 'scan = iter(ds.dataset("data/in/set", filesystem=fs).to_batches()); next(scan)',
    "head": 'ds.dataset("data/in/set", filesystem=fs).head(1)',
    "file": 'pq.read_table("data/in/set/0.parquet", filesystem=fs)',
}


def test_the_tasks_of_pyarrows_threads_are_counted():
    tasks = task_counter(pyarrow.lib.__file__)
    assert tasks is not None, "this pyarrow has no functions of these names: its threads are not waited for"
    assert wait_until_idle(tasks, SECONDS)
    assert tasks() == 0


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_programs_that_end_while_threads_of_pyarrow_read_end_well(server, alice, environment, put_parquet, read):
    for number in range(FILES):
        put_parquet(f"s3://data/in/set/{number}.parquet", *range(100))
    # Here the threads are as many as pyarrow starts by default.
    variables = {name: value for name, value in environment(alice).items() if name not in ARROW}
    program = f"{FILESYSTEM}{SLOW_FINALIZATION}{read}\ndel fs\nprint('read')"

    def end_of_program(_: int) -> tuple[int | str, str]:
        command = [sys.executable, "-c", program]
        try:
            ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return "hangs", ""
        return ended.returncode, ended.stdout

    with ThreadPoolExecutor(PROGRAMS // 2) as pool:
        assert Counter(pool.map(end_of_program, range(PROGRAMS))) == {(0, "read\n"): PROGRAMS}
