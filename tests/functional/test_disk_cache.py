"""What processes share under ``cache="disk"``: each session here has a provider of its own, as each process would."""

from __future__ import annotations

import os
import subprocess
import sys

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


def test_what_is_recalled_is_told_as_cached(alice, process):
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


def test_what_has_ended_is_not_recalled(alice, process, clock, control):
    get(process(alice)[1])
    clock.forward(LIFE)
    control()
    assert get(process(alice)[1]) == b"1"
    assert "GetDataAccess" in control()


def test_in_the_advisory_window_a_new_process_renews_for_all(alice, process, clock, control):
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


def test_where_renewing_fails_what_is_recalled_serves(grants, alice, process, clock, caplog):
    get(process(alice)[1])
    clock.forward(301)
    grants.fail("GetDataAccess", "SomethingBroke", status=400, times=None)
    assert get(process(alice)[1]) == b"1"
    assert "stay in use for the moment" in caplog.text
    clock.forward(50)
    with pytest.raises(Exception, match="SomethingBroke"):
        get(process(alice)[1])


def test_what_s3_has_refused_as_expired_is_recalled_by_nobody(grants, alice, process, control):
    _, s3 = process(alice)
    get(s3)
    grants.fail("GetObject", "ExpiredToken", status=400)
    assert get(s3) == b"1"
    assert control().count("GetDataAccess") == 2
    provider, other = process(alice)
    get(other)
    assert control() == []
    assert provider.stats().recovered == 0


def test_clear_is_for_the_caller_alone_and_leaves_nothing_old_to_find(grants, alice, process, control, folder):
    bob = grants.identity("bob")
    grants.grant(bob, "s3://data/a/*", "READ")
    get(process(alice)[1])
    get(process(bob)[1])
    provider, s3 = process(alice)
    get(s3)
    provider.clear()
    assert len(list(folder.rglob("*.json"))) == 1
    control()
    get(process(bob)[1])
    assert control() == []
    get(s3)
    assert control().count("GetDataAccess") == 1


def test_clear_before_the_first_request_finds_nothing_older(alice, process, clock, control):
    get(process(alice)[1])
    clock.forward(1)
    provider, s3 = process(alice)
    provider.clear()
    control()
    get(s3)
    assert control().count("GetDataAccess") == 1


def test_a_folder_open_to_others_is_not_used(alice, process, folder, caplog, control):
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    for _ in range(2):
        control()
        assert get(process(alice)[1]) == b"1"
        assert control().count("GetDataAccess") == 1
    assert "the cache on disk is not used" in caplog.text
    # Nobody holds a lock that can't be had, so nobody waited for it.
    assert "another process" not in caplog.text
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_32_processes_cold_under_one_grant_are_one_vend(server):
    with herd(server, 32) as started:
        finished = started.stdout.read().split()[-1]
    assert finished == "32"
    assert server.calls("GetDataAccess") == 1
    assert {one.signer for one in server.s3_requests()} == {"grant"}


@pytest.mark.skipif(sys.platform != "linux", reason="who asks is read off /proc, which Linux has")
def test_when_the_one_that_asks_is_killed_the_others_finish(server):
    with server.hold("GetDataAccess") as held, herd(server, 8) as started:
        try:
            pids = [int(pid) for pid in started.stdout.readline().split()]
            held.wait_for(1, timeout=60)
            os.kill(asking(pids, server), 9)
        finally:
            held.release()
        finished = started.stdout.read().split()[-1]
    assert finished == "7"


def asking(pids, server) -> int:
    """Return the process that has called GetDataAccess: the only one with two connections to the server."""
    port = f":{int(server.url.rpartition(':')[2]):04X}"
    found = []
    for pid in pids:
        sockets = {os.readlink(f"/proc/{pid}/fd/{one}") for one in os.listdir(f"/proc/{pid}/fd")}
        with open(f"/proc/{pid}/net/tcp") as table:
            rows = [line.split() for line in table if port in line.split()[2]]
        found.append((sum(f"socket:[{row[9]}]" in sockets for row in rows), pid))
    most, pid = max(found)
    assert [count for count, _ in found].count(most) == 1
    return pid
