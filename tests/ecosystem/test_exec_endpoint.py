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


@pytest.mark.parametrize(
    "library",
    [
        pytest.param("boto3", marks=pytest.mark.needs("boto3")),
        pytest.param("pyarrow", marks=pytest.mark.needs("pyarrow")),
        pytest.param("pandas", marks=pytest.mark.needs("pandas", "pyarrow")),
        pytest.param("polars", marks=pytest.mark.needs("polars")),
        pytest.param("obstore", marks=pytest.mark.needs("obstore")),
        pytest.param("deltalake", marks=pytest.mark.needs("deltalake", "pyarrow")),
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
    inherited = {**environment(alice), "AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": server.url}
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
