"""What all tests share: lanes and workers, a clean environment, a clock, alice, and the local S3 Access Grants."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import pytest
from botocore.loaders import Loader

import access_grants_provider
from access_grants_provider import AccessGrantsProvider
from access_grants_provider.core.clock import Clock as TwoClocks
from access_grants_provider.testing import AccessGrantsServer, Identity, LocalAccessGrants

from .functional import fault_table

FOREIGN = (
    *("AWS_", "S3_ACCESS_GRANTS_", "BOTO", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY"),
    "COVERAGE_PROCESS_",  # a worker measures itself; the programs that tests run are not measured
)
# The fixtures that hold a local service; `alice` is known to the first of them that the test uses.
SERVICES = ("either", "server", "grants")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.has_plugin("xdist"):
        # pyproject.toml passes these. Without pytest-xdist the tests run in one process.
        group = parser.getgroup("xdist", "pytest-xdist is not installed, these have no effect")
        group.addoption("--numprocesses", help="no effect")
        group.addoption("--dist", help="no effect")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return two workers for each core, as a test spends half of its time waiting; none for a few chosen files.

    Starting the workers takes longer than most files. ``PYTEST_XDIST_AUTO_NUM_WORKERS`` and ``-n`` overrule this.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    if not all(Path(argument).is_dir() for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2 * cores, 8)


@pytest.hookimpl(tryfirst=True)  # before pytest picks the tests of the lane
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of each lane, and let those of other people's libraries come last.

    Polars, pyarrow, obstore and DuckDB leave about twenty native threads behind in the process, and the tests after
    them would fork it and change its user.
    """
    cases: Counter[str] = Counter()
    for item in items:
        if "ecosystem" in item.path.parts:
            item.add_marker("ecosystem")
        fast = item.get_closest_marker("fast_cases")
        if fast is not None:
            test = item.nodeid.partition("[")[0]
            cases[test] += 1
            if cases[test] > fast.args[0]:
                item.add_marker("exhaustive")
    items.sort(key=lambda item: "ecosystem" in item.path.parts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests have recorded, in whichever worker: the cells of the fault table, and what programs asked for."""
    cells: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        edge, number = dict(report.user_properties).get("cells", ("", 0))
        cells[edge] += number
    for line in fault_table.counted(+cells):
        terminalreporter.write_line(line)
    ended = [report for report in terminalreporter.getreports("") if report.when == "teardown"]
    asked = [text for report in ended for name, text in report.user_properties if name == "asked"]
    if asked:
        terminalreporter.section("what the ecosystem's programs asked for")
    for line in asked:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def _shared_models() -> Iterator[None]:
    """Parse each of botocore's service models once per process, not once per session.

    A client of a new session takes 93 ms, of which 89 are reading models. Clients of one session share what its loader
    has parsed; here all loaders with the same search paths do. Only botocore changes what it has parsed, the same for
    every session: a first request takes the bucket out of an operation's URI, and the account out of its host.
    """
    shared: dict[object, dict[object, Any]] = {}

    def of_all(loader: Loader) -> dict[object, Any]:
        # boto3 appends its folder to the paths of a loader once more for every session.
        paths = tuple(dict.fromkeys(loader.search_paths))
        return shared.setdefault((paths, tuple(loader.extras_types), type(loader.file_loader)), {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "_cache", property(of_all, lambda _, __: None), raising=False)
        yield


@pytest.fixture
def unshared_models(_shared_models: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each loader parse its own models, as outside of these tests: for a test of what is parsed, and when."""
    own: WeakKeyDictionary[Loader, dict[object, Any]] = WeakKeyDictionary()
    monkeypatch.setattr(Loader, "_cache", property(lambda loader: own.setdefault(loader, {}), lambda _, __: None))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # Made only by those who keep something there.
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(tmp_path_factory.getbasetemp() / f"cache-{uuid4()}"))


