"""What an error means: a denial, a failure, the caller's credentials, or a wrong option."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from access_grants_provider.core.service_errors import (
    ADVICE,
    ERRORS,
    Denial,
    OutOfTime,
    Purpose,
    UnreadableAnswer,
    concerns_all,
    denial_kind,
    denied,
    one_line,
    refuses_duration,
    retry_kind,
)
from access_grants_provider.exceptions import (
    AccessDenied,
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


PURPOSE = Purpose(
    "s3:GetDataAccess", "eu-west-1", "for READ on 's3://sales/x' (GetObject)", "AKIA…WXYZ",
    "s3://sales/x", "READ", "GetObject",
)  # fmt: skip


def said(error: ClientError | BotoCoreError) -> AccessGrantsError:
    return PURPOSE.failure(error)


def test_no_grant_is_a_denial(aws_error: Make) -> None:
    assert denial_kind(aws_error("AccessDenied", NO_GRANT)) == "no grant"


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
    assert denial_kind(aws_error(code, message)) == "permission missing"


@pytest.mark.parametrize("message", ["", "Access Denied", None])
def test_a_bare_denial_is_no_grant(aws_error: Make, message: Any) -> None:
    assert denial_kind(aws_error("AccessDenied", message)) == "no grant"


@pytest.mark.parametrize("key", ["explicit deny.txt", "which policy allows this", "not authorized to perform/x"])
def test_a_key_that_reads_like_iam_is_no_grant_still(aws_error: Make, key: str) -> None:
    # Access Grants quotes the target, and whoever may name a key must not decide for the whole bucket.
    message = f"You do not have READ permissions to the requested S3 Prefix: s3://sales/{key}"
    assert denial_kind(aws_error("AccessDenied", message)) == "no grant"


def test_no_instance_is_a_denial(aws_error: Make) -> None:
    assert denial_kind(aws_error("AccessGrantsInstanceNotExistsError", "it does not exist", 404)) == "no instance"


@pytest.mark.parametrize(("code", "status"), FAILURES)
def test_whatever_else_aws_says_is_a_failure(aws_error: Make, code: str, status: int) -> None:
    error = aws_error(code, "the message of AWS", status)
    assert denial_kind(error) is None
    ours = said(error)
    assert type(ours) is ServiceFailure
    for part in ("s3:GetDataAccess", "eu-west-1", "'s3://sales/x'", "AKIA…WXYZ", code, str(status), "message of AWS"):
        assert part in str(ours)


@pytest.mark.parametrize("words", ["Signature expired: 20261122T030000Z", "Signature not yet current: 2"])
def test_a_wrong_clock_is_told_apart_where_sts_speaks_of_the_signature(aws_error: Make, words: str) -> None:
    assert str(said(aws_error("SignatureDoesNotMatch", words, 403))).endswith(
        "Set this machine's clock [caller-credentials]"
    )
    assert "does not belong to this access key id" in str(
        said(aws_error("SignatureDoesNotMatch", "The request signature does not match", 403))
    )


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
    assert denial_kind(error) is None
    ours = said(error)
    assert type(ours) is CallerCredentialsError
    assert code in str(ours)


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Code": "SlowDown"}}])
def test_an_error_without_its_fields_is_a_failure_still(response: Any) -> None:
    error = ClientError(response, "GetDataAccess")
    assert denial_kind(error) is None
    assert type(said(error)) is ServiceFailure


@pytest.mark.parametrize("kind", [one for one in exceptions_of_botocore() if of_the_network(one)])
def test_no_error_of_the_network_is_left_out(kind: type[BotoCoreError]) -> None:
    assert denial_kind(made(kind)) is None
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
    assert denial_kind(made(kind)) is None
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


def test_a_call_that_took_too_long_is_unreachable() -> None:
    ours = said(OutOfTime(seconds=20))
    assert type(ours) is Unreachable
    assert "no answer within 20.0 s" in str(ours)


def test_every_failure_carries_its_facts(aws_error: Make) -> None:
    for ours in (said(aws_error("InvalidRequest", "…", 400)), said(UnreadableAnswer()), PURPOSE.malformed("nonsense")):
        assert (ours.operation, ours.target, ours.permission) == ("GetObject", "s3://sales/x", "READ")
        assert (ours.region, ours.caller) == ("eu-west-1", "AKIA…WXYZ")
        assert str(ours).startswith(ours.message)
        assert str(ours).endswith(f"{ours.hint} [{ours.code}]")


def test_a_malformed_answer_says_what_is_wrong_with_it() -> None:
    ours = PURPOSE.malformed("a grant without a scope")
    assert type(ours) is MalformedAnswer
    assert "called as AKIA…WXYZ, answered with a grant without a scope. The response does not look like AWS's" in str(
        ours
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", "a\\nb"), ("\x1b[31mred", "\\x1b[31mred"), ("é 日本", "é 日本"), ("a\u2028b", "a\\u2028b")],
)
def test_what_aws_quotes_forges_no_line_of_a_log(aws_error: Make, text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert shown in str(said(aws_error("InvalidRequest", text, 400)))
    assert text in str(said(aws_error("InvalidRequest", text, 400))) or text != shown


# Whether a call may do better when it is made again.


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SlowDown", 503, "throttled"),
        ("SlowDown", 400, "throttled"),
        ("Throttling", 400, "throttled"),
        ("ThrottlingException", 400, "throttled"),
        ("RequestLimitExceeded", 400, "throttled"),
        ("TooManyRequestsException", 400, "throttled"),
        ("ThrottledException", 429, "throttled"),
        ("ServiceUnavailable", 503, "throttled"),
        ("InternalError", 500, "failed"),
        ("502", 502, "failed"),
        ("AccessDenied", 403, None),
        ("InvalidRequest", 400, None),
        ("ExpiredToken", 400, None),
        ("", 0, None),
    ],
)
def test_what_is_worth_trying_again_is_told_apart(aws_error: Make, code: str, status: int, kind: str | None) -> None:
    assert retry_kind(aws_error(code, "…", status)) == kind


def test_of_the_network_only_a_connection_that_was_closed_or_refused_is_tried_again() -> None:
    again = {kind.__name__ for kind in exceptions_of_botocore() if retry_kind(made(kind)) is not None}
    assert again == {"ConnectionClosedError", "EndpointConnectionError"}
    assert retry_kind(OutOfTime(seconds=1)) is None
    assert retry_kind(UnreadableAnswer()) is None


@pytest.mark.parametrize(
    ("code", "refuses"),
    [("InvalidRequest", True), ("StsValidationError", True), ("ValidationError", True), ("AccessDenied", False)],
)
def test_an_error_may_be_about_the_duration(aws_error: Make, code: str, refuses: bool) -> None:
    assert refuses_duration(aws_error(code)) is refuses


# Whether a failure is that of one target, or of all.


@pytest.mark.parametrize(
    ("code", "status", "all_of_them"),
    [
        ("SlowDown", 503, True),
        ("InternalError", 500, True),
        ("ExpiredToken", 400, True),
        ("InvalidRequest", 400, False),
        ("StsPackedPolicyTooLargeError", 400, False),
        ("StsNotAuthorizedError", 403, False),
    ],
)
def test_a_failure_concerns_all_or_one_target(aws_error: Make, code: str, status: int, all_of_them: bool) -> None:
    cause = aws_error(code, "…", status)
    failure = said(cause)
    assert isinstance(failure, ServiceFailure)
    failure.__cause__ = cause
    assert concerns_all(failure) is all_of_them


def test_no_answer_concerns_all_and_nonsense_does_not() -> None:
    assert concerns_all(Unreachable("no answer"))
    assert concerns_all(CallerCredentialsError("expired"))
    assert not concerns_all(MalformedAnswer("nonsense"))


# Denials.


@pytest.mark.parametrize("kind", ERRORS)
def test_each_kind_of_denial_has_an_error_and_an_advice(kind: Any) -> None:
    denial = Denial(kind, "No grant gives READ", 0, "444455556666", "eu-west-1")
    error = denied(denial, "GetObject", target="s3://sales/x", permission="READ", caller="AKIA…WXYZ")
    assert isinstance(error, AccessDenied)
    assert str(error).endswith(f"No grant gives READ. {ADVICE[kind]} [{kind.replace(' ', '-')}]")
    assert error.hint == ADVICE[kind]
    assert (error.account_id, error.region, error.operation) == ("444455556666", "eu-west-1", "GetObject")
    assert (error.target, error.permission, error.caller) == ("s3://sales/x", "READ", "AKIA…WXYZ")


def test_a_fact_of_the_request_comes_before_that_of_the_denial() -> None:
    assert denied(Denial("no grant", "no", 0, None, "eu-west-1"), "GetObject", region="us-east-1").region == "us-east-1"
