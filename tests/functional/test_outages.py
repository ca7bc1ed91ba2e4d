"""Under fallback="always" a job does not wait for Access Grants on each request while they can't be asked."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config

pytestmark = pytest.mark.alice(
    "READ s3://data/in/*", own=["READ s3://data/*"], objects=[f"s3://data/in/{number}" for number in range(8)]
)
# How often a throttled call is made within `timeout_seconds`: after three pauses of up to 0.5 s and six of up to half
# of the time waited, another one would be too long.
ATTEMPTS = 10


@pytest.fixture
def job(grants, register, alice):
    """Reads an object; ``job.provider`` is asked for its counts."""
    session = grants.session(alice)
    provider = register(session, fallback="always", account_id=grants.account_id)
    s3 = session.client("s3", config=Config(retries={"total_max_attempts": 1}))

    def read(number=0):
        s3.get_object(Bucket="data", Key=f"in/{number}")["Body"].read()

    read.provider = provider
    return read


def test_a_job_asks_once_in_thirty_seconds(grants, job, clock, caplog):
    grants.fail("GetDataAccess", "SlowDown", times=None)
    asked = []
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            for number in range(8):
                job(number)
            asked.append(job.provider.stats().control_calls)
            clock.forward(30)
    assert {one.signer for one in grants.s3_requests()} == {"alice"}
    assert len(caplog.records) == 1
    assert job.provider.stats().fallback == 24
    assert asked == [ATTEMPTS, 2 * ATTEMPTS, 3 * ATTEMPTS]


def test_once_they_answer_again_the_grant_is_used(grants, job, clock):
    grants.fail("GetDataAccess", "SlowDown", times=None)
    job()
    grants.heal()
    job()
    clock.forward(30)
    job()
    assert [one.signer for one in grants.s3_requests()] == ["alice", "alice", "grant"]


def test_an_outage_ends_after_thirty_seconds_though_the_clock_was_set_back(grants, job, clock):
    grants.fail("GetDataAccess", "SlowDown", times=None)
    job()
    grants.heal()
    # The local service takes no signature that is a quarter of an hour off.
    clock.set_back(800)
    clock.forward(29)
    job()
    clock.forward(1)
    job()
    assert [one.signer for one in grants.s3_requests()] == ["alice", "alice", "grant"]


def test_while_one_asks_again_the_others_go_on(grants, job, clock):
    grants.fail("GetDataAccess", "SlowDown", times=None)
    job()
    grants.heal()
    clock.forward(30)
    with ThreadPoolExecutor(8) as pool, grants.hold("GetDataAccess") as held:
        first = pool.submit(job, 0)
        held.wait_for(1)
        for other in [pool.submit(job, number) for number in range(1, 8)]:
            other.result(30)
        held.release()
        first.result(30)
    assert [one.signer for one in grants.s3_requests()] == ["alice"] * 8 + ["grant"]


def test_clear_forgets_an_outage(grants, job):
    grants.fail("GetDataAccess", "SlowDown", times=None)
    job()
    grants.heal()
    job.provider.clear()
    job()
    assert [one.signer for one in grants.s3_requests()] == ["alice", "grant"]
