"""polars reads and writes real Parquet with a grant's credentials, and asks for new ones in time."""

from __future__ import annotations

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

pl = pytest.importorskip("polars", reason="polars is not installed here (extra: polars)")

from access_grants_provider.adapters import polars as adapter  # noqa: E402
from access_grants_provider.exceptions import AccessDenied, ConfigurationError  # noqa: E402
from access_grants_provider.registration import provider_for  # noqa: E402

LIFE = 2  # seconds


@pytest.fixture
def storage(server):
    return {"aws_endpoint_url": server.url, "aws_region": "us-east-1", "aws_allow_http": "true"}


@pytest.fixture
def files(put_parquet):
    put_parquet("s3://data/in/a.parquet", 1, 2)
    put_parquet("s3://data/in/b.parquet", 3)
    put_parquet("s3://data/out/c.parquet", 4)


def outcomes(server) -> set[tuple[str | None, int]]:
    """Who signed S3 requests, and what became of them."""
    return {(one.signer, one.status // 100) for one in server.s3_requests()}


@pytest.mark.parametrize("path", ["s3://data/in/*.parquet", "s3://data/in/"])
def test_files_and_folders_are_scanned_under_one_grant(server, session, storage, files, path):
    granted = adapter.credential_provider("s3://data/in/", session=session)
    frame = pl.scan_parquet(path, credential_provider=granted, storage_options=storage).collect()
    assert sorted(frame["x"]) == [1, 2, 3]
    assert outcomes(server) == {("grant", 2)}
    assert {one.permission for one in server.s3_requests()} == {"READ"}
    assert server.calls("GetDataAccess") == 1


def test_a_query_is_written_under_a_grant_to_write(server, session, storage):
    to_write = adapter.credential_provider("s3://data/in/", "WRITE", session=session)
    query = pl.LazyFrame({"x": [5, 6]})
    query.sink_parquet("s3://data/in/made.parquet", credential_provider=to_write, storage_options=storage)
    to_read = adapter.credential_provider("s3://data/in/", session=session)
    frame = pl.read_parquet("s3://data/in/made.parquet", credential_provider=to_read, storage_options=storage)
    assert list(frame["x"]) == [5, 6]
    assert outcomes(server) == {("grant", 2)}


def test_outside_the_grant_s3_refuses_its_credentials(server, session, storage, files):
    granted = adapter.credential_provider("s3://data/in/", session=session)
    with pytest.raises(Exception, match="403 Forbidden"):
        pl.read_parquet("s3://data/out/c.parquet", credential_provider=granted, storage_options=storage)
    assert outcomes(server) == {("grant", 4)}


def test_without_a_grant_the_query_raises_and_nothing_is_sent(server, session, storage, files):
    refused = adapter.credential_provider("s3://data/out/", session=session)
    # Older versions of polars put what the provider raised into a ComputeError that quotes it.
    with pytest.raises(Exception, match=r"AccessDenied.*READ on 's3://data/out/\*'. Your grants .* Ask the owner"):
        pl.read_parquet("s3://data/out/c.parquet", credential_provider=refused, storage_options=storage)
    assert server.s3_requests() == []


def test_an_outage_of_access_grants_comes_out_of_the_query(server, session, storage, files):
    server.fail("GetDataAccess", "SomethingBroke", status=400, times=None)
    granted = adapter.credential_provider("s3://data/in/", session=session)
    with pytest.raises(Exception, match=r"s3:GetDataAccess in us-east-1 .* failed with SomethingBroke"):
        pl.read_parquet("s3://data/in/a.parquet", credential_provider=granted, storage_options=storage)


def test_reading_goes_on_across_the_end_of_the_credentials(server, session, storage, files):
    server.lifetime = LIFE
    granted = adapter.credential_provider("s3://data/in/", session=session)
    began = time.monotonic()
    while server.calls("GetDataAccess") < 3 and time.monotonic() < began + 60:
        frame = pl.read_parquet("s3://data/in/a.parquet", credential_provider=granted, storage_options=storage)
        assert list(frame["x"]) == [1, 2]
    assert server.calls("GetDataAccess") == 3
    assert outcomes(server) == {("grant", 2)}


@pytest.mark.parametrize(("life", "ahead"), [(3600, 900), (1000, 250)])
def test_polars_is_to_ask_again_before_the_end_when_the_provider_renews(server, session, life, ahead):
    server.lifetime = life
    keys, expiry = adapter.credential_provider("s3://data/in/", session=session)()
    held = provider_for(session).credentials("s3://data/in/")
    assert keys == {
        "aws_access_key_id": held.access_key,
        "aws_secret_access_key": held.secret_key,
        "aws_session_token": held.token,
    }
    assert isinstance(expiry, int)
    assert expiry == pytest.approx(held.expiration.timestamp() - ahead, abs=5)


def test_threads_share_the_sessions_cache(server, session, storage, files):
    def read(_: int) -> int:
        granted = adapter.credential_provider("s3://data/in/", session=session)
        return pl.read_parquet("s3://data/in/a.parquet", credential_provider=granted, storage_options=storage).height

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(16))) == [2] * 16
    assert server.calls("GetDataAccess") == 1


def test_two_default_sessions_one_after_the_other_share_nothing(server, session, storage, files, monkeypatch):
    def read() -> int:
        granted = adapter.credential_provider("s3://data/in/")
        return pl.read_parquet("s3://data/in/a.parquet", credential_provider=granted, storage_options=storage).height

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    assert read() == 2
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", server.session(server.identity("bob")))
    with pytest.raises(Exception, match=r"AccessDenied.*No grant gives the caller"):
        read()


def test_a_pickle_holds_no_secret_and_asks_as_the_default_session_where_it_is_loaded(
    server, session, alice, monkeypatch
):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    granted = adapter.credential_provider("s3://data/in/", duration_seconds=900)
    keys, _ = granted()
    pickled = pickle.dumps(granted)
    secrets = [*keys.values(), alice.access_key_id, alice.secret_access_key]
    assert not [one for one in secrets if one.encode() in pickled]
    assert not [one for one in secrets if one in repr(granted)]
    # Whoever compares pickles, as polars does, sees that it is the same.
    assert pickle.dumps(granted) == pickled
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", server.session(server.identity("bob")))
    loaded = pickle.loads(pickled)
    assert loaded == granted
    assert loaded != adapter.credential_provider("s3://data/in/", duration_seconds=900)
    with pytest.raises(AccessDenied):
        loaded()


def test_one_that_is_made_with_a_session_says_why_it_is_not_pickled(session):
    granted = adapter.credential_provider("s3://data/in/", session=session)
    with pytest.raises(TypeError, match=r"READ on 's3://data/in/'> belongs to the session .* without session="):
        pickle.dumps(granted)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("data/in/",), r"target='data/in/' is not allowed"),
        (("s3://data/in/", "read"), r"permission='read' is not allowed"),
    ],
)
def test_wrong_arguments_are_refused_before_any_query(session, arguments, said):
    with pytest.raises(ConfigurationError, match=said):
        adapter.credential_provider(*arguments, session=session)


def test_a_wrong_option_is_refused_before_any_query(session):
    with pytest.raises(ConfigurationError, match="unknown option fallbak"):
        adapter.credential_provider("s3://data/in/", session=session, fallbak="never")
