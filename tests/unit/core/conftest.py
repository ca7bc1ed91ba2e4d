"""What the tests of the core share: a caller's state, contexts, records, and a driver that plays AWS."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.flow_context import FlowContext, PendingLog
from access_grants_provider.core.io_requests import DataAccessReply, Pause, Step, TimedCall
from access_grants_provider.core.scopes import GrantScope, Permission

from .resolver_steps import EMEA, OWNER

if TYPE_CHECKING:
    from ..conftest import Clock

NO_GRANT = "You do not have READ permissions to the requested S3 Prefix: s3://sales/x"
IAM_SAYS_NO = (
    "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetDataAccess on resource: "
    "arn:aws:s3:eu-west-1:111122223333:access-grants/default because no identity-based policy allows the "
    "s3:GetDataAccess action"
)


@dataclass(frozen=True)
class After:
    """A reply (or an error) that takes ``seconds`` to come."""

    seconds: float
    reply: Any


@pytest.fixture
def after() -> type[After]:
    return After


@pytest.fixture
def state(clock: Clock) -> CallerState:
    """What is remembered of one caller, who is new."""
    return CallerState("AKIA…WXYZ", clock.both, 1_000, lambda: 10_000)


@pytest.fixture
def make_context(clock: Clock) -> Callable[..., FlowContext]:
    """Contexts with these options; without ``account_id`` the instance has to be found.

    ``jitter`` gives the longest pause, unless told otherwise.
    """

    def context(
        *,
        event_loop: object = None,
        may_wait: bool = True,
        jitter: Callable[[float], float] = float,
        **options: Any,
    ) -> FlowContext:
        config = AccessGrantsConfig(**options)
        return FlowContext(config, clock.both, jitter, PendingLog(), event_loop, may_wait)

    return context


@pytest.fixture
def context(make_context: Callable[..., FlowContext]) -> FlowContext:
    """Account configured: one call a vend."""
    return make_context(account_id=OWNER)


@pytest.fixture
def reply(clock: Clock) -> Callable[..., DataAccessReply]:
    """What GetDataAccess gives: credentials that live ``seconds`` from now, for the grant ``matched``."""

    def made(matched: str | None = EMEA, seconds: float = 3600, **changed: Any) -> DataAccessReply:
        given = DataAccessReply(SimpleNamespace(name="credentials"), clock.time(seconds), matched, None)
        return given._replace(**changed)

    return made


@pytest.fixture
def make_stored(clock: Clock) -> Callable[..., StoredCredentials]:
    """A record of credentials that were vended now."""

    def made(
        permission: Permission = "READ", scope: str = EMEA, seconds: float = 3600, **changed: Any
    ) -> StoredCredentials:
        return StoredCredentials(
            permission,
            GrantScope.parse(scope),
            object(),
            account_id=OWNER,
            region="eu-west-1",
            expiration=clock.time(seconds),
            now=clock(),
            **changed,
        )

    return made


@pytest.fixture
def held(state: CallerState, make_stored: Callable[..., StoredCredentials]) -> StoredCredentials:
    """Credentials for a prefix that are in the cache already."""
    stored = make_stored("READ", EMEA)
    state.credentials.add(stored)
    return stored


@pytest.fixture
def expect_steps(clock: Clock, caplog: pytest.LogCaptureFixture) -> Callable[..., Any]:
    """Perform a generator's steps: each must be the one that is expected next; returns what it returns.

    ``exchanges`` are pairs of what is expected, a call to AWS or another step, and its reply. An exception is thrown
    in; ``After`` lets time pass first. A pause takes its time. Nothing may be logged before the end.
    """

    def played(generator: Generator[Step, Any, Any], *exchanges: tuple[Any, Any]) -> Any:
        reply: Any = None
        logged = len(caplog.records)
        with caplog.at_level(logging.DEBUG):
            for number, (expected, next_reply) in enumerate(exchanges):
                try:
                    step = _resume(generator, reply, clock)
                except StopIteration as stop:
                    pytest.fail(f"it ended with {stop.value!r} before step {number}, {expected!r}")
                assert (step.call if isinstance(step, TimedCall) else step) == expected
                reply = next_reply
                if isinstance(step, Pause):
                    clock.advance(step.seconds)
            assert len(caplog.records) == logged, "something was logged while others may wait"
            with pytest.raises(StopIteration) as ended:
                pytest.fail(f"one step more than expected: {_resume(generator, reply, clock)!r}")
        return ended.value.value

    return played


def _resume(generator: Generator[Step, Any, Any], reply: Any, clock: Clock) -> Step:
    if isinstance(reply, After):
        clock.advance(reply.seconds)
        reply = reply.reply
    if isinstance(reply, BaseException):
        return generator.throw(reply)
    return generator.send(reply)


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


@pytest.fixture
def bad_request(aws_error: Callable[..., ClientError]) -> Callable[[], ClientError]:
    """A failure that is about one target, and is not worth another attempt."""
    return lambda: aws_error("InvalidRequest", "The target is malformed.", 400)
