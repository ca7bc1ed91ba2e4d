"""Every program of the table in programs.py, in each way the table names, under two grants and no other right."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from _pytest.mark.structures import ParameterSet

from access_grants_provider.testing import AccessGrantsServer
from access_grants_provider.testing.identities import Identity
from access_grants_provider.testing.records import RecordedRequest

from .programs import LIBRARIES, Library, Program, Run, runs

RUNNER = Path(__file__).with_name("run_programs.py")
WRITES = ("PutObject", "CompleteMultipartUpload", "CopyObject")
# A limit for a machine that is busy with other things.
SECONDS = 300
# Where libraries would leave the machine, there is nothing; and what the local service needs beside AWS's variables.
LOCAL = {
    "AWS_ALLOW_HTTP": "true",
    "DVC_NO_ANALYTICS": "1",
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "https_proxy": "http://127.0.0.1:9",
}


class Verdict(NamedTuple):
    """What became of a program: ``"works"``, ``"refused"`` by S3, or ``"broken"``, and why."""

    outcome: str
    why: str = ""


def judge(program: Program, error: str | None, requests: list[RecordedRequest]) -> Verdict:
    """A program works if it ends well and a grant signed each request that S3 carried out."""
    if error is not None:
        refused = any(one.status == 403 for one in requests)
        return Verdict("refused" if refused else "broken", error)
    carried_out = [one for one in requests if one.status < 400]
    own = sorted({one.operation for one in carried_out if one.signer != "grant"})
    if own:
        return Verdict("broken", f"not signed by a grant: {', '.join(own)}")
    if not requests:
        return Verdict("broken", "no request for S3")
    written = [one.key or "" for one in carried_out if one.operation in WRITES]
    if program.wrote and not any(key.startswith(program.wrote) for key in written):
        return Verdict("broken", f"nothing was written to {program.wrote}, but {written}")
    return Verdict("works")


@pytest.fixture
def server(access_grants_server: AccessGrantsServer) -> AccessGrantsServer:
    """The local service with the bucket ``sales``; in place of the one that shows what it was asked."""
    access_grants_server.bucket("sales")
    return access_grants_server


@pytest.fixture
def caller(server: AccessGrantsServer) -> Identity:
    """Has READWRITE on one folder of the bucket, READ on another, and no right of its own."""
    pyarrow = pytest.importorskip("pyarrow", reason="makes the Parquet files of these tests")
    parquet = pytest.importorskip("pyarrow.parquet", reason="makes the Parquet files of these tests")
    content = io.BytesIO()
    parquet.write_table(pyarrow.table({"x": [1, 2], "team": ["north", "south"]}), content)
    caller = server.identity("caller")
    server.grant(caller, "s3://sales/emea/*", "READWRITE")
    server.grant(caller, "s3://sales/apac/*", "READ")
    for name in ("emea/2026/part.0.parquet", "emea/2026/part.1.parquet", "apac/part.0.parquet"):
        server.put(f"s3://sales/{name}", content.getvalue())
    server.put("s3://sales/emea/q3.csv", "country,amount\nFR,1\nDE,2\n")
    for name in ("a", "b"):
        server.put(f"s3://sales/emea/old/{name}", name)
    return caller


@pytest.fixture
def local_files(tmp_path: Path) -> None:
    """What the programs find where they run."""
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "file").write_text("x")
    (tmp_path / "report.csv").write_text("a,b\n1,2\n")


@pytest.fixture
def verdicts(
    server: AccessGrantsServer,
    caller: Identity,
    environment: Callable[[Identity], dict[str, str]],
    tmp_path: Path,
    local_files: None,
) -> Callable[..., list[Verdict]]:
    """Run programs of a library one after the other, under ``exec`` or without."""

    def judged(library: Library, chosen: list[Run], *under: str) -> list[Verdict]:
        (tmp_path / "config").touch()
        variables = {
            **environment(caller),
            **LOCAL,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "DUCKDB_S3_ENDPOINT": server.url.removeprefix("http://"),
            "DUCKDB_S3_USE_SSL": "false",
            "MLFLOW_TRACKING_URI": str(tmp_path / "mlruns"),
            "PYICEBERG_CATALOG__C__S3__ENDPOINT": server.url,
        }
        errors = tmp_path / "stderr"
        with (
            errors.open("w") as stderr,
            subprocess.Popen(
                [*under, sys.executable, str(RUNNER), job(library, chosen, tmp_path)],
                env=variables,
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            # With it the programs that it has forked, which hold its stdout.
            limit = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
            limit.start()
            try:
                found = []
                for run in chosen:
                    line = process.stdout.readline()
                    assert line, errors.read_text()[-4000:]
                    found.append(judge(run.program, json.loads(line), server.s3_requests()))
                    server.forget_requests()
                    process.stdin.write("\n")
                    process.stdin.flush()
                process.communicate()
            finally:
                limit.cancel()
                process.kill()
        return found

    return judged


def job(library: Library, chosen: list[Run], folder: Path) -> str:
    """Write what is to be run into a file, and return its name."""
    programs = [[program_of(library, run), run.program.check] for run in chosen]
    text = json.dumps({"imports": library.imports, "shell": library.shell, "programs": programs})
    (folder / "job.json").write_text(text)
    return str(folder / "job.json")


def program_of(library: Library, run: Run) -> str:
    """The whole program, with what the page does not show."""
    imports = library.adapter_imports if run.way == "adapter" else ""
    return run.code if library.shell else "\n".join([imports, library.before, run.code])


def cases(libraries: list[Library]) -> list[ParameterSet]:
    """Libraries as cases of a test, by their names."""
    needs = {library.name: pytest.mark.needs(*library.needs, extra="test-matrix") for library in libraries}
    return [pytest.param(one, id=one.name.replace(" ", "-"), marks=needs[one.name]) for one in libraries]


def check(chosen: list[Run], found: list[Verdict], node: pytest.Item) -> None:
    """Compare with the table, and have the number of those that work printed at the end of the test run."""
    for way in dict.fromkeys(run.way for run in chosen):
        works = [verdict.outcome == "works" for run, verdict in zip(chosen, found, strict=True) if run.way == way]
        node.user_properties.append(("asked", f"{node.name}: {sum(works)} of {len(works)} work by {way}"))
    wrong = [
        f"{verdict.outcome}, by {run.way}: {run.code}\n    {verdict.why}"
        for run, verdict in zip(chosen, found, strict=True)
        if verdict.outcome != ("works" if run.works else "refused")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("extensions_of_duckdb")
@pytest.mark.parametrize("library", cases(list(LIBRARIES)))
def test_programs_work_by_the_variable_or_an_adapter_as_the_table_says(library, verdicts, request):
    chosen = [*runs(library, "variable"), *runs(library, "adapter")]
    check(chosen, verdicts(library, chosen), request.node)


@pytest.mark.parametrize("library", cases([one for one in LIBRARIES if runs(one, "exec")]))
def test_programs_work_under_exec_as_the_table_says(library, verdicts, request):
    chosen = runs(library, "exec")
    under = [sys.executable, "-m", "access_grants_provider", "exec", "s3://sales/emea/", "--permission", "READWRITE"]
    check(chosen, verdicts(library, chosen, *under, "--"), request.node)


def test_a_program_that_signs_with_its_own_keys_or_writes_nothing_is_not_taken_for_one_that_works(server):
    program = Program("", wrote="emea/x")
    server.put("s3://sales/emea/x", b"x")
    server.client("s3").head_object(Bucket="sales", Key="emea/x")
    assert judge(program, None, server.s3_requests()).why == "not signed by a grant: HeadObject"
    server.forget_requests()
    assert judge(program, None, server.s3_requests()).why == "no request for S3"
    caller = server.identity("caller")
    server.grant(caller, "s3://sales/emea/*", "READ")
    assert judge(program, "ValueError: wrong", server.s3_requests()).outcome == "broken"
