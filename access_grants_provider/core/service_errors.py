"""What an answer of AWS or an error of botocore means here: a denial, a failure, or worth trying again.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (list of S3 Access Grants error codes).
"""

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
from .listed_grants import ListedGrants, hint_from_grants, nearest_grants
from .scopes import Permission, Target, one_line

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

DenialKind = Literal["no grant", "no instance", "no bucket", "permission missing", "two buckets", "signed by hand"]
RetryKind = Literal["throttled", "broken", "failed"]

ADVICE: dict[DenialKind, str] = {
    "no grant": "Ask the owner of the S3 Access Grants instance for a grant that covers it",
    "no instance": "Create an S3 Access Grants instance in the bucket's region, or set account_id to the account that "
    "has one",
    "no bucket": "Check the name, and that the client uses the right endpoint",
    "permission missing": "Allow s3:GetDataAccess on the S3 Access Grants instance in the caller's IAM policies",
    "two buckets": "Copy with credentials that can read the one bucket and write the other",
    "signed by hand": "Make the request with a method of the client, which tells what it touches",
}
ERRORS: dict[DenialKind, type[AccessDenied]] = {
    "no grant": AccessDenied,
    "no instance": NoInstance,
    "no bucket": AccessDenied,
    "permission missing": PermissionMissing,
    "two buckets": AccessDenied,
    "signed by hand": AccessDenied,
}


class UnreadableAnswer(BotoCoreError):
    """What the drivers make of an answer that botocore can't parse (its own parser error is no BotoCoreError)."""

    fmt = "the answer can't be read, it is cut off or no XML{remark}"

    def __init__(self, remark: str = "") -> None:
        """Take what else may be told of the answer. None of its text: that may hold credentials."""
        super().__init__(remark=remark)


class OutOfTime(HTTPClientError):
    """What the drivers raise when a call takes longer than it was given."""

    fmt = "no answer within {seconds:.1f} s"


class Denial(NamedTuple):
    """Access Grants says no, until ``until`` (monotonic seconds); ``reason`` is a sentence for people.

    ``provisional``: concluded from what is known of the bucket, and not from an answer about this very target.
    ``wanted``: the permission and the target that were asked for. ``lists``: the caller's grants in the bucket, of
    each instance that was asked, empty where they are not known. ``advice``: what to do, where that is not ``ADVICE``.
    """

    kind: DenialKind
    reason: str
    until: float = 0.0
    account_id: str | None = None
    region: str | None = None
    provisional: bool = False
    wanted: tuple[Permission, Target] | None = None
    lists: tuple[ListedGrants, ...] = ()
    advice: str | None = None

    @property
    def hint(self) -> str:
        """What the caller has, and what to do."""
        advice = self.advice or ADVICE[self.kind]
        if not self.lists or self.wanted is None:
            return advice
        return f"{hint_from_grants(self.lists, *self.wanted)}. {advice}"

    @property
    def nearest(self) -> tuple[str, ...]:
        """The caller's grants that come nearest to what was asked for."""
        return () if self.wanted is None else nearest_grants(self.lists, self.wanted[1])


def denied(denial: Denial, operation: str, **facts: str | None) -> AccessDenied:
    """Return the error for a denial, a new one each time, so that no traceback grows."""
    about = {"account_id": denial.account_id, "region": denial.region, "grants": denial.nearest, **facts}
    code = denial.kind.replace(" ", "-")
    return ERRORS[denial.kind](denial.reason, operation=operation, hint=denial.hint, code=code, **about)


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
NOT_ACCEPTED = "AWS did not accept the caller's own credentials"
NO_CODE = "no code"
WRONG_PAIR = "The secret access key does not belong to this access key id: check both"
UNKNOWN_KEY = "This access key id does not exist, or its session token is missing: check the keys"
HINTS = {
    "StsNotAuthorizedError": "The location's IAM role does not trust S3 Access Grants",
    "StsPackedPolicyTooLargeError": "The grant's scope is too long for a session policy",
    "StsValidationError": "The location's IAM role refuses the session, perhaps for its duration",
    "InvalidRequest": "S3 Access Grants does not take this target or duration",
    "RequestTimeTooSkewed": "Set this machine's clock",
    "SignatureDoesNotMatch": f"{NOT_ACCEPTED}. {WRONG_PAIR}",
    "InvalidAccessKeyId": f"{NOT_ACCEPTED}. {UNKNOWN_KEY}",
    "InvalidClientTokenId": f"{NOT_ACCEPTED}. {UNKNOWN_KEY}",
    "UnrecognizedClientException": f"{NOT_ACCEPTED}. {UNKNOWN_KEY}",
    "ExpiredToken": f"{NOT_ACCEPTED}: they have expired. Sign in again, or renew them",
    "ExpiredTokenException": f"{NOT_ACCEPTED}: they have expired. Sign in again, or renew them",
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

    ``call`` is the IAM action (``"s3:GetDataAccess"``), ``caller`` the masked access key id of whoever asks,
    ``described`` the same with where the credentials come from.
    """

    call: str
    region: str
    what: str
    caller: str
    target: str | None = None
    permission: str | None = None
    operation: str | None = None
    described: str | None = None

    def failure(self, error: ClientError | BotoCoreError) -> AccessGrantsError:
        """Return our error for a call that failed, to be raised from ``error``."""
        if isinstance(error, ClientError):
            code, message = one_line(_code(error) or NO_CODE), str(error.response.get("Error", {}).get("Message", ""))
            said = f"{self} failed with {code} ({_status(error) or 'no status'}): {one_line(message or 'no message')}"
            if code in CALLER:
                code = "RequestTimeTooSkewed" if message.startswith(WRONG_CLOCK) else code
                hint = HINTS.get(code, f"{NOT_ACCEPTED}: sign in again or renew them")
                return self._error(CallerCredentialsError, said, hint)
            # botocore makes the code of the status, or leaves it out, where the body is none of AWS's.
            hint = NOT_AWS if code.isdigit() or code == NO_CODE else TRY_AGAIN
            return self._error(ServiceFailure, said, HINTS.get(code, hint))
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
        return f"{self.call} in {self.region} {self.what}, called as {self.described or self.caller},"


def sentence(fragment: str | None) -> str:
    """Return a reason, which is written to follow a colon, as the beginning of a sentence."""
    return (fragment or "")[:1].upper() + (fragment or "")[1:]


def concerns_all(failure: ServiceFailure) -> bool:
    """Tell whether a failure would meet every request alike, rather than the one target that was asked for."""
    if isinstance(failure, (Unreachable, CallerCredentialsError)):
        return True
    cause = failure.__cause__
    return isinstance(cause, ClientError) and retry_kind(cause) is not None
