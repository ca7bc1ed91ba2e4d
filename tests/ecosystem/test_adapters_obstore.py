"""obstore reads and writes with a grant's credentials, waiting and not, and asks for new ones in time."""

from __future__ import annotations

import asyncio
import io
import pickle
import threading
import time

import boto3
import pytest

obstore = pytest.importorskip("obstore", reason="obstore is not installed here (extra: obstore)")

from obstore.store import S3Store  # noqa: E402

from access_grants_provider.adapters import obstore as adapter  # noqa: E402
from access_grants_provider.exceptions import AccessDenied, ConfigurationError  # noqa: E402
from access_grants_provider.registration import provider_for  # noqa: E402

LIFE = 2  # seconds


@pytest.fixture
def store(server, session):
    def make(credential_provider):
        return S3Store(
            "data",
            endpoint=server.url,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
            credential_provider=credential_provider,
        )

    return make


def outcomes(server) -> set[tuple[str | None, int]]:
    """Who signed S3 requests, and what became of them."""
    return {(one.signer, one.status // 100) for one in server.s3_requests()}


def test_parquet_is_listed_and_read_under_one_grant(server, session, store, put_parquet):
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads the Parquet files of these tests")
    put_parquet("s3://data/in/a.parquet", 1, 2)
    data = store(adapter.credential_provider("s3://data/in/", session=session))
    assert [one["path"] for page in obstore.list(data, "in/") for one in page] == ["in/a.parquet"]
    content = io.BytesIO(bytes(obstore.get(data, "in/a.parquet").bytes()))
    assert parquet.read_table(content)["x"].to_pylist() == [1, 2]
    assert outcomes(server) == {("grant", 2)}
    assert server.calls("GetDataAccess") == 1


def test_objects_are_written_under_a_grant_to_write(server, session, store):
    obstore.put(store(adapter.credential_provider("s3://data/in/", "WRITE", session=session)), "in/made", b"made")
    assert server.read("s3://data/in/made") == b"made"
    assert [(one.signer, one.permission) for one in server.s3_requests()] == [("grant", "WRITE")]


def test_outside_the_grant_s3_refuses_its_credentials(server, session, store):
    server.put("s3://data/out/x", b"1")
    with pytest.raises(Exception, match="403 Forbidden"):
        obstore.get(store(adapter.credential_provider("s3://data/in/", session=session)), "out/x")
    assert outcomes(server) == {("grant", 4)}


def test_without_a_grant_the_request_is_not_sent_and_the_error_says_why(server, session, store):
    refused = adapter.credential_provider("s3://data/out/", session=session)
    with pytest.raises(Exception, match=r"No grant gives the caller .* READ on 's3://data/out/\*'"):
        obstore.get(store(refused), "out/x")
    assert server.s3_requests() == []


def test_reading_goes_on_across_the_end_of_the_credentials(server, session, store):
    server.put("s3://data/in/x", b"1")
    server.lifetime = LIFE
    data = store(adapter.credential_provider("s3://data/in/", session=session))
    began = time.monotonic()
    while server.calls("GetDataAccess") < 3 and time.monotonic() < began + 60:
        assert bytes(obstore.get(data, "in/x").bytes()) == b"1"
    assert server.calls("GetDataAccess") == 3
    assert outcomes(server) == {("grant", 2)}


def test_obstore_is_to_ask_again_before_the_end_when_the_provider_renews(server, session):
    given = adapter.credential_provider("s3://data/in/", session=session)()
    held = provider_for(session).credentials("s3://data/in/")
    expires_at = given.pop("expires_at")
    assert given == {
        "access_key_id": held.access_key,
        "secret_access_key": held.secret_key,
        "token": held.token,
    }
    assert expires_at.utcoffset() is not None
    assert (held.expiration - expires_at).total_seconds() == pytest.approx(900, abs=5)


def test_an_event_loop_reads_and_writes_under_the_grant(server, session, store):
    data = store(adapter.async_credential_provider("s3://data/in/", "READWRITE", session=session))

    async def main() -> bytes:
        await obstore.put_async(data, "in/made", b"made")
        answers = await asyncio.gather(*(obstore.get_async(data, "in/made") for _ in range(8)))
        return b"".join([bytes(await one.bytes_async()) for one in answers])

    assert asyncio.run(main()) == b"made" * 8
    assert outcomes(server) == {("grant", 2)}
    assert server.calls("GetDataAccess") == 1


def test_the_event_loop_runs_on_while_a_vend_hangs(server, session):
    granted = adapter.async_credential_provider("s3://data/in/", session=session)
    with server.hold("GetDataAccess") as held:
        # A loop that stood still could never release what it waits for.
        rescue = threading.Timer(20, held.release)
        rescue.start()

        async def main() -> bool:
            asking = asyncio.create_task(granted())
            await asyncio.to_thread(held.wait_for, 1)
            ran_on = rescue.is_alive() and not asking.done()
            held.release()
            await asking
            return ran_on

        ran_on = asyncio.run(main())
        rescue.cancel()
        rescue.join()
    assert ran_on


def test_a_refusal_reaches_who_awaits(server, session):
    with pytest.raises(AccessDenied):
        asyncio.run(adapter.async_credential_provider("s3://data/out/", session=session)())


@pytest.mark.parametrize("make", [adapter.credential_provider, adapter.async_credential_provider])
def test_a_pickled_store_holds_no_secret_and_asks_as_the_default_session(server, session, store, monkeypatch, make):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    server.put("s3://data/in/x", b"1")
    granted = make("s3://data/in/")
    data = store(granted)
    assert bytes(obstore.get(data, "in/x").bytes()) == b"1" if make is adapter.credential_provider else True
    pickled = pickle.dumps(data)
    vended = provider_for(session).credentials("s3://data/in/")
    assert not [key for key in (vended.secret_key, vended.token) if key.encode() in pickled]
    server.forget_requests()
    loaded = pickle.loads(pickled)

    async def read() -> bytes:
        return bytes(await (await obstore.get_async(loaded, "in/x")).bytes_async())

    assert asyncio.run(read()) == b"1"
    assert outcomes(server) == {("grant", 2)}


@pytest.mark.parametrize("make", [adapter.credential_provider, adapter.async_credential_provider])
def test_wrong_arguments_are_refused_before_any_request(session, make):
    with pytest.raises(ConfigurationError, match="target='data/in/' is not allowed"):
        make("data/in/", session=session)
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(make("s3://data/in/", session=session))
