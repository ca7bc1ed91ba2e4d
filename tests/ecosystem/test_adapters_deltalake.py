"""deltalake and Lance take a grant's keys as storage options, at the endpoint and in the region they belong to."""

from __future__ import annotations

import pytest

from access_grants_provider.adapters import deltalake, lance
from access_grants_provider.exceptions import AccessDenied


def test_the_options_are_the_keys_the_region_and_the_endpoint(server, session):
    options = deltalake.storage_options("s3://data/in/", "READWRITE", session=session)
    assert options.pop("aws_secret_access_key")
    assert options.pop("aws_session_token")
    assert options.pop("aws_access_key_id").startswith("ASIA")
    assert options == {"aws_region": "us-east-1", "aws_endpoint": server.url, "aws_allow_http": "true"}
    assert deltalake.storage_options("s3://data/in/", "READWRITE", session=session)
    assert server.calls("GetDataAccess") == 1
    assert lance.storage_options is deltalake.storage_options


def test_at_aws_there_is_no_endpoint_among_them(session, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    # As S3 is AWS's now, STS would be too.
    options = deltalake.storage_options("s3://data/in/", session=session, account_id="123456789012")
    assert not [name for name in options if "endpoint" in name or "http" in name]


def test_without_a_grant_there_are_none(server, session):
    with pytest.raises(AccessDenied, match=r"READ on 's3://data/out/\*'"):
        deltalake.storage_options("s3://data/out/", session=session)


@pytest.mark.needs("deltalake", "pyarrow", extra="deltalake")
def test_a_table_is_written_read_and_deleted_from(server, session):
    from deltalake import DeltaTable, write_deltalake
    from pyarrow import table

    options = deltalake.storage_options("s3://data/in/", "READWRITE", session=session)
    for numbers in ([1, 2], [3]):
        write_deltalake("s3://data/in/t", table({"x": numbers}), mode="append", storage_options=options)
    DeltaTable("s3://data/in/t", storage_options=options).delete("x = 2")
    read = DeltaTable("s3://data/in/t", storage_options=deltalake.storage_options("s3://data/in/", session=session))
    assert sorted(read.to_pyarrow_table()["x"].to_pylist()) == [1, 3]
    assert {one.signer for one in server.s3_requests()} == {"grant"}
    # What may read and write serves the one who reads too.
    assert server.calls("GetDataAccess") == 1
