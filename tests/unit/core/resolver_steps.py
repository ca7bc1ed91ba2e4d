"""What the tests of the order of decisions share: the steps they expect, and a hand for the generators."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.io_requests import (
    Answer,
    Ask,
    BucketRegion,
    CallerAccount,
    FindInstance,
    ListGrants,
    Rules,
    Step,
    Vend,
)
from access_grants_provider.core.scopes import GrantScope, Permission

MakeRules = Callable[..., Rules]
MakeAnswer = Callable[..., Answer]
MakeVended = Callable[..., Vended]
Refuses = Callable[[], ClientError]
Play = Callable[..., Any]

CALLER, OWNER = "111122223333", "444455556666"
HERE, THERE = "eu-west-1", "us-east-2"
ARN = f"arn:aws:s3:{HERE}:{OWNER}:access-grants/default"
OWN_ARN = f"arn:aws:s3:{HERE}:{CALLER}:access-grants/default"
EMEA = "s3://sales/emea/*"


def at(key: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, key, False)


def ask(
    key: str = "emea/q3.csv", permission: Permission = "READ", *, bucket: str = "sales", listing: bool = False
) -> Ask:
    operation = (
        "ListObjectsV2" if listing else {"READ": "GetObject", "WRITE": "PutObject"}.get(permission, "CopyObject")
    )
    return Ask(operation, permission, GrantScope(bucket, key, listing), HERE)


def vend(one: Ask, account: str = OWNER, region: str = HERE, everywhere: bool = False) -> Vend:
    return Vend(account, region, one.permission, one.target, everywhere)


ASK = ask()
WHO = CallerAccount(HERE)
WHERE = FindInstance(CALLER, HERE, ASK.target)
REGION = BucketRegion("sales", HERE)
LIST = ListGrants(OWNER, HERE, "sales", False)


def start(generator: Generator[Step, Any, Any]) -> Step:
    return next(generator)


def finish(generator: Generator[Step, Any, Any], answer: Any) -> Any:
    """Send the last answer (or throw it in) and return what the generator returns."""
    with pytest.raises(StopIteration) as ended:
        resume(generator, answer)
    return ended.value.value


def resume(generator: Generator[Step, Any, Any], answer: Any) -> Step:
    return generator.throw(answer) if isinstance(answer, BaseException) else generator.send(answer)


def end(generator: Generator[Step, Any, Any]) -> Any:
    """Return what a generator returns that needs nothing from outside."""
    return finish(generator, None)
