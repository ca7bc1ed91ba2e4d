"""The world of the libraries' tests: the local service over HTTP, somebody with one grant, a session to ask with."""

from __future__ import annotations

import io
from collections.abc import Callable

import boto3
import pytest

from access_grants_provider.testing import AccessGrantsServer
from access_grants_provider.testing.identities import Identity


@pytest.fixture
def server(access_grants_server: AccessGrantsServer) -> AccessGrantsServer:
    """The local service with the bucket ``data``."""
    access_grants_server.bucket("data")
    return access_grants_server


@pytest.fixture
def alice(server: AccessGrantsServer) -> Identity:
    """Somebody with one grant, to read and write below ``s3://data/in/``, and no other permission."""
    alice = server.identity("alice")
    server.grant(alice, "s3://data/in/*", "READWRITE")
    return alice


@pytest.fixture
def session(server: AccessGrantsServer, alice: Identity, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    """Alice's session, whose clients and whose provider's control calls go to the local service."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    monkeypatch.setenv("S3_ACCESS_GRANTS_ENDPOINT_URL", server.url)
    return server.session(alice)


@pytest.fixture
def put_parquet(server: AccessGrantsServer) -> Callable[..., None]:
    """Store a Parquet file with one column ``x``, past all permissions."""
    pyarrow = pytest.importorskip("pyarrow", reason="makes the Parquet files of these tests")
    parquet = pytest.importorskip("pyarrow.parquet", reason="makes the Parquet files of these tests")

    def put(uri: str, *values: int) -> None:
        content = io.BytesIO()
        parquet.write_table(pyarrow.table({"x": list(values)}), content)
        server.put(uri, content.getvalue())

    return put
