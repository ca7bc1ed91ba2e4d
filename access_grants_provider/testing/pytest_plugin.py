"""Fixtures for pytest: `access_grants` (in process) and `access_grants_server` (over HTTP)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import AccessGrantsServer
    from .service import LocalAccessGrants


@pytest.fixture
def access_grants() -> Iterator[LocalAccessGrants]:
    """The local S3 Access Grants in process, for one test."""
    from .mock import mock_access_grants

    with mock_access_grants() as running:
        yield running


@pytest.fixture
def access_grants_server() -> Iterator[AccessGrantsServer]:
    """The local S3 Access Grants over HTTP, for one test."""
    from .server import AccessGrantsServer

    with AccessGrantsServer() as running:
        yield running
