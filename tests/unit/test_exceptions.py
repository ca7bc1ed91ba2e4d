"""The error tree, and that a denial is one of S3's own refusals to whoever handles those."""

from __future__ import annotations

import copy
import pickle

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
        raise kind("no grant gives READ", "GetObject")
    assert caught.value.response["Error"] == {"Code": "AccessDenied", "Message": "no grant gives READ"}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.operation_name == "GetObject"
    assert "no grant gives READ" in str(caught.value)
    assert "GetObject" in str(caught.value)


@pytest.mark.parametrize("kind", DENIALS)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_a_denial_comes_back_whole_from_another_process(kind: type[AccessDenied], copied: object) -> None:
    error = kind("no grant", "GetObject")
    again = copied(error)  # type: ignore[operator]
    assert type(again) is kind
    assert (again.response, again.operation_name, str(again)) == (error.response, error.operation_name, str(error))


@pytest.mark.parametrize("kind", [one for one in TREE if one not in DENIALS])
def test_a_failure_comes_back_whole_from_another_process(kind: type[AccessGrantsError]) -> None:
    again = pickle.loads(pickle.dumps(kind("it broke")))
    assert type(again) is kind
    assert str(again) == "it broke"


def test_a_failure_is_not_taken_for_a_denial() -> None:
    assert not issubclass(ServiceFailure, ClientError)
    assert not issubclass(ServiceFailure, AccessDenied)
    assert not issubclass(ConfigurationError, ServiceFailure)
