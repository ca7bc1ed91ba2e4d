"""What the unit tests of the core share: a clock that stands still, a memory, and a hand that plays AWS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.io_requests import Answer, Rules, Step
from access_grants_provider.core.scopes import GrantScope, Permission

from .core.resolver_steps import EMEA, OWNER

START = 1_800_000_000.0
NO_GRANT = "You do not have READ permissions to the requested S3 Prefix: s3://sales/x"
IAM_SAYS_NO = (
    "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetDataAccess on resource: "
    "arn:aws:s3:eu-west-1:111122223333:access-grants/default because no identity-based policy allows the "
    "s3:GetDataAccess action"
)


@dataclass
class Clock:
    """Seconds since the epoch; moves only when told."""

    now: float = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def time(self, seconds: float = 0.0) -> datetime:
        return datetime.fromtimestamp(self.now + seconds, timezone.utc)


@dataclass(frozen=True)
class After:
    """An answer (or an error) that takes ``seconds`` to come."""

    seconds: float
    answer: Any


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def after() -> type[After]:
    return After


@pytest.fixture
def memory() -> Memory:
    return Memory(threading.Lock(), "AKIA…WXYZ", 1_000)


@pytest.fixture
def make_rules(clock: Clock) -> Callable[..., Rules]:
    """Rules with these options; without ``account_id`` the instance has to be found.

    ``knows`` names what botocore's GetDataAccess has beyond what it always had.
    """

    def rules(*, everywhere: bool = False, knows: tuple[str, ...] = ("AuditContext",), **options: Any) -> Rules:
        known = {*knows, *(["InstanceScope"] if everywhere else [])}
        return Rules(
            AccessGrantsConfig(**options),
            clock,
            known.__contains__,
            who=object,  # each generator stands for a thread of its own
        )

    return rules


@pytest.fixture
def rules(make_rules: Callable[..., Rules]) -> Rules:
    """Account configured: one call a vend."""
    return make_rules(account_id=OWNER)


@pytest.fixture
def answer(clock: Clock) -> Callable[..., Answer]:
    """What GetDataAccess gives: credentials that live ``seconds`` from now, for the grant ``matched``."""

    def made(matched: str | None = "s3://sales/emea/*", seconds: float = 3600, **changed: Any) -> Answer:
        given = Answer(SimpleNamespace(name="signer"), clock.time(seconds), matched, None)
        return given._replace(**changed)

    return made


@pytest.fixture
def make_vended(clock: Clock) -> Callable[..., Vended]:
    """A record of credentials that were vended now."""

    def made(permission: Permission = "READ", scope: str = "s3://sales/emea/*", seconds: float = 3600) -> Vended:
        return Vended(
            permission,
            GrantScope.parse(scope),
            object(),
            account_id="444455556666",
            region="eu-west-1",
            expiration=clock.time(seconds),
            now=clock(),
        )

    return made


@pytest.fixture
def held(memory: Memory, make_vended: Callable[..., Vended]) -> Vended:
    """Credentials for a prefix that are in the memory already."""
    vended = make_vended("READ", EMEA)
    memory.credentials.add(vended, 0)
    return vended


@pytest.fixture
def play(clock: Clock) -> Callable[..., Any]:
    """Perform a generator's steps: each must be the one that is expected next; returns what it returns.

    ``exchanges`` are pairs of a step and its answer. An exception is thrown in; ``After`` lets time pass first.
    """

    def played(generator: Generator[Step, Any, Any], *exchanges: tuple[Step, Any]) -> Any:
        reply: Any = None
        for number, (expected, next_reply) in enumerate(exchanges):
            try:
                step = _resume(generator, reply, clock)
            except StopIteration as stop:
                pytest.fail(f"it ended with {stop.value!r} before step {number}, {expected!r}")
            assert step == expected
            reply = next_reply
        with pytest.raises(StopIteration) as ended:
            pytest.fail(f"one step more than expected: {_resume(generator, reply, clock)!r}")
        return ended.value.value

    return played


def _resume(generator: Generator[Step, Any, Any], reply: Any, clock: Clock) -> Step:
    if isinstance(reply, After):
        clock.advance(reply.seconds)
        reply = reply.answer
    if isinstance(reply, BaseException):
        return generator.throw(reply)
    return generator.send(reply)


@pytest.fixture
def aws_error() -> Callable[..., ClientError]:
    """The error botocore raises for an answer of AWS with this code."""

    def made(code: str, message: str = "", status: int = 403, operation: str = "GetDataAccess") -> ClientError:
        response: Any = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
        }
        return ClientError(response, operation)

    return made


@pytest.fixture
def no_grant(aws_error: Callable[..., ClientError]) -> Callable[[], ClientError]:
    return lambda: aws_error("AccessDenied", NO_GRANT)


@pytest.fixture
def no_instance(aws_error: Callable[..., ClientError]) -> Callable[[], ClientError]:
    return lambda: aws_error("AccessGrantsInstanceNotExistsError", "Access Grants instance does not exist", 404)


@pytest.fixture
def permission_missing(aws_error: Callable[..., ClientError]) -> Callable[[], ClientError]:
    return lambda: aws_error("AccessDenied", IAM_SAYS_NO)


@pytest.fixture
def slow_down(aws_error: Callable[..., ClientError]) -> Callable[[], ClientError]:
    return lambda: aws_error("SlowDown", "Please reduce your request rate.", 503)
