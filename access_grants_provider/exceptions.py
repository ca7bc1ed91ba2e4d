"""Everything this package raises.

::

    AccessGrantsError
    ├── ConfigurationError      (also ValueError)       an option is wrong, or register() got something it can't cover
    ├── AccessDenied            (also ClientError)      no grant answers the request, and fallback is "never"
    │   ├── NoInstance                                  there is no Access Grants instance for the bucket
    │   └── PermissionMissing                           the caller's own IAM policies forbid the call
    └── ServiceFailure                                  Access Grants or STS could not be asked, or answered nonsense
        ├── Unreachable                                 no answer: time-out, refused or broken connection
        ├── CallerCredentialsError                      the caller's own credentials were not accepted
        └── MalformedAnswer                             an answer that can't be used; nothing of it is kept

A denial is a ``botocore.exceptions.ClientError`` with code ``AccessDenied`` and status 403, so code that
handles S3's own refusals handles it. What AWS or botocore raised is translated in one place,
:mod:`.failures`, and is the ``__cause__`` of the :class:`ServiceFailure` it became.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

__all__ = [
    "AccessDenied",
    "AccessGrantsError",
    "CallerCredentialsError",
    "ConfigurationError",
    "MalformedAnswer",
    "NoInstance",
    "PermissionMissing",
    "ServiceFailure",
    "Unreachable",
]


class AccessGrantsError(Exception):
    """The root of all errors of this package."""


class ConfigurationError(AccessGrantsError, ValueError):
    """An option has an unknown name or a value out of bounds; the message names all three."""


class AccessDenied(AccessGrantsError, ClientError):
    """S3 Access Grants refuses the request and the options forbid to go on with the caller's own credentials.

    ``response`` has the form of an S3 refusal: ``Error.Code`` is ``AccessDenied``, the status is 403.
    """

    def __init__(self, message: str, operation: str) -> None:
        """Take the sentence for the reader and the S3 operation's name (``"GetObject"``)."""
        response: Any = {
            "Error": {"Code": "AccessDenied", "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
        ClientError.__init__(self, response, operation)

    def __reduce__(self) -> tuple[type[AccessDenied], tuple[str, str]]:
        return type(self), (self.response["Error"]["Message"], self.operation_name)


class NoInstance(AccessDenied):
    """No S3 Access Grants instance holds grants for the bucket in its region."""


class PermissionMissing(AccessDenied):
    """The caller's own IAM policies do not allow the call to S3 Access Grants."""


class ServiceFailure(AccessGrantsError):
    """S3 Access Grants or STS failed: throttled, broken, or not to be reached after botocore's own retries."""


class Unreachable(ServiceFailure):
    """No answer came: a time-out, a refused connection, a name that does not resolve."""


class CallerCredentialsError(ServiceFailure):
    """AWS did not accept the caller's own credentials: expired, unknown, or wrongly signed."""


class MalformedAnswer(ServiceFailure):
    """The service answered something unusable: a field is missing, or a scope does not hold what was asked."""
