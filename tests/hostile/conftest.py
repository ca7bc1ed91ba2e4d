"""What the hostile tests share: the local service, a covered client, bounded threads and bounded programs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

import access_grants_provider
from access_grants_provider import AccessGrantsProvider
from access_grants_provider.registration import _registry
from access_grants_provider.testing import AccessGrantsServer, Identity, LocalAccessGrants, mock_access_grants

Returned = TypeVar("Returned")

# A program or thread that takes longer than this hangs: with nothing in its way each takes less than 2 s.
BOUND_SECONDS = 20


@pytest.fixture(autouse=True)
def _nothing_stays_autoloaded() -> Iterator[None]:
    yield
    for provider in list(_registry.autoloaded.values()):
        provider.unregister()


@pytest.fixture
def grants() -> Iterator[LocalAccessGrants]:
    """The local S3 Access Grants in process, with the bucket ``data``."""
    with mock_access_grants() as running:
        running.bucket("data")
        running.put("s3://data/in/x", b"1")
        yield running


@pytest.fixture
def server(access_grants_server: AccessGrantsServer, monkeypatch: pytest.MonkeyPatch) -> AccessGrantsServer:
    """The local S3 Access Grants over HTTP, where the clients of this process find them."""
    access_grants_server.bucket("data")
    access_grants_server.put("s3://data/in/x", b"1")
    access_grants_server.put("s3://data/other/x", b"1")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "S3_ACCESS_GRANTS_ENDPOINT_URL"):
        monkeypatch.setenv(name, access_grants_server.url)
    return access_grants_server


@pytest.fixture
def alice(request: pytest.FixtureRequest) -> Identity:
    """A caller who may do everything in the bucket ``data`` herself, and has a grant for ``in/*`` and ``other/*``.

    So a request that is signed as the caller succeeds, and only its signer shows it.
    """
    service = request.getfixturevalue("server" if "server" in request.fixturenames else "grants")
    alice: Identity = service.identity("alice")
    service.grant(alice, "s3://data/in/*", "READWRITE")
    service.grant(alice, "s3://data/other/*", "READWRITE")
    service.allow(alice, "s3://data/*", "READWRITE")
    return alice


@pytest.fixture
def register() -> Iterator[Callable[..., AccessGrantsProvider]]:
    """``register()``, taken back after the test."""
    made: list[AccessGrantsProvider] = []

    def registered(target: Any = None, **options: Any) -> AccessGrantsProvider:
        made.append(access_grants_provider.register(target, **options))
        return made[-1]

    yield registered
    for provider in made:
        provider.unregister()


@pytest.fixture
def within() -> Callable[..., Any]:
    """Call a function in a thread of its own and fail, with its stack, where it takes longer than ``seconds``."""

    def bounded(seconds: float, function: Callable[[], Returned]) -> Returned:
        returned: list[Returned] = []
        raised: list[BaseException] = []

        def call() -> None:
            try:
                returned.append(function())
            except BaseException as error:  # noqa: BLE001  raised again, in the thread of the test
                raised.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive():
            stack = "".join(traceback.format_stack(sys._current_frames()[thread.ident or 0]))
            pytest.fail(f"still running after {seconds} s:\n{stack}")
        if raised:
            raise raised[0]
        return returned[0]

    return bounded


class Program:
    """A Python program in a process of its own, which is killed where it hangs."""

    def __init__(self, code: str, environment: dict[str, str]) -> None:
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115  closed with the program
        # It writes down what its threads do, and ends, a little before the test would give up on it.
        watched = f"import faulthandler; faulthandler.dump_traceback_later({BOUND_SECONDS - 5}, exit=True)\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", watched + textwrap.dedent(code)],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stacks,
            text=True,
        )

    def reads(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def ended(self) -> str:
        """Wait for its end, and return what it still printed. Fails where it hung or raised."""
        printed, _ = self._process.communicate(timeout=BOUND_SECONDS)
        self._stacks.seek(0)
        written = self._stacks.read().decode()
        if self._process.returncode:
            pytest.fail(f"the program ended with status {self._process.returncode}:\n{written}")
        return printed.strip()

    def close(self) -> None:
        """End it if it still runs."""
        with self._stacks, self._process:
            self._process.kill()


@pytest.fixture
def start(server: AccessGrantsServer, alice: Identity) -> Iterator[Callable[..., Program]]:
    """Start a program as ``alice``, in an environment that leads to the server."""
    started: list[Program] = []

    def program(code: str, **environment: str) -> Program:
        started.append(Program(code, {**server.environment(alice), **environment}))
        return started[-1]

    yield program
    for running in started:
        running.close()


def signers(service: LocalAccessGrants, operation: str) -> list[str | None]:
    """Return who signed the requests of an operation, in order."""
    return [request.signer for request in service.s3_requests() if request.operation == operation]
