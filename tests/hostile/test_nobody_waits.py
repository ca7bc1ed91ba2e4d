"""No request waits for ever: neither for another thread, nor for a service that does not answer."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

from access_grants_provider import AccessGrantsConfig
from access_grants_provider.exceptions import ServiceFailure, Unreachable

from .conftest import signers

# What a decision's calls may take beside the option, which is making clients on a busy machine: half a second on a
# quiet one. Without a bound of its own a call takes 300 s.
SLACK_SECONDS = 4.0
TIMEOUT_SECONDS = 2
PATIENT = Config(connect_timeout=60, read_timeout=60, retries={"total_max_attempts": 5})

# Circles of waits. Each program is a process of its own: what hangs in a signal handler can't be ended in here.

COVERED_CLIENT = r"""
import os, signal, sys, threading, time
import boto3
import access_grants_provider

session = boto3.Session()
access_grants_provider.register(session, fallback="never", timeout_seconds=2)
s3 = session.client("s3")

def say(text):
    # At once: two threads' prints get mixed up, and a signal handler must not print in the middle of one.
    os.write(1, f"{text}\n".encode())

def get(key):
    assert s3.get_object(Bucket="data", Key=key)["Body"].read() == b"1"
    say("read")

def put(key):
    s3.put_object(Bucket="data", Key=key, Body=b"2")
    say("wrote")

def wait_until_still(thread):
    # A thread that has not moved for 0.2 s waits for somebody.
    place, since = None, time.monotonic()
    while time.monotonic() - since < 0.2:
        frame = sys._current_frames().get(thread.ident)
        now = None if frame is None else (frame.f_code, frame.f_lasti)
        if now != place:
            place, since = now, time.monotonic()
        time.sleep(0.01)
"""


@pytest.mark.skipif(not hasattr(__import__("signal"), "pthread_kill"), reason="this system has no pthread_kill")
def test_two_threads_and_a_signal_handler_do_not_close_a_circle_over_get_caller_identity_and_a_vend(server, start):
    """The main thread asks for the caller's account; the second thread, which vends, waits for it.

    Then a signal handler in the main thread wants what the second thread vends.
    """
    with server.hold("GetCallerIdentity") as held:
        program = start(
            COVERED_CLIENT
            + """
def handle(*_):
    say("handling")
    put("in/checkpoint")

def second():
    sys.stdin.readline()
    vending = threading.Thread(target=put, args=("in/y",))
    vending.start()
    wait_until_still(vending)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    vending.join()

signal.signal(signal.SIGUSR1, handle)
thread = threading.Thread(target=second)
thread.start()
get("in/x")
thread.join()
"""
        )
        held.wait_for(1)
        program.tell("the main thread asks for its account")
        assert program.reads() == "handling"
    assert sorted(program.ended().splitlines()) == ["read", "wrote", "wrote"]
    assert {request.signer for request in server.s3_requests()} == {"grant"}


LOGGING_HANDLER = """
import logging

class ToS3(logging.Handler):
    own = threading.local()

    def filter(self, record):
        # As handlers that send to S3 do: what its own requests log is left alone.
        return not getattr(self.own, "busy", False)

    def emit(self, record):
        self.own.busy = True
        put("in/log")
        self.own.busy = False

logging.getLogger().setLevel(logging.INFO)
logging.getLogger().addHandler(ToS3())
"""


def test_a_logging_handler_that_writes_to_s3_through_a_covered_client_does_not_hang(server, start):
    program = start(COVERED_CLIENT + LOGGING_HANDLER + 'put("in/y")\n')
    written = program.ended().splitlines()
    # The request's own and the handler's, one for each record.
    assert len(written) > 1
    assert set(written) == {"wrote"}
    assert {request.signer for request in server.s3_requests()} == {"grant"}


def test_a_logging_handler_that_writes_to_s3_does_not_hang_beside_a_thread_whose_vend_is_logged(server, start):
    """The handler holds its lock and waits for the vend; "was vended" waits for the handler's lock."""
    with server.hold("GetDataAccess") as held:
        program = start(
            COVERED_CLIENT
            + LOGGING_HANDLER
            + """
second = threading.Thread(target=put, args=("in/y",))
second.start()
sys.stdin.readline()
logger = threading.Thread(target=logging.warning, args=("the program logs something",))
logger.start()
wait_until_still(logger)
say("the handler waits")
logger.join()
second.join()
"""
        )
        held.wait_for(1)
        program.tell("the second thread vends")
        assert program.reads() == "the handler waits"
    assert set(program.ended().splitlines()) == {"wrote"}
    assert {request.signer for request in server.s3_requests()} == {"grant"}


