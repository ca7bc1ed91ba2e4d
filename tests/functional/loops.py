"""What the tests of event loops begin with: aiobotocore's sessions, on asyncio and on trio, and a read."""

from __future__ import annotations

from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from access_grants_provider.testing import AccessGrantsServer, Identity

__all__ = ["point_at", "read", "session_of", "session_on_trio", "trio_or_skip"]


def point_at(server: AccessGrantsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the environment name the local service."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "S3_ACCESS_GRANTS_ENDPOINT_URL"):
        monkeypatch.setenv(name, server.url)


def session_of(identity: Identity) -> AioSession:
    """Return a session that signs as somebody."""
    session = AioSession()
    session.set_credentials(identity.access_key_id, identity.secret_access_key, identity.session_token)
    return session


async def read(s3: Any, key: str, bucket: str = "data") -> bytes:
    """Do a GetObject."""
    response = await s3.get_object(Bucket=bucket, Key=key)
    async with response["Body"] as body:
        content: bytes = await body.read()
    return content


def trio_or_skip() -> Any:
    """Return the package trio where aiobotocore runs on it."""
    trio = pytest.importorskip("trio", reason="trio is not installed")
    pytest.importorskip("httpx2", reason="httpx2 is not installed")
    pytest.importorskip("aiobotocore._async_primitives", reason="this aiobotocore runs on asyncio only")
    return trio


def session_on_trio(identity: Identity) -> AioSession:
    """Return a session whose clients run on trio."""
    from aiobotocore.httpxsession import HttpxSession

    session = session_of(identity)
    session.set_default_client_config(AioConfig(http_session_cls=HttpxSession))
    return session
