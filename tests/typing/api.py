"""Typed uses of the public API. Checked by mypy, never run."""

from __future__ import annotations

from datetime import datetime

import boto3

import access_grants_provider
from access_grants_provider import AccessGrantsConfig, AccessGrantsProvider, Decision
from access_grants_provider.testing import AccessGrantsServer, mock_access_grants


def listen(decision: Decision) -> None:
    operation: str = decision.operation
    scope: str | None = decision.scope
    ends: datetime | None = decision.expiration
    assert decision.outcome in ("granted", "fallback", "unsupported", "denied"), (operation, scope, ends)


def use() -> None:
    config = AccessGrantsConfig(fallback="never", duration_seconds=900, on_decision=listen)
    provider: AccessGrantsProvider = access_grants_provider.register(boto3.Session(), config=config)
    access_grants_provider.register(boto3.client("s3"), fallback="always")
    access_grants_provider.register()
    vended: int = provider.stats().vended
    token: str = provider.credentials("s3://bucket/prefix/", "READWRITE").token
    decision: Decision = provider.explain("get_object", Bucket="bucket", Key="key")
    listen(decision)
    print(vended, token)
    provider.clear()
    provider.unregister()


def test_double() -> None:
    with mock_access_grants() as grants:
        calls: int = grants.calls("GetDataAccess")
        assert calls == 0
    with AccessGrantsServer() as server:
        url: str = server.url
        environment: dict[str, str] = server.environment(server.identity("alice"))
        print(url, environment)
