"""How long the credentials live that a command hands to a program which can't renew them."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import datetime, timezone

import pytest

SHOW = "import os; print(os.environ['AWS_CREDENTIAL_EXPIRATION'])"
LEFTOVER = 3000


def seconds_left(printed: str) -> float:
    """Read the one time in what a command printed."""
    (text,) = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", printed)
    return (datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime.now(timezone.utc)).total_seconds()


def durations(server) -> list[int | None]:
    """The lifetimes that GetDataAccess was asked for."""
    calls = [one for one in server.requests if one.operation == "GetDataAccess"]
    return [one.parameters.get("DurationSeconds") for one in calls]


@pytest.fixture
def leave_on_disk(server, alice, invoke):
    """Vends credentials of 50 minutes with the options given, as if most of their life were over."""

    def leave(*options: str) -> None:
        server.lifetime = LEFTOVER
        assert invoke("credentials", "s3://data/in/", *options).exit_code == 0
        server.lifetime = None

    return leave


@pytest.mark.parametrize("form", ["env", "fish", "powershell", "json"])
def test_a_shell_gets_credentials_that_live_as_long_as_was_asked_and_no_leftover(server, leave_on_disk, invoke, form):
    leave_on_disk("--duration", "43200")
    done = invoke("credentials", "s3://data/in/", "--duration", "43200", "--format", form)
    assert (done.exit_code, done.stderr) == (0, "")
    assert 43200 - 70 < seconds_left(done.stdout) <= 43200
    assert durations(server) == [43200, 43200]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the command is a child process, and the rest is the same")
def test_a_program_gets_fixed_keys_that_live_as_long_as_was_asked_and_no_leftover(server, leave_on_disk, run):
    leave_on_disk("--duration", "43200")
    done = run("exec", "s3://data/in/", "--static", "--duration", "43200", "--", sys.executable, "-c", SHOW)
    assert (done.returncode, done.stderr) == (0, "")
    assert 43200 - 70 < seconds_left(done.stdout) <= 43200


def test_without_a_duration_they_live_as_long_as_the_services_own(server, leave_on_disk, invoke):
    leave_on_disk()
    done = invoke("credentials", "s3://data/in/", "--format", "env")
    assert 3600 - 70 < seconds_left(done.stdout) <= 3600
    # The service's own length is not asked for by number, and no length is asked for twice over.
    assert durations(server) == [None, None]


def test_a_program_that_asks_again_takes_the_leftover(server, leave_on_disk, invoke):
    leave_on_disk("--duration", "43200")
    done = invoke("credentials", "s3://data/in/", "--duration", "43200")
    assert 0 < seconds_left(done.stdout) <= LEFTOVER
    assert durations(server) == [43200]


def test_credentials_of_a_moment_ago_are_taken(server, alice, invoke):
    command = ("credentials", "s3://data/in/", "--duration", "900", "--format", "json")
    first, second = (json.loads(invoke(*command).stdout)["AccessKeyId"] for _ in range(2))
    assert first == second
    assert durations(server) == [900]


def test_where_the_service_vends_none_that_live_so_long_it_says_when_they_expire(server, alice, invoke):
    server.lifetime = LEFTOVER
    done = invoke("credentials", "s3://data/in/", "--duration", "43200", "--format", "env")
    assert done.exit_code == 0
    assert 0 < seconds_left(done.stdout) <= LEFTOVER
    assert done.stderr.count("\n") == 1
    assert re.match(r"The credentials expire at \S+Z, not after 43200 seconds\. ", done.stderr)


def test_where_no_list_of_sessions_can_be_kept_the_credentials_are_printed_all_the_same(alice, run):
    settings = {"S3_ACCESS_GRANTS_CACHE": "memory", "S3_ACCESS_GRANTS_CACHE_FOLDER": "not/absolute"}
    done = run("credentials", "s3://data/in/", **settings)
    assert done.returncode == 0, done.stderr
    assert "AccessKeyId" in done.stdout
