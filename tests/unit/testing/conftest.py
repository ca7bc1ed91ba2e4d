"""What the tests of the local service share: the admin's keys, and both forms of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.testing import AccessGrantsServer, Identity, LocalAccessGrants, mock_access_grants

if TYPE_CHECKING:
    from ...conftest import Clock


@pytest.fixture(autouse=True)
def _keys_of_the_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def clock(running_clock: Clock) -> Clock:
    """Runs, as requests are signed by the machine's clock."""
    return running_clock


@pytest.fixture
def grants(clock: Callable[[], float]) -> Iterator[LocalAccessGrants]:
    with mock_access_grants(clock=clock) as running:
        running.bucket("sales")
        yield running


@pytest.fixture
def server(clock: Callable[[], float]) -> Iterator[AccessGrantsServer]:
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
