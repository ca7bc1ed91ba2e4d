"""What an error of AWS or botocore means here: a denial, or a failure to ask. The one place that translates.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (list of S3 Access Grants error codes).
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, ParamValidationError

from .exceptions import (
    AccessGrantsError,
    CallerCredentialsError,
    ConfigurationError,
    MalformedAnswer,
    ServiceFailure,
    Unreachable,
)
from .memory import DenialKind

__all__ = ["UnreadableAnswer", "refusal", "same_failure", "translated"]


class UnreadableAnswer(BotoCoreError):
    """What the edges make of an answer that botocore can't parse (its own parser error is no BotoCoreError)."""

    fmt = "the answer can't be read: {error}"


NO_INSTANCE = frozenset({"AccessGrantsInstanceNotExistsError", "AccessGrantsInstanceNotExists"})
REFUSED = frozenset({"AccessDenied", "AccessDeniedException"})
# IAM words its own refusals like this; the refusal for want of a grant says "You do not have READ permissions".
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

HINTS = {
    "StsNotAuthorizedError": "the location's IAM role does not trust S3 Access Grants",
    "StsPackedPolicyTooLargeError": "the grant's scope is too long for a session policy",
    "StsValidationError": "the location's IAM role refuses the session, for its duration perhaps",
    "InvalidRequest": "S3 Access Grants does not take this target or duration",
    "RequestTimeTooSkewed": "set this machine's clock",
}


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
    return "permission missing" if any(words in message for words in IAM_WORDING) else "no grant"


def translated(error: ClientError | BotoCoreError, call: str, region: str, label: str, what: str) -> AccessGrantsError:
    """Return our error for a call that failed: what was called where, for what, by whom, and what helps.

    ``call`` is the IAM action (``"s3:GetDataAccess"``), ``label`` names the caller, ``what`` says for which request.
    """
    asked = f"{call} in {region} {what}, asked as {label}"
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code = str(details.get("Code", "no code"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
        said = f"{asked}, failed with {code} ({status}): {details.get('Message', 'no message')}"
        hint = HINTS.get(code)
        if code in CALLER:
            hint = hint or "the caller's own credentials were not accepted: sign in again or renew them"
            return CallerCredentialsError(f"{said}; {hint}")
        return ServiceFailure(f"{said}; {hint}" if hint else said)
    if isinstance(error, ParamValidationError):
        return ConfigurationError(f"{asked}, could not be made: {error}")
    if isinstance(error, UnreadableAnswer):
        return MalformedAnswer(f"{asked}: {error}")
    if isinstance(error, (HTTPClientError, ConnectionError)):
        return Unreachable(f"{asked}, got no answer: {error}")
    return ServiceFailure(f"{asked}, failed: {error}")


def same_failure(failure: ServiceFailure) -> ServiceFailure:
    """Return a new error for somebody else who waited for the same call, so that no traceback grows."""
    again = type(failure)(*failure.args)
    again.__cause__ = failure.__cause__
    return again
