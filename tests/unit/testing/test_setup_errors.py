"""The operations of S3 Access Grants: what each refuses, and in which words. The table is in setup_errors.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.session import Session

from access_grants_provider.testing import mock_access_grants

from .setup_errors import (
    ACCOUNT,
    ALICE,
    CALLERS,
    CENTER,
    GRANT,
    NOT_SHARED,
    OPERATIONS,
    ROLE,
    ROWS,
    Row,
    iam,
    policy,
    tags,
)  # fmt: skip

ROOT = Path(__file__).parents[3]
MODEL: Any = Session().get_service_model("s3control")
KNOWS_AUDIT_CONTEXT = "AuditContext" in MODEL.operation_model("GetDataAccess").input_shape.members
# Parameters that older models lack.
NEWER = {"AuditContext", "InstanceScope"}
# Parameters without a row: what every value of them means, or why none is refused.
NO_ROW = {
    "AccessGrantsLocationConfiguration": "its only member is S3SubPrefix",
    "AllowedByApplication": "true or false",
    "GranteeIdentifier": "a list without entries",
    "TagKeys": "tags that are not there are no error",
}


class World:
    """An instance with the locations `s3://` and `s3://sales/emea*`, one grant, and one tag."""

    def __init__(self, grants: Any) -> None:
        self.grants = grants
        grants.bucket("sales")
        grants.bucket("abroad", region="eu-west-1")
        self.control = self.client_of(grants.admin)
        for operation in CALLERS:
            grants.forbid(grants.identity("forbidden"), f"s3:{operation}")
        self.control.create_access_grants_instance(AccountId=ACCOUNT, IdentityCenterArn=CENTER, **tags("team"))
        for scope in ("s3://", "s3://sales/emea*"):
            options = {"LocationScope": scope, "IAMRoleArn": ROLE}
            location = self.control.create_access_grants_location(AccountId=ACCOUNT, **options)
        self.usual = {
            "LocationScope": "s3://sales/new*",
            "IAMRoleArn": ROLE,
            "AccessGrantsLocationId": location["AccessGrantsLocationId"],
            "Permission": "READ",
            "Policy": policy()["Policy"],
            "IdentityCenterArn": CENTER,
            "Target": "s3://sales/emea/x",
            "ResourceArn": f"arn:aws:s3:us-east-1:{ACCOUNT}:access-grants/default",
            "AccessGrantId": "none",
            "S3Prefix": "s3://sales/emea/x",
            "TagKeys": ["team"],
            **iam(ALICE),
        }
        self.call(GRANT, {})

    def client_of(self, identity: Any, region: str | None = None) -> Any:
        once = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        return self.grants.client("s3control", identity, config=once, region_name=region or "us-east-1")

    def caller(self, operation: str, by: str | None) -> Any:
        """Who calls: by default the administrator, and alice for GetDataAccess."""
        if by == "stranger":
            return self.grants.admin_of(NOT_SHARED)
        if by is not None:
            return self.grants.identity(by)
        return self.grants.identity("alice") if operation == "GetDataAccess" else self.grants.admin

    def call(self, operation: str, given: dict[str, Any]) -> Any:
        """Call with the usual parameters, except what is given; None leaves one out."""
        control = self.client_of(self.caller(operation, given.get("by")), given.get("region"))
        model = control.meta.service_model.operation_model(operation)
        usual = {**self.usual, **tags("a")} if operation == "TagResource" else self.usual
        parameters = {"AccountId": ACCOUNT, **usual, **given}
        known = {name: value for name, value in parameters.items() if name in model.input_shape.members}
        return control._make_api_call(operation, {name: value for name, value in known.items() if value is not None})


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # What is refused changes nothing, so one world does for all rows.
    with mock_access_grants() as grants:
        yield World(grants)


def one_of_each_case_is_fast() -> Iterator[Any]:
    """The rows as parameters; of a case of several operations the first one is in the fast lane."""
    seen = set()
    for row in ROWS:
        marks = [pytest.mark.exhaustive] if row.case in seen else []
        yield pytest.param(row, marks=marks, id=f"{row.operation}: {row.case}")
        seen.add(row.case)


@pytest.mark.parametrize("row", list(one_of_each_case_is_fast()))
def test_what_is_refused(world: World, refused: Any, row: Row) -> None:
    for name in NEWER & row.given.keys() - MODEL.operation_model(row.operation).input_shape.members.keys():
        pytest.skip(f"botocore's model has no {name}")
    with refused(row.code, row.words):
        world.call(row.operation, row.given)
    assert world.grants.requests[-1].status == row.status


@pytest.mark.parametrize(
    "audit_context", ["job 17", "tab\there", "ü € 😀", "x" * 2048], ids=["words", "tab", "unicode", "longest"]
)
def test_the_audit_contexts_that_aws_allows(world: World, audit_context: str) -> None:
    if not KNOWS_AUDIT_CONTEXT:
        pytest.skip("botocore's model has no AuditContext")
    world.call("GetDataAccess", {"AuditContext": audit_context})
    assert world.grants.requests[-1].parameters["AuditContext"] == audit_context


def limited(operation: str) -> Iterator[str]:
    """The parameters of an operation that its model limits in any way."""
    shape = MODEL.operation_model(operation).input_shape
    for name, member in shape.members.items():
        limits = {"min", "max", "pattern"} & member.metadata.keys()
        if limits or getattr(member, "enum", None) or name in shape.required_members:
            yield name


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_limited_parameter_has_a_row(operation: str) -> None:
    shown = {row.case.partition(":")[0].partition("=")[0] for row in ROWS if row.operation == operation}
    assert set(limited(operation)) - shown - NO_ROW.keys() == set()


def test_each_operation_of_the_model_is_in_the_table() -> None:
    known = [name for name in MODEL.operation_names if "AccessGrant" in name or name == "GetDataAccess"]
    tagging = ["TagResource", "UntagResource", "ListTagsForResource"]
    assert sorted([*known, *tagging]) == list(OPERATIONS)


def test_no_row_is_there_twice() -> None:
    names = [(row.operation, row.case) for row in ROWS]
    assert sorted(set(names)) == sorted(names)


def test_the_page_shows_the_table() -> None:
    spec = importlib.util.spec_from_file_location("page", ROOT / "tools" / "docs" / "setup_errors.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    text = (ROOT / "docs" / "local-service.md").read_text(encoding="utf-8")
    assert page.render(text) == text, "run python -m tools.docs"
