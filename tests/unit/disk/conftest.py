"""A cache in a home folder of its own, and a clock that stands at a known time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from access_grants_provider.disk import DiskCache

from ...conftest import Clock
from .scenario import START


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = START
    return clock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".aws" / "access-grants" / "cache"


@pytest.fixture
def cache(folder: Path, clock: Callable[[], float]) -> DiskCache:
    return DiskCache(folder, clock)
