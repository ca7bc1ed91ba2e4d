"""Programs under ``access-grants exec`` that sign in C++ or Rust read past the end of their first credentials."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from access_grants_provider.testing import AccessGrantsServer, Identity

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="exec is not tested on Windows")

# How long the credentials live. They are renewed when a quarter is left, which is time enough on a busy machine.
LIFETIME = 12
# Between two reads. What a program is given less of is the CPU of the command that renews.
PAUSE = 0.3
SECONDS = 120
# A Delta table is read until S3 says that the next version is not there (404).
REFUSED = {400, 401, 403}

# Each keeps what holds its credentials for as long as it runs, and reads once for each line.
PROGRAMS = {
    "boto3": """
        import boto3
        s3 = boto3.client("s3")
        def read():
            return len(s3.get_object(Bucket="data", Key="in/x.parquet")["Body"].read()) > 0
    """,
    "pyarrow": """
        from pyarrow import fs, parquet
        s3, _ = fs.FileSystem.from_uri("s3://data/in/")
        def read():
            return parquet.read_table("data/in/x.parquet", filesystem=s3)["x"].to_pylist() == [1, 2, 3]
    """,
    "pandas": """
        import pandas
        def read():
            return list(pandas.read_parquet("s3://data/in/x.parquet")["x"]) == [1, 2, 3]
    """,
    "polars": """
        import polars
        frame = polars.scan_parquet("s3://data/in/x.parquet")
        def read():
            return frame.collect()["x"].to_list() == [1, 2, 3]
    """,
    "obstore": """
        import obstore
        from obstore.store import S3Store
        store = S3Store("data")
        def read():
            return len(obstore.get(store, "in/x.parquet").bytes()) > 0
    """,
    "deltalake": """
        from deltalake import DeltaTable
        table = DeltaTable("s3://data/in/table")
        def read():
            table.update_incremental()
            return table.to_pyarrow_table()["x"].to_pylist() == [1, 2, 3]
    """,
    # DuckDB renews a secret where it has the key of an object, and not where it has a pattern. For a new secret it asks
    # the endpoint, which answers with what it has.
    "duckdb": """
        import os
        import duckdb
        duckdb.execute("LOAD httpfs; LOAD aws")
        settings = f"ENDPOINT '{os.environ['DUCKDB_S3_ENDPOINT']}', USE_SSL false, URL_STYLE 'path'"
        def read():
            duckdb.execute(f"CREATE OR REPLACE SECRET (TYPE s3, PROVIDER credential_chain, {settings})")
            return duckdb.sql("SELECT x FROM 's3://data/in/x*.parquet'").fetchall() == [(1,), (2,), (3,)]
    """,
}
LOOP = """
import sys
for _ in sys.stdin:
    print(read(), flush=True)
