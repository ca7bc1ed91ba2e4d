"""Many threads, or tasks, at once: one call per grant, whatever the number of folders, keys and threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from botocore.config import Config

from access_grants_provider.core.io_requests import GetDataAccess
from access_grants_provider.exceptions import ServiceFailure

THREADS = 64


@pytest.fixture
def grants(edge, clock):
    with edge.local_service(clock, over_http=True) as server:
        server.bucket("data")
        yield server


@pytest.fixture
def client(grants, register):
    """Return a maker of registered clients that are warm but for grants: the account and the connections are known."""

    def make(**options):
        alice = grants.identity("alice")
        s3 = grants.session(alice).client("s3", config=Config(max_pool_connections=THREADS))
        provider = register(s3, account_id=grants.account_id, **options)
        return alice, provider, s3

    return make


def at_once(calls):
    """Run the calls in a thread each, all released by one barrier; return their results in order."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def explain(provider, key):
    return lambda: provider.explain("get_object", Bucket="data", Key=key)


def test_one_grant_in_64_folders_is_vended_once(grants, client):
    alice, _, s3 = client()
    grants.grant(alice, "s3://data/*", "READ")
    for number in range(THREADS):
        grants.put(f"s3://data/folder-{number}/x", b"1")
    reads = [
        lambda number=number: s3.get_object(Bucket="data", Key=f"folder-{number}/x")["Body"].read()
        for number in range(THREADS)
    ]
    with ThreadPoolExecutor(THREADS) as pool, grants.hold("GetDataAccess") as held:
        started = [pool.submit(read) for read in reads]
        held.wait_for(1)
        held.release()
        wait(started)
    assert [one.result() for one in started] == [b"1"] * THREADS
    assert grants.calls("GetDataAccess") == 1
    assert {one.signer for one in grants.s3_requests()} == {"grant"}


def test_64_grants_are_vended_side_by_side(grants, client):
    alice, provider, _ = client()
    for number in range(THREADS):
        grants.grant(alice, f"s3://data/team-{number}/*", "READ")
    with ThreadPoolExecutor(THREADS) as pool, grants.hold("GetDataAccess") as first:
        started = [pool.submit(explain(provider, f"team-{number}/x")) for number in range(THREADS)]
        # The first goes alone, for it could have been one grant for all ...
        first.wait_for(1)
        assert first.waiting == 1
        with grants.hold("GetDataAccess") as others:
            first.release()
            # ... and then all the others are under way at the same time: two rounds, so two times one vend.
            others.wait_for(THREADS - 1)
        wait(started)
    assert {one.result().scope for one in started} == {f"s3://data/team-{number}/*" for number in range(THREADS)}
    assert grants.calls("GetDataAccess") == THREADS


def test_few_grants_over_many_folders_are_vended_once_each(grants, client):
    alice, provider, _ = client()
    for team in range(4):
        grants.grant(alice, f"s3://data/team-{team}/*", "READ")
    decisions = at_once([explain(provider, f"team-{number % 4}/day-{number}/x") for number in range(THREADS)])
    assert {one.outcome for one in decisions} == {"granted"}
    assert grants.calls("GetDataAccess") == 4


def test_a_herd_at_keys_nobody_granted_asks_little(grants, client):
    alice, provider, _ = client()
    grants.grant(alice, "s3://data/elsewhere/*", "READ")
    decisions = at_once([explain(provider, f"private/{number}") for number in range(THREADS)])
    assert {one.outcome for one in decisions} == {"fallback"}
    assert grants.control_calls() <= 6


def test_waiters_get_the_leaders_failure_each_as_an_error_of_their_own(grants, client):
    alice, provider, _ = client()
    grants.grant(alice, "s3://data/*", "READ")
    grants.fail("GetDataAccess", "AccessGrantsBroken", status=400, times=None)

    def failing(number):
        try:
            explain(provider, f"{number}/x")()
        except ServiceFailure as error:
            return error
        raise AssertionError("it did not fail")

    with ThreadPoolExecutor(8) as pool, grants.hold("GetDataAccess") as held:
        started = [pool.submit(failing, number) for number in range(8)]
        held.wait_for(1)
        held.release()
        errors = [one.result() for one in started]
    assert len(set(map(id, errors))) == len(errors)
    assert all("AccessGrantsBroken" in str(error) for error in errors)


def test_after_a_failure_the_next_request_asks_again(grants, client):
    alice, provider, _ = client()
    grants.grant(alice, "s3://data/*", "READ")
    grants.fail("GetDataAccess", "AccessGrantsBroken", status=400, times=1)
    with pytest.raises(ServiceFailure, match="AccessGrantsBroken"):
        explain(provider, "x")()
    assert explain(provider, "x")().outcome == "granted"


def test_an_interrupted_leader_hands_over(grants, client, edge):
    alice, provider, _ = client()
    grants.grant(alice, "s3://data/*", "READ")
    interrupted, waiting = threading.Event(), threading.Event()

    def interrupt_first(step):
        if isinstance(step, GetDataAccess) and not interrupted.is_set():
            interrupted.set()
            waiting.wait(10)
            raise edge.interruption
        if not isinstance(step, GetDataAccess):
            waiting.set()

    provider.explain("list_buckets")
    edge.before_each_step(interrupt_first)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(explain(provider, "a/x"))
        interrupted.wait(10)
        second = pool.submit(explain(provider, "b/x"))
        assert second.result().outcome == "granted"
        with pytest.raises(edge.interrupted):
            first.result()
