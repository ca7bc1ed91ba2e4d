"""``access-grants serve``: the local service for any program, until it is told to end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from access_grants_provider.cli.local_environment import bypass_proxy
from access_grants_provider.cli.serve import serve

from .conftest import COMMAND

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the variables are loaded by sh")

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
ADMINISTRATION = """
import boto3
control, account = boto3.client("s3control"), "123456789012"
(grant,) = control.list_access_grants(AccountId=account)["AccessGrantsList"]
control.create_access_grant(
    AccountId=account,
    AccessGrantsLocationId=grant["AccessGrantsLocationId"],
    AccessGrantsLocationConfiguration={"S3SubPrefix": "sales/apac/*"},
    Grantee=grant["Grantee"],
    Permission="READ",
)
boto3.client("s3").put_object(Bucket="sales", Key="apac/x", Body=b"1")
"""
# Nothing listens there.
PROXY = {"HTTP_PROXY": "http://127.0.0.1:9"}
READ_APAC = 'import boto3; print(boto3.client("s3").get_object(Bucket="sales", Key="apac/x")["ContentLength"])'


@pytest.fixture
def serving(surroundings, tmp_path):
    """Starts a command line that serves, and returns it with what it printed for the shell and for the person."""
    running = []

    def start(*args: str, **more: str):
        process = subprocess.Popen(
            [*COMMAND, "serve", *args],
            cwd=tmp_path,
            env=surroundings(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        # The lines for the person come when the lines for the shell are out.
        said = until_ready(process)
        return process, os.read(process.stdout.fileno(), 65536).decode(), said

    yield start
    for process in running:
        process.kill()
        process.communicate()


def until_ready(process: subprocess.Popen[str]) -> str:
    """Return what a serving process says up to the last line of the next steps."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith(("  access-grants doctor", "There is no bucket")):
            return said
    raise AssertionError(said)


