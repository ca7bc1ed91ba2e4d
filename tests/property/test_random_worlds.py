"""A provider that has served many requests grants what a fresh one grants, in random worlds of grants."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from access_grants_provider import AccessGrantsProvider, Decision

ROOT = Path(__file__).parents[2]
# The first sixteen are worlds in which an earlier version, that remembered a denial for the whole bucket, was wrong.
WORLDS = (9, 13, 20, 25, 38, 51, 54, 59, 70, 90, 92, 96, 98, 99, 111, 113, *range(100, 109))


@pytest.fixture(scope="module")
def worlds() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return importlib.import_module("stress.worlds")


@pytest.mark.parametrize("seed", WORLDS)
def test_what_is_granted_stays_granted(worlds: Any, seed: int) -> None:
    result = worlds.check(worlds.make_world(seed))
    assert not result.violations, "\n\n".join(map(str, result.violations))
    assert sum(result.counts.values()) >= 16


def test_a_seed_makes_one_world(worlds: Any) -> None:
    assert worlds.make_world(7) == worlds.make_world(7) != worlds.make_world(8)


def test_the_worlds_differ_in_all_that_matters(worlds: Any) -> None:
    made = [worlds.make_world(seed) for seed in range(200)]
    assert {world.find_instance_by for world in made} == {"account", "location"}
    assert {world.shared for world in made} == set(worlds.SHARED)
    assert {(world.may_list, world.may_find) for world in made} >= {(True, True), (False, True), (True, False)}
    assert {bucket.region for world in made for bucket in world.buckets} == {"us-east-1", "eu-west-1"}
    assert {len({account for account, _ in world.instances}) for world in made} >= {1, 2}
    assert {request.operation for world in made for request in world.requests} == set(worlds.OPERATIONS)
    scopes = {grant.scope for world in made for grant in world.grants}
    assert any(scope.endswith("/*") for scope in scopes)
    assert any(scope.endswith("a*") for scope in scopes)
    assert any(not scope.endswith("*") for scope in scopes)


def test_many_requests_are_granted_and_many_denied(worlds: Any) -> None:
    made = [worlds.make_world(seed) for seed in range(200)]
    granted = [world.may_be_granted(request, "sent") for world in made for request in world.requests]
    assert 0.2 < sum(granted) / len(granted) < 0.8


def test_a_provider_that_forgets_a_grant_is_found_out(worlds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    honest: Callable[..., Decision] = AccessGrantsProvider.explain
    served: WeakKeyDictionary[AccessGrantsProvider, int] = WeakKeyDictionary()

    def explain(provider: AccessGrantsProvider, operation: str, **params: Any) -> Decision:
        decision = honest(provider, operation, **params)
        served[provider] = served.get(provider, 0) + 1
        forgets = served[provider] == 2
        return dataclasses.replace(decision, outcome="denied", reason="forgotten") if forgets else decision

    monkeypatch.setattr(AccessGrantsProvider, "explain", explain)
    world = worlds.World(
        seed=0,
        find_instance_by="account",
        shared="nothing",
        may_list=True,
        may_find=True,
        buckets=(worlds.Bucket("data", worlds.OWN, "us-east-1"),),
        instances=((worlds.OWN, "us-east-1"),),
        locations=((worlds.OWN, "us-east-1", "s3://data"),),
        grants=(worlds.Grant(worlds.OWN, "us-east-1", "s3://data/a/*", "READ"),),
        requests=(worlds.Request("GetObject", "data", "a/x"), worlds.Request("GetObject", "data", "a/y")),
    )
    (violation,) = worlds.check(world).violations
    assert (violation.way, violation.index) == ("explain", 1)
    assert str(violation).splitlines()[-4:] == [
        "  asked in this order (explain):",
        "    GetObject s3://data/a/x",
        "    GetObject s3://data/a/y",
        "  the last one was denied (denied: forgotten); a fresh provider is granted it",
    ]
