"""The endpoint from which a program under ``access-grants exec`` fetches credentials: who gets them, and how long."""

from __future__ import annotations

import http.client
import json
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from access_grants_provider import VendedCredentials
from access_grants_provider.cli.credential_endpoint import CredentialEndpoint
from access_grants_provider.exceptions import ServiceFailure

SECRET, SESSION_TOKEN = "the-secret-key", "the-session-token"
LIFETIME = 3600


class Reply(NamedTuple):
    """What the endpoint answered."""

    status: int
    document: dict[str, Any]


class Vendor:
    """Vends credentials that live ``lifetime`` seconds, or raises ``failure``. Records what it was asked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.lifetime = clock, float(LIFETIME)
        self.failure: Exception | None = None
        self.asked: list[float] = []
        self.reported: list[str] = []
        self.vended_twice = threading.Event()

    def __call__(self, min_lifetime: float) -> VendedCredentials:
        self.asked.append(min_lifetime)
        if self.failure is not None:
            raise self.failure
        if len(self.asked) > 2:
            self.vended_twice.set()
        expiration = datetime.fromtimestamp(self.clock(), timezone.utc) + timedelta(seconds=self.lifetime)
        key = f"ASIA{len(self.asked)}"
        return VendedCredentials(key, SECRET, SESSION_TOKEN, expiration, "s3://data/in/*", "READ", "us-east-1")


@pytest.fixture
def vendor(clock) -> Vendor:
    return Vendor(clock)


@pytest.fixture
def endpoint(vendor: Vendor, clock, tmp_path: Path) -> Iterator[CredentialEndpoint]:
    with CredentialEndpoint(vendor(0), vendor, tmp_path, vendor.reported.append, clock) as endpoint:
        yield endpoint


def ask(
    endpoint: CredentialEndpoint,
    method: str = "GET",
    path: str | None = None,
    headers: Mapping[str, str | None] = {},
) -> Reply:
    """Ask as an SDK does, but for what the test changes; a header of None is left out."""
    url = urlsplit(endpoint.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    token = endpoint.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    sent = {"Host": url.netloc, "Authorization": token, **headers}
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    try:
        connection.putrequest(method, path or url.path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        body = reply.read()
    finally:
        connection.close()
    return Reply(reply.status, json.loads(body) if body else {})


def test_whoever_has_the_token_gets_the_credentials_and_when_they_end(endpoint, clock):
    end = datetime.fromtimestamp(clock.now + LIFETIME, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert ask(endpoint) == (
        200,
        {"AccessKeyId": "ASIA1", "SecretAccessKey": SECRET, "Token": SESSION_TOKEN, "Expiration": end},
    )


REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "no token": (401, {"headers": {"Authorization": None}}),
    "an empty token": (401, {"headers": {"Authorization": ""}}),
    "a wrong token": (401, {"headers": {"Authorization": "wrong"}}),
    "a token beyond ASCII": (401, {"headers": {"Authorization": "t\xf6ken"}}),
    "a web page's own host name": (403, {"headers": {"Host": "attacker.example"}}),
    "a web page's own host name with this port": (403, {"headers": {"Host": "attacker.example:{port}"}}),
    "a name of loopback": (403, {"headers": {"Host": "localhost:{port}"}}),
    "no port": (403, {"headers": {"Host": "127.0.0.1"}}),
    "no host": (403, {"headers": {"Host": None}}),
    "a web page": (403, {"headers": {"Origin": "https://attacker.example"}}),
    "a page of this host": (403, {"headers": {"Origin": "http://127.0.0.1:{port}"}}),
    "a file": (403, {"headers": {"Origin": "null"}}),
    "another path": (404, {"path": "/"}),
    "a path below": (404, {"path": "/credentials/x"}),
    "a query": (404, {"path": "/credentials?x"}),
    "POST": (405, {"method": "POST"}),
    "PUT": (405, {"method": "PUT"}),
    "DELETE": (405, {"method": "DELETE"}),
    "HEAD": (405, {"method": "HEAD"}),
    "OPTIONS": (405, {"method": "OPTIONS", "headers": {"Origin": "https://attacker.example"}}),
    "an unknown method": (405, {"method": "STEAL"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_all_others_are_refused_with_a_document_and_nothing_is_written(endpoint, vendor, capfd, case):
    status, changed = REFUSED[case]
    headers = {
        name: value and value.replace("{port}", str(endpoint.port))
        for name, value in changed.get("headers", {}).items()
    }
    reply = ask(endpoint, **{**changed, "headers": headers})
    assert reply.status == status
    assert set(reply.document) == (set() if changed.get("method") == "HEAD" else {"code", "message"})
    assert SECRET not in str(reply.document)
    assert vendor.reported == []
    assert capfd.readouterr() == ("", "")
    # It goes on serving.
    assert ask(endpoint).status == 200


@pytest.mark.parametrize("first", [True, False])
def test_of_two_hosts_none_is_believed(endpoint, first):
    hosts = ["attacker.example", f"127.0.0.1:{endpoint.port}"]
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    connection.putrequest("GET", "/credentials", skip_host=True)
    for host in hosts if first else reversed(hosts):
        connection.putheader("Host", host)
    connection.putheader("Authorization", endpoint.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


def test_the_token_is_another_each_time_and_is_in_a_file_only_this_user_reads(vendor, clock, tmp_path):
    tokens = set()
    for _ in range(2):
        with CredentialEndpoint(vendor(0), vendor, tmp_path, vendor.reported.append, clock) as endpoint:
            file = Path(endpoint.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
            tokens.add(file.read_text())
            assert file.read_text() == endpoint.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not file.exists()
    assert len(tokens) == 2
    assert all(len(token) >= 40 for token in tokens)


def test_it_listens_on_loopback_alone_and_no_more_when_it_has_ended(vendor, clock, tmp_path):
    with CredentialEndpoint(vendor(0), vendor, tmp_path, vendor.reported.append, clock) as endpoint:
        assert endpoint._server.socket.getsockname()[0] == "127.0.0.1"
        assert ask(endpoint).status == 200
        variables = endpoint.variables
        port = endpoint.port
    assert variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == f"http://127.0.0.1:{port}/credentials"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with pytest.raises(ConnectionRefusedError):
        connection.request("GET", "/credentials")


def test_a_client_that_goes_away_is_no_error(endpoint, capfd):
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
        connection.connect()
        connection.close()
    assert ask(endpoint).status == 200
    assert capfd.readouterr() == ("", "")


def test_credentials_are_renewed_before_they_end_without_a_request(tmp_path):
    vendor = Vendor(time.time)
    vendor.lifetime = 0.5
    with CredentialEndpoint(vendor(0), vendor, tmp_path, vendor.reported.append):
        assert vendor.vended_twice.wait(30)
    # Each time for longer than the rest of their life: the provider must not return the same.
    assert all(1 < seconds < 1.5 for seconds in vendor.asked[1:])


def test_where_they_have_ended_meanwhile_the_request_renews(endpoint, vendor, clock):
    clock.forward(LIFETIME + 1)
    assert ask(endpoint).document["AccessKeyId"] == "ASIA2"
    assert ask(endpoint).document["AccessKeyId"] == "ASIA2"


def test_a_renewal_that_fails_leaves_the_old_ones_in_use_until_they_end_and_is_reported_once(endpoint, vendor, clock):
    vendor.failure = ServiceFailure("S3 Access Grants does not answer", hint="Wait")
    said = "S3 Access Grants does not answer. Wait [service-failure]"
    for _ in range(2):
        endpoint.renew()
        assert ask(endpoint).document["AccessKeyId"] == "ASIA1"
    clock.forward(LIFETIME + 1)
    for _ in range(2):
        reply = ask(endpoint)
        assert reply == (503, {"code": "ServiceFailure", "message": said})
    (line,) = vendor.reported
    assert line.endswith(f"can't be renewed: {said}")
    assert SECRET not in line
    vendor.failure = None
    assert ask(endpoint).status == 200
    # After a success the next failure is news.
    vendor.failure = ServiceFailure("again")
    endpoint.renew()
    assert len(vendor.reported) == 2
