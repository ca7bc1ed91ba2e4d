"""Calls to S3 Control and STS, and the time a herd waits: the official plugin and access_grants_provider.

Run ``python -m benchmarks.control_calls`` in an environment with the extras ``testing`` and ``bench``. Both run against
the local S3 Access Grants, which counts what it is asked: in process, and for the last row over HTTP in a process of
its own, so that its work does not count as theirs. The exit code is 1 where a figure of ours leaves its bar.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import botocore.session
from botocore.exceptions import ClientError

import access_grants_provider
from access_grants_provider.testing import AccessGrantsServer, Identity, LocalAccessGrants, mock_access_grants

BUCKET = "warehouse"
THREADS = 64
VEND_SECONDS = 0.2
ACCOUNT = "123456789012"

Call = Callable[[], object]


class World(NamedTuple):
    """A running service, somebody with grants there, and that person's client."""

    grants: LocalAccessGrants
    alice: Identity
    s3: Any

    def read(self, key: str) -> None:
        """Read an object, refused or not."""
        try:
            self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise


def session_of(identity: Identity, account_id: str | None) -> botocore.session.Session:
    """Return a session that signs as somebody, whose credentials tell their account or do not."""
    session = botocore.session.Session()
    session.set_credentials(
        identity.access_key_id, identity.secret_access_key, identity.session_token, account_id=account_id
    )
    session.set_config_variable("region", "us-east-1")
    return session


def ours(identity: Identity, account_id: str | None = None, **options: Any) -> Any:
    """Return a client with access_grants_provider."""
    session = session_of(identity, account_id)
    access_grants_provider.register(session, **options)
    return session.create_client("s3")


def theirs(identity: Identity) -> Any:
    """Return a client with the official plugin; its caches belong to the process and are emptied."""
    from aws_s3_access_grants_boto3_plugin.cache.access_denied_cache import AccessDeniedCache
    from aws_s3_access_grants_boto3_plugin.cache.access_grants_cache import AccessGrantsCache
    from aws_s3_access_grants_boto3_plugin.cache.bucket_region_resolver_cache import BucketRegionResolverCache
    from aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin import S3AccessGrantsPlugin

    S3AccessGrantsPlugin.access_denied_cache = AccessDeniedCache()
    S3AccessGrantsPlugin.access_grants_cache = AccessGrantsCache()
    S3AccessGrantsPlugin.bucket_region_cache = BucketRegionResolverCache()
    S3AccessGrantsPlugin.client_dict = {}
    session = session_of(identity, None)
    client = session.create_client("s3")
    S3AccessGrantsPlugin(client, fallback_enabled=True, customer_session=session).register()
    return client


@contextmanager
def world(make: Callable[[Identity], Any], prepare: Callable[[LocalAccessGrants, Identity], None]) -> Iterator[World]:
    """Start a service, prepare it, and make a client."""
    with mock_access_grants() as grants:
        grants.bucket(BUCKET)
        alice = grants.identity("alice")
        prepare(grants, alice)
        client = make(alice)
        grants.forget_requests()
        yield World(grants, alice, client)


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
    for number in range(THREADS):
        grants.put(f"s3://{BUCKET}/folder-{number}/x", b"1")


def one_object(grants: LocalAccessGrants, alice: Identity) -> None:
    """Give a grant on one object."""
    grants.grant(alice, f"s3://{BUCKET}/only/this", "READ")
    grants.put(f"s3://{BUCKET}/only/this", b"1")


def elsewhere(grants: LocalAccessGrants, alice: Identity) -> None:
    """Give a grant on what is not asked for."""
    grants.grant(alice, f"s3://{BUCKET}/elsewhere/*", "READ")


def many_grants(grants: LocalAccessGrants, alice: Identity) -> None:
    """Give a grant on each folder, each vend taking its time."""
    for number in range(THREADS):
        grants.grant(alice, f"s3://{BUCKET}/folder-{number}/*", "READ")
        grants.put(f"s3://{BUCKET}/folder-{number}/x", b"1")
    grants.delay("GetDataAccess", VEND_SECONDS)


def herd(one: World) -> list[Call]:
    """Return a read for each folder."""
    return [lambda number=number: one.read(f"folder-{number}/x") for number in range(THREADS)]  # type: ignore[misc]


