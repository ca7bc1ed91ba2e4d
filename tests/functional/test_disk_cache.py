"""What processes share under ``cache="disk"``: each session here has a provider of its own, as each process has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

LIFE = 400  # seconds: the advisory window opens after 300, the mandatory one after 350


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def alice(grants):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/a/*", "READWRITE")
    for key in ("a/x", "a/y/z"):
        grants.put(f"s3://data/{key}", b"1")
    grants.lifetime = LIFE
    return alice


@pytest.fixture
def process(grants, register):
    """Return a maker of what a new process has: a session, its provider and a client."""

    def start(identity, **options):
        session = grants.session(identity)
        provider = register(session, cache="disk", **options)
        return provider, session.client("s3")

    return start


def get(s3, key="a/x") -> bytes:
    return s3.get_object(Bucket="data", Key=key)["Body"].read()


def test_the_second_process_asks_nothing(alice, process, control):
    get(process(alice)[1])
    assert "GetDataAccess" in control()
    provider, s3 = process(alice)
    assert get(s3) == get(s3, "a/y/z") == b"1"
    s3.list_objects_v2(Bucket="data", Prefix="a/y")
    assert control() == []
    assert (provider.stats().vended, provider.stats().granted) == (0, 3)


def test_what_is_loaded_from_disk_is_reported_as_cached(alice, process):
    get(process(alice)[1])
    provider, _ = process(alice)
    assert provider.explain("get_object", Bucket="data", Key="a/x").source == "cache"


def test_reading_is_no_permission_to_write(alice, process, control):
    get(process(alice)[1])
    control()
    process(alice)[1].put_object(Bucket="data", Key="a/x", Body=b"2")
    assert control()[-1] == "GetDataAccess"


@pytest.mark.parametrize(
    "options", [{"duration_seconds": 900}, {"privilege": "Minimal"}, {"account_id": "123456789012"}]
)
def test_other_options_are_other_credentials(alice, process, control, options):
    get(process(alice)[1])
    control()
    get(process(alice, **options)[1])
    assert "GetDataAccess" in control()


def test_another_identity_finds_nothing(grants, alice, process, control):
    get(process(alice)[1])
    control()
    bob = grants.identity("bob")
    with pytest.raises(ClientError, match="AccessDenied"):
        get(process(bob)[1])
    assert "GetDataAccess" in control()


def test_what_has_ended_is_not_loaded(alice, process, clock, control):
    get(process(alice)[1])
    clock.forward(LIFE)
    control()
    assert get(process(alice)[1]) == b"1"
    assert "GetDataAccess" in control()


def test_in_the_advisory_window_a_new_process_renews_for_those_that_come_later(alice, process, clock, control):
    get(process(alice)[1])
    clock.forward(301)
    control()
    get(process(alice)[1])
    assert control().count("GetDataAccess") == 1
    get(process(alice)[1])
    assert control() == []


def test_a_process_takes_over_what_another_one_has_renewed(alice, process, clock, control):
    _, old = process(alice)
    get(old)
    clock.forward(301)
    get(process(alice)[1])
    control()
    get(old)
    assert control() == []


def test_where_renewing_fails_what_is_loaded_serves(grants, alice, process, clock, caplog):
    get(process(alice)[1])
    clock.forward(301)
    grants.fail("GetDataAccess", "SomethingBroke", status=400, times=None)
    assert get(process(alice)[1]) == b"1"
    assert "stay in use" in caplog.text
    clock.forward(50)
    with pytest.raises(Exception, match="SomethingBroke"):
        get(process(alice)[1])


def test_what_s3_has_refused_as_expired_is_loaded_by_no_process(grants, alice, process, control):
    _, s3 = process(alice)
    get(s3)
    grants.fail("GetObject", "ExpiredToken", status=400)
    assert get(s3) == b"1"
    assert control().count("GetDataAccess") == 2
    provider, other = process(alice)
    get(other)
    assert control() == []
    assert provider.stats().recovered == 0


def test_clear_is_for_every_caller_and_process_of_this_user(grants, alice, process, clock, control, folder):
    bob = grants.identity("bob")
    grants.grant(bob, "s3://data/a/*", "READ")
    get(process(alice)[1])
    get(process(bob)[1])
    # This one has made no request, so it knows no caller.
    process(alice)[0].clear()
    assert list(folder.rglob("*.json")) == []
    for identity in (alice, bob):
        clock.forward(1)
        control()
        get(process(identity)[1])
        assert control().count("GetDataAccess") == 1
        get(process(identity)[1])
        assert control() == []


def test_what_clear_forgot_does_not_come_back_with_the_next_register(grants, alice, process, clock, control):
    provider, s3 = process(alice)
    get(s3)
    clock.forward(1)
    provider.clear()
    clock.forward(1)
    provider.unregister()
    control()
    get(process(alice)[1])
    assert control().count("GetDataAccess") == 1


def test_what_another_process_was_vended_during_clear_is_found_by_nobody(grants, alice, process, clock, control):
    """It asked before, and is answered and stores the credentials after."""
    other, _ = process(alice)
    with ThreadPoolExecutor(1) as pool, grants.hold("GetDataAccess") as held:
        vending = pool.submit(get, process(alice)[1])
        held.wait_for(1)
        clock.forward(1)
        other.clear()
        clock.forward(1)
        held.release()
        assert vending.result() == b"1"
    control()
    get(process(alice)[1])
    assert control().count("GetDataAccess") == 1


@pytest.mark.parametrize("ahead", [8 * 3600, -8 * 3600])
def test_a_clock_that_was_wrong_when_the_cache_was_cleared_costs_one_vend(grants, alice, process, clock, ahead):
    get(process(alice)[1])
    clock.set_back(-ahead)
    process(alice)[0].clear()
    clock.set_back(ahead)
    grants.forget_requests()
    for _ in range(3):
        clock.forward(1)
        get(process(alice)[1])
    assert 1 <= [one.operation for one in grants.requests].count("GetDataAccess") <= 2


def test_a_folder_open_to_others_is_not_used(alice, process, folder, caplog, control):
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    for _ in range(2):
        control()
        assert get(process(alice)[1]) == b"1"
        assert control().count("GetDataAccess") == 1
    assert "the cache on disk is not used" in caplog.text
    assert list(folder.iterdir()) == []


def test_a_denial_is_not_shared(grants, alice, process):
    bob = grants.identity("bob")
    with pytest.raises(ClientError, match="AccessDenied"):
        get(process(bob)[1])
    grants.grant(bob, "s3://data/*", "READ")
    assert get(process(bob)[1]) == b"1"


def test_no_name_on_disk_tells_a_bucket_or_a_key_id(alice, process, folder):
    get(process(alice)[1])
    names = " ".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert names
    for told in ("data", "a/x", alice.access_key_id, alice.access_key_id[:4]):
        assert told not in names


HERD = """
import os, sys
import boto3
import access_grants_provider

