"""The demo as a newcomer runs it, in surroundings that ought not to matter."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from access_grants_provider import AccessGrantsProvider, Stats, __version__
from access_grants_provider.cli.demo import story
from access_grants_provider.cli.demo.checks import Step
from access_grants_provider.cli.group import main

ROOT = Path(__file__).parents[2]

HOSTILE = {
    "AWS_PROFILE": "missing",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_ACCESS_KEY_ID": "AKIAHOSTILE",
    "AWS_SECRET_ACCESS_KEY": "hostile",
    "AWS_SESSION_TOKEN": "hostile",
    "AWS_REGION": "xx-nowhere-1",
    "AWS_DEFAULT_REGION": "xx-nowhere-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_CA_BUNDLE": "/nowhere/bundle.pem",
    "AWS_MAX_ATTEMPTS": "wrong",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "S3_ACCESS_GRANTS_FALLBACK": "wrong",
    "S3_ACCESS_GRANTS_NO_SUCH_OPTION": "wrong",
    "BOTOCORE_EXPERIMENTAL__PLUGINS": "agp=access_grants_provider",
}

# Request, target, permission, signer with the grant, source, answer.
ROWS = [
    "list_objects_v2 raw/* READ alice AccessDenied",
    "list_objects_v2 raw/* READ grant raw/* vended 200",
    "get_object raw/q3.csv READ grant raw/* cache 200",
    "put_object ml/train.csv WRITE grant ml/* vended 200",
    "get_object ml/train.csv READ grant ml/* vended 200",
    "upload_fileobj ml/model.bin WRITE grant ml/* cache 4 x 200",
    "head_object ml/model.bin READ grant ml/* cache 200",
    "copy_object ml/train.* READWRITE grant ml/* vended 200",
    "delete_objects ml/* WRITE grant ml/* cache 200",
    "presigned GET ml/train.csv READ grant ml/* cache 200",
    "put_object raw/q4.csv WRITE alice AccessDenied",
    "get_object hr/pay.csv READ alice AccessDenied",
    "get_object docs/faq.md READ alice 200",
    "get_object hr/pay.csv READ nobody not sent",
]

# The demo with a first line that waits for the test.
WAITING = """
import sys
from dataclasses import replace
from access_grants_provider.cli import main
from access_grants_provider.cli.demo import story

def wait(s3):
    print("waiting", flush=True)
    sys.stdin.readline()

