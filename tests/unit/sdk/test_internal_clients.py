"""The clients that make the control calls: how they are made, how many there are, and what no log shows of them."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.handlers import BUILTIN_HANDLERS

from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.single_flight import InFlightCall
from access_grants_provider.sdk import internal_clients as module
from access_grants_provider.sdk.internal_clients import (
    MAX_CLIENTS,
    ClientShape,
    InternalClients,
    internal_clients,
    prepare_session,
    profile_settings,
    time_limit,
)

REGION = "eu-west-1"
PLAIN = ClientShape((), True, None, None)
VPC = "https://bucket.vpce-1a2b-3c4d.s3.eu-west-1.vpce.amazonaws.com"


@pytest.fixture(scope="module")
def session() -> Any:
    return botocore.session.Session()


def s3_client(session: Any, **options: Any) -> Any:
    keys = {"aws_access_key_id": "AKIATEST000000000001", "aws_secret_access_key": "s"}
    return session.create_client("s3", **{"region_name": REGION, **keys, **options})


class Fake:
    """As much of a client as is looked at."""

    def __init__(self, *place: Any) -> None:
        self.place = place
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Counted(InternalClients):
    """Makes fakes. ``made`` tells which, ``making`` is called while one is made."""

    def __init__(self) -> None:
        super().__init__(None)
        self.made: list[Fake] = []

    def making(self) -> None:
        pass

    def _make(self, *place: Any) -> Any:
        fake = Fake(*place)
        self.made.append(fake)
        self.making()
        return fake


@pytest.fixture
def clients() -> Counted:
    return Counted()


def get(clients: InternalClients, region: str = REGION, seconds: float = 20, may_wait: bool = True) -> Any:
    return clients.get("s3control", region, PLAIN, None, seconds, may_wait)


# The time-out of a client.


@pytest.mark.parametrize(
    ("left", "limit"),
    [(20, 20), (19.1, 20), (18.9, 10), (10, 10), (9, 5), (5, 5), (1.3, 1.25), (0.32, 0.3125), (0.001, 0.3125)],
)
def test_a_client_s_time_out_is_a_power_of_two_of_the_whole_time(left: float, limit: float) -> None:
    assert time_limit(left, 20) == limit


@pytest.mark.parametrize("whole", [1, 10, 20, 300])
def test_a_time_out_is_seldom_longer_than_what_is_left_and_there_are_few_of_them(whole: float) -> None:
    lefts = [whole * part / 1000 for part in range(1, 1001)]
    limits = [time_limit(left, whole) for left in lefts]
    assert len(set(limits)) == 7
    assert all(limit <= left / 0.95 for left, limit in zip(lefts, limits, strict=True) if left >= whole / 64)
    assert all(limit >= left * 0.47 for left, limit in zip(lefts, limits, strict=True))


# How many there are.


def test_a_client_is_made_once_for_each_place_and_time_out(clients: Counted) -> None:
    first = get(clients)
    assert get(clients) is first
    others = [
        get(clients, region="us-east-2"),
        get(clients, seconds=10),
        clients.get("sts", REGION, PLAIN, None, 20, True),
        clients.get("s3control", REGION, PLAIN, "http://127.0.0.1", 20, True),
        clients.get("s3control", REGION, PLAIN._replace(verify=False), None, 20, True),
    ]
    assert len({id(client) for client in [first, *others]}) == 6
    assert len(clients.made) == 6


def test_clients_are_bounded(clients: Counted) -> None:
    for number in range(3 * MAX_CLIENTS):
        get(clients, region=f"region-{number}")
        assert len(clients._clients) <= MAX_CLIENTS
    assert len(clients._clients) == MAX_CLIENTS


def test_the_client_used_longest_ago_goes_first(clients: Counted) -> None:
    used = get(clients)
    for number in range(2 * MAX_CLIENTS):
        get(clients, region=f"region-{number}")
        assert get(clients) is used


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_STS", "AWS_CA_BUNDLE", "HTTPS_PROXY", "no_proxy"])
def test_what_botocore_reads_from_the_environment_makes_another_client(
    clients: Counted, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "")
    first = get(clients)
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert get(clients) is not first
    monkeypatch.setenv(name, "")
    assert get(clients) is first


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PAGER"])
def test_the_caller_in_the_environment_makes_no_other_client(
    clients: Counted, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    first = get(clients)
    monkeypatch.setenv(name, "other")
    assert get(clients) is first


def test_a_session_with_data_of_its_own_has_clients_of_its_own(clients: Counted) -> None:
    own, other = SimpleNamespace(search_paths=["/own", "/botocore"]), SimpleNamespace(search_paths=["/botocore"])
    first = clients.get("sts", REGION, PLAIN, None, 20, True, own)
    assert clients.get("sts", REGION, PLAIN, None, 20, True, other) is not first
    assert clients.made[0].place[-1] is own


def test_a_config_file_with_other_content_makes_another_client(
    clients: Counted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    file.write_text("[default]\n")
    first = get(clients)
    assert get(clients) is first
    file.write_text("[default]\nca_bundle = /other\n")
    assert get(clients) is not first


def test_handlers_that_moto_adds_make_another_client(clients: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get(clients)
    monkeypatch.setattr(module, "BUILTIN_HANDLERS", [*BUILTIN_HANDLERS, ("before-send", len)])
    assert get(clients) is not first


def test_the_providers_of_a_process_share_them() -> None:
    assert internal_clients("work") is internal_clients("work")
    assert internal_clients("work") is not internal_clients(None)


# Made by several threads, in a signal handler, and after a fork: no lock, and no wait without a bound.


def test_threads_that_need_the_same_client_wait_for_the_one_that_makes_it(
    clients: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, joined, all_joined = 4, itertools.count(1), threading.Event()
    join_or_start = clients._making.join_or_start

    def counted(*arguments: Any) -> InFlightCall:
        call = join_or_start(*arguments)
        if next(joined) == threads:
            all_joined.set()
        return call

    monkeypatch.setattr(clients._making, "join_or_start", counted)
    monkeypatch.setattr(module, "WAIT_SECONDS", 20)
    clients.making = lambda: all_joined.wait(20)  # type: ignore[method-assign, assignment]
    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(get, clients) for _ in range(threads)]
        assert {task.result(60) for task in tasks} == {clients.made[0]}
    assert len(clients.made) == 1


def test_a_thread_that_makes_one_for_ever_keeps_nobody(clients: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    with clients._making.own_call() as stalled:
        clients._making.join_or_start(("s3control", REGION, None, PLAIN.digest(), 20), stalled)
        assert get(clients) is clients.made[0]


def test_a_signal_handler_in_the_middle_of_making_one_makes_its_own_and_all_use_one(
    clients: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would wait for what it has interrupted.
    monkeypatch.setattr(InFlightCall, "wait", lambda *_: pytest.fail("it waits"))
    inner: list[Any] = []

    def interrupted() -> None:
        if not inner:
            inner.append(None)
            inner[0] = get(clients, may_wait=False)

    clients.making = interrupted  # type: ignore[method-assign]
    outer = get(clients)
    assert len(clients.made) == 2
    assert outer is inner[0]
    assert get(clients) is outer


def test_one_that_can_not_be_made_is_made_by_the_next_that_needs_it(clients: Counted) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    clients.making = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        get(clients)
    del clients.making
    assert get(clients) is clients.made[1]


def test_a_process_uses_no_client_of_its_parent(clients: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    parents = get(clients)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    childs = get(clients)
    assert childs is not parents
    assert get(clients) is childs
    assert not parents.closed


# Other tests of the same run may have left threads behind, of which Python 3.12 warns.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_a_client_is_made_makes_its_own(clients: Counted) -> None:
    children: list[int] = []

    def fork_once() -> None:
        if not children:
            children.append(os.fork())
            if children[0] == 0:
                code = 1
                try:
                    # As another thread of the child, which was not there to see it begin.
                    code = 0 if get(clients) is clients.made[-1] and len(clients.made) == 2 else 2
                finally:
                    os._exit(code)

    clients.making = fork_once  # type: ignore[method-assign]
    get(clients)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


# How one is made.


def test_it_is_made_like_the_s3_client_with_the_time_out_and_without_retries(session: Any) -> None:
    config = Config(proxies={"https": "http://proxy:3128"}, max_pool_connections=77, read_timeout=300,
                    retries={"total_max_attempts": 9}, use_fips_endpoint=True)  # fmt: skip
    shape = ClientShape.of(s3_client(session, config=config, verify=False))
    made: Any = InternalClients(None).get("s3control", REGION, shape, None, 2.5, True)
    assert made.meta.config.proxies == {"https": "http://proxy:3128"}
    assert made.meta.config.max_pool_connections == 77
    assert made.meta.config.use_fips_endpoint is True
    assert (made.meta.config.connect_timeout, made.meta.config.read_timeout) == (2.5, 2.5)
    assert made.meta.config.retries["total_max_attempts"] == 1
    assert made._endpoint.http_session._verify is False
    assert "access-grants-provider" in made.meta.config.user_agent_extra


def test_it_carries_no_identity(session: Any) -> None:
    made: Any = InternalClients(None).get("sts", REGION, ClientShape.of(s3_client(session)), None, 20, True)
    assert made._request_signer._credentials.access_key == "nobody"


@pytest.mark.parametrize(
    ("url", "foreign", "vpc"),
    [
        (None, None, None),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", None),
        ("https://minio.example.com", "https://minio.example.com", None),
        (VPC, None, VPC),
        ("https://s3.eu-west-1.amazonaws.com", None, None),
    ],
)
def test_an_endpoint_is_s3_s_own_a_vpc_s_or_another_s3_s(
    session: Any, url: str | None, foreign: str | None, vpc: str | None
) -> None:
    shape = ClientShape.of(s3_client(session, endpoint_url=url))
    assert (shape.foreign_url, shape.vpc_url) == (foreign, vpc)


@pytest.mark.parametrize(
    ("shape", "s3", "s3control", "sts"),
    [
        (PLAIN, None, "http://control", None),
        (PLAIN._replace(vpc_url=VPC), VPC, "http://control", None),
        (PLAIN._replace(foreign_url="http://s3"), "http://s3", "http://control", "http://control"),
    ],
)
def test_each_service_is_called_where_it_answers(shape: ClientShape, s3: Any, s3control: Any, sts: Any) -> None:
    config = AccessGrantsConfig(endpoint_url="http://control")
    assert [shape.endpoint_url(service, config) for service in ("s3", "s3control", "sts")] == [s3, s3control, sts]


def test_dual_stack_said_for_s3_alone_is_said_for_all(session: Any) -> None:
    # Botocore reads it; its stubs don't know it.
    options: Any = {"use_dualstack_endpoint": True}
    shape = ClientShape.of(s3_client(session, config=Config(s3=options)))
    assert dict(shape.options)["use_dualstack_endpoint"] is True


def test_a_shape_shows_no_password_of_a_proxy(session: Any) -> None:
    shape = ClientShape.of(s3_client(session, config=Config(proxies={"https": "http://ann:secret@proxy"})))
    assert "secret" not in f"{shape} {[shape]} {shape.digest()!r}"
    assert shape.digest() != PLAIN.digest()


# What no log shows.


@pytest.fixture
def parser_log(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    with caplog.at_level(logging.DEBUG, "botocore.parsers"):
        yield logging.getLogger("botocore.parsers")


def test_vended_credentials_are_kept_out_of_botocore_s_debug_log(
    parser_log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        prepare_session(botocore.session.Session(), None)
    assert sum(isinstance(known, module._WithoutCredentials) for known in parser_log.filters) == 1
    parser_log.debug("Response body:\n%s", b"<GetDataAccessResult><SecretAccessKey>s3cret</SecretAccessKey>")
    parser_log.debug("Response body:\n%s", b"<ListBucketResult/>")
    parser_log.debug("no arguments")
    assert "s3cret" not in caplog.text
    assert "withheld, it holds credentials" in caplog.text
    assert "ListBucketResult" in caplog.text
    assert "no arguments" in caplog.text


# The profile.


def test_the_settings_of_a_profile_are_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text("[profile jobs]\nregion = eu-west-1\ns3_access_grants =\n  fallback = never\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    assert profile_settings("jobs")["s3_access_grants"] == {"fallback": "never"}
    assert profile_settings("nobody's") == {}
    assert profile_settings(None) == {}
    monkeypatch.setenv("AWS_PROFILE", "jobs")
    assert profile_settings(None)["region"] == "eu-west-1"


def test_an_internal_session_has_the_handlers_that_a_session_of_botocore_has_for_its_calls(session: Any) -> None:
    """Whatever botocore registers for the calls made here, by name, is there, in the same order."""
    clients = InternalClients(None)
    called = {
        "s3": ["HeadBucket"],
        "sts": ["GetCallerIdentity"],
        "s3-control": ["GetDataAccess", "GetAccessGrantsInstanceForPrefix", "ListCallerAccessGrants"],
    }
    for service, operations in called.items():
        whole, lean = botocore.session.Session(), clients._session(service.replace("-", ""), None)
        for event in ("before-parameter-build", "before-endpoint-resolution", "before-call", "request-created",
                      "choose-signer", "before-sign", "before-parse", "needs-retry", "after-call",
                      "creating-client-class", "provide-client-params"):  # fmt: skip
            for operation in operations:
                name = f"{event}.{service}.{operation}"
                handlers = [one._emitter._handlers.prefix_search(name) for one in map(emitter_of, (whole, lean))]
                assert list(handlers[0]) == list(handlers[1]), name


def emitter_of(session: Any) -> Any:
    return session.get_component("event_emitter")