# Event loops


def read_in_threads(session: Any, loop_is_full: int = 2) -> list[bytes]:
    """Read an object in each thread of a loop's default executor; each of them waits for the loop."""
    from concurrent.futures import ThreadPoolExecutor

    async def read(s3: Any) -> bytes:
        response = await s3.get_object(Bucket="data", Key="in/x")
        async with response["Body"] as body:
            content: bytes = await body.read()
        return content

    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(loop_is_full))
        all_there = threading.Barrier(loop_is_full)

        def waiting_for_the_loop() -> bytes:
            all_there.wait(10)
            return asyncio.run_coroutine_threadsafe(read(s3), loop).result(15)

        async with session.create_client("s3") as s3:
            # aiobotocore reads certificates in the default executor once, on a client's first request.
            await s3.list_buckets()
            return await asyncio.gather(*(asyncio.to_thread(waiting_for_the_loop) for _ in range(loop_is_full)))

    return asyncio.run(main())


def aio_session(identity: Any) -> Any:
    session_module = pytest.importorskip("aiobotocore.session", reason="aiobotocore is not installed")
    session = session_module.AioSession()
    session.set_credentials(identity.access_key_id, identity.secret_access_key, identity.session_token)
    return session


@pytest.mark.parametrize("covered", [False, True], ids=["plain aiobotocore", "covered"])
def test_an_event_loop_whose_default_executor_is_full_of_threads_that_wait_for_the_loop_does_not_hang(
    server, alice, register, within, covered
):
    server.permit(alice, "s3:ListAllMyBuckets")
    session = aio_session(alice)
    if covered:
        register(session, fallback="never")
    assert within(10, lambda: read_in_threads(session)) == [b"1", b"1"]
    assert set(signers(server, "GetObject")) == {"grant" if covered else "alice"}


# Services that do not answer


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of an endpoint that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    """The address of an endpoint that refuses connections: nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


class Reader:
    """Reads an object once in this thread, over botocore or over aiobotocore."""

    def __init__(self, edge: str, server: Any, alice: Any, register: Callable[..., Any]) -> None:
        self._edge = edge
        self._session = server.session(alice) if edge == "botocore" else aio_session(alice)
        self._server, self._register = server, register
        self._started = 0.0

    @property
    def seconds(self) -> float:
        """How long ago its request began."""
        return time.monotonic() - self._started

    def __call__(self, **options: Any) -> None:
        self._register(self._session, **options)
        if self._edge == "botocore":
            s3 = self._session.client("s3", config=PATIENT)
            self._started = time.monotonic()
            s3.get_object(Bucket="data", Key="in/x")["Body"].read()
        else:
            asyncio.run(self._read())

    async def _read(self) -> None:
        from aiobotocore.config import AioConfig

        patient = AioConfig(connect_timeout=60, read_timeout=60, retries={"total_max_attempts": 5})
        async with self._session.create_client("s3", config=patient) as s3:
            self._started = time.monotonic()
            response = await s3.get_object(Bucket="data", Key="in/x")
            await response["Body"].read()


@pytest.fixture(params=["botocore", "aiobotocore"])
def read(request: pytest.FixtureRequest, server: Any, alice: Any, register: Callable[..., Any]) -> Reader:
    return Reader(request.param, server, alice, register)


def aim_at(address: str, service: str, server: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the options with which one of the services is asked at an address; the other ones answer."""
    if service == "sts":
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        # Where S3 is local, STS is asked where S3 Control is.
        return {"endpoint_url": address}
    return {"endpoint_url": address, "account_id": server.account_id}


