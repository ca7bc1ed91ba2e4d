"""``access-grants exec``: the command gets the credentials, the signals and the last word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from .conftest import COMMAND

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these are the signals and exit codes of POSIX")

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
READ = "import boto3; print(boto3.client('s3').get_object(Bucket='data', Key='in/x')['Body'].read().decode())"


def test_the_command_reads_with_the_grant_and_nothing_else_is_asked(server, alice, run):
    server.put("s3://data/in/x", b"body")
    autoload = "access-grants=access_grants_provider"
    done = run("exec", "s3://data/in/", "--", sys.executable, "-c", READ, BOTOCORE_EXPERIMENTAL__PLUGINS=autoload)
    assert (done.returncode, done.stdout, done.stderr) == (0, "body\n", "")
    assert [one.signer for one in server.s3_requests()] == ["grant"]
    # The grant's session asks for no grants of its own.
    assert {one.signer for one in server.requests if one.is_control_call} == {"alice"}


def test_the_environment_holds_the_grants_credentials_and_nothing_that_comes_before_them(server, alice, run, profiles):
    profiles(
        f"[profile base]\nregion = us-east-1\n"
        f"aws_access_key_id = {alice.access_key_id}\naws_secret_access_key = {alice.secret_access_key}\n"
    )
    inherited = {
        "AWS_PROFILE": "base",
        "AWS_DEFAULT_PROFILE": "base",
        "AWS_SECURITY_TOKEN": "old",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere",
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/other",
        "AWS_ACCOUNT_ID": "999999999999",
        "AWS_REGION": "",
        "AWS_DEFAULT_REGION": "",
        "BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider, other=json",
        "UNRELATED": "kept",
    }
    # The web identity would be asked before the profile's keys, here too.
    del inherited["AWS_WEB_IDENTITY_TOKEN_FILE"], inherited["AWS_ROLE_ARN"]
    done = run("exec", "s3://data/in/", "--", sys.executable, "-c", SHOW, **inherited)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert found["AWS_SECRET_ACCESS_KEY"] != alice.secret_access_key
    assert len(found["AWS_SESSION_TOKEN"]) > 700
    assert found["AWS_CREDENTIAL_EXPIRATION"].endswith("Z")
    # The profile that told the region is gone, the region is not.
    assert (found["AWS_REGION"], found["AWS_DEFAULT_REGION"]) == ("us-east-1", "us-east-1")
    assert found["AWS_ENDPOINT_URL_S3"] == server.url
    assert found["BOTOCORE_EXPERIMENTAL__PLUGINS"].strip() == "other=json"
    assert found["UNRELATED"] == "kept"
    gone = (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_ACCOUNT_ID",
        "ACCESS_GRANTS_FETCHING_PROFILES",
    )
    assert not set(gone) & set(found)


def test_the_variables_of_other_credentials_go():
    from access_grants_provider.cli.environment import CREDENTIAL_VARIABLES, environment_with_grant

    inherited = {**dict.fromkeys(CREDENTIAL_VARIABLES, "x"), "PATH": "/bin"}
    assert environment_with_grant(inherited, {"AWS_SESSION_TOKEN": "t"}, None) == {
        "PATH": "/bin",
        "AWS_SESSION_TOKEN": "t",
    }


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_its_exit_code_is_passed_on(server, alice, run, code):
    assert run("exec", "s3://data/in/", "--", "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_reaches_the_command_which_answers_it(server, alice, surroundings, number):
    program = f"trap 'echo caught; exit 9' {number.name[3:]}; echo ready; read line; exit 3"
    with subprocess.Popen(
        [*COMMAND, "exec", "s3://data/in/", "--", "sh", "-c", program],
        env=surroundings(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        # dash looks at its traps after the read.
        out, err = process.communicate("\n", timeout=30)
    assert (process.returncode, out, err) == (9, "caught\n", "")


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_shell_reports_128_and_the_signal_that_ended_the_command(server, alice, surroundings, number):
    line = '"$0" -m access_grants_provider exec s3://data/in/ -- sh -c "kill -$1 \\$\\$"; echo $?'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, str(int(number))],
        env=surroundings(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{128 + number}\n"


def test_a_closed_pipe_ends_the_command_as_it_ends_others(server, alice, run):
    # Python ignores SIGPIPE; what is ignored would stay so, and "yes" complain of a write error.
    done = run("exec", "s3://data/in/", "--", "sh", "-c", "yes | head -n 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "y\n", "")


def test_a_command_that_is_not_there_is_127(server, alice, run):
    done = run("exec", "s3://data/in/", "--", "no-such-command")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == "Error: no-such-command: command not found. Check that it is installed and on the PATH\n"


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", ["no permission", "a folder", "no program"])
def test_what_cannot_be_run_is_126(server, alice, run, tmp_path, kind):
    path = tmp_path / "program"
    if kind == "a folder":
        path.mkdir()
    else:
        path.write_text("neither a script nor a binary")
        path.chmod(0o755 if kind == "no program" else 0o644)
    done = run("exec", "s3://data/in/", "--", str(path))
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr.startswith(f"Error: {path}: can't be run: ")
    assert done.stderr.count("\n") == 1


def test_without_a_grant_the_command_does_not_run(server, alice, run):
    done = run("exec", "s3://data/out/", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No grant gives the caller" in done.stderr


def test_the_options_behind_the_dashes_are_the_commands(server, alice, run):
    done = run("exec", "s3://data/in/", "--", "echo", "--region", "x", "--", "--help")
    assert (done.returncode, done.stdout) == (0, "--region x -- --help\n")


def test_without_the_dashes_nothing_is_run(server, alice, invoke):
    done = invoke("exec", "s3://data/in/", "ls", "--region", "x")
    assert done.exit_code == 2
    assert done.stderr == "Error: There is no command to run. Write access-grants exec S3_URI -- COMMAND.\n"
    assert invoke("exec", "s3://data/in/", "--").exit_code == 2
    assert server.requests == []


def test_where_a_process_cannot_be_replaced_the_exit_code_is_passed_on_as_well(server, alice):
    from access_grants_provider.cli.execute import _wait_for

    with pytest.raises(SystemExit) as ended:
        _wait_for(["sh", "-c", "exit $CODE"], {**os.environ, "CODE": "5"})
    assert ended.value.code == 5
