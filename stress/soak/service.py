"""The local S3 Access Grants in a process of its own, where a share of the requests meets a fault."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from random import Random
from threading import Lock
from typing import Any

from access_grants_provider.testing import AccessGrantsServer
from access_grants_provider.testing.dispatch import claim_of, service_of
from access_grants_provider.testing.errors import Refusal, error_response
from access_grants_provider.testing.http_messages import Request, Response
from access_grants_provider.testing.records import PROVIDER_USER_AGENT

from .scenario import BUCKET, BY_NAME, LIFE_SECONDS, PEOPLE, STRANGER, folders

FAULT_SHARE = 0.05
# botocore makes five attempts. A fault befalls the first two only, so a request that is sent again always arrives.
FAULTED_ATTEMPTS = 2
# A control call is made by the package's own rules: where its connection broke, a second time and no third. Its
# attempts are requests of their own (each says attempt=1), so a call that met a fault meets no other for a while.
SPARED_SECONDS = 10.0


@dataclass(frozen=True)
class Fault:
    """A fault that befell somebody's request. ``broken``: an unreadable answer, which botocore does not mend."""

    time: float
    kind: str
    name: str | None
    broken: bool


class FaultyServer(AccessGrantsServer):
    """Answers and records; then puts a fault in place of one answer in twenty. What it did is done all the same."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random, self._dice, self._turn = Random(f"{seed}/faults"), Lock(), Lock()
        self.faults: list[Fault] = []
        self._spared: dict[tuple[str, ...], float] = {}

    def handle(self, request: Request) -> Response | None:
        """Answer a request, or with a fault. Raises ConnectionResetError to hang up."""
        # One at a time: moto lists a bucket while another thread deletes from it, and stumbles.
        with self._turn:
            response = super().handle(request)
        found = re.search(r"attempt=(\d+)", request.header("amz-sdk-request"))
        attempt = int(found[1]) if found else FAULTED_ATTEMPTS + 1
        with self._dice:
            hit, drawn = self._random.random() < FAULT_SHARE, self._random.random()
        if response is None or not hit or attempt > FAULTED_ATTEMPTS:
            return response
        claim = claim_of(request)
        credential = self._identities.find(claim.access_key_id) if claim else None
        if credential is None or claim is None or self._is_spared(claim.access_key_id, request):
            return response
        service = service_of(request)
        kinds = ["InternalError", "SlowDown", "reset"]
        if service == "sts" or "x-amz-account-id" in request.headers:
            kinds += ["cut off", "empty", "no XML"] if response.status == 200 else []
        elif credential.vended and attempt == 1 and request.method != "HEAD":
            # Only where the package is sure to mend it: its answer to HEAD has no body, so its code is not seen.
            kinds.append("ExpiredToken")
        kind = kinds[int(drawn * len(kinds))]
        broken = kind in ("cut off", "empty", "no XML")
        with self._dice:
            self.faults.append(Fault(time.time(), kind, credential.principal.name, broken))
        if kind == "reset":
            raise ConnectionResetError("a fault on demand")
        if not broken:
            return error_response(Refusal(kind, f"{kind}, a fault on demand"), service, request.method)
        bodies = {"cut off": response.body[: len(response.body) // 2], "empty": b"", "no XML": b"<p>busy"}
        return Response(200, {"Content-Type": "application/xml"}, bodies[kind])

    def _is_spared(self, access_key_id: str, request: Request) -> bool:
        """Tell whether this is a control call that met a fault just now; if not, it is spared from now on."""
        if PROVIDER_USER_AGENT not in request.header("user-agent"):
            return False
        call = (access_key_id, request.method, request.path, request.query)
        now = time.monotonic()
        with self._dice:
            if now < self._spared.get(call, 0.0):
                return True
            self._spared[call] = now + SPARED_SECONDS
        return False

    def fault_log(self) -> list[Fault]:
        """Every fault so far."""
        with self._dice:
            return list(self.faults)

    def furnish(self) -> None:
        """Make the bucket, the people, their grants and their own permissions."""
        self.bucket(BUCKET)
        self.lifetime = LIFE_SECONDS
        for person in PEOPLE:
            name, identity = person.name, self.identity(person.name)
            for folder in folders(name):
                self.put(f"s3://{BUCKET}/{folder}base", b"1")
            self.put(f"s3://{BUCKET}/object/{name}", b"1")
            self.grant(identity, f"s3://{BUCKET}/steady/{name}/*", "READWRITE")
            self.grant(identity, f"s3://{BUCKET}/object/{name}", "READ")
            self.grant(identity, f"s3://{BUCKET}/shared/*", "READ")
            for own in ("shared/", f"own/{name}/", f"moving/{name}/"):
                self.allow(identity, f"s3://{BUCKET}/{own}*", "READWRITE")

    def rotated(self, name: str) -> Any:
        """Give somebody new keys; the old ones go on working."""
        return self.rotate(self.identity(name))


def serve(pipe: Connection, seed: int) -> None:
    """Run the service in this process: each message is a Python call on it, ``None`` ends it."""
    server = FaultyServer(seed)
    with server:
        server.furnish()
        pipe.send((server.url, {name: server.identity(name) for name in (STRANGER, *BY_NAME)}))
        while (message := pipe.recv()) is not None:
            name, *arguments = message
            found = getattr(server, name)
            pipe.send(found(*arguments) if callable(found) else found)


class Service:
    """The service in the other process."""

    def __init__(self, seed: int) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, seed), daemon=True)
        self._process.start()
        theirs.close()
        self._lock = Lock()
        self.counts: Counter[str] = Counter()
        self.url, self.identities = self._pipe.recv()

    def call(self, *message: object) -> Any:
        """Call a method of the server, or read one of its attributes, by name."""
        with self._lock:
            self.counts[str(message[0])] += 1
            self._pipe.send(message)
            return self._pipe.recv()

    def stop(self) -> None:
        """End the process."""
        with self._lock:
            self._pipe.send(None)
            self._process.join(20)
            if self._process.is_alive():
                self._process.kill()
            self._pipe.close()
