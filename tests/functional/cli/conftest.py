"""The local S3 Access Grants over HTTP, and the command beside it: in this process, and in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from access_grants_provider.cli.group import main
from access_grants_provider.core import control_calls
from access_grants_provider.testing import AccessGrantsServer, Identity

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "access_grants_provider")
PYTHON_IGNORES = {getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)}


@pytest.fixture(autouse=True)
def _signals_as_in_a_terminal() -> Iterator[None]:
    """Heed them: a job in a shell's background ignores SIGINT, one under nohup SIGHUP, and their children with them."""
    ignored = [one for one in signal.Signals if signal.getsignal(one) == signal.SIG_IGN and one not in PYTHON_IGNORES]
    for one in ignored:
        signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
    yield
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)


@pytest.fixture
def alice(alice: Identity, server: AccessGrantsServer, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """May read ``s3://data/in/*``. The environment is hers."""
    server.grant(alice, "s3://data/in/*", "READ")
    for name, value in server.environment(alice).items():
        monkeypatch.setenv(name, value)
    # What fails is to fail at once.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return alice


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no command wrap its lines: a worker of pytest-xdist has this variable, and a pipe has no width."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def _no_patience_with_a_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a command in this process fail at once where the service limits its rate, and not after two minutes."""
    monkeypatch.setattr(control_calls, "THROTTLE_SECONDS", 0.0)


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """The command in this process: fast, with ``stdout`` and ``stderr`` apart."""

    def invoke(*args: str, **env: str | None) -> Result:
        return CliRunner().invoke(main, args, env=env, catch_exceptions=False)

    return invoke


@pytest.fixture
def surroundings() -> Callable[..., dict[str, str]]:
    """The environment of a process of its own: what this one has, so that fixtures can set it, and this checkout."""

    def surroundings(**more: str) -> dict[str, str]:
        # An unbuffered stdout would never be full only at the end.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **more}

    return surroundings


@pytest.fixture
def run(surroundings: Callable[..., dict[str, str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command in a process of its own, to its end."""

    def run(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args],
            env=surroundings(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the AWS config file, and takes the keys out of the environment so that it is asked."""

    def write(text: str) -> Path:
        path = tmp_path / "config"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        return path

    return write
