"""An endpoint that accepts connections and never answers: each command ends in time, with one plain line."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

DECISION_SECONDS = 10
DOCTOR_SECONDS = 15
# For starting Python and importing, however many other tests this machine runs. Without a limit it was five minutes.
STARTING_SECONDS = 60
INSTANCE = "123456789012"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The URL of a socket whose connections the system accepts and nobody reads."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def ended(run, seconds: float, *args: str, **variables: str):
    """Run a command to its end, and see to it that it ends in time."""
    began = time.monotonic()
    done = run(*args, **variables)
    assert time.monotonic() - began < seconds + STARTING_SECONDS
    assert "Traceback" not in done.stderr
    return done


def all_silent(black_hole: str) -> dict[str, str]:
    services = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "S3_ACCESS_GRANTS_ENDPOINT_URL")
    return {**dict.fromkeys(services, black_hole), "AWS_MAX_ATTEMPTS": "5"}


# The first is the one of the fast lane.
COMMANDS = [
    ["grants", "s3://data/in/"],
    ["credentials", "s3://data/in/"],
    ["exec", "s3://data/in/", "--", "true"],
    ["explain", "GetObject", "s3://data/in/x"],
]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_ends_where_no_service_answers(alice, run, black_hole, command):
    # All commands but one with a shorter limit: each would take ten seconds of the suite.
    limit = {} if command[0] == "credentials" else {"S3_ACCESS_GRANTS_TIMEOUT_SECONDS": "1"}
    done = ended(run, 1 if limit else DECISION_SECONDS, *command, **all_silent(black_hole), **limit)
    assert done.returncode == 1
    # explain shows the calls that it made.
    assert done.stdout == "" or command[0] == "explain"
    assert done.stderr.startswith("Error: sts:GetCallerIdentity in us-east-1 ")
    assert "got no answer" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_ends_where_s3_control_does_not_answer(alice, run, black_hole, command):
    silent = {"S3_ACCESS_GRANTS_ENDPOINT_URL": black_hole, "S3_ACCESS_GRANTS_ACCOUNT_ID": INSTANCE}
    done = ended(run, 1, *command, **silent, AWS_MAX_ATTEMPTS="5", S3_ACCESS_GRANTS_TIMEOUT_SECONDS="1")
    assert done.returncode == 1
    assert "got no answer" in done.stderr
    assert done.stderr.count("\n") == 1


def failed_steps(done) -> list[str]:
    """The steps that failed. None was tried after the first."""
    assert done.stderr == ""
    findings = done.stdout.partition("\n\n")[0]
    rows = [
        line for line in findings.splitlines() if line[:1] in "fosn" and not line.startswith(("on ", "off", "note"))
    ]
    failed = [index for index, row in enumerate(rows) if row.startswith("failed")]
    assert all("not tried: " in row for row in rows[failed[0] + 1 :]), done.stdout
    return [rows[index][8:22].strip() for index in failed]


@pytest.mark.exhaustive
def test_doctor_ends_where_no_service_answers(alice, run, black_hole):
    done = ended(run, DOCTOR_SECONDS, "doctor", "s3://data/in/", **all_silent(black_hole))
    assert (done.returncode, failed_steps(done)) == (1, ["identity"])


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("operation", "step", "variables"),
    [
        ("GetCallerIdentity", "identity", {}),
        ("HeadBucket", "region", {}),
        ("GetAccessGrantsInstanceForPrefix", "instance", {}),
        ("GetDataAccess", "READ vend", {"S3_ACCESS_GRANTS_ACCOUNT_ID": INSTANCE}),
        ("ListObjectsV2", "listing", {}),
        ("GetObject", "reading", {}),
    ],
)
def test_doctor_stops_at_the_first_call_without_an_answer(server, alice, run, operation, step, variables):
    server.grant(alice, "s3://data/in/*", "READWRITE")
    server.put("s3://data/in/x", b"1")
    with server.hold(operation) as held:
        done = ended(run, 4, "doctor", "s3://data/in/", **variables, S3_ACCESS_GRANTS_TIMEOUT_SECONDS="1")
        held.release()
    assert (done.returncode, failed_steps(done)) == (1, [step])
