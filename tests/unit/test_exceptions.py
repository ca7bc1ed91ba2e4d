"""The error tree, and that a denial is one of S3's own refusals to whoever handles those."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider import exceptions
from access_grants_provider.exceptions import (
    AccessDenied,
    AccessGrantsError,
    CallerCredentialsError,
    ConfigurationError,
    MalformedAnswer,
    NoInstance,
    PermissionMissing,
    ServiceFailure,
    Unreachable,
)

TREE = {
    AccessGrantsError: (Exception,),
    ConfigurationError: (AccessGrantsError, ValueError),
    AccessDenied: (AccessGrantsError, ClientError),
    NoInstance: (AccessDenied,),
    PermissionMissing: (AccessDenied,),
    ServiceFailure: (AccessGrantsError,),
    Unreachable: (ServiceFailure,),
    CallerCredentialsError: (ServiceFailure,),
    MalformedAnswer: (ServiceFailure,),
}
DENIALS = [AccessDenied, NoInstance, PermissionMissing]


@pytest.mark.parametrize(("error", "bases"), TREE.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_the_tree_is_the_one_the_module_draws(error: type[Exception], bases: tuple[type, ...]) -> None:
    assert error.__bases__ == bases
    assert error.__name__ in (exceptions.__doc__ or "")


def test_the_tree_is_complete() -> None:
    assert sorted(error.__name__ for error in TREE) == exceptions.__all__


@pytest.mark.parametrize("kind", DENIALS)
def test_a_denial_is_a_403_of_s3(kind: type[AccessDenied]) -> None:
    with pytest.raises(ClientError) as caught:
        raise kind("no grant gives READ", operation="GetObject")
    assert caught.value.response["Error"] == {
        "Code": "AccessDenied", "Message": f"no grant gives READ [{kind.code}]"
    }  # fmt: skip
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.operation_name == "GetObject"
    assert "no grant gives READ" in str(caught.value)
    assert "GetObject" in str(caught.value)


FACTS: dict[str, Any] = {
    "operation": "GetObject",
    "target": "s3://sales/x",
    "permission": "READ",
    "account_id": "444455556666",
    "region": "eu-west-1",
    "caller": "AKIA…WXYZ",
    "grants": ("READ on s3://sales/emea/*",),
    "code": "no-bucket",
}


@pytest.mark.parametrize("kind", TREE)
def test_every_error_carries_its_facts_and_what_to_do(kind: type[AccessGrantsError]) -> None:
    error = kind("it broke", hint="Mend it", **FACTS)
    assert {name: getattr(error, name) for name in exceptions.FACTS} == FACTS
    assert (error.message, error.hint) == ("it broke", "Mend it")
    assert str(error).endswith("it broke. Mend it [no-bucket]")


@pytest.mark.parametrize("kind", TREE)
def test_what_is_not_known_is_none(kind: type[AccessGrantsError]) -> None:
    error = kind("it broke", operation="GetObject")
    known = ["GetObject", None, None, None, None, None, (), kind.code]
    assert [getattr(error, name) for name in exceptions.FACTS] == known
    assert error.hint is None
    assert str(error).endswith("it broke" if kind.code is None else f"it broke [{kind.code}]")


def test_each_kind_has_a_code_but_the_root_and_what_explains_itself() -> None:
    codes = {getattr(kind, "code") for kind in TREE} - {None}  # noqa: B009  the table says no more than type
    assert len(codes) == len(TREE) - 2
    assert AccessGrantsError.code is ConfigurationError.code is None


@pytest.mark.parametrize("kind", TREE)
def test_a_misspelt_fact_is_refused(kind: type[AccessGrantsError]) -> None:
    with pytest.raises(TypeError, match="no fact bucket"):
        kind("it broke", operation="GetObject", bucket="sales")


@pytest.mark.parametrize("kind", TREE)
@pytest.mark.parametrize(
    "copied",
    [*(lambda error, p=p: pickle.loads(pickle.dumps(error, p)) for p in range(6)), copy.copy, copy.deepcopy],
)
def test_an_error_comes_back_whole_from_another_process(kind: type[AccessGrantsError], copied: Any) -> None:
    error = kind("it broke", hint="Mend it", **FACTS)
    again = copied(error)
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.message, again.hint) == (error.message, error.hint)
    assert {name: getattr(again, name) for name in exceptions.FACTS} == FACTS
    if isinstance(error, AccessDenied):
        assert isinstance(again, AccessDenied)
        assert (again.response, again.operation_name) == (error.response, error.operation_name)


@pytest.mark.parametrize("kind", TREE)
def test_the_same_error_again_is_a_new_one_with_the_same_cause_and_facts(kind: type[AccessGrantsError]) -> None:
    cause = ValueError("below")
    try:
        raise kind("it broke", hint="Mend it", **FACTS) from cause
    except AccessGrantsError as raised:
        error = raised
    again = error.again("two requests waited", target="s3://sales/y")
    assert again is not error
    assert type(again) is kind
    assert (again.message, again.hint) == ("it broke (two requests waited)", "Mend it")
    assert {name: getattr(again, name) for name in exceptions.FACTS} == {**FACTS, "target": "s3://sales/y"}
    assert error.target == "s3://sales/x"
    assert again.__cause__ is cause
    assert again.__traceback__ is None


def test_a_failure_is_not_taken_for_a_denial() -> None:
    assert not issubclass(ServiceFailure, ClientError)
    assert not issubclass(ServiceFailure, AccessDenied)
    assert not issubclass(ConfigurationError, ServiceFailure)
