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

Every error carries facts as attributes, each None where it does not apply: ``operation`` (``"GetObject"``), ``target``
(an ``s3://`` URI), ``permission``, ``account_id`` (of the instance), ``region``, ``caller`` (the masked access key id),
``grants`` (of those that the caller has in the bucket the nearest, as ``"READ on s3://sales/emea/*"``, at most three).
``hint`` says what to do next. ``code`` is the error's name in the documentation's table of errors, ``"no-grant"``; that
of a :class:`ConfigurationError`, which says all itself, is None. ``str()`` of the error ends with both.

A denial is a ``botocore.exceptions.ClientError`` with code ``AccessDenied`` and status 403, so code that handles S3's
own refusals handles it. What AWS or botocore raised is translated in one place, :mod:`.core.service_errors`, and is the
``__cause__`` of the :class:`ServiceFailure` it became.
"""

from __future__ import annotations

from typing import Any, TypeVar

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

SomeError = TypeVar("SomeError", bound="AccessGrantsError")
FACTS = ("operation", "target", "permission", "account_id", "region", "caller", "grants", "code")


class AccessGrantsError(Exception):
    """The root of all errors of this package. ``facts`` are the attributes named above, as keywords."""

    operation: str | None = None
    target: str | None = None
    permission: str | None = None
    account_id: str | None = None
    region: str | None = None
    caller: str | None = None
    grants: tuple[str, ...] = ()
    hint: str | None = None
    code: str | None = None

    def __init__(self, message: str, *, hint: str | None = None, **facts: Any) -> None:
        """Take what failed, a sentence without its full stop, and what to do about it."""
        self._set(message, hint, facts)
        super().__init__(self._text())

    def _set(self, message: str, hint: str | None, facts: dict[str, Any]) -> None:
        unknown = facts.keys() - set(FACTS)
        if unknown:
            raise TypeError(f"an error has no fact {', '.join(sorted(unknown))}")
        self.message = message
        self.hint = hint
        self._facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def _text(self) -> str:
        message = self.message.rstrip(".")
        end = "" if message.endswith("?") else "."
        said = self.message if self.hint is None else f"{message}{end} {self.hint}"
        return said if self.code is None else f"{said} [{self.code}]"

    def again(self: SomeError, addition: str, **facts: Any) -> SomeError:
        """Return a new error of this kind with the same facts and cause, so that no traceback grows.

        ``addition`` is appended to the message in parentheses; ``facts`` replace those given.
        """
        error = type(self)(f"{self.message} ({addition})", hint=self.hint, **{**self._facts, **facts})
        error.__cause__ = self.__cause__
        return error

    def __reduce__(self) -> Any:
        return _rebuilt, (type(self), self.message, self.hint, self._facts)


def _rebuilt(kind: type[AccessGrantsError], message: str, hint: str | None, facts: dict[str, Any]) -> AccessGrantsError:
    return kind(message, hint=hint, **facts)


class ConfigurationError(AccessGrantsError, ValueError):
    """An option has an unknown name or a value out of bounds; the message names all three."""


class AccessDenied(AccessGrantsError, ClientError):
    """S3 Access Grants refuses the request and the options forbid to go on with the caller's own credentials.

    ``response`` has the form of an S3 refusal: ``Error.Code`` is ``AccessDenied``, the status is 403.
    """

    code = "no-grant"

    def __init__(self, message: str, *, operation: str, hint: str | None = None, **facts: Any) -> None:
        """Take the sentence for the reader and the S3 operation's name (``"GetObject"``)."""
        self._set(message, hint, {"operation": operation, **facts})
        response: Any = {
            "Error": {"Code": "AccessDenied", "Message": self._text()},
            "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
        ClientError.__init__(self, response, operation)


class NoInstance(AccessDenied):
    """No S3 Access Grants instance holds grants for the bucket in its region."""

    code = "no-instance"


class PermissionMissing(AccessDenied):
    """The caller's own IAM policies do not allow the call to S3 Access Grants."""

    code = "permission-missing"


class ServiceFailure(AccessGrantsError):
    """S3 Access Grants or STS failed: throttled, broken, or not to be reached in the time given."""

    code = "service-failure"


class Unreachable(ServiceFailure):
    """No answer came: a time-out, a refused connection, a name that does not resolve."""

    code = "unreachable"


class CallerCredentialsError(ServiceFailure):
    """AWS did not accept the caller's own credentials: expired, unknown, or wrongly signed."""

    code = "caller-credentials"


class MalformedAnswer(ServiceFailure):
    """The service answered something unusable: a field is missing, or a scope does not hold what was asked."""

    code = "malformed-answer"
