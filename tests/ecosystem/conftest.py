"""Programs of the libraries people use, unmodified, in processes that know nothing but the environment."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import boto3
import pytest

from access_grants_provider.testing import AccessGrantsServer
from access_grants_provider.testing.identities import Identity

# pyarrow's threads may still hold files of s3fs when a program ends. Of programs that wrote a dataset, without this
# package too, 2 to 3 in 100 then aborted with "terminate called without an active exception"; with one thread of each
# kind 0 in 300. https://github.com/apache/arrow/issues/36980
ARROW = {"ARROW_IO_THREADS": "1", "OMP_NUM_THREADS": "1"}
AUTOLOAD = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}
# What Python, asyncio and aiohttp say of something that was left open. None of it changes a program's exit code. Not
# every ResourceWarning is about that: aiohttp has one for large bodies, which is advice to aiobotocore.
LEFT_OPEN = re.compile(
    r"unclosed|implicitly cleaning up|still running|never (awaited|retrieved)|task was destroyed", re.I
)
# A limit for a machine that is busy with other things; the slowest takes 30.
SECONDS = 300

Say = Callable[[str], None]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*libraries, extra): skip the test where one of them is not installed")


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    for marker in request.node.iter_markers("needs"):
        missing = [library for library in marker.args if find_spec(library) is None]
        if missing:
            extra = marker.kwargs.get("extra", "test-ecosystem")
            pytest.skip(f"{', '.join(missing)} not installed here (extra {extra})")


@pytest.fixture
def server(access_grants_server: AccessGrantsServer, request: pytest.FixtureRequest) -> Iterator[AccessGrantsServer]:
    """The local service with the bucket ``data``. What it was asked is shown at the end of the test run."""
    access_grants_server.bucket("data")
    yield access_grants_server
    requests = access_grants_server.requests
    control = Counter(one.operation for one in requests if one.is_control_call)
    line = (
        f"{request.path.stem.removeprefix('test_')}: {len(requests) - control.total()} S3 requests, "
        f"{control.total()} control calls: "
        f"{', '.join(f'{number} {operation}' for operation, number in sorted(control.items())) or 'none'}"
        f"  [{request.node.name}]"
    )
    request.node.user_properties.append(("asked", line))


@pytest.fixture
def alice(alice: Identity, server: AccessGrantsServer) -> Identity:
    """Has one grant, to read and write below ``s3://data/in/``, and no other permission."""
    server.grant(alice, "s3://data/in/*", "READWRITE")
    return alice


@pytest.fixture
def environment(server: AccessGrantsServer, tmp_path: Path) -> Callable[[Identity], dict[str, str]]:
    """The whole environment of a process that signs as an identity and loads the plugin; there is no other switch."""

    def of(identity: Identity) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "SYSTEMROOT") if name in os.environ}
        return {**kept, "HOME": str(tmp_path), **server.environment(identity), **AUTOLOAD, **ARROW}

    return of


@pytest.fixture
def run(environment: Callable[[Identity], dict[str, str]], tmp_path: Path) -> Callable[..., str]:
    """Run a program, a text or a file, as an identity, and return what it prints. It ends well and leaves nothing open.

    ``meanwhile`` is called while it runs, with a function that sends it a line.
    """

    def run(
        program: str | Path, identity: Identity, meanwhile: Callable[[Say], object] | None = None, **more: str
    ) -> str:
        if not isinstance(program, Path):
            # In a file, because a process that is spawned imports its parent's main module.
            text, program = program, tmp_path / "program.py"
            program.write_text(textwrap.dedent(text), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-W", "always::ResourceWarning", str(program)],
            env={**environment(identity), **more},
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        pipe = process.stdin

        def say(line: str) -> None:
            pipe.write(line + "\n")
            pipe.flush()

        with process:
            try:
                if meanwhile is not None:
                    meanwhile(say)
                printed, messages = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        assert process.returncode == 0, messages
        assert not LEFT_OPEN.search(messages), messages
        return printed

    return run


@pytest.fixture
def signers(server: AccessGrantsServer) -> Callable[..., set[str | None]]:
    """Who signed the requests for data, or those of some operations: "grant", or the name of an identity."""

    def of(*operations: str) -> set[str | None]:
        return {one.signer for one in server.s3_requests() if not operations or one.operation in operations}

    return of


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


@pytest.fixture
def extensions_of_duckdb(tmp_path: Path) -> None:
    """Put DuckDB's extensions where DuckDB itself would have downloaded them."""
    found = [find_spec(f"duckdb_extension_{name}") for name in ("aws", "httpfs")]
    origins = [Path(spec.origin) for spec in found if spec is not None and spec.origin is not None]
    if not origins:
        return
    import duckdb

    version = f"v{duckdb.__version__}"
    [(platform,)] = duckdb.sql("PRAGMA platform").fetchall()
    folder = tmp_path / ".duckdb" / "extensions" / version / platform
    folder.mkdir(parents=True)
    for origin in origins:
        for file in origin.parent.glob(f"extensions/{version}/*"):
            (folder / file.name).symlink_to(file)