@pytest.fixture
def shell(surroundings, tmp_path):
    """Runs shell commands like those of the help, in another process than the one that serves."""

    def run(text: str, **more: str) -> str:
        names = tmp_path / "bin"
        names.mkdir(exist_ok=True)
        for name, command in (("python", sys.executable), ("access-grants", " ".join(COMMAND))):
            (names / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (names / name).chmod(0o755)
        environment = surroundings(PATH=f"{names}:{os.environ['PATH']}", **more)
        done = subprocess.run(
            ["sh", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def python(program: str) -> str:
    return f"python -c '{program}'"


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_unmodified_program_uses_the_grant_until_a_signal_ends_the_service(serving, shell, number):
    hostile = {
        "AWS_REGION": "xx-nowhere-1",
        "AWS_SESSION_TOKEN": "old",
        "AWS_PROFILE": "none",
        **PROXY,
        "S3_ACCESS_GRANTS_ACCOUNT_ID": "999999999999",
    }
    process, printed, said = serving("--bucket", "sales", "--grant", "READWRITE", "s3://sales/emea/*", **hostile)
    assert "developer may READWRITE s3://sales/emea/*.\n" in said
    # No variable for the plugin is in the shell: that one is printed, too.
    assert shell(f"{printed}\n{python(PROGRAM)}", **hostile) == "1\nAccessDenied\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.exhaustive
def test_profiles_and_other_hosts_are_left_alone(serving):
    _, printed, _ = serving("--bucket", "sales")
    names = re.findall(r"^export (\w+)=", printed, re.MULTILINE)
    assert "BOTOCORE_EXPERIMENTAL__PLUGINS" in names
    assert not [name for name in names if name.endswith(("_FILE", "_PROXY", "_proxy"))]


@pytest.mark.exhaustive
def test_the_administrator_creates_a_grant_from_another_process(serving, shell, tmp_path):
    _, printed, _ = serving("--bucket", "sales", "--admin-env", "admin.env", **PROXY)
    assert (tmp_path / "admin.env").stat().st_mode & 0o077 == 0
    # The variable is in this shell, and the administrator's requests are not to be signed with a grant.
    plugin = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider", **PROXY}
    shell(f". ./admin.env\n{python(ADMINISTRATION)}", **plugin)
    assert shell(f"{printed}\n{python(READ_APAC)}") == "1\n"


@pytest.mark.exhaustive
def test_each_user_gets_variables_and_grants_of_their_own(serving, shell, tmp_path):
    (tmp_path / "x").write_text("1")
    users = ("--user", "alice", "--user", "bob", "--env-dir", "users")
    _, _, said = serving("--put", "x", "s3://sales/apac/", "--grant", "bob=READ", "s3://sales/*", *users)
    assert "  . ./users/alice.env\n  access-grants doctor s3://sales/\n" in said
    assert shell(f". ./users/bob.env\n{python(READ_APAC)}") == "1\n"
    denied = "access-grants doctor s3://sales/ || true"
    assert "No grant lets you read or write s3://sales/." in shell(f". ./users/alice.env\n{denied}")


@pytest.mark.exhaustive
def test_the_example_of_the_help_runs(shell, surroundings, tmp_path):
    text = str(serve.help)
    (example,) = (line.strip() for line in text.splitlines() if line.endswith("> local.env") and "--put" in line)
    after = text.rpartition("\b\n")[2]
    (tmp_path / "q3.csv").write_text("a,b\n")
    line = example.replace("access-grants", f"exec {' '.join(COMMAND)}", 1)
    with subprocess.Popen(["sh", "-c", line], cwd=tmp_path, env=surroundings(), stderr=subprocess.PIPE, text=True) as (
        process
    ):
        try:
            said = until_ready(process)
            shown = shell(after)
            # Its own next steps are those of the help.
            assert [step.strip() for step in said.splitlines()[-2:]] == [
                step.strip() for step in after.splitlines()[:2]
            ]
        finally:
            process.terminate()
    assert shown.endswith("You can read s3://sales/emea/, not write it.\n")
    assert Path(tmp_path, "copy.csv").read_text() == "a,b\n"


@pytest.mark.parametrize(
    ("environ", "bypass"),
    [
        ({}, None),
        ({"NO_PROXY": "corp"}, None),
        ({"HTTPS_PROXY": "http://proxy"}, "127.0.0.1,localhost,account@localhost"),
        ({"http_proxy": "http://proxy", "NO_PROXY": "corp,other"}, "corp,other,127.0.0.1,localhost,account@localhost"),
        ({"http_proxy": "http://proxy", "no_proxy": "127.0.0.1,corp"}, "127.0.0.1,corp,localhost,account@localhost"),
    ],
)
def test_a_proxy_is_bypassed_for_this_machine_alone(environ, bypass):
    assert bypass_proxy(environ) == ({} if bypass is None else {"NO_PROXY": bypass, "no_proxy": bypass})


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
        (["--grant", "READ", "sales"], "Error: 'sales' is not an S3 URI. Write s3://bucket/prefix*."),
        (["--grant", "READ", "s3://sales/emea/"], "Write 's3://sales/emea/*' for all that is below it."),
        (["--bucket", "NO"], "Error: 'NO' is not a bucket name. A bucket name has 3 to 63"),
        (["--port", "99999"], "--port"),
        (["--grant", "READ", "s3://NO/*"], "Error: 'NO' is not a bucket name"),
        (["--put", "setup.cfg", "sales/x"], "Error: 'sales/x' is not an S3 URI. Write s3://bucket/key."),
        (["--grant", "bob=READ", "s3://sales/*"], "Error: There is no user 'bob'"),
        (["--user", "alice", "--user", "bob"], "Error: More than one user needs --env-dir"),
        (["--user", "admin"], "Give --admin-env FILE"),
    ],
)
def test_what_cannot_be_set_up_is_exit_2(run, arguments, said):
    done = run("serve", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
