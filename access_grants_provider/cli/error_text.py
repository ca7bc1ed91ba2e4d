"""What went wrong, in one line for the person at the shell: what, and what to do."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from access_grants_provider.core.service_errors import one_line
from access_grants_provider.exceptions import AccessDenied

__all__ = ["KNOWN", "NO_CREDENTIALS", "NO_REGION", "in_one_line", "split"]

NO_CREDENTIALS = (
    "there are no AWS credentials; give --profile, sign in with 'aws sso login', "
    "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
NO_REGION = "no region is set; give --region, set AWS_REGION, or put a region into the AWS profile"
SIGN_IN = "sign in again with 'aws sso login' or 'aws login', with the same --profile"

# What a command may meet. Anything else is a fault in here, and shows its traceback.
KNOWN = (BotoCoreError, ClientError, OSError)

# By name: botocore has them since `aws login` came, 1.41.
LOGIN_ERRORS = ("LoginRefreshRequired", "LoginTokenLoadError", "LoginAuthorizationCodeError")


def in_one_line(error: Exception) -> str:
    """Say an error in one line: ``"what; what to do"``, without a control character."""
    what, advice = _parts(error)
    return one_line(f"{what}; {advice}" if advice else what)


def split(error: Exception) -> tuple[str, str | None]:
    """Return what an error says, and its advice by itself if it has one."""
    what, advice = _parts(error)
    if advice is None:
        # The errors of this package close with their advice.
        said, separator, rest = what.rpartition("; ")
        what, advice = (said, rest) if separator else (what, None)
    return one_line(what), None if advice is None else one_line(advice)


def _parts(error: Exception) -> tuple[str, str | None]:
    if isinstance(error, AccessDenied):
        return str(error.response["Error"]["Message"]), None
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        said = f"{error.operation_name} failed with {details.get('Code', 'no code')}: {details.get('Message', '')}"
        return said, None
    if isinstance(error, ProfileNotFound):
        return str(error), "'aws configure list-profiles' shows those there are"
    if isinstance(error, NoCredentialsError):
        return NO_CREDENTIALS, None
    if isinstance(error, NoRegionError):
        return NO_REGION, None
    if isinstance(error, (SSOError, TokenRetrievalError)) or type(error).__name__ in LOGIN_ERRORS:
        return f"the login can't be used: {error}", SIGN_IN
    if isinstance(error, CredentialRetrievalError):
        # It quotes what the other program wrote to its stderr, its line end included.
        return " ".join(str(error).split()), None
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, None
    return str(error), None
