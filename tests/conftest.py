"""What all tests share: an environment without anybody's AWS settings, a clock to set, and a small world of grants."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

import access_grants_provider
from access_grants_provider import AccessGrantsProvider
from access_grants_provider.core.clock import Clock as TwoClocks
from access_grants_provider.testing import LocalAccessGrants

FOREIGN = ("AWS_", "S3_ACCESS_GRANTS_", "BOTO", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of other people's libraries come last.

    Polars, pyarrow, obstore and DuckDB leave about twenty native threads behind in the process, and the tests after
    them would fork it and change its user.
    """
    items.sort(key=lambda item: "ecosystem" in item.path.parts)


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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def grants(clock: Clock) -> Iterator[LocalAccessGrants]:
    """The local S3 Access Grants in process, on the test's clock, with the bucket ``data``."""
    from access_grants_provider.testing import mock_access_grants

    with mock_access_grants(clock=clock) as running:
        running.bucket("data")
        yield running


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