class Clock:
    """Seconds since the epoch; stands still until it is moved. ``both``: as the two clocks of the package."""

    def __init__(self) -> None:
        self.now = time.time()
        self.passed = 1_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.passed += seconds

    def set_back(self, seconds: float) -> None:
        """Have somebody set the wall clock back; no time passes."""
        self.now -= seconds

    def jitter(self, seconds: float) -> float:
        """Pause for the longest time that may be, in no time."""
        self.passed += seconds
        return 0.0

    @property
    def both(self) -> TwoClocks:
        return TwoClocks(self, lambda: self.passed)

    def time(self, seconds: float = 0.0) -> datetime:
        """The time in so many seconds, as AWS writes it."""
        return datetime.fromtimestamp(self.now + seconds, timezone.utc)


class RunningClock(Clock):
    """Goes on as the machine's clock does, also when a test has moved it."""

    @property
    def now(self) -> float:
        return time.time() + self._ahead

    @now.setter
    def now(self, value: float) -> None:
        self._ahead = value - time.time()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running_clock() -> Clock:
    return RunningClock()


@pytest.fixture
def grants(clock: Clock) -> Iterator[LocalAccessGrants]:
    """The local S3 Access Grants in process, on the test's clock, with the bucket ``data``."""
    from access_grants_provider.testing import mock_access_grants

    with mock_access_grants(clock=clock) as running:
        running.bucket("data")
        yield running


@pytest.fixture
def server(access_grants_server: AccessGrantsServer) -> AccessGrantsServer:
    """The local S3 Access Grants over HTTP, with the bucket ``data``."""
    access_grants_server.bucket("data")
    return access_grants_server


@pytest.fixture
def alice(request: pytest.FixtureRequest) -> Identity:
    """An identity that the local service of this test knows, with what the mark ``alice`` gives her."""
    service = request.getfixturevalue(next(name for name in SERVICES if name in request.fixturenames))
    alice: Identity = service.identity("alice")
    mark = request.node.get_closest_marker("alice")
    if mark is not None:
        equip(service, alice, *mark.args, **mark.kwargs)
    return alice


def equip(
    service: LocalAccessGrants,
    alice: Identity,
    *grants: str,
    own: Sequence[str] = (),
    objects: Sequence[str] | dict[str, bytes | str] = (),
    lifetime: int | None = None,
) -> None:
    """Do what ``@pytest.mark.alice("READ s3://data/a/*", own=[…], objects=[…], lifetime=…)`` says.

    Grants, and what her IAM policy allows (``own``), are written as a decision prints them. Objects are URIs, or bodies
    by URI. ``lifetime`` is how many seconds the credentials live that this service vends.
    """
    for permission, scope in map(str.split, grants):
        service.grant(alice, scope, permission)
    for permission, scope in map(str.split, own):
        service.allow(alice, scope, permission)
    for uri in objects:
        service.put(uri, objects[uri] if isinstance(objects, dict) else b"1")
    if lifetime is not None:
        service.lifetime = lifetime


@pytest.fixture
def register(clock: Clock) -> Iterator[Callable[..., AccessGrantsProvider]]:
    """``register()`` on the test's clock; taken back after the test."""
    made: list[AccessGrantsProvider] = []

    def on_this_clock(target: Any = None, **options: Any) -> AccessGrantsProvider:
        provider = access_grants_provider.register(target, clock=clock.both, **options)
        # Nobody waits for the service's rate limit.
        provider.runtime.jitter = clock.jitter
        made.append(provider)
        return provider

    yield on_this_clock
    for provider in made:
        provider.unregister()


@pytest.fixture
def control(grants: LocalAccessGrants) -> Callable[[], list[str]]:
    """The control calls since the last look, by operation, in order."""

    def since() -> list[str]:
        calls = [one.operation for one in grants.requests if one.is_control_call]
        grants.forget_requests()
        return calls

    return since
