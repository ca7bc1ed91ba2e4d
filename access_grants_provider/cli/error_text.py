"""Errors as one line for the person at the shell: what failed, and what to do about it."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from access_grants_provider.core.service_errors import one_line
from access_grants_provider.exceptions import AccessGrantsError

from .settings import Failure, joined

__all__ = ["KNOWN", "NO_CREDENTIALS", "NO_REGION", "in_one_line", "split"]

# What failed, and what to do about it.
NO_CREDENTIALS = (
    "No AWS credentials were found",
    "Give --profile, sign in with 'aws sso login', or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
)
NO_REGION = ("No region is set", "Give --region, set AWS_REGION, or put a region into the AWS profile")
NO_ANSWER = "Check the network, the proxy and the endpoint"
SIGN_IN = "Sign in again with 'aws sso login' or 'aws login', with the same --profile"

# What AWS, the network or the system can cause. Any other exception is a bug of this package: its traceback shows.
KNOWN = (BotoCoreError, ClientError, OSError)

# Compared by name: botocore has these classes since 1.41, which brought `aws login`.
LOGIN_ERRORS = ("LoginRefreshRequired", "LoginTokenLoadError", "LoginAuthorizationCodeError")


def in_one_line(error: Exception) -> str:
    """Return what failed and what to do about it in one line, without control characters.

    An error of this package ends with its code in the table of errors.
    """
    message, hint = _parts(error)
    code = error.code if isinstance(error, AccessGrantsError) else None
    return one_line(joined(message, hint) + (f" [{code}]" if code else ""))


def split(error: Exception) -> tuple[str, str | None]:
    """Return what failed, and what to do about it where that is known."""
    message, hint = _parts(error)
    return one_line(message), None if hint is None else one_line(hint)


def _parts(error: Exception) -> tuple[str, str | None]:
    if isinstance(error, (AccessGrantsError, Failure)):
        return error.message, error.hint
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return (
            f"{error.operation_name} failed with {details.get('Code', 'no code')}: {details.get('Message', '')}",
            None,
        )
    if isinstance(error, ProfileNotFound):
        return str(error), "Run 'aws configure list-profiles' to see the profiles"
    if isinstance(error, NoCredentialsError):
        return NO_CREDENTIALS
    if isinstance(error, NoRegionError):
        return NO_REGION
    if isinstance(error, (SSOError, TokenRetrievalError)) or type(error).__name__ in LOGIN_ERRORS:
        return f"The login can't be used: {str(error).removesuffix('.')}", SIGN_IN
    if isinstance(error, CredentialRetrievalError):
        # It quotes the stderr of the program that failed, line ends included.
        return " ".join(str(error).split()), None
    if isinstance(error, (HTTPClientError, ConnectionError)):
        return str(error).removesuffix("."), NO_ANSWER
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, None
    return str(error), None
