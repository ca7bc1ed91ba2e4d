"""Icechunk keeps a repository under a grant, and asks for new credentials in time."""

from __future__ import annotations

import time

import boto3
import pytest

icechunk = pytest.importorskip("icechunk", reason="icechunk is not installed here (extra: icechunk)")
np = pytest.importorskip("numpy", reason="makes the arrays of these tests")
zarr = pytest.importorskip("zarr", reason="writes the arrays of these tests")

from access_grants_provider.adapters import icechunk as adapter  # noqa: E402
from access_grants_provider.exceptions import AccessDenied, ConfigurationError  # noqa: E402

LIFE = 2  # seconds


@pytest.fixture(autouse=True)
def _default_session(session, monkeypatch):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)


def outcomes(server) -> set[tuple[str | None, int]]:
    """Who signed S3 requests that were carried out."""
    return {(one.signer, one.status // 100) for one in server.s3_requests() if one.status < 400}


def test_a_repository_is_made_written_and_read_at_the_configured_endpoint(server):
    repository = icechunk.Repository.create(adapter.storage("s3://data/in/ice", "READWRITE"))
    session = repository.writable_session("main")
    zarr.create_group(session.store).create_array("x", data=np.arange(8))
    session.commit("eight numbers")
    opened = icechunk.Repository.open(adapter.storage("s3://data/in/ice"))
    assert int(zarr.open_group(opened.readonly_session("main").store, mode="r")["x"][3]) == 3
    assert outcomes(server) == {("grant", 2)}
    assert {one.key.partition("/")[0] for one in server.s3_requests() if one.key} == {"in"}


def test_reading_goes_on_across_the_end_of_the_credentials(server):
    server.lifetime = LIFE
    icechunk.Repository.create(adapter.storage("s3://data/in/ice", "READWRITE"))
    server.forget_requests()
    repository = icechunk.Repository.open(adapter.storage("s3://data/in/ice"))
    began = time.monotonic()
    while server.calls("GetDataAccess") < 3 and time.monotonic() < began + 60:
        repository.lookup_branch("main")
    assert server.calls("GetDataAccess") == 3
    assert outcomes(server) == {("grant", 2)}


def test_without_a_grant_there_is_no_storage(server):
    with pytest.raises(AccessDenied, match=r"READ on 's3://data/out/\*'"):
        adapter.storage("s3://data/out")
    with pytest.raises(ConfigurationError, match="fallback='sometimes' is not allowed"):
        adapter.storage("s3://data/in", fallback="sometimes")
    assert server.s3_requests() == []
