"""What the coverage-guided run holds the parsers to, held here without it; and it says what it lacks."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
limits = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.lists(st.sampled_from(["s3://", "/", "*", "b", "?", "%2F", "%", "versionId=", "arn:", "+", " "]), max_size=9)


@pytest.fixture
def check(monkeypatch) -> Callable[[bytes], None]:
    monkeypatch.syspath_prepend(str(ROOT))
    fuzz: Any = importlib.import_module("stress.fuzz")
    for seed in fuzz.SEEDS:
        fuzz.check(seed.encode())
    return fuzz.check


@limits
@given(st.binary(max_size=20) | texts.map("".join).map(str.encode))
@example(b"\xff*")
@example(b"b/a?versionId=1?versionId=2")
def test_no_bytes_break_a_parser(check, data):
    check(data)


@pytest.mark.skipif(find_spec("atheris") is not None, reason="atheris is installed")
def test_without_atheris_the_run_says_how_to_get_it():
    command = [sys.executable, "-m", "stress.fuzz", "--seconds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "atheris is not installed: pip install 'access-grants-provider[fuzz]'" in done.stderr