def main() -> int:
    """Run every scenario for both, print the table."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_ACCESS_GRANTS_", "BOTOCORE_"))]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_DEFAULT_REGION="us-east-1"
    )
    missed = 0

    def row(what: str, peer: object, own: float, bar: float, form: str = "{:.0f}") -> None:
        nonlocal missed
        missed += own > bar
        shown = form.format(own) + ("" if own <= bar else "  MISSED")
        print(f"{what:62}{peer!s:>10}{shown:>10}{'≤ ' + form.format(bar):>9}")

    def count(make: Callable[[Identity], Any], prepare: Any, act: Callable[[World], object]) -> tuple[int, int]:
        with world(make, prepare) as one:
            act(one)
            return one.grants.control_calls(), one.grants.calls("GetDataAccess")

    def first(one: World) -> None:
        one.read("folder-0/x")

    def warm(one: World) -> None:
        one.read("folder-0/x")
        one.grants.forget_requests()
        one.read("folder-0/x")

    print(f"{'':62}{'official':>10}{'ours':>10}{'bar':>9}")
    row(
        "control calls of the first request",
        count(theirs, whole_bucket, first)[0],
        count(ours, whole_bucket, first)[0],
        3,
    )
    known = count(lambda who: ours(who, who.account_id), whole_bucket, first)[0]
    row("  where the credentials tell their account", "", known, 2)
    row("  with account_id", "", count(lambda who: ours(who, account_id=ACCOUNT), whole_bucket, first)[0], 1)
    row("control calls of a warm request", count(theirs, whole_bucket, warm)[0], count(ours, whole_bucket, warm)[0], 0)

    def ten(one: World) -> None:
        for _ in range(10):
            one.read("only/this")

    row(
        "vends for ten reads of one object grant", count(theirs, one_object, ten)[1], count(ours, one_object, ten)[1], 1
    )

    def ungranted(number: int) -> Callable[[World], None]:
        return lambda one: [one.read(f"private/{key}") for key in range(number)] and None

    row(
        "control calls for 300 keys nobody granted",
        count(theirs, elsewhere, ungranted(300))[0],
        count(ours, elsewhere, ungranted(300))[0],
        6,
    )

    def together(one: World) -> None:
        at_once(herd(one))

    row(
        f"vends of {THREADS} threads cold, one grant, {THREADS} folders",
        count(theirs, whole_bucket, together)[1],
        count(ours, whole_bucket, together)[1],
        2,
    )

    (one_theirs, all_theirs), (one_ours, all_ours) = waited(theirs), waited(lambda who: ours(who, account_id=ACCOUNT))
    what = f"{THREADS} threads cold, {THREADS} grants, until all are signed: times one cold vend"
    row(what, f"{all_theirs / one_theirs:.1f}", all_ours / one_ours, 3, " {:.1f}")
    print(f"  a vend takes {VEND_SECONDS * 1000:.0f} ms; official: {one_theirs * 1000:.0f} ms for one, ", end="")
    print(f"{all_theirs * 1000:.0f} for all; ours: {one_ours * 1000:.0f} for one, {all_ours * 1000:.0f} for all")
    return 1 if missed else 0


def serve(to_parent: Connection) -> None:
    """Serve a world of many grants over HTTP until the parent says it is enough."""
    with AccessGrantsServer() as server:
        server.bucket(BUCKET)
        alice = server.identity("alice")
        many_grants(server, alice)
        to_parent.send((alice, server.environment(alice)))
        to_parent.recv()


def waited(make: Callable[[Identity], Any]) -> tuple[float, float]:
    """Return the seconds until one cold request is signed, and until a herd at as many grants is."""
    spawn = multiprocessing.get_context("spawn")
    connection, to_parent = spawn.Pipe()
    process = spawn.Process(target=serve, args=(to_parent,))
    process.start()
    alice, environment = connection.recv()
    before = dict(os.environ)
    os.environ.update(environment)

    def signing(client: Any, number: int) -> Call:
        # Signed and not sent: what S3 itself takes for 64 reads is not what is measured.
        params = {"Bucket": BUCKET, "Key": f"folder-{number}/x"}
        return partial(client.generate_presigned_url, "get_object", Params=params)

    try:
        # The best of three each: what is measured is the waiting, not what else the machine does.
        one, every = [], []
        for _ in range(3):
            client = make(alice)
            one.append(at_once([signing(client, 0)]))
            client = make(alice)
            every.append(at_once([signing(client, number) for number in range(THREADS)]))
        return min(one), min(every)
    finally:
        os.environ.clear()
        os.environ.update(before)
        connection.send("enough")
        process.join()


if __name__ == "__main__":
    sys.exit(main())