@pytest.mark.parametrize("service", ["s3control", "sts"])
def test_an_endpoint_that_accepts_and_never_answers_is_an_error_within_timeout_seconds(
    server, read, black_hole, within, monkeypatch, service
):
    options = aim_at(black_hole, service, server, monkeypatch)
    with pytest.raises(Unreachable):
        within(15, lambda: read(timeout_seconds=TIMEOUT_SECONDS, **options))
    assert read.seconds < TIMEOUT_SECONDS + SLACK_SECONDS
    assert server.s3_requests() == []


def test_an_endpoint_that_accepts_and_never_answers_is_a_fallback_within_timeout_seconds(
    server, read, black_hole, within, monkeypatch
):
    options = aim_at(black_hole, "s3control", server, monkeypatch)
    within(15, lambda: read(fallback="always", timeout_seconds=TIMEOUT_SECONDS, **options))
    assert read.seconds < TIMEOUT_SECONDS + SLACK_SECONDS
    assert signers(server, "GetObject") == ["alice"]


def test_a_decisions_calls_together_get_timeout_seconds(server, read, within):
    """Each of the three calls would be in time by itself."""
    for operation in ("GetCallerIdentity", "GetAccessGrantsInstanceForPrefix", "GetDataAccess"):
        server.delay(operation, TIMEOUT_SECONDS * 0.6)
    with pytest.raises(Unreachable):
        within(15, lambda: read(timeout_seconds=TIMEOUT_SECONDS))
    assert read.seconds < TIMEOUT_SECONDS + SLACK_SECONDS


def test_timeout_seconds_is_20_by_default_and_comes_from_the_environment_too(server, alice, register, monkeypatch):
    assert AccessGrantsConfig().timeout_seconds == 20
    monkeypatch.setenv("S3_ACCESS_GRANTS_TIMEOUT_SECONDS", "7")
    assert register(server.session(alice)).config.timeout_seconds == 7


# Audit hooks can't be taken back, so there is one, which notes connections while a test listens.
_connections: list[object] = []
_listening = threading.Event()


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _listening.is_set():
        _connections.append(arguments[1])


sys.addaudithook(_note_connection)


@pytest.fixture
def connections() -> Iterator[list[object]]:
    """The addresses that this process connects to."""
    _connections.clear()
    _listening.set()
    yield _connections
    _listening.clear()


def test_a_refused_connection_is_not_tried_five_times(server, read, refusing, within, connections):
    with pytest.raises(Unreachable):
        within(15, lambda: read(endpoint_url=refusing, account_id=server.account_id))
    assert read.seconds < SLACK_SECONDS
    port = int(refusing.rpartition(":")[2])
    assert 1 <= sum(address == ("127.0.0.1", port) for address in connections) <= 3


THROTTLED = [("SlowDown", 503), ("TooManyRequestsException", 429), ("ServiceUnavailable", 503)]


@pytest.mark.parametrize(("code", "status"), THROTTLED, ids=["SlowDown", "429", "503"])
def test_throttling_is_tried_again_for_longer_than_timeout_seconds_and_than_five_attempts(
    server, alice, register, within, monkeypatch, code, status
):
    sleep, slept = time.sleep, []

    def shorten(seconds: float) -> None:
        slept.append(seconds)
        sleep(min(seconds, 0.001))

    session = server.session(alice)
    register(session, fallback="never", account_id=server.account_id)
    s3 = session.client("s3")
    server.fail("GetDataAccess", code, status=status, times=9)
    monkeypatch.setattr(time, "sleep", shorten)
    within(15, lambda: s3.get_object(Bucket="data", Key="in/x")["Body"].read())
    assert signers(server, "GetObject") == ["grant"]
    # Full jitter: from nothing to a bound, so that a thousand workers don't come back at once.
    assert len(slept) >= 9
    assert len(set(slept)) > 5


def test_throttling_that_does_not_end_is_an_error_in_the_end(server, alice, register, within, monkeypatch):
    """Two minutes, on a clock that the sleeps alone move."""
    now, monotonic = [0.0], time.monotonic

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + now[0])
    session = server.session(alice)
    register(session, fallback="never", account_id=server.account_id)
    s3 = session.client("s3")
    server.fail("GetDataAccess", "SlowDown", times=None)
    with pytest.raises(ServiceFailure, match="SlowDown"):
        within(15, lambda: s3.get_object(Bucket="data", Key="in/x")["Body"].read())
    assert 60 < now[0] < 180
