"""What an answer of AWS or an error of botocore means here: a denial, a failure, or worth trying again.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (list of S3 Access Grants error codes).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectionError,
    EndpointConnectionError,
    EndpointProviderError,
    HTTPClientError,
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    UnknownEndpointError,
    UnsupportedS3ControlConfigurationError,
)

from ..exceptions import (
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

__all__ = [
    "ADVICE",
    "Denial",
    "DenialKind",
    "OutOfTime",
    "Purpose",
    "RetryKind",
    "UnreadableAnswer",
    "concerns_all",
    "denial_kind",
    "denied",
    "one_line",
    "refuses_duration",
    "retry_kind",
    "sentence",
]

DenialKind = Literal["no grant", "no instance", "permission missing", "two buckets", "signed by hand"]
RetryKind = Literal["throttled", "broken", "failed"]

ADVICE: dict[DenialKind, str] = {
    "no grant": "Ask the owner of the S3 Access Grants instance for a grant that covers it",
    "no instance": "Create an S3 Access Grants instance in the bucket's region, or set account_id to the account that "
    "has one",
    "permission missing": "Allow s3:GetDataAccess on the S3 Access Grants instance in the caller's IAM policies",
    "two buckets": "Copy with credentials that can read the one bucket and write the other",
    "signed by hand": "Make the request with a method of the client, which tells what it touches",
}
ERRORS: dict[DenialKind, type[AccessDenied]] = {
    "no grant": AccessDenied,
    "no instance": NoInstance,
    "permission missing": PermissionMissing,
    "two buckets": AccessDenied,
    "signed by hand": AccessDenied,
}


class UnreadableAnswer(BotoCoreError):
    """What the drivers make of an answer that botocore can't parse (its own parser error is no BotoCoreError)."""

    fmt = "the answer can't be read, it is cut off or no XML"


class OutOfTime(HTTPClientError):
    """What the drivers raise when a call takes longer than it was given."""

    fmt = "no answer within {seconds:.1f} s"


class Denial(NamedTuple):
    """Access Grants says no, until ``until`` (monotonic seconds); ``reason`` is a sentence for people.

    ``provisional``: concluded from what is known of the bucket, and not from an answer about this very target.
    """

    kind: DenialKind
    reason: str
    until: float = 0.0
    account_id: str | None = None
    region: str | None = None
    provisional: bool = False


def denied(denial: Denial, operation: str, **facts: str | None) -> AccessDenied:
    """Return the error for a denial, a new one each time, so that no traceback grows."""
    about = {"account_id": denial.account_id, "region": denial.region, **facts}
    return ERRORS[denial.kind](denial.reason, operation=operation, hint=ADVICE[denial.kind], **about)


NO_INSTANCE = frozenset({"AccessGrantsInstanceNotExistsError", "AccessGrantsInstanceNotExists"})
REFUSED = frozenset({"AccessDenied", "AccessDeniedException"})
# How Access Grants refuses for want of a grant. The rest of that message quotes the target, so anybody who names a key
# can make it read like IAM's: this beginning decides first.
NO_GRANT = "You do not have"
IAM_WORDING = ("not authorized to perform", "policy allows", "explicit deny")

