"""What goes wrong at the edges: answers cut off, threads that change identity, signals, interrupts, hostile texts."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from access_grants_provider.core.io_requests import GetDataAccess
from access_grants_provider.exceptions import ConfigurationError, MalformedAnswer, ServiceFailure
from access_grants_provider.registration import _registry

pytestmark = pytest.mark.alice("READWRITE s3://data/in/*", objects=["s3://data/in/x"])


@pytest.fixture
def s3(grants, register, alice):
    session = grants.session(alice)
    session.provider = register(session, account_id=grants.account_id)
    grants.forget_requests()
    return session.client("s3")


def provider_of(s3):
    return _registry.hooks[s3.meta.events]().owner


CUT_OFF = b"""<GetDataAccessResult><Credentials><AccessKeyId>ASIACUTOFF0000000001</AccessKeyId>
<SecretAccessKey>wJalrXUtnFEMIveryverysecret</SecretAccessKey><SessionToken>FwoGZXIvYXdzEtoken"""


@pytest.mark.parametrize("fallback", ["denied", "always"])
def test_an_answer_cut_off_shows_none_of_its_credentials(grants, register, alice, caplog, fallback):
    caplog.set_level(logging.DEBUG)
    decisions = []
    grants.allow(alice, "s3://data/in/*", "READ")
    session = grants.session(alice)
    register(session, fallback=fallback, on_decision=decisions.append)
    grants.answer("GetDataAccess", CUT_OFF, times=None)
    s3 = session.client("s3")
    if fallback == "denied":
        with pytest.raises(MalformedAnswer, match="cut off or no XML") as raised:
            s3.get_object(Bucket="data", Key="in/x")
        error: BaseException | None = raised.value
        while error is not None:
            assert "verysecret" not in str(error)
            error = error.__cause__ or error.__context__
    else:
        s3.get_object(Bucket="data", Key="in/x")
    assert "verysecret" not in caplog.text
    assert "verysecret" not in repr(decisions)


def test_an_answer_that_is_only_half_there_leaves_nothing_behind(grants, s3):
    for change in ({"Expiration": None}, {"SecretAccessKey": None}):
        grants.tamper(
            "GetDataAccess",
            lambda answer, change=change: {
                **answer,
                "Credentials": {name: value for name, value in answer["Credentials"].items() if name not in change},
            },
        )
        with pytest.raises(
            MalformedAnswer, match=r"s3:GetDataAccess in us-east-1 for READ on 's3://data/in/x' .*answered with"
        ):
            s3.get_object(Bucket="data", Key="in/x")
    grants.tamper("GetDataAccess", lambda answer: {**answer, "MatchedGrantTarget": "data/in/*"})
    with pytest.raises(MalformedAnswer, match="malformed MatchedGrantTarget: 'data/in/\\*' is no S3 scope"):
        s3.get_object(Bucket="data", Key="in/x")
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"


# Whose request it is, as a back end with a context per request knows it: each thread and each task has its own.
ASKING: ContextVar[str] = ContextVar("ASKING")


def test_threads_of_different_identities_on_one_client_each_sign_as_themselves(grants, s3, alice, edge):
    bob = grants.identity("bob")
    grants.grant(bob, "s3://data/in/*", "READ")
    s3._request_signer._credentials = edge.whoever(ASKING.get)
    meeting = threading.Barrier(2)

    def read(identity) -> None:
        ASKING.set(identity)
        for _ in range(10):
            meeting.wait(10)
            s3.get_object(Bucket="data", Key="in/x")["Body"].read()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read, [alice, bob]))
    reads = [one.principal for one in grants.s3_requests()]
    assert (reads.count("alice"), reads.count("bob")) == (10, 10)
    # Going back and forth is no rotation: each was vended once.
    assert grants.calls("GetDataAccess") == 2


@pytest.mark.only("botocore", reason="a signal handler may run in the middle of a thread's work, never of a task's")
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_a_signal_handler_that_writes_in_the_middle_of_a_vend_does_not_wait_for_itself(grants, s3, edge):
    raised, written = [], []

    def checkpoint(*_: object) -> None:
        s3.put_object(Bucket="data", Key="in/checkpoint", Body=b"saved")
        written.append(True)

    def interrupt(step) -> None:
        if isinstance(step, GetDataAccess) and not raised:
            raised.append(True)
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, checkpoint)
    try:
        edge.before_each_step(interrupt)
        s3.put_object(Bucket="data", Key="in/y", Body=b"2")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert grants.read("s3://data/in/checkpoint") == b"saved"
    assert {one.signer for one in grants.s3_requests() if one.operation == "PutObject"} == {"grant"}


def test_an_interrupt_anywhere_in_the_call_leaves_no_call_behind(s3, edge):
    interruptions = [edge.interruption]

    def interrupt(_) -> None:
        if interruptions:
            raise interruptions.pop()

    edge.before_each_step(interrupt)
    with pytest.raises(edge.interrupted) as kept:  # as a notebook keeps it
        s3.get_object(Bucket="data", Key="in/x")
    assert kept.value.__traceback__ is not None
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"


def test_a_head_refused_with_400_renews_old_credentials_once(grants, s3, clock):
    s3.head_object(Bucket="data", Key="in/x")
    grants.fail("HeadObject", "InvalidRequest", status=400, times=None)
    # Credentials of less than a minute have not expired, and renewed ones that get 400 too settle it for the scope.
    for seconds, vends in ((0, 1), (59, 1), (2, 2), (0, 2), (61, 2)):
        clock.forward(seconds)
        for key in ("in/x", "in/y"):
            with pytest.raises(ClientError, match="400"):
                s3.head_object(Bucket="data", Key=key)
        assert grants.calls("GetDataAccess") == vends


def test_what_the_service_says_forges_no_log_line(grants, register, alice, caplog):
    grants.allow(alice, "s3://data/in/*", "READ")
    session = grants.session(alice)
    register(session, fallback="always")
    grants.fail("GetDataAccess", "Broken", status=400, message="no\nCRITICAL root: forged", times=None)
    session.client("s3").get_object(Bucket="data", Key="in/x")
    assert "forged" in caplog.text
    assert not [one for one in caplog.records if "\n" in one.getMessage()]


def test_a_client_given_back_is_covered_by_its_session_again(grants, register, alice):
    session = grants.session(alice)
    register(session, fallback="never")
    s3 = session.client("s3")
    of_client = register(s3, fallback="denied")
    of_client.unregister()
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"
    assert grants.s3_requests()[-1].signer == "grant"
    with pytest.raises(ClientError, match="No grant gives"):
        s3.get_object(Bucket="data", Key="out/x")


def test_a_client_that_is_made_while_its_session_is_unregistered_is_not_covered(
    grants, register, alice, edge, monkeypatch
):
    session = grants.session(alice)
    provider = register(session)
    attach = edge.hook.attach

    def unregistered_first(self):
        provider.unregister()
        attach(self)

    monkeypatch.setattr(edge.hook, "attach", unregistered_first)
    s3 = session.client("s3")
    with pytest.raises(ClientError, match="user/alice is not authorized"):
        s3.get_object(Bucket="data", Key="in/x")


@pytest.mark.parametrize(
    "url",
    [
        "http://my host:80",
        "https://user:pass@host",
        "ftp://host",
        "https://",
        "https://host:port",
        "host",
        "https://h!",
    ],
)
def test_an_endpoint_that_is_no_url_is_refused_at_once(url):
    with pytest.raises(ConfigurationError, match="endpoint_url="):
        boto3_register(endpoint_url=url)


def boto3_register(**options):
    import access_grants_provider

    return access_grants_provider.register(boto3.Session(), **options)


def test_an_account_in_the_environment_that_is_none_is_asked_for(grants, register, alice, edge, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", alice.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", alice.secret_access_key)
    monkeypatch.setenv("AWS_ACCOUNT_ID", "1111-2222-3333")
    provider = register(edge.session())
    assert provider.explain("get_object", Bucket="data", Key="in/x").outcome == "granted"
    assert grants.calls("GetCallerIdentity") == 1


def test_credentials_are_not_fetched_for_what_access_grants_does_not_cover(grants, register, alice):
    session = grants.session(alice)
    provider = register(session.client("s3", endpoint_url="http://minio.example:9000"), endpoint_url=None)
    grants.forget_requests()
    with pytest.raises(ConfigurationError, match=r"minio\.example:9000 is not an endpoint of AWS"):
        provider.credentials("s3://data/in/x")
    with pytest.raises(ConfigurationError, match="not a general purpose bucket"):
        register(session).credentials("s3://name-s3alias/x")
    with pytest.raises(ConfigurationError, match="target=None"):
        provider.credentials(None)
    with pytest.raises(ConfigurationError, match="Bucket=5"):
        provider.explain("get_object", Bucket=5, Key="x")
    assert grants.requests == []


def test_each_destination_of_a_copy_between_buckets_is_warned_of(grants, register, alice, caplog):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    for bucket in ("other", "third", "other"):
        grants.bucket(bucket)
        with contextlib.suppress(ClientError):
            s3.copy_object(Bucket=bucket, Key="y", CopySource="data/in/x")
    warned = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert [re.findall("requests to (bucket '.*?') are", line) for line in warned] == [
        ["bucket 'other'"],
        ["bucket 'third'"],
    ]
    assert provider.stats().fallback == 3


def test_a_proxys_password_is_in_no_representation(grants, register, alice):
    proxies = {"https": "http://user:hunter2@proxy.example:3128"}
    s3 = grants.session(alice).client("s3", config=Config(proxies=proxies))
    provider = register(s3)
    with contextlib.suppress(ServiceFailure):
        provider.explain("get_object", Bucket="data", Key="in/x")
    hook = _registry.hooks[s3.meta.events]()
    assert "hunter2" not in repr(hook.shape)
    assert "hunter2" not in repr(provider.runtime.clients._clients)


@pytest.mark.only("botocore", reason="no event loop outlives a fork; what is remembered is the same for both")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_calls_under_way_of_a_forgotten_caller_do_not_reach_a_child(s3):
    s3.get_object(Bucket="data", Key="in/x")
    caller = _registry.hooks[s3.meta.events]()._callers._last
    provider_of(s3).runtime.settings.states.forget(caller.digest)
    calls, key = caller.state.calls, ("READ", "data")
    with calls.own_call() as mine:
        assert calls.join_or_start(key, mine) is calls.under_way(key) is mine
        child = os.fork()
        if child == 0:
            os._exit(0 if calls.under_way(key) is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
