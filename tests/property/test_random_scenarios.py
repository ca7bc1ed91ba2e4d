"""A provider that has served many requests grants what a fresh one grants, in random scenarios of grants."""

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
# The first sixteen are scenarios in which an earlier version, that remembered a denial for the whole bucket, was wrong.
SEEDS = (9, 13, 20, 25, 38, 51, 54, 59, 70, 90, 92, 96, 98, 99, 111, 113, *range(100, 109))


@pytest.fixture(scope="module")
def scenarios() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return importlib.import_module("stress.scenarios")


@pytest.mark.fast_cases(6)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_granted_stays_granted(scenarios: Any, seed: int) -> None:
    result = scenarios.check(scenarios.make_scenario(seed))
    assert not result.violations, "\n\n".join(map(str, result.violations))
    assert sum(result.counts.values()) >= 16


def test_a_seed_makes_one_scenario(scenarios: Any) -> None:
    assert scenarios.make_scenario(7) == scenarios.make_scenario(7) != scenarios.make_scenario(8)


def test_the_scenarios_differ_in_all_that_matters(scenarios: Any) -> None:
    made = [scenarios.make_scenario(seed) for seed in range(200)]
    assert {scenario.find_instance_by for scenario in made} == {"account", "location"}
    assert {scenario.shared for scenario in made} == set(scenarios.SHARED)
    assert {(scenario.may_list, scenario.may_find) for scenario in made} >= {(True, True), (False, True), (True, False)}
    assert {bucket.region for scenario in made for bucket in scenario.buckets} == {"us-east-1", "eu-west-1"}
    assert {len({account for account, _ in scenario.instances}) for scenario in made} >= {1, 2}
    assert {request.operation for scenario in made for request in scenario.requests} == set(scenarios.OPERATIONS)
    scopes = {grant.scope for scenario in made for grant in scenario.grants}
    assert any(scope.endswith("/*") for scope in scopes)
    assert any(scope.endswith("a*") for scope in scopes)
    assert any(not scope.endswith("*") for scope in scopes)


def test_many_requests_are_granted_and_many_denied(scenarios: Any) -> None:
    made = [scenarios.make_scenario(seed) for seed in range(200)]
    granted = [scenario.may_be_granted(request, "sent") for scenario in made for request in scenario.requests]
    assert 0.2 < sum(granted) / len(granted) < 0.8


def test_a_provider_that_forgets_a_grant_is_found_out(scenarios: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    honest: Callable[..., Decision] = AccessGrantsProvider.explain
    served: WeakKeyDictionary[AccessGrantsProvider, int] = WeakKeyDictionary()

    def explain(provider: AccessGrantsProvider, operation: str, **params: Any) -> Decision:
        decision = honest(provider, operation, **params)
        served[provider] = served.get(provider, 0) + 1
        forgets = served[provider] == 2
        return dataclasses.replace(decision, outcome="denied", reason="forgotten") if forgets else decision

    monkeypatch.setattr(AccessGrantsProvider, "explain", explain)
    scenario = scenarios.Scenario(
        seed=0,
        find_instance_by="account",
        shared="nothing",
        may_list=True,
        may_find=True,
        buckets=(scenarios.Bucket("data", scenarios.OWN, "us-east-1"),),
        instances=((scenarios.OWN, "us-east-1"),),
        locations=((scenarios.OWN, "us-east-1", "s3://data"),),
        grants=(scenarios.Grant(scenarios.OWN, "us-east-1", "s3://data/a/*", "READ"),),
        requests=(scenarios.Request("GetObject", "data", "a/x"), scenarios.Request("GetObject", "data", "a/y")),
    )
    (violation,) = scenarios.check(scenario).violations
    assert (violation.way, violation.index) == ("explain", 1)
    assert str(violation).splitlines()[-4:] == [
        "  asked in this order (explain):",
        "    GetObject s3://data/a/x",
        "    GetObject s3://data/a/y",
        "  the last one was denied (denied: forgotten); a fresh provider is granted it",
    ]