session = boto3.Session()
access_grants_provider.register(session, cache="disk")
ready, go = os.pipe()
children = []
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid:
        os.close(go)
        os.read(ready, 1)
        try:
            body = session.client("s3").get_object(Bucket="data", Key=f"a/folder-{number}/x")["Body"].read()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0 if body == b"1" else 2)
    children.append(pid)
os.close(ready)
os.close(go)
print(*children, flush=True)
print(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in children), flush=True)
"""


@pytest.fixture
def server(access_grants_server):
    server = access_grants_server
    server.bucket("data")
    alice = server.identity("alice")
    server.grant(alice, "s3://data/a/*", "READ")
    for number in range(32):
        server.put(f"s3://data/a/folder-{number}/x", b"1")
    return server


def herd(server, number):
    environment = {**os.environ, **server.environment(server.identity("alice"))}
    command = [sys.executable, "-c", HERD, str(number)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


@forks
@pytest.mark.parametrize("number", [6, pytest.param(32, marks=pytest.mark.exhaustive)])
def test_processes_cold_under_one_grant_vend_once_each_at_most_and_the_next_ones_never(server, number):
    assert finished(herd(server, number)) == number
    vended = server.calls("GetDataAccess")
    assert 1 <= vended <= number
    assert finished(herd(server, number)) == number
    assert server.calls("GetDataAccess") == vended
    assert {one.signer for one in server.s3_requests()} == {"grant"}


@forks
def test_when_a_process_that_vends_is_killed_the_others_finish(server):
    started = herd(server, 8)
    with server.hold("GetDataAccess") as held:
        held.wait_for(8, timeout=60)
        os.kill(first_child(started), signal.SIGKILL)
    assert finished(started) == 7


@forks
def test_no_process_waits_for_one_that_is_stopped_while_it_vends(server):
    started = herd(server, 1)
    with server.hold("GetDataAccess") as held:
        held.wait_for(1, timeout=60)
        child = first_child(started)
        os.kill(child, signal.SIGSTOP)
    try:
        assert finished(herd(server, 4)) == 4
    finally:
        os.kill(child, signal.SIGCONT)
    assert finished(started) == 1


def first_child(started) -> int:
    return int(started.stdout.readline().split()[0])


def finished(started) -> int:
    """Return how many of a herd's processes have read what they were to read, once all have ended."""
    with started:
        return int(started.stdout.read().split()[-1])
