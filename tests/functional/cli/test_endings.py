"""However a command ends, it ends cleanly: Ctrl-C at any point, a reader that went away, a full disk."""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from access_grants_provider import __version__
from access_grants_provider.cli import main
from access_grants_provider.cli.group import COMMANDS

from .conftest import COMMAND, ROOT

posix = pytest.mark.skipif(os.name != "posix", reason="these are the signals of POSIX")


def interrupted(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.fast_cases(1)
@posix
@pytest.mark.parametrize("command", [["credentials", "s3://data/in/"], ["exec", "s3://data/in/", "--", "echo"]])
def test_ctrl_c_while_it_waits_for_an_answer(server, alice, surroundings, command):
    with server.hold("GetDataAccess") as held:
        with subprocess.Popen(
            [*COMMAND, *command], env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            held.wait_for(1, timeout=30)
            interrupted(process)
        held.release()


STOP_AT = """
import sys, os, threading, signal, weakref

class Lock:
    pass

def interrupt(_):
    os.kill(os.getpid(), signal.SIGINT)
    return None

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r} and not done:
            done.append(name)
            if {in_callback}:
                # As the import system does with its locks.
                lock = Lock()
                reference = weakref.ref(lock, interrupt)
                del lock
            else:
                interrupt(None)

done = []
sys.meta_path.insert(0, Finder())
sys.argv = ["access-grants", "grants"]
from access_grants_provider.__main__ import main
main()
"""


@pytest.mark.fast_cases(1)
@posix
@pytest.mark.parametrize(
    "name",
    [
        "botocore.session",
        "access_grants_provider.registration",
        "access_grants_provider.cli",
        "click",
        "access_grants_provider.cli.grants",
        "access_grants_provider.cli.connection",
        "access_grants_provider.core.caller_grants",
        "access_grants_provider.sdk.queries",
    ],
)
@pytest.mark.parametrize("in_callback", [False, True], ids=["in the import", "in a weak reference's callback"])
def test_ctrl_c_while_it_loads(server, alice, surroundings, name, in_callback):
    program = STOP_AT.format(name=name, in_callback=in_callback)
    done = subprocess.run(
        [sys.executable, "-c", program], env=surroundings(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.exhaustive
@posix
def test_ctrl_c_at_any_time(server, alice, surroundings):
    """Some points in time, spread over a run. Before Python handles signals itself the signal just ends it."""
    began = time.monotonic()
    # An interrupt may leave a file to the garbage collector, of which Python tells only if it is asked to.
    environment = surroundings(PYTHONWARNINGS="")
    assert subprocess.run([*COMMAND, "grants"], env=environment, capture_output=True, check=True).stderr == b""
    whole = time.monotonic() - began
    endings = set()
    for part in range(1, 9):
        with subprocess.Popen(
            [*COMMAND, "grants"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                process.wait(timeout=whole * part / 8)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        assert "Traceback" not in err
        assert err in ("", "Interrupted.\n")
        endings.add(process.returncode)
    assert endings <= {0, 130, -signal.SIGINT}
    assert 130 in endings


@posix
def test_where_ctrl_c_is_ignored_it_stays_so(server, alice, surroundings):
    program = f"""
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(subprocess.call([{sys.executable!r}, "-c", {STOP_AT.format(name="click", in_callback=False)!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=surroundings(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "READ\ts3://data/in/*\tNA\n"), done.stderr


@pytest.mark.fast_cases(1)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "command", [["credentials", "s3://data/in/"], ["grants"], ["explain", "GetObject", "s3://data/in/x"]]
)
def test_a_full_disk_is_one_line(server, alice, surroundings, command):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *command], env=surroundings(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.fast_cases(1)
@posix
@pytest.mark.parametrize("command", [["credentials", "s3://data/in/"], ["--help"]])
def test_a_reader_that_never_reads(server, alice, surroundings, command):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *command], env=surroundings(), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    # click sees to the help by itself.
    assert (done.returncode, done.stderr) == (1 if command == ["--help"] else 141, "")


@posix
def test_without_a_stdout_nothing_fails(server, alice, surroundings):
    line = '"$0" -m access_grants_provider grants >&-'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], env=surroundings(), stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion_script(run, shell):
    done = run(_ACCESS_GRANTS_COMPLETE=f"{shell}_source")
    assert done.returncode == 0, done.stderr
    assert "access-grants" in done.stdout
    assert f"_ACCESS_GRANTS_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("access-grants cre", ["credentials"]),
        ("access-grants credentials --perm", ["--permission"]),
        ("access-grants credentials s3://data/ --format p", ["process", "powershell"]),
        ("access-grants explain getob", ["GetObject", "GetObjectAcl", "GetObjectAttributes"]),
        ("access-grants cache ", ["clear", "show"]),
        ("access-grants grants --profile b", ["base", "bob"]),
    ],
)
def test_words_are_completed(run, profiles, words, completed):
    profiles("[profile base]\n[profile bob]\n[profile other]\n")
    last = len(words.split(" ")) - 1
    done = run(_ACCESS_GRANTS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(last))
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == completed


def test_version(invoke):
    assert invoke("--version").stdout == f"access-grants, version {__version__}\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_each_command_has_an_example(invoke, name):
    done = invoke(name, "--help")
    assert done.exit_code == 0
    assert f"access-grants {name}" in done.stdout.partition("Example")[2]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_loads_nothing_that_an_extra_brings(run, surroundings, name):
    program = (
        "import sys; from access_grants_provider.cli import main; "
        f"main([{name!r}, '--help'], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=surroundings(), capture_output=True, text=True, check=True
    )
    assert not {"rich", "moto", "boto3", "filelock"} & set(done.stderr.split())


def test_the_installed_command_handles_ctrl_c_before_it_loads_anything():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    assert "access-grants = access_grants_provider.__main__:main" in config["options.entry_points"]["console_scripts"]
    # What is loaded by then: the package's first file, this module, and what Python brings.
    program = (
        "import sys; old = set(sys.modules); import access_grants_provider.__main__; print(*set(sys.modules) - old)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(done.stdout.split()) <= {"access_grants_provider", "access_grants_provider.__main__", "enum", "signal"}


def test_the_command_has_one_name_however_it_is_started():
    assert main.name == "access-grants"