CALLER = frozenset(
    {
        "AuthFailure",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "MissingAuthenticationToken",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)

THROTTLED = frozenset(
    {"RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException"}
)
TOO_MANY = (429, 503)
# botocore's refusals of a setting, found before anything is sent.
WRONG_SETTING = (
    EndpointProviderError,
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    UnknownEndpointError,
    UnsupportedS3ControlConfigurationError,
)

DURATION = frozenset({"InvalidRequest", "StsValidationError", "ValidationError", "ValidationException"})
NOT_AWS = "The response does not look like AWS's. Check endpoint_url and the proxy"
TRY_AGAIN = "Try again later. Under fallback='always' requests are signed as the caller meanwhile"
HINTS = {
    "StsNotAuthorizedError": "The location's IAM role does not trust S3 Access Grants",
    "StsPackedPolicyTooLargeError": "The grant's scope is too long for a session policy",
    "StsValidationError": "The location's IAM role refuses the session, perhaps for its duration",
    "InvalidRequest": "S3 Access Grants does not take this target or duration",
    "RequestTimeTooSkewed": "Set this machine's clock",
}
# STS has no code of its own for a wrong clock: it is SignatureDoesNotMatch, with a message that begins so.
WRONG_CLOCK = ("Signature expired", "Signature not yet current")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status


def denial_kind(error: ClientError | BotoCoreError) -> DenialKind | None:
    """Return which "no" this answer of Access Grants is; None where it is no denial."""
    if not isinstance(error, ClientError):
        return None
    code = _code(error)
    if code in NO_INSTANCE:
        return "no instance"
    if code not in REFUSED:
        return None
    message = str(error.response.get("Error", {}).get("Message", ""))
    from_iam = not message.startswith(NO_GRANT) and any(words in message for words in IAM_WORDING)
    return "permission missing" if from_iam else "no grant"


def refuses_duration(error: ClientError) -> bool:
    """Tell whether an error may mean that credentials can't live as long as was asked: a role has its own maximum."""
    return _code(error) in DURATION


def retry_kind(error: ClientError | BotoCoreError) -> RetryKind | None:
    """Return why a call may do better when it is made again; None where it would not."""
    if isinstance(error, ClientError):
        if _code(error) in THROTTLED or _status(error) in TOO_MANY:
            return "throttled"
        return "failed" if _status(error) >= 500 else None
    # A refused connection too: a service that is started anew refuses for a moment.
    return "broken" if isinstance(error, (ConnectionClosedError, EndpointConnectionError)) else None


class Purpose(NamedTuple):
    """What a call was made for, as errors say it. ``what``: ``"for READ on 's3://b/k' (GetObject)"``.

    ``call`` is the IAM action (``"s3:GetDataAccess"``), ``caller`` the masked access key id of whoever asks.
    """

    call: str
    region: str
    what: str
    caller: str
    target: str | None = None
    permission: str | None = None
    operation: str | None = None

    def failure(self, error: ClientError | BotoCoreError) -> AccessGrantsError:
        """Return our error for a call that failed, to be raised from ``error``."""
        if isinstance(error, ClientError):
            code, message = one_line(_code(error) or "no code"), str(error.response.get("Error", {}).get("Message", ""))
            said = f"{self} failed with {code} ({_status(error) or 'no status'}): {one_line(message or 'no message')}"
            if code in CALLER:
                code = "RequestTimeTooSkewed" if message.startswith(WRONG_CLOCK) else code
                hint = HINTS.get(code, "AWS did not accept the caller's own credentials: sign in again or renew them")
                return self._error(CallerCredentialsError, said, hint)
            return self._error(ServiceFailure, said, HINTS.get(code, TRY_AGAIN))
        if isinstance(error, WRONG_SETTING):
            return self._error(ConfigurationError, f"{self} could not be made: {one_line(error)}", None)
        if isinstance(error, UnreadableAnswer):
            return self._error(MalformedAnswer, f"{self} failed: {error}", NOT_AWS)
        if isinstance(error, (HTTPClientError, ConnectionError)):
            hint = "Check the network, the proxy and endpoint_url"
            return self._error(Unreachable, f"{self} got no answer: {one_line(error)}", hint)
        return self._error(ServiceFailure, f"{self} failed: {one_line(error)}", TRY_AGAIN)

    def malformed(self, what: str, hint: str = NOT_AWS) -> AccessGrantsError:
        """Return the error for an answer that can't be used; ``what`` says why: ``"a grant without a scope"``."""
        return self._error(MalformedAnswer, f"{self} answered with {what}", hint)

    def _error(self, kind: type[AccessGrantsError], message: str, hint: str | None) -> AccessGrantsError:
        return kind(
            message,
            hint=hint,
            operation=self.operation,
            target=self.target,
            permission=self.permission,
            region=self.region,
            caller=self.caller,
        )

    def __str__(self) -> str:
        return f"{self.call} in {self.region} {self.what}, called as {self.caller},"


def sentence(fragment: str | None) -> str:
    """Return a reason, which is written to follow a colon, as the beginning of a sentence."""
    return (fragment or "")[:1].upper() + (fragment or "")[1:]


def one_line(text: object) -> str:
    """Return a foreign text with its control characters escaped: what the service quotes may not forge a log line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def concerns_all(failure: ServiceFailure) -> bool:
    """Tell whether a failure would meet every request alike, rather than the one target that was asked for."""
    if isinstance(failure, (Unreachable, CallerCredentialsError)):
        return True
    cause = failure.__cause__
    return isinstance(cause, ClientError) and retry_kind(cause) is not None
