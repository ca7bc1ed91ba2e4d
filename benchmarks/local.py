"""The local S3 Access Grants in a process of its own, so that its work is not taken for a contestant's."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from access_grants_provider.testing import AccessGrantsServer

BUCKET = "warehouse"
HERD = 64
# What a program or one of the contestants may ask for.
OPERATIONS = (
    "GetDataAccess",
    "GetCallerIdentity",
    "GetAccessGrantsInstanceForPrefix",
    "ListCallerAccessGrants",
    "HeadBucket",
    "HeadObject",
    "GetObject",
)

Prepare = Callable[[AccessGrantsServer], None]


def _serve(pipe: Connection) -> None:
    with AccessGrantsServer() as server:
        server.bucket(BUCKET)
        alice, bob = server.identity("alice"), server.identity("bob", session=True)
        # Bob needs no grant: plain boto3 signs as him.
        server.allow(bob, f"s3://{BUCKET}/*", "READ")
        server.grant(alice, f"s3://{BUCKET}/all/*", "READ")
        for number in range(HERD):
            server.put(f"s3://{BUCKET}/all/folder-{number}/x", b"1")
            server.put(f"s3://{BUCKET}/team-{number}/x", b"1")
            server.grant(alice, f"s3://{BUCKET}/team-{number}/*", "READ")
        pipe.send((server.url, server.account_id, alice, bob, server.environment(alice)))
        while (message := pipe.recv()) is not None:
            name, *arguments = message
            pipe.send(getattr(server, name)(*arguments))


class Service:
    """The service in the other process. ``alice`` has grants on ``all/`` and each ``team-…/``; ``bob`` needs none.

    Bob signs with a session token, as whoever signs with a grant does: the token alone makes a signature ×1.2.
    """

    def __init__(self) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.url, self.account_id, self.alice, self.bob, self.environment = self._pipe.recv()

    def call(self, name: str, *arguments: object) -> Any:
        """Call a method of the server, by name."""
        self._pipe.send((name, *arguments))
        return self._pipe.recv()

    def round_trip(self, seconds: float) -> None:
        """Have every answer take this long, beside what it takes anyway."""
        self.call("heal")
        for operation in OPERATIONS:
            self.call("delay", operation, seconds)

    def stop(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


@contextmanager
def service() -> Iterator[Service]:
    """Run a service, and have the clients of this process find it, by the environment."""
    before = dict(os.environ)
    running = Service()
    os.environ.update(running.environment)
    try:
        yield running
    finally:
        running.stop()
        os.environ.clear()
        os.environ.update(before)
