"""DuckDB reads and writes real Parquet through one SECRET per grant.

Its S3 is the extension httpfs. Where DuckDB can't download that, the package duckdb-extension-httpfs brings it, for the
DuckDB version of the same number.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed here (extra: duckdb)")

from access_grants_provider.adapters import duckdb as adapter  # noqa: E402
from access_grants_provider.exceptions import (  # noqa: E402
    AccessDenied,
    ConfigurationError,
    PermissionMissing,
    ServiceFailure,
)
from access_grants_provider.registration import provider_for  # noqa: E402
from access_grants_provider.testing import administration  # noqa: E402

LIFE = 2  # seconds


def httpfs() -> str:
    """What to LOAD: the extension of that package if it is there, else what DuckDB has downloaded before."""
    package = importlib.util.find_spec("duckdb_extension_httpfs")
    if package is not None and package.origin is not None:
        found = Path(package.origin).parent.glob(f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension")
        return next((f"'{path}'" for path in found), "httpfs")
    return "httpfs"


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        try:
            connection.execute(f"LOAD {httpfs()}")
        except duckdb.IOException as error:
            pytest.skip(f"DuckDB {duckdb.__version__} has no httpfs here, and no S3 secrets without: {error}")
        yield connection


@pytest.fixture
def create(connection, server, session):
    """``create_secrets()`` for the local service."""

    def at_the_server(uri, permission="READ", **options):
        there = {"endpoint": urlsplit(server.url).netloc, "url_style": "path", "use_ssl": False}
        return adapter.create_secrets(connection, uri, permission, session=session, **{**there, **options})

    return at_the_server


def read(connection, path: str) -> list[int]:
    return [x for (x,) in connection.execute("SELECT x FROM read_parquet(?) ORDER BY x", [path]).fetchall()]


def secrets(connection) -> set[tuple[str, str]]:
    """Name and SCOPE of the secrets DuckDB has."""
    return set(connection.execute("SELECT name, unnest(scope) FROM duckdb_secrets()").fetchall())


def outcomes(server) -> set[tuple[str | None, int]]:
    """Who signed S3 requests, and what became of them."""
    return {(one.signer, one.status // 100) for one in server.s3_requests()}


def test_one_grant_that_covers_the_uri_is_one_secret(server, connection, create, put_parquet):
    put_parquet("s3://data/in/2026/a.parquet", 1, 2)
    put_parquet("s3://data/in/2026/b.parquet", 3)
    (made,) = create("s3://data/in/2026/")
    assert (made.scope, made.permission) == ("s3://data/in/", "READ")
    assert secrets(connection) == {(made.name, made.scope)}
    assert read(connection, "s3://data/in/2026/*.parquet") == [1, 2, 3]
    assert outcomes(server) == {("grant", 2)}
    assert (server.calls("GetDataAccess"), server.calls("ListCallerAccessGrants")) == (1, 0)


def test_a_uri_wider_than_the_grants_is_a_secret_for_each_of_them(
    server, alice, connection, create, put_parquet, monkeypatch, caplog
):
    monkeypatch.setattr(administration, "PAGE", 2)
    for number, scope in enumerate(["s3://data/team/*", "s3://data/te*", "s3://data/one.parquet"]):
        server.grant(alice, scope, "READ")
        put_parquet(scope.rstrip("*").removesuffix(".parquet") + ".parquet", number)
    server.grant(alice, "s3://data/written/*", "WRITE")
    server.bucket("data2")
    server.grant(alice, "s3://data2/*", "READ")
    made = create("s3://data")
    # What lies in a wider grant needs no secret of its own, what can't be read gets none, nor does another bucket.
    assert {one.scope for one in made} == {"s3://data/in/", "s3://data/te", "s3://data/one.parquet"}
    assert len(made) == 3
    assert secrets(connection) == {(one.name, one.scope) for one in made}
    assert "no SECRET" not in caplog.text
    # Before the denial of the bucket as a whole the core lists once, and then this does, in pages of two.
    assert server.calls("ListCallerAccessGrants") == 6
    assert read(connection, "s3://data/team/.parquet") == [0]
    assert read(connection, "s3://data/te.parquet") == [1]
    assert read(connection, "s3://data/one.parquet") == [2]
    assert outcomes(server) == {("grant", 2)}


def test_an_objects_grant_in_a_wider_one_takes_nothing_from_objects_whose_names_begin_alike(
    server, session, alice, connection, create, put_parquet
):
    server.grant(alice, "s3://data/in/a", "READ")
    put_parquet("s3://data/in/a.parquet", 1)
    assert provider_for(session).credentials("s3://data/in/a").scope == "s3://data/in/a"
    assert [one.scope for one in create("s3://data")] == ["s3://data/in/"]
    assert read(connection, "s3://data/in/a.parquet") == [1]


def test_outside_the_grants_duckdb_has_no_keys_to_sign_with(server, connection, create, put_parquet):
    put_parquet("s3://data/out/c.parquet", 4)
    create("s3://data")
    connection.execute(f"SET s3_endpoint = '{urlsplit(server.url).netloc}'; SET s3_use_ssl = false")
    connection.execute("SET s3_url_style = 'path'")
    with pytest.raises(duckdb.Error, match="403"):
        read(connection, "s3://data/out/c.parquet")
    assert outcomes(server) == {(None, 4)}


def test_tables_are_written_under_a_grant_to_read_and_write(server, connection, create):
    create("s3://data/in/", "READWRITE")
    connection.execute("COPY (SELECT 7 AS x) TO 's3://data/in/made.parquet' (FORMAT parquet)")
    assert read(connection, "s3://data/in/made.parquet") == [7]
    assert outcomes(server) == {("grant", 2)}


def test_for_the_same_paths_there_is_one_secret_the_latest(connection, create):
    (to_read,) = create("s3://data/in/")
    (to_write,) = create("s3://data/in/", "READWRITE")
    assert to_write.permission == "READWRITE"
    assert to_read.name == to_write.name
    assert secrets(connection) == {(to_write.name, "s3://data/in/")}


def test_called_again_it_costs_no_call_and_after_the_end_it_renews(server, connection, create, put_parquet):
    put_parquet("s3://data/in/a.parquet", 1)
    server.lifetime = LIFE
    first = create("s3://data/in/")
    assert create("s3://data/in/") == first
    assert server.calls("GetDataAccess") == 1
    began = time.monotonic()
    while server.calls("GetDataAccess") < 3 and time.monotonic() < began + 60:
        (latest,) = create("s3://data/in/")
        assert read(connection, "s3://data/in/a.parquet") == [1]
    assert server.calls("GetDataAccess") == 3
    assert latest.expiration > first[0].expiration
    assert latest.name == first[0].name
    assert outcomes(server) == {("grant", 2)}


def test_the_region_is_the_buckets(server, alice, connection, create, put_parquet):
    server.bucket("far", region="eu-west-1")
    server.grant(alice, "s3://far/*", "READ")
    put_parquet("s3://far/a.parquet", 1)
    create("s3://far/")
    assert read(connection, "s3://far/a.parquet") == [1]
    assert {one.region for one in server.s3_requests() if one.bucket == "far"} == {"eu-west-1"}


def test_scopes_that_are_hard_to_quote_are_quoted(server, alice, connection, create, put_parquet):
    server.grant(alice, 's3://data/it\'s "here"; DROP/*', "READ")
    put_parquet('s3://data/it\'s "here"; DROP/a.parquet', 1)
    (made,) = create('s3://data/it\'s "here"; DROP/')
    assert secrets(connection) == {(made.name, 's3://data/it\'s "here"; DROP/')}
    found = connection.execute("FROM which_secret('s3://data/it''s \"here\"; DROP/a.parquet', 's3')").fetchone()
    assert found[0] == made.name


def test_nothing_secret_is_shown(session, connection, create):
    connection.execute("CALL enable_logging('QueryLog')")
    made = create("s3://data/in/")
    logged = str(connection.execute("SELECT message FROM duckdb_logs").fetchall())
    assert "CREATE OR REPLACE TEMPORARY SECRET" in logged
    vended = provider_for(session).credentials("s3://data/in/")
    shown = [logged, repr(made), str(connection.execute("FROM duckdb_secrets()").fetchall())]
    assert not [text for text in shown if vended.secret_key in text or vended.token in text]


def test_a_result_that_is_being_fetched_is_not_lost(connection, create):
    connection.execute("FROM range(3)")
    create("s3://data/in/")
    assert connection.fetchall() == [(0,), (1,), (2,)]


def test_without_any_grant_there_it_raises_and_makes_nothing(connection, create):
    with pytest.raises(AccessDenied, match=r"READ on 's3://data/out/\*'"):
        create("s3://data/out/")
    with pytest.raises(AccessDenied, match=r"READ on 's3://data/out/x'"):
        create("s3://data/out/x")
    assert secrets(connection) == set()


def test_a_grant_that_is_listed_and_gives_nothing_is_left_out_with_a_warning(server, connection, create, caplog):
    def with_one_more(result):
        one = {"Permission": "READ", "GrantScope": "s3://data/gone/*", "ApplicationArn": "NA"}
        return {**result, "CallerAccessGrantsList": [*result["CallerAccessGrantsList"], one]}

    server.tamper("ListCallerAccessGrants", with_one_more, times=None)
    assert [one.scope for one in create("s3://data")] == ["s3://data/in/"]
    assert "no SECRET for 's3://data/gone/*', which is listed among the caller's grants: " in caplog.text


def test_an_outage_in_the_middle_makes_nothing(server, alice, connection, create):
    server.grant(alice, "s3://data/other/*", "READ")
    server.fail("ListCallerAccessGrants", "SomethingBroke", status=400, times=None)
    with pytest.raises(
        ServiceFailure, match=r"s3:ListCallerAccessGrants in us-east-1 for bucket 'data'.*SomethingBroke"
    ):
        create("s3://data")
    assert secrets(connection) == set()


def test_who_may_not_list_is_told_so(server, alice, connection, create):
    server.forbid(alice, "s3:ListCallerAccessGrants")
    with pytest.raises(PermissionMissing, match=r"may not list its grants .* Allow s3:ListCallerAccessGrants"):
        create("s3://data")


def test_wrong_options_are_refused(create):
    with pytest.raises(ConfigurationError, match="unknown option urlstyle"):
        create("s3://data/in/", urlstyle="path")
    with pytest.raises(ConfigurationError, match="permission='read' is not allowed"):
        create("s3://data/in/", "read")