steps = story.steps()
story.steps = lambda: [replace(steps[0], call=wait), *steps[1:]]
main(["demo"])
"""


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir(exist_ok=True)
    aws = tmp_path / "home" / ".aws"
    aws.mkdir(exist_ok=True)
    (aws / "config").write_text("[default]\ns3_access_grants = wrong\nregion = xx-nowhere-1\n")
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    places = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "PYTHONIOENCODING": "utf-8"}
    return {**inherited, **places, "PYTHONPATH": str(ROOT), **more}


def run_demo(tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "access_grants_provider", "demo"]
    return subprocess.run(
        command, env=environment(tmp_path, **more), capture_output=True, encoding="utf-8", timeout=120, check=False
    )


def temporary_files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "tmp").iterdir())


def listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def url_in(text: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", text)
    assert found is not None, text
    return found[0]


def test_shows_every_line_whatever_the_environment_says(tmp_path: Path) -> None:
    done = run_demo(tmp_path, COLUMNS="140", **HOSTILE)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert [line for line in lines if line.startswith("✓ ")][:-1] == [
        f"✓ {number} {row}" for number, row in enumerate(ROWS, start=1)
    ]
    assert "✗" not in done.stdout
    assert "16 S3 requests, 14 control calls: 6 GetDataAccess" in done.stdout
    assert "\x1b" not in done.stdout
    assert temporary_files(tmp_path) == []
    assert not listens(url_in(done.stdout))


@pytest.mark.exhaustive
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_each_row_is_one_line_of_80_columns_at_most(tmp_path: Path, columns: int) -> None:
    done = run_demo(tmp_path, COLUMNS=str(columns))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    rows = [line for line in lines if re.match(r"✓ [ 1]\d ", line)]
    assert len(rows) == len(ROWS)
    assert max(map(len, rows)) <= 80
    assert max(map(len, lines)) <= max(columns, 80)
    assert [line for line in lines if line != line.rstrip()] == []


def test_it_says_why_the_second_line_works_and_what_to_run_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(story, "steps", lambda: STEPS[:2])
    done = CliRunner().invoke(main, ["demo"])
    assert "Alice's own policy allows READ on s3://lake/docs/* and no more." in done.stdout
    before, _, after = done.stdout.partition("After: access_grants_provider.register(session)")
    assert "Before the one line that registers" in before
    assert "AccessDenied" in before
    assert "grant raw/*" in after
    assert "Line 1 fails because no policy lets alice list s3://lake/raw/. Line 2 is the same call, and works" in after
    next_steps = after.partition("Next:\n")[2].splitlines()
    assert [line.split()[:2] for line in next_steps] == [["access-grants", "serve"], ["access-grants", "doctor"]]


@pytest.mark.exhaustive
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_does_without_characters_the_terminal_lacks(tmp_path: Path, encoding: str) -> None:
    done = run_demo(tmp_path, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok All 14 lines" in done.stdout


@pytest.mark.parametrize(
    ("variables", "arguments", "colours"),
    [({}, [], True), ({"NO_COLOR": "1"}, [], False), ({}, ["--no-color"], False)],
)
def test_colours_can_be_had_and_done_without(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], arguments: list[str], colours: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(story, "steps", lambda: [STEPS[1]])
    done = CliRunner().invoke(main, ["demo", *arguments], color=True)
    assert done.exit_code == 0
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", done.stdout)) is colours


STEPS = story.steps()
FIRST = STEPS[1].requests[0]


def broken(**changes: Any) -> Step:
    return replace(STEPS[1], requests=(replace(FIRST, **changes),))


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (broken(operation="ListObjects"), "decision, operation: expected ListObjects, came ListObjectsV2"),
        (broken(permission="WRITE"), "decision, permission: expected WRITE, came READ"),
        (broken(target="s3://lake/x*"), "decision, target: expected s3://lake/x*, came s3://lake/raw/*"),
        (broken(target="s3://lake/x"), "server, object: expected s3://lake/x, came s3://lake/None"),
        (broken(outcome="fallback"), "decision, outcome: expected fallback, came granted"),
        (broken(scope="s3://lake/*"), "server, scope of the session: expected s3://lake/*, came s3://lake/raw/*"),
        (broken(source="cache"), "decision, source: expected cache, came vended"),
        (broken(signer="alice"), "server, signer: expected alice, came grant"),
        (broken(signer=None), "requests at the server: expected none, came ListObjectsV2"),
        (
            replace(STEPS[0], requests=()),
            "requests at the server: expected none, came ListObjectsV2",
        ),
        (broken(status=403), "server, status: expected 403, came 200"),
        (broken(error_code="SlowDown"), "server, error_code: expected SlowDown, came nothing"),
        (replace(STEPS[1], requests=(FIRST, FIRST)), "decisions: expected ListObjectsV2, ListObjectsV2, came"),
        (replace(STEPS[1], answer=["a"]), "the program got: expected ['a'], came ['raw/q2.csv', 'raw/q3.csv']"),
        (replace(STEPS[11], answer="pay"), "the program got: expected pay, came AccessDenied from S3"),
        (replace(STEPS[13], answer="pay"), "the program got: expected pay, came AccessDenied from Access Grants"),
    ],
)
def test_a_wrong_line_is_marked_and_makes_the_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, step: Step, complaint: str
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(story, "steps", lambda: [step, STEPS[12]])
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert complaint in done.stdout
    assert f"Line 1, {step.title}" in done.stdout
    assert "✗  1" in done.stdout
    assert "✓  2" in done.stdout
    assert "✗ 1 of 2 lines came out wrong." in done.stdout


def test_an_error_nobody_expected_is_a_wrong_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(s3: object) -> None:
        raise ConnectionResetError("gone")

    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(story, "steps", lambda: [replace(STEPS[1], call=fail)])
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "came ConnectionResetError: gone" in done.stdout
    assert "requests at the server: expected ListObjectsV2, came none" in done.stdout


def test_a_sum_that_does_not_agree_with_the_server_makes_the_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AccessGrantsProvider, "stats", lambda _: Stats())
    monkeypatch.setattr(story, "steps", lambda: STEPS[:2])
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    # Two, or three where botocore does not know InstanceScope.
    assert re.search(r"control calls that the package counts: expected [23], came 0", done.stdout)
    assert "All 2 lines came out right, but not the sum." in done.stdout


def test_the_environment_is_afterwards_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "steps", lambda: STEPS[:1])
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    handler = signal.getsignal(signal.SIGINT)
    assert CliRunner().invoke(main, ["demo"]).exit_code == 0
    assert dict(os.environ) == before
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture
def interruptible() -> Iterator[None]:
    # A job in the background of a shell ignores SIGINT, and its children with it.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.exhaustive
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a single process")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_it_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", WAITING]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment(tmp_path), stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        before = ""
        for line in process.stdout:
            before += line
            if line == "waiting\n":
                break
        url = url_in(before)
        assert listens(url)
        process.send_signal(signal.SIGINT)
        after, errors = process.communicate("go on\n", timeout=120)
    assert process.returncode == 130
    assert errors == "Interrupted.\n"
    assert "list_objects_v2" not in after
    assert not listens(url)
    assert temporary_files(tmp_path) == []


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("package", ["click", "rich", "moto", "boto3"])
def test_a_missing_package_is_one_friendly_line(tmp_path: Path, package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from access_grants_provider.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "demo"],
        env=environment(tmp_path),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"needs {package}, which is not installed: pip install 'access-grants-provider[demo]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_and_version() -> None:
    runner = CliRunner()
    assert "demo" in runner.invoke(main, ["--help"]).stdout
    assert "access-grants demo --no-color" in runner.invoke(main, ["demo", "--help"]).stdout
    assert runner.invoke(main, ["--version"]).stdout == f"access-grants, version {__version__}\n"
    assert runner.invoke(main, ["nonsense"]).exit_code == 2
