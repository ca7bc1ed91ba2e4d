"""Runs one line of the demo, and compares the result with what it ought to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from access_grants_provider.core.decision import Decision
from access_grants_provider.exceptions import AccessGrantsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from access_grants_provider.testing import LocalAccessGrants, RecordedRequest

__all__ = ["Difference", "Expected", "Line", "Raised", "Step", "run"]

FAILURES = (AccessGrantsError, Boto3Error, BotoCoreError, ClientError, OSError)


@dataclass(frozen=True)
class Expected:
    """How one S3 request ought to be decided, signed and answered.

    The first six fields are those of the :class:`Decision`. ``signer`` (``"grant"`` or the caller's name), ``status``
    and ``error_code`` are those of the server's record; without a ``signer`` the request must not reach the server.
    """

    operation: str
    permission: str
    target: str
    outcome: str
    scope: str | None = None
    source: str | None = None
    signer: str | None = None
    status: int | None = None
    error_code: str | None = None


@dataclass(frozen=True)
class Raised:
    """A call ended in an error: whose (``"S3"``, ``"Access Grants"``, else the error itself), and with what code."""

    by: str
    code: str | None = None

    @classmethod
    def of(cls, error: Exception) -> Raised:
        """Say what is worth comparing of an error."""
        if not isinstance(error, ClientError):
            return cls(f"{type(error).__name__}: {error}")
        by = "Access Grants" if isinstance(error, AccessGrantsError) else "S3"
        return cls(by, error.response["Error"]["Code"])

    def __str__(self) -> str:
        return self.by if self.code is None else f"{self.code} from {self.by}"


@dataclass(frozen=True)
class Step:
    """One line of the demo: ordinary boto3 code, what it ought to return or raise, and the requests it makes.

    ``fallback`` is the option of the client's registration, None where the client is not registered.
    """

    title: str
    call: Callable[[S3Client], object]
    answer: object
    requests: tuple[Expected, ...]
    chapter: str
    fallback: Literal["denied", "never"] | None = "denied"


@dataclass(frozen=True)
class Difference:
    """Something that came out otherwise than it ought to."""

    what: str
    expected: object
    came: object

    def __str__(self) -> str:
        return f"{self.what}: expected {_shown(self.expected)}, came {_shown(self.came)}"


@dataclass(frozen=True)
class Line:
    """What came of a step: the package's decisions, the server's records of it, and what is wrong with them."""

    step: Step
    decisions: tuple[Decision, ...]
    records: tuple[RecordedRequest, ...]
    control_calls: tuple[RecordedRequest, ...]
    wrong: tuple[Difference, ...]


def run(step: Step, s3: S3Client, server: LocalAccessGrants, decisions: list[Decision], caller: str) -> Line:
    """Run a step with a client of ``caller`` whose decisions are appended to ``decisions``, and check it."""
    first_decision, first_record = len(decisions), len(server.requests)
    answer: object
    try:
        answer = step.call(s3)
    except FAILURES as error:
        answer = Raised.of(error)
    made, recorded = tuple(decisions[first_decision:]), server.requests[first_record:]
    calls = tuple(record for record in recorded if record.is_control_call)
    records = tuple(record for record in recorded if not record.is_control_call)
    return Line(step, made, records, calls, tuple(_differences(step, answer, made, records, caller)))


def _differences(
    step: Step, answer: object, decisions: Sequence[Decision], records: Sequence[RecordedRequest], caller: str
) -> Iterator[Difference]:
    if answer != step.answer:
        yield Difference("the program got", step.answer, answer)
    sent = [expected for expected in step.requests if expected.signer is not None]
    decided = step.requests if step.fallback is not None else ()
    if len(decisions) != len(decided):
        yield _operations("decisions", decided, decisions)
    if len(records) != len(sent):
        yield _operations("requests at the server", sent, records)
    for expected, decision in zip(step.requests, decisions, strict=False):
        for name in ("operation", "permission", "target", "outcome", "scope", "source"):
            yield from _compare(f"decision, {name}", getattr(expected, name), getattr(decision, name))
    for expected, record in zip(sent, records, strict=False):
        for name in ("operation", "signer", "status", "error_code"):
            yield from _compare(f"server, {name}", getattr(expected, name), getattr(record, name))
        yield from _compare("server, caller behind the key", caller, record.principal)
        yield from _compare("server, scope of the session", expected.scope, record.scope)
        if expected.signer == "grant" and record.permission != "READWRITE":
            yield from _compare("server, permission of the session", expected.permission, record.permission)
        if not expected.target.endswith("*"):
            yield from _compare("server, object", expected.target, f"s3://{record.bucket}/{record.key}")


def _compare(what: str, expected: object, came: object) -> Iterator[Difference]:
    if expected != came:
        yield Difference(what, expected, came)


def _operations(what: str, expected: Sequence[Any], came: Sequence[Any]) -> Difference:
    return Difference(what, *(", ".join(one.operation for one in some) or "none" for some in (expected, came)))


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"
