"""The same with processes: each has a session and a client, and reads one object over HTTP from the local service.

They are forked from this process, which has imported everything and read botocore's models, and has made no client:
importing boto3 in 200 processes takes minutes of CPU time. Before they begin, at one moment, each has read the object
once, without a limit, and has forgotten all it was told: so its clients exist, and the time is that of the calls. 200
processes that make their clients at once on two cores take 5 to 13 s for that alone, and never reach 50 calls a second.
Where the account is unknown, none has read anything before: a process remembers the account of a key. Each process ends
by itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any

import access_grants_provider
from access_grants_provider.testing import AccessGrantsServer
from access_grants_provider.testing.clients import make_session
from access_grants_provider.testing.http_server import HttpServer
from access_grants_provider.testing.identities import Identity

from .herd import BUCKET, GRANT, KEY, Ended, Herd, Outcome

__all__ = ["run"]

# For making so many clients on the cores there are, and for the rest of it: imports of the service, the last answers.
PREPARE_SECONDS_EACH, SPARE_SECONDS = 0.5, 60.0
REGION = "us-east-1"


def run(herd: Herd, limit_seconds: float = 150.0) -> Outcome:
    """Let so many processes start at once; each is killed by its own alarm after ``limit_seconds``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, herd), daemon=True)
    server.start()
    theirs.close()
    try:
        url, identity = ours.recv()
        outcome = Outcome(herd, _work(herd, url, identity, limit_seconds, ours))
        ours.send("end")
        outcome.calls, outcome.vends, as_caller = ours.recv()
    finally:
        ours.close()
        server.join(10)
        server.kill()
    if as_caller != outcome.as_caller:
        raise AssertionError(f"the service saw {as_caller} requests of the caller, the workers say {outcome.as_caller}")
    return outcome


def _serve(pipe: Connection, herd: Herd) -> None:
    """Run the service until it is told to end; then send what it has counted."""
    # All connect within a moment. A connection over the backlog is tried again after a second.
    HttpServer.request_queue_size = 1024
    with AccessGrantsServer() as server:
        worker = server.identity("worker")
        server.bucket(BUCKET)
        server.put(f"s3://{BUCKET}/{KEY}", b"first byte")
        server.grant(worker, GRANT, "READ")
        # With this, a request that is signed as the caller succeeds, and is seen.
        server.allow(worker, GRANT, "READ")
        pipe.send((server.url, worker))
        pipe.recv()
        server.forget_requests()
        for operation in ("GetDataAccess", "GetCallerIdentity"):
            server.rate_limit(operation, herd.rate)
        pipe.send("limited")
        pipe.recv()
        records = server.requests
        control = [record for record in records if record.is_control_call]
        reads = Counter(record.signer for record in records if record.operation == "GetObject")
        vends = sum(record.operation == "GetDataAccess" and record.status == 200 for record in control)
        pipe.send((Counter(record.operation for record in control), vends, reads["worker"]))


class _Pipes:
    """What the workers and this process tell each other.

    A byte for each that is ready, the end of the file to begin, and a line of what came of each, which is short enough
    to be written in one piece.
    """

    def __init__(self) -> None:
        self.ready, self.gate, self.said = os.pipe(), os.pipe(), os.pipe()

    def keep(self, *ends: int) -> None:
        """Close the ends that this process does not use."""
        for end in {*self.ready, *self.gate, *self.said} - {*ends}:
            os.close(end)

    def read_lines(self, until: float) -> list[bytes]:
        """Return what the workers have said when all have ended, or at ``until`` (monotonic seconds)."""
        text = b""
        while select.select([self.said[0]], [], [], max(0.0, until - time.monotonic()))[0]:
            part = os.read(self.said[0], 65536)
            if not part:
                break
            text += part
        return text.splitlines()


def _work(herd: Herd, url: str, identity: Identity, limit_seconds: float, server: Connection) -> list[Ended]:
    """Fork the workers, let them begin, and return what each says."""
    # All sessions share what this loader has read, which would take each process 0.1 s of CPU time.
    loader = make_session(identity, REGION)._session.get_component("data_loader")
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", kind)
    pipes = _Pipes()
    with tempfile.TemporaryDirectory() as folder:
        pids = [
            _fork(_Worker(herd, number, url, identity, folder), pipes, limit_seconds) for number in range(herd.workers)
        ]
        pipes.keep(pipes.ready[0], pipes.gate[1], pipes.said[0])
        for _ in pids:
            os.read(pipes.ready[0], 1)
        server.send("limit")
        server.recv()
        begun = time.monotonic()
        os.close(pipes.gate[1])
        lines = pipes.read_lines(begun + limit_seconds)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    os.close(pipes.ready[0])
    os.close(pipes.said[0])
    ended = [Ended(how, at - begun) for how, at in map(json.loads, lines)]
    return ended + [Ended("no word", limit_seconds)] * (herd.workers - len(ended))


def _fork(worker: _Worker, pipes: _Pipes, limit_seconds: float) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        # It ends by itself, whatever becomes of the process that it was forked from.
        signal.alarm(int(limit_seconds + SPARE_SECONDS + PREPARE_SECONDS_EACH * worker.herd.workers))
        pipes.keep(pipes.ready[1], pipes.gate[0], pipes.said[1])
        try:
            worker.prepare()
        finally:
            # Nobody begins before all have said so.
            os.write(pipes.ready[1], b".")
        os.read(pipes.gate[0], 1)
        how = worker.read()
        os.write(pipes.said[1], json.dumps([how, time.monotonic()]).encode() + b"\n")
    except Exception:  # noqa: BLE001  this process ends here, and its parent's code is not its own
        traceback.print_exc()
    finally:
        os._exit(0)


class _Worker:
    """One process that has asked for nothing yet."""

    def __init__(self, herd: Herd, number: int, url: str, identity: Identity, folder: str) -> None:
        self.herd = herd
        self._number = number
        self._url = url
        self._identity = identity
        self._folder = folder
        self._outcomes: list[str] = []
        self._s3: Any = None

    def prepare(self) -> None:
        """Make a session that is registered, and a client; use it once, and forget what was vended."""
        herd, identity = self.herd, self._identity
        session = make_session(identity, REGION)
        if herd.account_known:
            keys = identity.access_key_id, identity.secret_access_key, identity.session_token
            session._session.set_credentials(*keys, account_id=identity.account_id)
        if herd.per_host:
            os.environ["S3_ACCESS_GRANTS_CACHE_FOLDER"] = f"{self._folder}/host-{self._number // herd.per_host}"
        provider = access_grants_provider.register(
            session,
            endpoint_url=self._url,
            timeout_seconds=herd.timeout_seconds,
            cache="disk" if herd.per_host else "memory",
            on_decision=lambda decision: self._outcomes.append(decision.outcome),
        )
        self._s3 = session.client("s3", endpoint_url=self._url)
        if herd.account_known:
            self.read()
            provider.clear()

    def read(self) -> str:
        """Read the first byte; return who signed for it, or the name of the error."""
        self._outcomes.clear()
        try:
            self._s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read(1)
        except Exception as error:  # noqa: BLE001  whatever it is, it is counted
            return type(error).__name__
        return "grant" if self._outcomes == ["granted"] else "caller"
