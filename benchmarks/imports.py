"""What the import takes: CPU over ``import botocore.session``, each time in a new process."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .rows import NOT_HERE, Cell, Effort, Row, over, spread

STATEMENTS = {
    # The package loads its public names on use: an import of the package alone would measure nothing.
    "ours": "from access_grants_provider import register",
    "peer": "import aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin",
}
PROGRAM = (
    "import time; begin = time.process_time(); import botocore.session; between = time.process_time(); "
    "{statement}; print(between - begin, time.process_time() - between)"
)
# Botocore's import and ours together, over botocore's alone; the design's 15 ms are about ×1.1. Runs on a busy machine
# gave ×1.10 to ×1.12. What this has to catch is an import of boto3, aiobotocore or asyncio by way of ours.
CI_IMPORT = 1.25


def imported(statement: str) -> tuple[float, float]:
    """Return the CPU seconds of importing botocore.session, and then of ``statement``."""
    # From the checkout, past the finder of an editable installation, which costs a millisecond of its own.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    # What is installed is compiled once; without this, each run would compile.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    run = [sys.executable, "-c", PROGRAM.format(statement=statement)]
    printed = subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout
    first, second = map(float, printed.split())
    return first, second


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the section."""
    statements = {name: statement for name, statement in STATEMENTS.items() if name == "ours" or effort.peer}
    for statement in statements.values():
        imported(statement)  # compiles it
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in statements}
    for _ in range(effort.of(9, 5)):
        for name, statement in statements.items():
            taken[name].append(imported(statement))
    base = [first for first, _ in taken["ours"]]
    own = [second for _, second in taken["ours"]]
    peer = spread([second for _, second in taken["peer"]], "ms", 1e3) if effort.peer else NOT_HERE
    yield Row(
        "CPU of the import, after botocore.session",
        spread(own, "ms", 1e3),
        spread(base, "ms", 1e3),
        peer,
        statistics.median(own) * 1e3,
        "ms",
        15,
    )
    together = over([first + second for first, second in taken["ours"]], base)
    yield Row("– with botocore.session, over it alone", Cell(""), judged=together, kind="ratio", ci_bar=CI_IMPORT)
