"""A covered request that comes in the middle of another one, at a sample of the package's lines.

``python -m stress.interruptions`` runs them at every line, which takes hours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each point is a forked process")

REPOSITORY = Path(__file__).parents[2]
BOUND_SECONDS = 20  # the requests of a point take less than 1 s, its waits for other threads 2 s each at most


def interrupt(*options: str, seconds: float = 1200) -> None:
    command = [sys.executable, "-m", "stress.interruptions", "--bound", str(BOUND_SECONDS), *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr


KINDS = ("signal", "thread", "upload"), ("finaliser", "fork", "log")


def test_a_covered_request_that_comes_in_at_a_line_of_a_cold_or_warm_request_does_not_hang():
    # All kinds together, because most of the time of a short run goes into its start.
    interrupt("--kinds", *KINDS[0], *KINDS[1], "--points", "3", "--give-up-after", "1")


@pytest.mark.exhaustive
@pytest.mark.parametrize("kinds", KINDS, ids=["signal handlers", "others"])
def test_a_covered_request_that_comes_in_at_more_lines_of_a_cold_or_warm_request_does_not_hang(kinds):
    interrupt("--kinds", *kinds, "--points", "60")
