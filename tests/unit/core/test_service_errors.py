"""What an error means: a denial, a failure, the caller's credentials, or a wrong option."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from access_grants_provider.core.service_errors import UnreadableAnswer, refusal, same_failure, translated
from access_grants_provider.exceptions import (
    AccessGrantsError,
    CallerCredentialsError,
    ConfigurationError,
    MalformedAnswer,
    ServiceFailure,
    Unreachable,
)

Make = Callable[..., ClientError]

NO_GRANT = "You do not have READ permissions to the requested S3 Prefix: s3://sales/x"
NO_IDENTITY_POLICY = (
    "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetDataAccess because no "
    "identity-based policy allows the s3:GetDataAccess action"
)

FAILURES = [
    ("StsNotAuthorizedError", 403),
    ("StsPackedPolicyTooLargeError", 400),
    ("StsValidationError", 400),
    ("InvalidRequest", 400),
    ("SlowDown", 503),
    ("Throttling", 400),
    ("ThrottlingException", 400),
    ("ThrottledException", 429),
    ("TooManyRequestsException", 429),
    ("RequestLimitExceeded", 503),
    ("ServiceUnavailable", 503),
    ("InternalError", 500),
    ("InternalFailure", 500),
    ("500", 500),
    ("SomethingNew", 418),
]
CALLER_CODES = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "TokenRefreshRequired",
]


def exceptions_of_botocore() -> list[type[BotoCoreError]]:
    found = [one for _, one in inspect.getmembers(botocore.exceptions, inspect.isclass)]
    return [one for one in found if issubclass(one, BotoCoreError)]


def of_the_network(kind: type[BotoCoreError]) -> bool:
    # botocore has two roots for these: what goes wrong before a connection stands is a ConnectionError.
    return issubclass(kind, (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError))


def made(kind: type[BotoCoreError]) -> BotoCoreError:
    """An instance, with something for whatever its message wants filled in."""
    error = kind.__new__(kind)
    error.args = ("it happened",)
    error.kwargs = {}
    return error


def said(error: Exception, what: str = "for READ on 's3://sales/x' (GetObject)") -> AccessGrantsError:
    return translated(error, "s3:GetDataAccess", "eu-west-1", "AKIA…WXYZ", what)  # type: ignore[arg-type]


def test_no_grant_is_a_denial(aws_error: Make) -> None:
    assert refusal(aws_error("AccessDenied", NO_GRANT)) == "no grant"


@pytest.mark.parametrize(
    "message",
    [
        NO_IDENTITY_POLICY,
        "User: … is not authorized to perform: s3:GetDataAccess with an explicit deny in a service control policy",
        "… because no resource-based policy allows the s3:GetDataAccess action",
        "… because no session policy allows the s3:GetDataAccess action",
        "… because no permissions boundary allows the s3:GetDataAccess action; no identity-based policy allows it",
        "… because no VPC endpoint policy allows the s3:GetDataAccess action",
    ],
)
@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_the_wording_of_iam_is_a_denial_of_another_kind(aws_error: Make, code: str, message: str) -> None:
    assert refusal(aws_error(code, message)) == "permission missing"


@pytest.mark.parametrize("message", ["", "Access Denied", None])
def test_a_bare_denial_is_no_grant(aws_error: Make, message: Any) -> None:
    assert refusal(aws_error("AccessDenied", message)) == "no grant"


@pytest.mark.parametrize("key", ["explicit deny.txt", "which policy allows this", "not authorized to perform/x"])
def test_a_key_that_reads_like_iam_is_no_grant_still(aws_error: Make, key: str) -> None:
    # Access Grants quotes the target, and whoever may name a key must not decide for the whole bucket.
    message = f"You do not have READ permissions to the requested S3 Prefix: s3://sales/{key}"
    assert refusal(aws_error("AccessDenied", message)) == "no grant"


def test_no_instance_is_a_denial(aws_error: Make) -> None:
    assert refusal(aws_error("AccessGrantsInstanceNotExistsError", "it does not exist", 404)) == "no instance"


@pytest.mark.parametrize(("code", "status"), FAILURES)
def test_whatever_else_aws_says_is_a_failure(aws_error: Make, code: str, status: int) -> None:
    error = aws_error(code, "the message of AWS", status)
    assert refusal(error) is None
    ours = said(error)
    assert type(ours) is ServiceFailure
    for part in ("s3:GetDataAccess", "eu-west-1", "'s3://sales/x'", "AKIA…WXYZ", code, str(status), "message of AWS"):
        assert part in str(ours)


@pytest.mark.parametrize("words", ["Signature expired: 20261122T030000Z", "Signature not yet current: 2"])
def test_a_wrong_clock_is_told_apart_where_sts_speaks_of_the_signature(aws_error: Make, words: str) -> None:
    assert str(said(aws_error("SignatureDoesNotMatch", words, 403))).endswith("set this machine's clock")
    assert "sign in again" in str(said(aws_error("SignatureDoesNotMatch", "The request signature does not match", 403)))


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("StsNotAuthorizedError", "role does not trust"),
        ("StsPackedPolicyTooLargeError", "too long for a session policy"),
        ("StsValidationError", "duration"),
        ("InvalidRequest", "does not take this target"),
        ("RequestTimeTooSkewed", "clock"),
    ],
)
def test_a_failure_that_somebody_can_mend_says_how(aws_error: Make, code: str, hint: str) -> None:
    assert hint in str(said(aws_error(code, "…", 400)))


@pytest.mark.parametrize("code", CALLER_CODES)
def test_what_is_wrong_with_the_caller_s_own_credentials_is_said(aws_error: Make, code: str) -> None:
    error = aws_error(code, "…", 403)
    assert refusal(error) is None
    ours = said(error)
    assert type(ours) is CallerCredentialsError
    assert code in str(ours)


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Code": "SlowDown"}}])
def test_an_error_without_its_fields_is_a_failure_still(response: Any) -> None:
    error = ClientError(response, "GetDataAccess")
    assert refusal(error) is None
    assert type(said(error)) is ServiceFailure


@pytest.mark.parametrize("kind", [one for one in exceptions_of_botocore() if of_the_network(one)])
def test_no_error_of_the_network_is_left_out(kind: type[BotoCoreError]) -> None:
    assert refusal(made(kind)) is None
    assert type(said(made(kind))) is Unreachable


def test_a_time_out_a_refusal_and_a_broken_connection_are_among_them() -> None:
    of_network = {one.__name__ for one in exceptions_of_botocore() if of_the_network(one)}
    assert of_network >= {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "SSLError",
    }


@pytest.mark.parametrize("kind", [one for one in exceptions_of_botocore() if not of_the_network(one)])
def test_every_other_error_of_botocore_is_one_of_ours(kind: type[BotoCoreError]) -> None:
    assert refusal(made(kind)) is None
    ours = said(made(kind))
    assert isinstance(ours, (ServiceFailure, ConfigurationError))
    assert not isinstance(ours, Unreachable)
    assert "it happened" in str(ours)


def test_a_parameter_botocore_does_not_take_is_a_wrong_option() -> None:
    assert type(said(made(botocore.exceptions.ParamValidationError))) is ConfigurationError


def test_an_answer_that_can_not_be_read_is_malformed() -> None:
    ours = said(UnreadableAnswer())
    assert type(ours) is MalformedAnswer
    assert "cut off or no XML" in str(ours)


@pytest.mark.parametrize("kind", [ServiceFailure, Unreachable, CallerCredentialsError, MalformedAnswer])
def test_who_waited_gets_an_error_of_its_own_with_the_same_cause(kind: type[ServiceFailure]) -> None:
    cause = ValueError("below")
    failure = kind("it broke")
    failure.__cause__ = cause
    again = same_failure(failure, "GetObject on 's3://b/k'")
    assert again is not failure
    assert (type(again), str(again)) == (kind, "it broke (GetObject on 's3://b/k' waited for this call)")
    assert again.__cause__ is cause
    assert again.__traceback__ is None
