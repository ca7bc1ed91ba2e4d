"""Daft reads and writes with a grant's credentials, and asks for new ones in time."""

from __future__ import annotations

import pickle
import time

import boto3
import pytest

daft = pytest.importorskip("daft", reason="daft is not installed here (extra: daft)")

from access_grants_provider.adapters import daft as adapter  # noqa: E402
from access_grants_provider.exceptions import AccessDenied, ConfigurationError  # noqa: E402
from access_grants_provider.registration import provider_for  # noqa: E402

LIFE = 2  # seconds


def outcomes(server) -> set[tuple[str | None, int]]:
    """Who signed S3 requests, and what became of them."""
    return {(one.signer, one.status // 100) for one in server.s3_requests()}


def test_parquet_is_written_and_read_under_grants_at_the_configured_endpoint(server, session):
    to_write = adapter.io_config("s3://data/in/", "WRITE", session=session)
    daft.from_pydict({"x": [1, 2]}).write_parquet("s3://data/in/set/", io_config=to_write)
    to_read = adapter.io_config("s3://data/in/", session=session)
    assert daft.read_parquet("s3://data/in/set/*.parquet", io_config=to_read).to_pydict() == {"x": [1, 2]}
    assert {one.signer for one in server.s3_requests() if one.status < 400} == {"grant"}
    assert server.calls("GetDataAccess") == 2


def test_reading_goes_on_across_the_end_of_the_credentials(server, session, put_parquet):
    put_parquet("s3://data/in/a.parquet", 1)
    server.lifetime = LIFE
    granted = adapter.io_config("s3://data/in/", session=session)
    began = time.monotonic()
    while server.calls("GetDataAccess") < 3 and time.monotonic() < began + 60:
        assert daft.read_parquet("s3://data/in/a.parquet", io_config=granted).to_pydict() == {"x": [1]}
    assert server.calls("GetDataAccess") == 3
    assert outcomes(server) == {("grant", 2)}


def test_daft_is_to_ask_again_before_the_end_when_the_provider_renews(session):
    given = adapter.credentials_provider("s3://data/in/", session=session)()
    held = provider_for(session).credentials("s3://data/in/")
    assert (given.key_id, given.access_key, given.session_token) == (held.access_key, held.secret_key, held.token)
    assert (held.expiration - given.expiry).total_seconds() == pytest.approx(900, abs=5)


def test_without_a_grant_there_is_no_configuration(server, session):
    with pytest.raises(AccessDenied, match=r"READ on 's3://data/out/\*'"):
        adapter.io_config("s3://data/out/", session=session)
    with pytest.raises(ConfigurationError, match="target='data/in/' is not allowed"):
        adapter.io_config("data/in/", session=session)
    assert server.s3_requests() == []


def test_a_pickle_holds_no_secret_and_asks_as_the_default_session(session, monkeypatch):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    granted = adapter.credentials_provider("s3://data/in/")
    key = granted().key_id
    pickled = pickle.dumps(granted)
    assert granted().access_key.encode() not in pickled
    assert pickle.loads(pickled)().key_id == key
