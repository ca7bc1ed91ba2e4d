"""What the tests of the local service share: no real credentials, and both of its forms."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.testing import AccessGrantsServer, Identity, LocalAccessGrants, mock_access_grants


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO")) or name.lower() in ("http_proxy", "https_proxy", "no_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def grants(clock: Clock) -> Iterator[LocalAccessGrants]:
    with mock_access_grants(clock=clock) as running:
        running.bucket("sales")
        yield running


@pytest.fixture
def server(clock: Clock) -> Iterator[AccessGrantsServer]:
    with AccessGrantsServer(clock=clock) as running:
        running.bucket("sales")
        yield running


@pytest.fixture(params=["in process", "http"])
def either(request: pytest.FixtureRequest) -> LocalAccessGrants:
    """The local service in each of its forms."""
    name = {"in process": "grants", "http": "server"}[request.param]
    running = request.getfixturevalue(name)
    assert isinstance(running, LocalAccessGrants)
    return running


Vend = Callable[..., Any]


@pytest.fixture
def vend() -> Vend:
    """A client of the credentials that GetDataAccess answers with; service "s3" unless another is named."""

    def vend(
        grants: Any, identity: Identity, target: str, permission: str, *, service: str = "s3", **options: Any
    ) -> Any:
        region = options.pop("region", "us-east-1")
        config = options.pop("config", None)
        account = options.pop("account_id", grants.account_id)
        control = grants.client("s3control", identity, region_name=region)
        answer = control.get_data_access(AccountId=account, Target=target, Permission=permission, **options)
        keys = answer["Credentials"]
        held = Identity(
            "vended", "", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], "arn:aws:sts:::"
        )
        return grants.client(service, held, region_name=region, config=config)

    return vend


@contextmanager
def refused(code: str, words: str = "") -> Iterator[None]:
    """The request in here is refused with this code, and in these words."""
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert error["Code"] == code, caught.value
    assert words in error["Message"]


@pytest.fixture(name="refused")
def refused_fixture() -> Any:
    return refused
