"""Faults on demand, and the record of what was asked."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from access_grants_provider.testing import AccessGrantsServer
from access_grants_provider.testing.rate_limits import RateLimit

pytestmark = pytest.mark.alice("READ s3://sales/*", objects={"s3://sales/x": b"x"})

ACCOUNT = "123456789012"
ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def ask(either: Any, alice: Any) -> Any:
    control = either.client("s3control", alice, config=ONCE)
    return lambda: control.get_data_access(AccountId=ACCOUNT, Target="s3://sales/x", Permission="READ")


@pytest.mark.parametrize(
    ("code", "status"),
    [("SlowDown", 503), ("Throttling", 400), ("InternalError", 500), ("ServiceUnavailable", 503), ("Whatever", 400)],
)
def test_failures_have_the_status_aws_sends(either: Any, ask: Any, code: str, status: int) -> None:
    either.fail("GetDataAccess", code)
    with pytest.raises(ClientError) as caught:
        ask()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    ask()


def test_failures_of_s3_and_sts(either: Any, refused: Any) -> None:
    either.put("s3://sales/x", b"x")
    either.fail("GetObject", "SlowDown", status=429, message="gently", times=None)
    s3 = either.client("s3", config=ONCE)
    for _ in range(3):
        with refused("SlowDown", "gently"):
            s3.get_object(Bucket="sales", Key="x")
    either.heal("GetObject")
    s3.get_object(Bucket="sales", Key="x")
    either.fail("GetCallerIdentity", "ExpiredToken")
    with refused("ExpiredToken"):
        either.client("sts").get_caller_identity()


def test_times_are_counted(either: Any, ask: Any, refused: Any) -> None:
    either.fail("GetDataAccess", "InternalError", times=2)
    either.fail("GetDataAccess", "AccessDenied")
    for code in ("InternalError", "InternalError", "AccessDenied"):
        with refused(code):
            ask()
    ask()
    with pytest.raises(ValueError, match="positive"):
        either.fail("GetDataAccess", "SlowDown", times=0)


def test_answers_can_be_tampered_with(either: Any, ask: Any) -> None:
    def widen(result: dict[str, Any]) -> dict[str, Any]:
        return {**result, "MatchedGrantTarget": "s3://elsewhere/*"}

    either.tamper("GetDataAccess", widen)
    either.tamper("GetCallerIdentity", lambda result: {**result, "Account": "000000000000"})
    assert ask()["MatchedGrantTarget"] == "s3://elsewhere/*"
    assert ask()["MatchedGrantTarget"] == "s3://sales/*"
    assert either.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_answers_can_be_garbage(either: Any, ask: Any) -> None:
    either.answer("GetDataAccess", body=b"<not><xml")
    with pytest.raises(ResponseParserError):
        ask()
    ask()


@pytest.mark.parametrize("breakage", ["reset_connection", "cut_off"])
def test_connections_break_in_the_middle_of_an_answer(either: Any, ask: Any, breakage: str) -> None:
    break_off = getattr(either, breakage)
    break_off("GetDataAccess")
    # botocore does not compare the length of a body with what was promised, so the cut is seen by its parser; an older
    # one did, over HTTP.
    cut = (ResponseParserError, ConnectionClosedError)
    with pytest.raises(ConnectionClosedError if breakage == "reset_connection" else cut):
        ask()
    ask()


def test_a_reset_befalls_answers_without_a_body_too(either: Any) -> None:
    either.reset_connection("HeadBucket", times=None)
    s3 = either.client("s3", config=ONCE)
    for _ in range(2):
        with pytest.raises(ConnectionClosedError):
            s3.head_bucket(Bucket="sales")
    either.heal("HeadBucket")
    s3.head_bucket(Bucket="sales")


@pytest.mark.parametrize(("broken", "seen"), [("reset_connection", "reset"), ("cut_off", "half")])
def test_over_http_half_of_the_answer_comes_and_then_an_end_or_a_reset(server: Any, broken: str, seen: str) -> None:
    getattr(server, broken)("GetCallerIdentity")
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    head = f"POST / HTTP/1.1\r\nHost: sts.amazonaws.com\r\nContent-Length: {len(body)}\r\n\r\n"
    arrived = b""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        try:
            while some := connection.recv(4096):
                arrived += some
        except ConnectionResetError:
            assert seen == "reset"
            return
    assert seen == "half"
    headers, _, half = arrived.partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 403")
    promised = int(headers.lower().partition(b"content-length: ")[2].split()[0])
    assert 0 < len(half) < promised


@pytest.mark.parametrize(
    ("fault", "in_process", "over_http"),
    [
        ("silence", ReadTimeoutError, ReadTimeoutError),
        ("refuse_connection", EndpointConnectionError, ConnectionClosedError),
    ],
)
def test_requests_are_left_without_an_answer(
    either: Any, ask: Any, fault: str, in_process: type[Exception], over_http: type[Exception]
) -> None:
    getattr(either, fault)("GetCallerIdentity", times=2)
    sts = either.client("sts", config=ONCE.merge(Config(read_timeout=0.2)))
    for _ in range(2):
        with pytest.raises(over_http if isinstance(either, AccessGrantsServer) else in_process):
            sts.get_caller_identity()
    # By a client with time: a machine that runs other tests takes longer than the 0.2 s.
    either.client("sts", config=ONCE).get_caller_identity()
    assert [(one.operation, one.status, one.error_code) for one in either.requests] == [
        ("GetCallerIdentity", 0, None),
        ("GetCallerIdentity", 0, None),
        ("GetCallerIdentity", 200, None),
    ]


@pytest.mark.parametrize("fault", ["silence", "refuse_connection"])
def test_a_write_that_gets_no_answer_is_not_carried_out(either: Any, fault: str) -> None:
    getattr(either, fault)("PutObject")
    s3 = either.client("s3", config=ONCE.merge(Config(read_timeout=0.2)))
    with pytest.raises((HTTPClientError, EndpointConnectionError)):
        s3.put_object(Bucket="sales", Key="lost", Body=b"x")
    with pytest.raises(KeyError):
        either.read("s3://sales/lost")


def test_a_silent_connection_ends_with_the_server(clock: Any) -> None:
    threads = threading.active_count()
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    head = f"POST / HTTP/1.1\r\nHost: sts.amazonaws.com\r\nContent-Length: {len(body)}\r\n\r\n"
    with AccessGrantsServer(clock=clock) as server:
        server.silence("GetCallerIdentity")
        connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10)
        connection.sendall(head.encode() + body)
        _wait_until(lambda: server.calls("GetCallerIdentity") == 1)
    with connection:
        assert connection.recv(1) == b""
    assert threading.active_count() == threads


def test_a_server_that_is_down_refuses_connections_and_comes_back_with_its_buckets(server: Any) -> None:
    server.put("s3://sales/x", b"kept")
    s3 = server.client("s3", config=ONCE)
    s3.get_object(Bucket="sales", Key="x")["Body"].read()
    url = server.url
    with server.refuse_connections():
        assert server.url == url
        with pytest.raises(EndpointConnectionError):
            s3.get_object(Bucket="sales", Key="x")
    assert s3.get_object(Bucket="sales", Key="x")["Body"].read() == b"kept"


def test_a_held_request_does_not_stop_a_server_from_refusing(server: Any) -> None:
    sts = server.client("sts", config=ONCE)
    with server.hold("GetCallerIdentity") as held:
        waiting = threading.Thread(target=_expect_closed, args=(sts.get_caller_identity,))
        waiting.start()
        held.wait_for(1)
        with server.refuse_connections():
            waiting.join(10)
            assert not waiting.is_alive()
    sts.get_caller_identity()


def test_a_server_may_be_stopped_while_it_refuses(clock: Any) -> None:
    server = AccessGrantsServer(clock=clock).start()
    with server.refuse_connections():
        server.stop()
    with pytest.raises(RuntimeError, match="not running"):
        assert server.url
    with pytest.raises(RuntimeError, match="not running"), server.refuse_connections():
        pass


def _wait_until(reached: Any) -> None:
    end = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.001)


def _expect_closed(call: Any) -> None:
    with pytest.raises(ConnectionClosedError):
        call()


def test_delays(either: Any, ask: Any) -> None:
    either.delay("GetDataAccess", 0.001)
    ask()
    either.heal()


def test_requests_are_held_until_released(either: Any, ask: Any) -> None:
    with either.hold("GetDataAccess") as held:
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        held.wait_for(3)
        assert held.waiting == 3
        assert either.calls("GetDataAccess") == 0
        with pytest.raises(TimeoutError, match="3 of 4 GetDataAccess"):
            held.wait_for(4, timeout=0.01)
    for thread in threads:
        thread.join(10)
    assert either.calls("GetDataAccess") == 3
    hold = either.hold("GetDataAccess")
    either.heal()
    ask()
    assert hold.waiting == 0


def test_the_record_of_a_vended_read(either: Any, alice: Any, vend: Any) -> None:
    grant_id = either.client("s3control").list_access_grants(AccountId=ACCOUNT)["AccessGrantsList"][0]["AccessGrantId"]
    either.forget_requests()
    s3 = vend(either, alice, "s3://sales/x", "READ", Privilege="Default", TargetType="Object")
    s3.get_object(Bucket="sales", Key="x")
    asked, read = either.requests
    assert (asked.service, asked.operation, asked.signer, asked.principal) == (
        "s3control",
        "GetDataAccess",
        "alice",
        "alice",
    )
    assert asked.access_key_id == alice.access_key_id
    assert asked.parameters == {
        "AccountId": ACCOUNT,
        "Target": "s3://sales/x",
        "Permission": "READ",
        "Privilege": "Default",
        "TargetType": "Object",
    }
    assert asked.grant_id is None
    assert (read.service, read.operation, read.bucket, read.key) == ("s3", "GetObject", "sales", "x")
    assert (read.signer, read.principal, read.grant_id) == ("grant", "alice", grant_id)
    assert (read.scope, read.permission, read.region) == ("s3://sales/*", "READ", "us-east-1")
    assert (read.status, read.error_code) == (200, None)
    assert read.user_agent.startswith("Boto3/")
    assert "sales" in read.host or read.host.startswith("127.0.0.1")


def test_the_record_of_refusals(either: Any, alice: Any) -> None:
    either.forget_requests()
    s3 = either.client("s3", alice)
    for call in (
        lambda: s3.get_object(Bucket="sales", Key="x"),
        lambda: either.client("s3").get_object(Bucket="sales", Key="nothing"),
    ):
        with pytest.raises(ClientError):
            call()
    assert [(record.signer, record.status, record.error_code) for record in either.requests] == [
        ("alice", 403, "AccessDenied"),
        ("admin", 404, "NoSuchKey"),
    ]


def test_control_calls_are_counted_apart(either: Any, alice: Any, ask: Any) -> None:
    either.forget_requests()
    ask()
    either.client("sts", alice).get_caller_identity()
    s3 = either.client("s3")
    s3.head_bucket(Bucket="sales")
    either.client("s3", config=Config(user_agent_extra="access-grants-provider/1")).head_bucket(Bucket="sales")
    s3.get_object(Bucket="sales", Key="x")
    assert either.control_calls() == 3
    assert [record.operation for record in either.s3_requests()] == ["HeadBucket", "GetObject"]
    assert either.calls("HeadBucket") == 2
    either.forget_requests()
    assert either.requests == []


def test_nothing_secret_is_shown(either: Any, alice: Any, vend: Any) -> None:
    vend(either, alice, "s3://sales/x", "READ").get_object(Bucket="sales", Key="x")
    assert alice.secret_access_key not in repr(alice)
    session = either.identity("job", session=True)
    assert session.session_token not in repr(session)
    for record in either.requests:
        assert alice.secret_access_key not in repr(record)


class TestRateLimits:
    def test_what_is_over_the_limit_is_refused_until_time_has_passed(
        self, either: Any, ask: Any, clock: Any, refused: Any
    ) -> None:
        # So low that the time the test takes admits no second request.
        either.rate_limit("GetDataAccess", per_second=1 / 400)
        ask()
        with refused("SlowDown", "Please reduce your request rate."):
            ask()
        record = either.requests[-1]
        assert (record.operation, record.status, record.error_code) == ("GetDataAccess", 503, "SlowDown")
        either.client("s3control").list_caller_access_grants(AccountId=ACCOUNT)
        clock.forward(300)
        with refused("SlowDown"):
            ask()
        clock.forward(300)
        ask()
        either.heal("GetDataAccess")
        ask()

    def test_as_many_as_a_second_admits_may_come_at_once(self) -> None:
        moment = 1_000.0
        limit = RateLimit(2, lambda: moment)
        assert [limit.admits() for _ in range(3)] == [True, True, False]
        moment += 0.5
        assert [limit.admits() for _ in range(2)] == [True, False]
        moment += 10
        assert [limit.admits() for _ in range(3)] == [True, True, False]

    def test_sts_has_its_own_words(self, grants: Any, refused: Any) -> None:
        grants.rate_limit("GetCallerIdentity", per_second=0.001)
        sts = grants.client("sts", config=ONCE)
        sts.get_caller_identity()
        with refused("Throttling", "Rate exceeded"):
            sts.get_caller_identity()

    def test_no_request_at_all_is_no_limit(self, grants: Any) -> None:
        with pytest.raises(ValueError, match="per_second is a positive number, not 0"):
            grants.rate_limit("GetDataAccess", per_second=0)