"""


@pytest.fixture
def delta_table(server: AccessGrantsServer, tmp_path: Path) -> None:
    """A Delta table with one column."""
    import pyarrow
    from deltalake import write_deltalake

    folder = tmp_path / "table"
    write_deltalake(str(folder), pyarrow.table({"x": [1, 2, 3]}))
    for path in folder.rglob("*"):
        if path.is_file():
            server.put(f"s3://data/in/table/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.mark.usefixtures("extensions_of_duckdb")
@pytest.mark.parametrize(
    "library",
    [
        pytest.param("boto3", marks=pytest.mark.needs("boto3")),
        pytest.param("pyarrow", marks=pytest.mark.needs("pyarrow")),
        pytest.param("pandas", marks=pytest.mark.needs("pandas", "pyarrow")),
        pytest.param("polars", marks=pytest.mark.needs("polars")),
        pytest.param("obstore", marks=pytest.mark.needs("obstore")),
        pytest.param("deltalake", marks=pytest.mark.needs("deltalake", "pyarrow")),
        pytest.param(
            "duckdb",
            marks=pytest.mark.needs(
                "duckdb", "duckdb_extension_aws", "duckdb_extension_httpfs", "pyarrow", extra="test-matrix"
            ),
        ),
    ],
)
def test_a_program_reads_past_the_end_of_its_credentials_and_is_refused_nothing(
    library: str,
    server: AccessGrantsServer,
    alice: Identity,
    environment: Callable[[Identity], dict[str, str]],
    put_parquet: Callable[..., None],
    request: pytest.FixtureRequest,
) -> None:
    put_parquet("s3://data/in/x.parquet", 1, 2, 3)
    if library == "deltalake":
        request.getfixturevalue("delta_table")
    server.lifetime = LIFETIME
    # object_store sends no plain HTTP unless it is told to. Not all of these read AWS_ENDPOINT_URL_S3.
    inherited = {
        **environment(alice),
        "AWS_ALLOW_HTTP": "true",
        "AWS_ENDPOINT_URL": server.url,
        "DUCKDB_S3_ENDPOINT": server.url.removeprefix("http://"),
    }
    command = [sys.executable, "-m", "access_grants_provider", "exec", "s3://data/in/", "--", sys.executable, "-c"]
    with subprocess.Popen(
        [*command, textwrap.dedent(PROGRAMS[library]) + LOOP],
        env=inherited,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            begin = None
            while begin is None or time.monotonic() < begin + LIFETIME + 3:
                process.stdin.write("\n")
                process.stdin.flush()
                line = process.stdout.readline()
                assert line == "True\n", process.stderr.read()
                # Not before it has read: some libraries take as long to load as the credentials live.
                begin = begin or time.monotonic()
                time.sleep(PAUSE)
            _, messages = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0, messages
    requests = server.s3_requests()
    assert {one.signer for one in requests} == {"grant"}
    assert not {one.status for one in requests} & REFUSED
    assert len({one.access_key_id for one in requests}) >= 2


@pytest.mark.needs("pyarrow")
def test_pyarrow_writes_a_dataset_under_exec_where_it_makes_no_folders(server, alice, environment):
    command = [sys.executable, "-m", "access_grants_provider", "exec", "s3://data/in/", "--permission", "READWRITE"]
    program = """
        import pyarrow, pyarrow.dataset
        table = pyarrow.table({"x": [1, 2], "part": ["p", "q"]})
        pyarrow.dataset.write_dataset(
            table, "s3://data/in/set", format="parquet", partitioning=["part"], create_dir=False
        )
    """
    subprocess.run(
        [*command, "--", sys.executable, "-c", textwrap.dedent(program)],
        env={**environment(alice), "AWS_ENDPOINT_URL": server.url},
        check=True,
        timeout=SECONDS,
    )
    written = {one.key for one in server.s3_requests() if one.operation == "CompleteMultipartUpload"}
    assert written == {"in/set/p/part-0.parquet", "in/set/q/part-0.parquet"}
    assert {(one.signer, one.status) for one in server.s3_requests()} == {("grant", 200)}


@pytest.mark.needs("duckdb", "duckdb_extension_httpfs", "pyarrow", extra="test-matrix")
@pytest.mark.usefixtures("extensions_of_duckdb")
def test_duckdb_reads_and_writes_unchanged_with_the_keys_that_exec_hands_out(server, alice, environment, put_parquet):
    put_parquet("s3://data/in/x.parquet", 1, 2, 3)
    command = [sys.executable, "-m", "access_grants_provider", "exec", "s3://data/in/", "--permission", "READWRITE"]
    program = """
        import duckdb
        duckdb.execute("LOAD httpfs; SET s3_url_style = 'path'")
        duckdb.execute("COPY (SELECT x FROM 's3://data/in/*.parquet') TO 's3://data/in/copy.parquet'")
    """
    settings = {"DUCKDB_S3_ENDPOINT": server.url.removeprefix("http://"), "DUCKDB_S3_USE_SSL": "false"}
    subprocess.run(
        [*command, "--static", "--", sys.executable, "-c", textwrap.dedent(program)],
        env={**environment(alice), **settings},
        check=True,
        timeout=SECONDS,
    )
    assert "in/copy.parquet" in {one.key for one in server.s3_requests() if one.operation == "PutObject"}
    assert {(one.signer, one.status // 100) for one in server.s3_requests()} == {("grant", 2)}
