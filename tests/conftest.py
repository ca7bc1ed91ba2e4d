"""What all tests share: lanes and workers, a clean environment, a clock, alice, and the local S3 Access Grants."""

from __future__ import annotations

import gc
import inspect
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import botocore.endpoint_provider
import botocore.hooks
import moto.core.models
import pytest
from botocore.client import ClientCreator
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
ECOSYSTEM = Path(__file__).parent / "ecosystem"
SERVICES = ("either", "server", "grants")
RESPONSES_METHODS = moto.core.models.RESPONSES_METHODS


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.has_plugin("xdist"):
        # pyproject.toml passes these. Without pytest-xdist the tests run in one process.
        group = parser.getgroup("xdist", "pytest-xdist is not installed, these have no effect")
        group.addoption("--numprocesses", help="no effect")
        group.addoption("--dist", help="no effect")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return three workers for two cores, as some tests wait, and each worker takes 5 s to start; none for files.

    Starting the workers takes longer than most files. ``PYTEST_XDIST_AUTO_NUM_WORKERS`` and ``-n`` overrule this.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    if not all(Path(argument).is_dir() for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + (cores + 1) // 2, 8)


@pytest.hookimpl(tryfirst=True)  # before pytest picks the tests of the lane
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of each lane, and let those of other people's libraries come last.

    Polars, pyarrow, obstore and DuckDB leave about twenty native threads behind in the process, and the tests after
    them would fork it and change its user.
    """
    cases: dict[tuple[str, object, int], list[pytest.Function]] = {}
    for item in items:
        if ECOSYSTEM in item.path.parents:
            item.add_marker("ecosystem")
        fast_cases = item.get_closest_marker("fast_cases")
        if fast_cases is not None and isinstance(item, pytest.Function):
            key = (item.nodeid.partition("[")[0], item.callspec.params.get("edge"), fast_cases.args[0])
            cases.setdefault(key, []).append(item)
    for (_, _, number), of_a_test in cases.items():
        # Spread evenly, so that each parameter takes several of its values.
        fast = {index * len(of_a_test) // number for index in range(number)}
        for index, case in enumerate(of_a_test):
            if index not in fast:
                case.add_marker("exhaustive")
    items.sort(key=lambda item: ECOSYSTEM in item.path.parents)


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


def pytest_collection_finish() -> None:
    """Let the garbage collector look seldom: it took a quarter of the time, most of it at the tests and parsed models.

    A test of what is collected calls it.
    """
    gc.set_threshold(10_000, 20, 50)


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


@pytest.fixture(scope="session", autouse=True)
def _quick_sessions() -> Iterator[None]:
    """Let a session of botocore take 1 ms instead of 6, and moto's start 1 instead of 5.

    A session registers 125 handlers. Each one's event is looked up in a table of aliases, which is the same for all
    sessions, and its signature is taken apart to see whether it takes any keyword. moto also prepares 1,300 answers for
    the library `requests`; a test with it asks for ``moto_answers_requests``.
    """
    names: dict[str, str] = {}
    takes_keywords = botocore.hooks.accepts_kwargs

    def accepts_kwargs(handler: Any) -> object:
        code = getattr(handler, "__code__", None)  # also a method's
        return code.co_flags & inspect.CO_VARKEYWORDS if code is not None else takes_keywords(handler)

    with pytest.MonkeyPatch.context() as patch:
        aliases = property(lambda _: names, lambda _, __: None)
        patch.setattr(botocore.hooks.EventAliaser, "_alias_name_cache", aliases, raising=False)
        patch.setattr(botocore.hooks, "accepts_kwargs", accepts_kwargs)
        patch.setattr(moto.core.models, "RESPONSES_METHODS", ())
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_clients() -> Iterator[None]:
    """Let a client take 1.5 ms instead of 3.

    Each client makes 110 methods, and several hundred rules that find an endpoint. They are the same for all clients of
    a model; nothing changes them, and here the methods go without the help that they would write when asked.
    """
    methods: dict[object, tuple[object, dict[str, Any]]] = {}
    rule_sets: dict[object, tuple[object, object, Any]] = {}
    private: Any = ClientCreator
    make_methods, make_rules = private._create_methods, botocore.endpoint_provider.RuleSet

    def methods_of(creator: Any, service_model: Any) -> dict[str, Any]:
        model = service_model._service_description
        key = type(creator), id(model)
        if key not in methods:
            made = make_methods(creator, service_model)
            for method in made.values():
                method.__doc__ = None
            methods[key] = model, made
        return dict(methods[key][-1])

    def rules_of(*, rules: Any, partitions: Any, **others: Any) -> Any:
        key = id(rules), id(partitions)
        if key not in rule_sets:
            rule_sets[key] = rules, partitions, make_rules(rules=rules, partitions=partitions, **others)
        return rule_sets[key][-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientCreator, "_create_methods", methods_of)
        patch.setattr(botocore.endpoint_provider, "RuleSet", rules_of)
        yield


@pytest.fixture
def moto_answers_requests(_quick_sessions: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have moto answer the library `requests` as well: for a test that fetches something with it."""
    monkeypatch.setattr(moto.core.models, "RESPONSES_METHODS", RESPONSES_METHODS)


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

    @cached_property
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
