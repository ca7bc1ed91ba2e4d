"""A cache in a home folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from access_grants_provider.disk import DiskCache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".aws" / "access-grants" / "cache"


@pytest.fixture
def cache(folder: Path, clock: Callable[[], float], request: pytest.FixtureRequest) -> DiskCache:
    """On the test's clock and without a wait for locks; a module with processes says ``LOCK_SECONDS`` and ``CLOCK``."""
    seconds = getattr(request.module, "LOCK_SECONDS", 0)
    return DiskCache(folder, getattr(request.module, "CLOCK", clock), lock_seconds=seconds)
