"""What an error of AWS or botocore means here: a denial, or a failure to ask. The one place that translates.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (list of S3 Access Grants error codes).
"""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    EndpointProviderError,
    HTTPClientError,
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    UnknownEndpointError,
    UnsupportedS3ControlConfigurationError,
)

from ..exceptions import (
    AccessGrantsError,
    CallerCredentialsError,
    ConfigurationError,
    MalformedAnswer,
    ServiceFailure,
    Unreachable,
)
from .caller_state import DenialKind

__all__ = [
    "WHO_ANSWERS",
    "UnreadableAnswer",
    "concerns_all",
    "refusal",
    "refuses_duration",
    "same_failure",
    "translated",
]


class UnreadableAnswer(BotoCoreError):
    """What the edges make of an answer that botocore can't parse (its own parser error is no BotoCoreError)."""

    fmt = "the answer can't be read, it is cut off or no XML"


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
WHO_ANSWERS = "is that AWS which answers? check endpoint_url and the proxy"
TRY_AGAIN = "try again later; under fallback='always' requests are signed as the caller meanwhile"
HINTS = {
    "StsNotAuthorizedError": "the location's IAM role does not trust S3 Access Grants",
    "StsPackedPolicyTooLargeError": "the grant's scope is too long for a session policy",
    "StsValidationError": "the location's IAM role refuses the session, for its duration perhaps",
    "InvalidRequest": "S3 Access Grants does not take this target or duration",
    "RequestTimeTooSkewed": "set this machine's clock",
}
# STS has no code of its own for a wrong clock: it is SignatureDoesNotMatch, with a message that begins so.
WRONG_CLOCK = ("Signature expired", "Signature not yet current")


def refusal(error: ClientError | BotoCoreError) -> DenialKind | None:
    """Return which "no" this answer of Access Grants is; None where it is no denial."""
    if not isinstance(error, ClientError):
        return None
    details = error.response.get("Error", {})
    code = details.get("Code", "")
    if code in NO_INSTANCE:
        return "no instance"
    if code not in REFUSED:
        return None
    message = str(details.get("Message", ""))
    from_iam = not message.startswith(NO_GRANT) and any(words in message for words in IAM_WORDING)
    return "permission missing" if from_iam else "no grant"


def refuses_duration(error: ClientError) -> bool:
    """Tell whether an error may mean that credentials can't live as long as was asked: a role has its own maximum."""
    return error.response.get("Error", {}).get("Code") in DURATION


def translated(error: ClientError | BotoCoreError, call: str, region: str, label: str, what: str) -> AccessGrantsError:
    """Return our error for a call that failed: what was called where, for what, by whom, and what helps.

    ``call`` is the IAM action (``"s3:GetDataAccess"``), ``label`` names the caller, ``what`` says for which request.
    """
    asked = f"{call} in {region} {what}, asked as {label}"
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code = one_line(details.get("Code", "no code"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
        said = f"{asked}, failed with {code} ({status}): {one_line(details.get('Message', 'no message'))}"
        if code in CALLER:
            wrong_clock = str(details.get("Message", "")).startswith(WRONG_CLOCK)
            code = "RequestTimeTooSkewed" if wrong_clock else code
            hint = HINTS.get(code, "the caller's own credentials were not accepted: sign in again or renew them")
            return CallerCredentialsError(f"{said}; {hint}")
        return ServiceFailure(f"{said}; {HINTS.get(code, TRY_AGAIN)}")
    if isinstance(error, WRONG_SETTING):
        return ConfigurationError(f"{asked}, could not be made: {error}")
    if isinstance(error, UnreadableAnswer):
        return MalformedAnswer(f"{asked}: {error}; {WHO_ANSWERS}")
    if isinstance(error, (HTTPClientError, ConnectionError)):
        return Unreachable(f"{asked}, got no answer: {one_line(error)}; check the network, the proxy and endpoint_url")
    return ServiceFailure(f"{asked}, failed: {one_line(error)}; {TRY_AGAIN}")


def one_line(text: object) -> str:
    """Return a foreign text with its control characters escaped: what the service quotes may not forge a log line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def concerns_all(failure: ServiceFailure) -> bool:
    """Tell whether a failure would meet every request alike, rather than the one target that was asked for."""
    if isinstance(failure, (Unreachable, CallerCredentialsError)):
        return True
    cause = failure.__cause__
    if not isinstance(cause, ClientError):
        return False
    status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status == 429 or status >= 500 or str(cause.response.get("Error", {}).get("Code")) in THROTTLED


def same_failure(failure: ServiceFailure, waiting: str) -> ServiceFailure:
    """Return a new error for somebody else who waited for the same call, so that no traceback grows.

    ``waiting`` says who: ``"GetObject on 's3://b/k'"``.
    """
    again = type(failure)(f"{failure} ({waiting} waited for this call)")
    again.__cause__ = failure.__cause__
    return again
