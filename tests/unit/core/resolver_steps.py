"""What the tests of the order of decisions share: requests, the calls they expect, and how to drive a generator."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from access_grants_provider.core.caller_state import CallerState
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.flow_context import FlowContext
from access_grants_provider.core.io_requests import (
    BucketRegion,
    CallerAccount,
    DataAccessReply,
    FindInstance,
    GetDataAccess,
    GrantPage,
    GrantRequest,
    ListGrants,
    Pause,
    Step,
    TimedCall,
    WaitFor,
)
from access_grants_provider.core.resolver import Resolver
from access_grants_provider.core.scopes import GrantScope, Permission
from access_grants_provider.exceptions import AccessGrantsError

MakeContext = Callable[..., FlowContext]
MakeReply = Callable[..., DataAccessReply]
MakeStored = Callable[..., StoredCredentials]
MakeError = Callable[[], ClientError]
ExpectSteps = Callable[..., Any]

CALLER, OWNER = "111122223333", "444455556666"
HERE, THERE = "eu-west-1", "us-east-2"
ARN = f"arn:aws:s3:{HERE}:{OWNER}:access-grants/default"
OWN_ARN = f"arn:aws:s3:{HERE}:{CALLER}:access-grants/default"
EMEA = "s3://sales/emea/*"
OPERATIONS = {"READ": "GetObject", "WRITE": "PutObject", "READWRITE": "CopyObject"}


def at(key: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, key, False)


def wanted(
    key: str = "emea/q3.csv",
    permission: Permission = "READ",
    *,
    bucket: str = "sales",
    listing: bool = False,
    min_lifetime: float = 0,
) -> GrantRequest:
    """A request that is signed for ``HERE``."""
    operation = "ListObjectsV2" if listing else OPERATIONS[permission]
    return GrantRequest(operation, permission, GrantScope(bucket, key, listing), HERE, min_lifetime)


def data_access(
    request: GrantRequest,
    account: str = OWNER,
    region: str = HERE,
    shared: bool | None = None,
    seconds: int | None = None,
) -> GetDataAccess:
    """``shared``: whether shared instances are searched too; unless told, where the caller's own account is asked."""
    searched = account == CALLER if shared is None else shared
    return GetDataAccess(account, region, request.permission, request.target, searched, seconds)


def instance_for(request: GrantRequest, region: str = HERE) -> FindInstance:
    return FindInstance(CALLER, region, request.target)


def list_of(account: str = OWNER, region: str = HERE) -> ListGrants:
    return ListGrants(account, region, "sales", account == CALLER)


REQUEST = wanted()
VEND = data_access(REQUEST)
WHO = CallerAccount(HERE)
WHERE = instance_for(REQUEST)
REGION = BucketRegion("sales", HERE)
LIST = list_of()
NOTHING_LISTED = GrantPage([], None)
# A failure that concerns every request, and is not tried again: the time is gone.
TIMED_OUT = ReadTimeoutError(endpoint_url="https://s3-control")


def decide(state: CallerState, request: GrantRequest, context: FlowContext, exact: bool = False) -> Any:
    return Resolver(state, request, context, exact).decide()


def find(state: CallerState, request: GrantRequest, context: FlowContext, exact: bool = False) -> Any:
    return Resolver(state, request, context, exact).find()


def start(generator: Generator[Step, Any, Any]) -> Any:
    """Return the first step: of a call to AWS what it asks, else the step itself."""
    return resume(generator, None)


def resume(generator: Generator[Step, Any, Any], reply: Any) -> Any:
    """Send a reply (or throw it in) and return the next step, as :func:`start` does."""
    step = generator.throw(reply) if isinstance(reply, BaseException) else generator.send(reply)
    return step.call if isinstance(step, TimedCall) else step


def finish(generator: Generator[Step, Any, Any], reply: Any) -> Any:
    """Send the last reply (or throw it in) and return what the generator returns."""
    with pytest.raises(StopIteration) as ended:
        resume(generator, reply)
    return ended.value.value


def end(generator: Generator[Step, Any, Any]) -> Any:
    """Return what a generator returns that needs nothing from outside."""
    return finish(generator, None)


def exhaust(generator: Generator[Step, Any, Any], clock: Any, error: Callable[[], Exception]) -> tuple[Any, int]:
    """Let each call end in an error and each wait be in vain; return what it came to, and how many calls it made.

    Pauses and waits take their time. What is raised in the end is returned too.
    """
    reply: Any = None
    calls = 0
    try:
        while True:
            step = generator.throw(reply) if isinstance(reply, BaseException) else generator.send(reply)
            if isinstance(step, (Pause, WaitFor)):
                clock.advance(step.seconds)
                reply = False if isinstance(step, WaitFor) else None
            else:
                calls += 1
                reply = error()
    except StopIteration as done:
        return done.value, calls
    except (AccessGrantsError, BotoCoreError, ClientError) as raised:
        return raised, calls
