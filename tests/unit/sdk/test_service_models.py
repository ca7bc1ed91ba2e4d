"""The package's own service models say what botocore's say, of the operations that are called."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader

from access_grants_provider.sdk.service_models import MODELS, ModelLoader

pytestmark = pytest.mark.usefixtures("unshared_models")

# What botocore does not look at.
UNREAD = ("box", "documentation", "enum", "max", "min", "pattern", "documentationUrl")
# What older models of botocore lack.
LATER = ("AuditContext", "InstanceScope", "MatchedInstanceArn")


def resolved(model: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """Return a shape with all that it refers to in the place of names, and what the reference adds to it."""
    shape = {**model["shapes"][reference["shape"]], **reference}
    for name in UNREAD:
        shape.pop(name, None)
    del shape["shape"]
    if "members" in shape:
        shape["members"] = {name: resolved(model, member) for name, member in shape["members"].items()}
    if "member" in shape:
        shape["member"] = resolved(model, shape["member"])
    return shape


def agrees(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Tell whether each member is theirs, in all it has, but for members that came later or are not read."""
    if "members" in ours:
        members, other = ours["members"], theirs["members"]
        if not all(agrees(members[name], other[name]) for name in members if name in other or name not in LATER):
            return False
    if "member" in ours and not agrees(ours["member"], theirs["member"]):
        return False
    return without_members(ours) == without_members(theirs)


def without_members(shape: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shape.items() if name not in ("members", "member")}


@pytest.fixture(params=MODELS)
def models(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Any]:
    return MODELS[request.param](), Loader().load_service_model(request.param, "service-2")


def test_the_metadata_is_botocore_s(models: tuple[dict[str, Any], Any]) -> None:
    ours, theirs = models
    # Newer models of STS name a second way to sign.
    metadata = {**theirs["metadata"], "auth": theirs["metadata"]["auth"][:1]}
    assert ours["metadata"] == metadata
    contexts = theirs.get("clientContextParams", {})
    assert ours.get("clientContextParams", {}).keys() == contexts.keys()


def test_the_operations_are_botocore_s(models: tuple[dict[str, Any], Any]) -> None:
    ours, theirs = models
    for name, operation in ours["operations"].items():
        known = {key: value for key, value in theirs["operations"][name].items() if key not in UNREAD}
        if "resultWrapper" in known.get("output", {}):
            assert operation["output"]["resultWrapper"] == known["output"]["resultWrapper"]
        for way in ("input", "output"):
            assert agrees(resolved(ours, operation[way]), resolved(theirs, known[way])), (name, way)
        assert {**operation, "input": 0, "output": 0} == {**known, "input": 0, "output": 0}


def test_a_difference_is_seen() -> None:
    shapes = {"Text": {"type": "string"}, "In": {"type": "structure", "members": {"A": {"shape": "Text"}}}}
    other = {**shapes, "In": {"type": "structure", "members": {"A": {"shape": "Text", "location": "header"}}}}
    ours, theirs = ({"shapes": one} for one in (shapes, other))
    assert not agrees(resolved(ours, {"shape": "In"}), resolved(theirs, {"shape": "In"}))


def test_whatever_else_comes_from_the_other_loader() -> None:
    loader = ModelLoader(Loader())
    assert "GetObject" in loader.load_service_model("s3", "service-2")["operations"]
    assert "rules" in loader.load_service_model("s3control", "endpoint-rule-set-1")
    assert loader.load_data("partitions")
    assert list(loader.load_service_model("sts", "service-2", api_version=None)["operations"]) == ["GetCallerIdentity"]
