"""``access-grants exec``: the command gets the credentials, the signals and the last word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import COMMAND
from .outlives_credentials import read_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these are the signals and exit codes of POSIX")

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
READ = "import boto3; print(boto3.client('s3').get_object(Bucket='data', Key='in/x')['Body'].read().decode())"


FETCH = """
import json, os, urllib.request

def fetch():
    request = urllib.request.Request(
        os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
        headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]},
    )
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)
"""
FROM_FIXED_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION")
FROM_AN_ENDPOINT = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
both_ways = pytest.mark.parametrize("way", [(), ("--static",)], ids=["endpoint", "static"])


@pytest.mark.fast_cases(1)
@both_ways
def test_the_command_reads_with_the_grant_and_nothing_else_is_asked(server, alice, run, way):
    server.put("s3://data/in/x", b"body")
    autoload = "access-grants=access_grants_provider"
    command = ("exec", "s3://data/in/", *way, "--", sys.executable, "-c", READ)
    done = run(*command, BOTOCORE_EXPERIMENTAL__PLUGINS=autoload)
    assert (done.returncode, done.stdout, done.stderr) == (0, "body\n", "")
    assert [one.signer for one in server.s3_requests()] == ["grant"]
    # The grant's session asks for no grants of its own.
    assert {one.signer for one in server.requests if one.is_control_call} == {"alice"}


@pytest.mark.fast_cases(1)
@both_ways
def test_the_environment_holds_the_grant_and_nothing_that_comes_before_it(server, alice, run, profiles, way):
    profiles(
        f"[profile base]\nregion = us-east-1\n"
        f"aws_access_key_id = {alice.access_key_id}\naws_secret_access_key = {alice.secret_access_key}\n"
    )
    inherited = {
        "AWS_PROFILE": "base",
        "AWS_DEFAULT_PROFILE": "base",
        "AWS_SECURITY_TOKEN": "old",
        "AWS_ACCOUNT_ID": "999999999999",
        "AWS_REGION": "",
        "AWS_DEFAULT_REGION": "",
        "BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider, other=json",
        "UNRELATED": "kept",
    }
    done = run("exec", "s3://data/in/", *way, "--", sys.executable, "-c", SHOW, **inherited)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # The profile that told the region is gone, the region is not.
    assert (found["AWS_REGION"], found["AWS_DEFAULT_REGION"]) == ("us-east-1", "us-east-1")
    assert found["AWS_ENDPOINT_URL_S3"] == server.url
    assert found["BOTOCORE_EXPERIMENTAL__PLUGINS"].strip() == "other=json"
    assert found["UNRELATED"] == "kept"
    set_here, unset_here = (FROM_FIXED_KEYS, FROM_AN_ENDPOINT) if way else (FROM_AN_ENDPOINT, FROM_FIXED_KEYS)
    assert set(set_here) <= set(found)
    gone = (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_ACCOUNT_ID",
        "ACCESS_GRANTS_FETCHING_PROFILES",
        *unset_here,
    )
    assert not set(gone) & set(found)
    assert alice.secret_access_key not in done.stdout


def test_fixed_keys_are_the_grants(server, alice, run):
    done = run("exec", "s3://data/in/", "--static", "--", sys.executable, "-c", SHOW)
    found = json.loads(done.stdout)
    assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert found["AWS_SECRET_ACCESS_KEY"] != alice.secret_access_key
    assert len(found["AWS_SESSION_TOKEN"]) > 700
    assert found["AWS_CREDENTIAL_EXPIRATION"].endswith("Z")


def test_the_variables_of_other_credentials_go():
    from access_grants_provider.cli.environment import CREDENTIAL_VARIABLES, environment_with_grant

    inherited = {**dict.fromkeys([*CREDENTIAL_VARIABLES, *FROM_FIXED_KEYS], "x"), "PATH": "/bin"}
    assert environment_with_grant(inherited, {"AWS_SESSION_TOKEN": "t"}, None) == {
        "PATH": "/bin",
        "AWS_SESSION_TOKEN": "t",
    }


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("file", ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"])
def test_the_keys_of_a_default_profile_do_not_win_over_the_endpoint(server, alice, run, tmp_path, file):
    """Every SDK asks a profile before an endpoint. Bob may read everything, so that his keys would do."""
    server.put("s3://data/in/x", b"body")
    bob = server.identity("bob")
    server.allow(bob, "s3://data/*", "READ")
    settings = tmp_path / "settings"
    settings.write_text(
        f"[default]\naws_access_key_id = {bob.access_key_id}\naws_secret_access_key = {bob.secret_access_key}\n"
    )
    done = run("exec", "s3://data/in/", "--", sys.executable, "-c", READ, **{file: str(settings)})
    assert (done.returncode, done.stdout) == (0, "body\n"), done.stderr
    assert [one.signer for one in server.s3_requests()] == ["grant"]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("section", ["Credentials", "GSUtil"])
def test_keys_in_the_file_of_boto_2_do_not_win_over_the_endpoint(tmp_path, section):
    from access_grants_provider.cli.environment import endpoint_environment

    (tmp_path / "boto").write_text(f"[{section}]\naws_access_key_id = x\naws_secret_access_key = x\n")
    found = endpoint_environment({"BOTO_CONFIG": str(tmp_path / "boto")}, {}, Path("config"))
    assert found.get("BOTO_CONFIG") == (os.devnull if section == "Credentials" else None)


def test_where_the_endpoint_has_nothing_to_serve_the_machines_own_role_is_not_asked():
    from access_grants_provider.cli.environment import endpoint_environment

    assert endpoint_environment({}, {}, Path("config"))["AWS_EC2_METADATA_DISABLED"] == "true"


def test_the_command_keeps_the_other_settings_of_the_profile(tmp_path, monkeypatch):
    from botocore.session import Session

    from access_grants_provider.cli.environment import CREDENTIAL_SETTINGS, config_without_credentials

    credentials = "".join(f"{name} = x\n" for name in [*sorted(CREDENTIAL_SETTINGS), "sso_session", "sso_account_id"])
    (tmp_path / "before").write_text(
        f"[profile base]\nca_bundle = /a/bundle.pem\n{credentials}"
        "s3 =\n  addressing_style = path\n  max_concurrent_requests = 3\nservices = near\n"
        "[services near]\ns3 =\n  endpoint_url = http://127.0.0.1:1\n[profile other]\nrole_arn = x\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "before"))
    before = Session(profile="base")
    (tmp_path / "after").write_text(config_without_credentials(before))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "after"))
    after = Session()
    assert after.get_scoped_config() == {
        "ca_bundle": "/a/bundle.pem",
        "s3": {"addressing_style": "path", "max_concurrent_requests": "3"},
        "services": "near",
    }
    assert after.full_config["services"] == before.full_config["services"]
    assert after.available_profiles == ["default"]


@pytest.mark.parametrize(
    ("inherited", "without"),
    [
        ({}, {}),
        ({"https_proxy": "http://proxy"}, {}),
        ({"HTTP_PROXY": "http://proxy"}, {"NO_PROXY": "127.0.0.1"}),
        ({"all_proxy": "http://proxy", "no_proxy": "inside"}, {"no_proxy": "inside,127.0.0.1"}),
    ],
)
def test_no_proxy_gets_the_token(inherited, without):
    from access_grants_provider.cli.environment import endpoint_environment

    found = endpoint_environment(inherited, {}, Path("config"))
    assert {name: value for name, value in found.items() if "PROXY" in name.upper()} == without


def test_the_endpoints_folder_is_the_users_alone_and_goes_with_the_command(server, alice, run, tmp_path):
    program = (
        "import os, stat; file = os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE']\n"
        "for path in (os.path.dirname(file), file): print(path, oct(stat.S_IMODE(os.stat(path).st_mode)))\n"
        "print(os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN'] == open(file).read())"
    )
    done = run("exec", "s3://data/in/", "--", sys.executable, "-c", program, TMPDIR=str(tmp_path))
    (folder, folder_mode), (file, file_mode) = map(str.split, done.stdout.splitlines()[:2])
    assert (folder_mode, file_mode, done.stdout.splitlines()[2]) == ("0o700", "0o600", "True")
    assert Path(file).parent == Path(folder)
    assert Path(folder).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.exhaustive
def test_a_program_outlives_its_credentials_and_is_refused_nothing():
    reads = read_for(seconds=10, lifetime=4)
    assert (reads.code, reads.stderr, reads.refused, reads.signers) == (0, "", 0, {"grant"})
    assert reads.served > 0
    assert reads.keys >= 2


@pytest.mark.exhaustive
def test_where_access_grants_fails_the_command_is_told_so_and_the_user_once(server, alice, run):
    server.lifetime = 4
    server.put("s3://data/in/x", b"body")
    program = FETCH + (
        "import time\n"
        "status, first = fetch()\n"
        "print(status, flush=True); input()\n"
        "while status == 200:\n    time.sleep(0.1); status, document = fetch()\n"
        "    assert status != 200 or document == first\n"
        "print(status, sorted(document), fetch() == (status, document))"
    )
    with subprocess.Popen(
        [*COMMAND, "exec", "s3://data/in/", "--", sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "200\n"
        server.fail("GetDataAccess", "InternalError", times=1000)
        out, err = process.communicate("\n", timeout=60)
    assert (process.returncode, out) == (0, "503 ['code', 'message'] True\n"), err
    assert err.count("\n") == 1
    assert "can't be renewed" in err


@pytest.mark.exhaustive
@both_ways
def test_the_command_inherits_open_files(server, alice, surroundings, tmp_path, way):
    (tmp_path / "input").write_text("read\n")
    with (tmp_path / "input").open() as file:
        done = subprocess.run(
            [*COMMAND, "exec", "s3://data/in/", *way, "--", "sh", "-c", f"cat /dev/fd/{file.fileno()}"],
            env=surroundings(),
            pass_fds=[file.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "read\n", "")


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_its_exit_code_is_passed_on(server, alice, run, code):
    assert run("exec", "s3://data/in/", "--", "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.fast_cases(1)
@both_ways
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_reaches_the_command_which_answers_it(server, alice, surroundings, number, way):
    # A shell looks at its traps between two commands.
    program = f"trap 'echo caught; exit 9' {number.name[3:]}; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*COMMAND, "exec", "s3://data/in/", *way, "--", "sh", "-c", program],
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (9, "caught\n", "")


def test_a_signal_that_comes_before_the_command_has_started_reaches_it_then():
    from access_grants_provider.cli.interrupts import forwarded_signals

    class Process:
        def __init__(self) -> None:
            self.sent: list[int] = []
            self.send_signal = self.sent.append

    before = signal.getsignal(signal.SIGUSR1)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with forwarded_signals() as forward_to:
            process = Process()
            os.kill(os.getpid(), signal.SIGUSR1)
            assert process.sent == []
            forward_to(process)
            os.kill(os.getpid(), signal.SIGTERM)
            # What is ignored stays so, for the command too.
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert process.sent == [signal.SIGUSR1, signal.SIGTERM]
        assert signal.getsignal(signal.SIGUSR1) == before
    finally:
        signal.signal(signal.SIGHUP, ignored)


ON_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
# It waits for its signals. A handler that prints may interrupt the print() of "ready", which raises. A handler that
# sets an Event may be called too late for the wait that it shall end.
SHOW_INTERRUPTS = """
import signal
awaited = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
print("ready", flush=True)
while signal.sigwait(awaited) == signal.SIGINT:
    print("interrupted", flush=True)
