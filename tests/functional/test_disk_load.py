"""What is loaded from disk after S3 or another process has spoken, beside what ``test_disk_cache.py`` holds."""

from __future__ import annotations

import pytest

LIFE = 400  # seconds: the advisory window opens after 300, the mandatory one after 350


@pytest.fixture
def alice(grants):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/a/*", "READWRITE")
    grants.put("s3://data/a/x", b"1")
    grants.lifetime = LIFE
    return alice


@pytest.fixture
def process(grants, register):
    def start(identity):
        session = grants.session(identity)
        return register(session, cache="disk"), session.client("s3")

    return start


def get(s3, key="a/x") -> bytes:
    return s3.get_object(Bucket="data", Key=key)["Body"].read()


def assert_renewed_when_s3_refuses(s3, grants, clock, control) -> None:
    clock.forward(1)
    control()
    grants.fail("GetObject", "ExpiredToken", status=400, times=1)
    assert get(s3) == b"1"
    assert "GetDataAccess" in control()


def test_what_s3_refuses_later_than_it_was_vended_is_loaded_by_no_process(grants, alice, process, clock, control):
    _, first = process(alice)
    get(first)
    assert_renewed_when_s3_refuses(first, grants, clock, control)


def test_what_another_process_loaded_and_s3_refuses_is_loaded_by_no_process(grants, alice, process, clock, control):
    get(process(alice)[1])
    clock.forward(1)
    _, second = process(alice)
    get(second)
    assert_renewed_when_s3_refuses(second, grants, clock, control)


def test_a_nearer_grant_is_asked_for_though_another_process_has_renewed_the_wide_one(
    grants, alice, process, clock, control
):
    _, first = process(alice)
    get(first)
    clock.forward(301)
    # Longer than the first's, so that the first takes it over.
    get(process(alice)[1])
    clock.set_back(200)
    grants.grant(alice, "s3://data/a/x", "READ")
    control()
    grants.fail("GetObject", "AccessDenied", status=403, times=1)
    assert get(first) == b"1"
    assert control() == ["GetDataAccess"]
