"""Calls to S3 Control and STS, counted by the local S3 Access Grants, in process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from access_grants_provider.testing import Identity, LocalAccessGrants, mock_access_grants

from .contestants import ours, theirs
from .rows import NOT_HERE, Cell, Effort, Row, count

BUCKET = "warehouse"
ACCOUNT = "123456789012"
THREADS = (1, 8, 64)
# The official plugin makes two calls for each: 10,000 keys would take minutes and tell nothing more.
PEER_KEYS = 1_000
PEER_USER_AGENT = "aws_s3_access_grants_boto3_plugin"

Call = Callable[[], object]


class Scenario(NamedTuple):
    """A running service and the client of a caller with grants there."""

    grants: LocalAccessGrants
    s3: Any

    def read(self, key: str) -> None:
        """Read an object, refused or not."""
        try:
            self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise

    def sign(self, key: str) -> None:
        """Sign a read and don't send it."""
        self.s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})

    def control_calls(self) -> int:
        """Count the control calls, the official plugin's search for the bucket's region among them."""
        searches = [one for one in self.grants.s3_requests() if PEER_USER_AGENT in one.user_agent]
        return self.grants.control_calls() + len(searches)


Prepare = Callable[[LocalAccessGrants, Identity], None]


@contextmanager
def scenario(make: Callable[[Identity], Any], prepare: Prepare) -> Iterator[Scenario]:
    """Start a service, prepare it, and make a client."""
    with mock_access_grants() as grants:
        grants.bucket(BUCKET)
        alice = grants.identity("alice")
        prepare(grants, alice)
        client = make(alice)
        grants.forget_requests()
        yield Scenario(grants, client)


def at_once(calls: list[Call]) -> float:
    """Make all calls at the same moment, a thread each; return the seconds until the last was done."""
    barrier = threading.Barrier(len(calls) + 1)

    def run(call: Call) -> None:
        barrier.wait()
        call()

    with ThreadPoolExecutor(len(calls)) as pool:
        started = [pool.submit(run, call) for call in calls]
        barrier.wait()
        begin = time.perf_counter()
        for one in started:
            one.result()
        return time.perf_counter() - begin


def whole_bucket(grants: LocalAccessGrants, alice: Identity) -> None:
    """Give a grant on everything."""
    grants.grant(alice, f"s3://{BUCKET}/*", "READ")
    for number in range(max(THREADS)):
        grants.put(f"s3://{BUCKET}/folder-{number}/x", b"1")


def one_object(grants: LocalAccessGrants, alice: Identity) -> None:
    """Give a grant on one object."""
    grants.grant(alice, f"s3://{BUCKET}/only/this", "READ")
    grants.put(f"s3://{BUCKET}/only/this", b"1")


def elsewhere(grants: LocalAccessGrants, alice: Identity) -> None:
    """Give a grant on what is not asked for."""
    grants.grant(alice, f"s3://{BUCKET}/elsewhere/*", "READ")


def first(one: Scenario) -> None:
    """Make the very first request."""
    one.read("folder-0/x")


def warm(one: Scenario) -> None:
    """Make a second request; the first is forgotten."""
    one.read("folder-0/x")
    one.grants.forget_requests()
    one.read("folder-0/x")


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the section."""

    def controls(make: Callable[[Identity], Any], prepare: Prepare, act: Callable[[Scenario], object]) -> int:
        with scenario(make, prepare) as one:
            act(one)
            return one.control_calls()

    def vends(make: Callable[[Identity], Any], prepare: Prepare, act: Callable[[Scenario], object]) -> int:
        with scenario(make, prepare) as one:
            act(one)
            return one.grants.calls("GetDataAccess")

    def peer(measure: Callable[..., int], prepare: Prepare, act: Callable[[Scenario], object]) -> object:
        return measure(theirs, prepare, act) if effort.peer else NOT_HERE

    yield count(
        "control calls of the very first request",
        controls(ours, whole_bucket, first),
        3,
        peer=peer(controls, whole_bucket, first),
        chart="calls",
    )
    known = controls(lambda who: ours(who, known_account=who.account_id), whole_bucket, first)
    yield count("– where the credentials tell their account", known, 2)
    told = controls(lambda who: ours(who, account_id=ACCOUNT), whole_bucket, first)
    yield count("– with account_id", told, 1)
    yield count(
        "control calls of a warm request",
        controls(ours, whole_bucket, warm),
        0,
        peer=peer(controls, whole_bucket, warm),
        chart="calls",
    )

    def ten(one: Scenario) -> None:
        for _ in range(10):
            one.read("only/this")

    yield count(
        "GetDataAccess for ten reads of one object grant",
        vends(ours, one_object, ten),
        1,
        peer=peer(vends, one_object, ten),
        chart="calls",
    )

    keys = effort.of(10_000, 300)

    def ungranted(one: Scenario) -> None:
        for key in range(keys):
            one.sign(f"private/{key}")

    def fewer(one: Scenario) -> None:
        for key in range(PEER_KEYS):
            one.sign(f"private/{key}")

    asked = Cell(f"{controls(theirs, elsewhere, fewer):,} for {PEER_KEYS:,}") if effort.peer else NOT_HERE
    yield count(
        f"control calls for {keys:,} keys nobody granted, with fallback",
        controls(ours, elsewhere, ungranted),
        6,
        peer=asked,
    )

    for threads in THREADS:

        def together(one: Scenario, threads: int = threads) -> None:
            at_once([partial(one.read, f"folder-{number}/x") for number in range(threads)])

        yield count(
            f"GetDataAccess of {threads} thread{'s' * (threads > 1)} cold, one grant, a folder each",
            vends(ours, whole_bucket, together),
            2,
            peer=peer(vends, whole_bucket, together),
            chart="calls" if threads == max(THREADS) else "",
        )
