"""One suite of behaviour over two edges: what the tests ask for here runs once over botocore, once over aiobotocore.

A test that is about one of them says so and why: ``@pytest.mark.only("botocore", reason="…")``, or for a module
``pytestmark``. Where aiobotocore is not installed its half is left out, which ``test_both_edges.py`` reports once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from access_grants_provider.testing import LocalAccessGrants

EDGES = ("botocore", "aiobotocore")
INSTALLED = tuple(name for name in EDGES if find_spec(name) is not None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "edge" not in metafunc.fixturenames:
        return
    wanted: tuple[str, ...] = EDGES
    only = metafunc.definition.get_closest_marker("only")
    if only is not None:
        (name,) = wanted = only.args
        if name not in EDGES or not only.kwargs.get("reason"):
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: only({name!r}, …) is one of {EDGES}, and says why")
    params = [name for name in wanted if name in INSTALLED]
    skipped = [pytest.param(name, marks=pytest.mark.skip(f"{name} is not installed")) for name in wanted]
    metafunc.parametrize("edge", params or skipped, indirect=True)


@pytest.fixture
def edge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What the test runs over: a :class:`BotocoreEdge` or an :class:`AiobotocoreEdge`."""
    if request.param == "botocore":
        from .edge_botocore import BotocoreEdge

        yield BotocoreEdge(monkeypatch)
    else:
        from .edge_aiobotocore import AiobotocoreEdge
        from .portal import Portal

        with Portal() as portal:
            yield AiobotocoreEdge(monkeypatch, portal)


@pytest.fixture
def grants(edge: Any, clock: Callable[[], float]) -> Iterator[LocalAccessGrants]:
    """The local S3 Access Grants of this edge, on the test's clock, with the bucket ``data``."""
    with edge.local_service(clock) as running:
        running.bucket("data")
        yield running


@pytest.fixture
def register(edge: Any, register: Callable[..., Any]) -> Callable[..., Any]:
    """``register()`` on the test's clock, of what this edge gives; taken back after the test."""

    def registered(target: Any = None, **options: Any) -> Any:
        bare = edge.bare(target)
        provider = register(bare, **options)
        # Who registers a session or a client without a view asks the provider as it is.
        return provider if bare is target else edge.provider(provider)

    return registered
