"""Many workers that start cold under a rate limit: the model holds the bar, agrees with processes, and can fail."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from access_grants_provider.core import control_calls

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The herd, and the model of it."""
    monkeypatch.syspath_prepend(str(ROOT))
    herd, model = (importlib.import_module(f"stress.cold_workers.{name}") for name in ("herd", "model"))
    return SimpleNamespace(Herd=herd.Herd, Ended=herd.Ended, Outcome=herd.Outcome, simulate=model.simulate)


@pytest.mark.parametrize(("workers", "rate"), [(200, 10), (200, 50), (200, 200), (500, 200)])
def test_nobody_fails_and_the_last_is_through_in_time(cold: Any, workers: int, rate: int) -> None:
    outcome = cold.simulate(cold.Herd(workers, rate))
    assert outcome.faults() == []
    assert (outcome.vends, outcome.failures, outcome.as_caller) == (workers, 0, 0)
    assert len(outcome.ended) == workers


@pytest.mark.exhaustive
@pytest.mark.parametrize(("workers", "rate"), [(1000, 10), (1000, 50), (1000, 200), (10000, 200)])
def test_nobody_fails_in_a_larger_herd(cold: Any, workers: int, rate: int) -> None:
    outcome = cold.simulate(cold.Herd(workers, rate))
    assert outcome.faults() == []
    assert outcome.seconds < 1.25 * workers / rate


def test_the_service_is_called_a_few_times_a_worker(cold: Any) -> None:
    assert cold.simulate(cold.Herd(200, 200)).calls == {"GetDataAccess": 200}
    known = cold.simulate(cold.Herd(200, 10))
    assert 5 < known.calls["GetDataAccess"] / 200 < 15
    # STS admits as many a second as Access Grants, so whoever got through there is seldom throttled again.
    unknown = cold.simulate(cold.Herd(200, 10, account_known=False))
    assert 5 < unknown.calls["GetCallerIdentity"] / 200 < 15
    assert unknown.calls["GetDataAccess"] < 1.3 * 200
    assert unknown.faults() == []


def test_workers_that_share_a_disk_are_vended_less_often_and_are_through_sooner(cold: Any) -> None:
    apart, shared = cold.simulate(cold.Herd(200, 10)), cold.simulate(cold.Herd(200, 10, per_host=8))
    assert shared.faults() == []
    assert shared.vends < 2 * 200 / 8
    assert shared.seconds < apart.seconds / 4
    assert shared.calls["GetDataAccess"] < apart.calls["GetDataAccess"] / 2


def test_those_who_can_not_be_admitted_in_time_fail_and_are_not_signed_as_the_caller(cold: Any) -> None:
    outcome = cold.simulate(cold.Herd(150, 1))
    # One a second for 120 s; what nobody asks for in a second is lost.
    assert 100 < outcome.vends <= 121
    assert (outcome.failures, outcome.as_caller) == (150 - outcome.vends, 0)
    assert {ended.how for ended in outcome.ended} == {"grant", "ServiceFailure"}
    assert all(ended.seconds == pytest.approx(120, abs=2) for ended in outcome.ended if ended.how != "grant")
    assert cold.simulate(cold.Herd(150, 1, timeout_seconds=200)).failures == 0


def no_jitter(patch: pytest.MonkeyPatch) -> None:
    pauses = control_calls.CallBudget.pause_after

    def longest(self: Any, *arguments: Any) -> float | None:
        self._jitter = float
        return pauses(self, *arguments)

    patch.setattr(control_calls.CallBudget, "pause_after", longest)


def long_pauses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(control_calls, "THROTTLE_FIRST_PAUSE", 10.0)


def little_patience(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(control_calls, "THROTTLE_SECONDS", 1.0)


@pytest.mark.parametrize(
    ("breaks", "herd", "fault"),
    [
        (no_jitter, (200, 10), "the last first byte after"),
        (long_pauses, (200, 50), "the last first byte after"),
        (little_patience, (200, 10, True, 0, 1.0), "[1-9][0-9]+ workers failed"),
    ],
)
def test_another_rule_is_found_wanting(
    cold: Any,
    monkeypatch: pytest.MonkeyPatch,
    breaks: Callable[[pytest.MonkeyPatch], None],
    herd: tuple[Any, ...],
    fault: str,
) -> None:
    breaks(monkeypatch)
    assert re.search(fault, "; ".join(cold.simulate(cold.Herd(*herd)).faults()))


def test_a_request_that_was_signed_as_the_caller_is_a_fault(cold: Any) -> None:
    outcome = cold.Outcome(cold.Herd(2, 1), [cold.Ended("grant", 1.0), cold.Ended("caller", 1.0)])
    assert outcome.faults() == ["1 workers signed as the caller"]


def test_what_the_machine_itself_takes_is_not_counted_against_the_rule(cold: Any) -> None:
    outcome = cold.Outcome(cold.Herd(2, 1), [cold.Ended("grant", 4.0), cold.Ended("grant", 1.0)])
    assert outcome.faults(machine_seconds=1.0) == []
    assert outcome.faults(machine_seconds=0.5) == ["the last first byte after x2.00 of calls / rate"]


@pytest.mark.exhaustive
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it forks")
def test_processes_do_what_the_model_says() -> None:
    workers, rate = 24, 5
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "stress.cold_workers"]
    done = subprocess.run(
        [*command, "--processes", str(workers), "--rates", str(rate), "--simulated"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    cells = [
        [cell.strip() for cell in line.strip("|\n").split("|")] for line in done.stdout.splitlines() if "|" in line
    ]
    machine, processes, model = (dict(zip(cells[0], row, strict=True)) for row in cells[1:])
    assert machine["calls"] == "1.0"
    for row in (processes, model):
        assert (row["workers"], row["failed"], row["as caller"]) == (str(workers), "0", "0")
    # A machine that is busy calls less often.
    assert 0.5 * float(model["calls"]) <= float(processes["calls"]) <= 1.5 * float(model["calls"])
    apart = abs(float(processes["x"]) - float(model["x"]))
    assert apart < 0.5, done.stdout
