"""A covered request that comes in the middle of another one, at a sample of the package's lines.

``python -m stress.interruptions`` runs them at every line: 26,000 points, an hour of a core.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the points run in forked processes")

REPOSITORY = Path(__file__).parents[2]
BOUND_SECONDS = 20  # the requests of a point take less than 1 s, its waits for other threads 2 s each at most


def interrupt(*options: str, seconds: float = 1200) -> str:
    command = [sys.executable, "-m", "stress.interruptions", "--bound", str(BOUND_SECONDS), *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


KINDS = ("signal", "thread", "upload"), ("finaliser", "fork", "log")


def test_a_covered_request_that_comes_in_at_a_line_of_a_cold_or_warm_request_does_not_hang():
    # All kinds together, because most of the time of a short run goes into its start.
    interrupt("--kinds", *KINDS[0], *KINDS[1], "--points", "3", "--give-up-after", "1")


@pytest.mark.exhaustive
@pytest.mark.parametrize("kinds", KINDS, ids=["signal handlers", "others"])
def test_a_covered_request_that_comes_in_at_more_lines_of_a_cold_or_warm_request_does_not_hang(kinds):
    interrupt("--kinds", *kinds, "--points", "60")


@pytest.mark.exhaustive
def test_each_cold_request_of_a_process_is_as_cold_as_the_first():
    # Sessions share what makes the calls: where it stays, later points are never reached.
    assert " 0 not reached" in interrupt(
        "--kinds", "finaliser", "--programs", "cold", "--companies", "alone", "--points", "60"
    )


@pytest.fixture
def interruptions(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return importlib.import_module("stress.interruptions")


class LockedProgram:
    """Logs while it holds a lock, as no part of the package may, or gives a wrong result."""

    file, company, note = "", None, print

    def __init__(self, lock: Any = None) -> None:
        self._lock = lock

    def forget(self, seconds: float) -> None:
        pass

    def get(self) -> None:
        if self._lock is None:
            self.note("a wrong result")
            return
        with self._lock:
            logging.getLogger("access_grants_provider.decisions").debug("decided")

    all_requests = get


@pytest.mark.exhaustive
def test_a_process_that_hangs_is_found_and_killed(interruptions):
    points = [interruptions.Point("cold", "log", "alone", number) for number in (1, 1)]
    (outcome,) = interruptions.run_batch(LockedProgram(threading.Lock()), points, bound=2)
    assert outcome.place == "access_grants_provider.decisions: decided"
    assert "in get" in outcome.stacks
    # What the same thread may take twice makes nobody wait.
    outcomes = interruptions.run_batch(LockedProgram(threading.RLock()), points, bound=BOUND_SECONDS)
    assert [(outcome.stacks, outcome.problems) for outcome in outcomes] == 2 * [(None, [])]


def test_what_a_program_notes_is_a_problem_of_its_point(interruptions):
    points = [interruptions.Point("cold", "signal", "alone", number) for number in (1, 2)]
    outcomes = interruptions.run_batch(LockedProgram(), points, bound=BOUND_SECONDS)
    assert [(outcome.point, set(outcome.problems)) for outcome in outcomes] == [
        (point, {"a wrong result"}) for point in points
    ]


def test_a_line_is_interrupted_the_first_and_the_last_time_that_it_runs(interruptions):
    assert interruptions.first_and_last(["a", "b", "a", "b", "c", "a"]) == [1, 2, 4, 5, 6]
