"""``access-grants serve``: the local service for any program, until it is told to end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from .conftest import COMMAND

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the variables are taken over by sh")

PROGRAM = """
import boto3
s3 = boto3.client("s3")
s3.put_object(Bucket="sales", Key="emea/x", Body=b"1")
print(s3.get_object(Bucket="sales", Key="emea/x")["Body"].read().decode())
try:
    s3.get_object(Bucket="sales", Key="apac/x")
except s3.exceptions.ClientError as error:
    print(error.response["Error"]["Code"])
"""


@pytest.fixture
def serving(surroundings):
    """Starts the command, and returns it with the lines it printed for the shell."""
    running = []

    def start(*args: str, **more: str):
        process = subprocess.Popen(
            [*COMMAND, "serve", *args],
            env=surroundings(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        # The line for the person comes when the lines for the shell are out.
        assert process.stderr is not None
        assert process.stdout is not None
        ready = process.stderr.readline()
        assert ready.endswith("Press Ctrl-C to stop.\n"), ready
        descriptor = process.stdout.fileno()
        return process, os.read(descriptor, 65536).decode()

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_finds_it_by_what_is_printed_until_a_signal_ends_it(serving, surroundings, number):
    hostile = {"AWS_REGION": "xx-nowhere-1", "AWS_SESSION_TOKEN": "old", "AWS_PROFILE": "none"}
    process, printed = serving("--bucket", "sales", "--grant", "READWRITE", "s3://sales/emea/*", **hostile)
    program = f'{printed}\nexec "$0" -c "$1"'
    autoload = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider", **hostile}
    done = subprocess.run(
        ["sh", "-c", program, sys.executable, PROGRAM],
        env=surroundings(**autoload),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "1\nAccessDenied\n", done.stderr
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken_is_one_line(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: Port {port} can't be used: Address already in use. Give another --port\n"


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grant", "ALL", "s3://sales/*"], "A permission is READ, WRITE or READWRITE, not 'ALL'"),
        (["--grant", "READ", "sales"], "sales"),
        (["--bucket", "NO"], "Error: 'NO' is not a bucket name. A bucket name has 3 to 63"),
        (["--port", "99999"], "--port"),
    ],
)
def test_what_cannot_be_set_up_is_exit_2(run, arguments, said):
    done = run("serve", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