"""


def test_ctrl_c_at_a_terminal_reaches_the_command_once(server, alice, surroundings):
    """The terminal sends it to the command and to this process."""
    command = [*COMMAND, "exec", "s3://data/in/", "--", sys.executable, "-c", SHOW_INTERRUPTS]
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *command],
        env=surroundings(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            # Two that are pending at once count as one. So this process gets its own after the command has handled it.
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            os.write(ours, b"\x03")
            assert process.stdout.readline() == "interrupted\n"
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=30)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    os.close(ours)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.fast_cases(1)
@both_ways
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_shell_reports_128_and_the_signal_that_ended_the_command(server, alice, surroundings, tmp_path, number, way):
    line = '"$0" -m access_grants_provider exec s3://data/in/ $2 -- sh -c "kill -$1 \\$\\$"; echo $?'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, str(int(number)), *way],
        env=surroundings(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{128 + number}\n"
    # Nothing of the endpoint is left.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.exhaustive
@both_ways
def test_where_ctrl_c_ended_the_command_a_shell_sees_so_and_ends_its_loop(server, alice, run, way):
    done = run("exec", "s3://data/in/", *way, "--", "sh", "-c", "kill -INT $$")
    assert done.returncode == -signal.SIGINT


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


@pytest.mark.fast_cases(1)
@both_ways
def test_several_uris_are_refused_and_the_adapters_named(server, alice, invoke, way):
    done = invoke("exec", "s3://data/in/", *way, "s3://data/out/", "--", "echo", "s3://data/in/")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: A command gets the credentials of one grant, so exec takes one S3_URI. ")
    assert "access_grants_provider.adapters" in done.stderr
    assert server.requests == []


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
