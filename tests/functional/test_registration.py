"""What a registration covers, and how it is taken back."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import weakref
from types import ModuleType, SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import access_grants_provider
from access_grants_provider import AccessGrantsConfig, initialize_client_plugin
from access_grants_provider.core.clock import Clock
from access_grants_provider.exceptions import ConfigurationError
from access_grants_provider.registration import _registry
from access_grants_provider.sdk.internal_clients import MAX_CLIENTS, InternalClients

pytestmark = pytest.mark.alice("READ s3://data/*", objects=["s3://data/x"])


@pytest.fixture
def as_alice(grants, alice, monkeypatch):
    """Make alice the identity of every session that finds its credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", alice.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", alice.secret_access_key)
    return alice


def signers(grants, s3) -> list[str | None]:
    grants.forget_requests()
    with contextlib.suppress(s3.exceptions.ClientError):
        s3.get_object(Bucket="data", Key="x")
    return [one.signer for one in grants.s3_requests()]


def test_a_boto3_session(grants, register, alice, edge):
    session = edge.high_session(alice)
    before = session.client("s3")
    register(session)
    assert signers(grants, session.client("s3")) == ["grant"]
    assert signers(grants, session.resource("s3").meta.client) == ["grant"]
    assert signers(grants, before) == ["alice"]


def test_a_botocore_session(grants, register, as_alice, edge):
    session = edge.core_session()
    register(session)
    assert signers(grants, session.create_client("s3")) == ["grant"]


@pytest.mark.only("botocore", reason="neither aiobotocore nor aioboto3 has a default session")
def test_nothing_is_boto3s_default_session(grants, register, as_alice):
    register()
    assert signers(grants, boto3.client("s3")) == ["grant"]
    assert signers(grants, boto3.resource("s3").meta.client) == ["grant"]


def test_a_client_alone(grants, register, alice):
    session = grants.session(alice)
    one, other = session.client("s3"), session.client("s3")
    register(one)
    assert signers(grants, one) == ["grant"]
    assert signers(grants, other) == ["alice"]


def test_a_resource_alone(grants, register, alice, edge):
    s3 = edge.high_session(alice).resource("s3")
    register(s3)
    s3.Object("data", "x").get()
    assert signers(grants, s3.meta.client) == ["grant"]


@pytest.mark.parametrize(
    "target", ["s3", 7, object(), boto3, AccessGrantsConfig()], ids=["text", "number", "object", "module", "config"]
)
def test_anything_else_is_refused_with_what_it_takes(target):
    with pytest.raises(ConfigurationError, match=r"it takes a session, an S3 client or an S3 resource of boto3"):
        access_grants_provider.register(target)


def test_a_client_of_another_service_is_refused(grants, register, edge):
    with pytest.raises(ConfigurationError, match="it takes"):
        register(edge.session().client("sqs"))


@pytest.mark.alice("READ s3://data/in/*", objects=["s3://data/in/x"])
@pytest.mark.only("botocore", reason="the options of a session are the same for both clients")
def test_registering_again_with_the_same_options_forgets_nothing(grants, register, alice, control):
    """A task registers each time it runs; its worker goes on."""
    session = grants.session(alice)
    for _ in range(3):
        register(session)
        session.client("s3").head_object(Bucket="data", Key="in/x")
    assert control().count("GetDataAccess") == 1


@pytest.mark.alice("READ s3://data/in/*")
@pytest.mark.only("botocore", reason="the options of a session are the same for both clients")
def test_another_clock_starts_over(grants, register, alice, clock):
    session = grants.session(alice)
    provider = register(session)
    client = session.client("s3")
    assert provider.explain("get_object", Bucket="data", Key="elsewhere/x").outcome == "fallback"
    grants.grant(alice, "s3://data/elsewhere/*", "READ")
    access_grants_provider.register(session, clock=Clock(clock, lambda: 0.0))
    assert provider.explain("get_object", Bucket="data", Key="elsewhere/x").outcome == "granted"
    assert client.meta.service_model.service_name == "s3"


def test_registering_twice_leaves_one_provider_with_the_later_options(grants, register, alice):
    session = grants.session(alice)
    first = register(session, fallback="never")
    s3 = session.client("s3")
    second = register(session, fallback="always")
    assert first is second
    assert second.config.fallback == "always"
    assert signers(grants, s3) == ["grant"]
    assert second.stats().granted == 1


def test_registering_a_client_of_a_registered_session_gives_it_its_own_options(grants, register, alice):
    session = grants.session(alice)
    of_session = register(session)
    s3 = session.client("s3")
    of_client = register(s3, privilege="Minimal")
    assert of_client is not of_session
    assert signers(grants, s3) == ["grant"]
    assert (of_session.stats().granted, of_client.stats().granted) == (0, 1)


def test_unregister_reaches_the_clients_that_exist(grants, register, alice):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    assert signers(grants, s3) == ["grant"]
    provider.unregister()
    assert signers(grants, s3) == ["alice"]
    assert signers(grants, session.client("s3")) == ["alice"]
    with pytest.raises(ConfigurationError, match="unregistered"):
        provider.explain("get_object", Bucket="data", Key="x")
    register(session)
    assert signers(grants, session.client("s3")) == ["grant"]


def test_clear_vends_anew(grants, register, alice):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    signers(grants, s3)
    provider.clear()
    signers(grants, s3)
    assert grants.calls("GetDataAccess") == 1


def test_internal_clients_do_not_ask_for_themselves(grants, register, as_alice, edge):
    provider = register(edge.session())
    grants.bucket("other")
    grants.forget_requests()
    provider.explain("get_object", Bucket="other", Key="x")
    assert provider.stats().control_calls == grants.control_calls()
    assert {one.signer for one in grants.requests} == {"alice"}


def test_a_session_and_its_clients_can_be_forgotten(grants, alice, edge):
    session = grants.session(alice)
    provider = access_grants_provider.register(edge.bare(session))
    s3 = session.client("s3")
    signers(grants, s3)
    gone = [weakref.ref(provider), weakref.ref(edge.bare(s3))]
    s3.close()
    gc.collect()  # what earlier tests left
    registered = len(_registry.providers)
    del session, provider, s3
    gc.collect()
    assert [one() for one in gone] == [None, None]
    assert len(_registry.providers) == registered - 1


@pytest.fixture
def autoload(monkeypatch):
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "access-grants=access_grants_provider")
    yield
    for provider in list(_registry.autoloaded.values()):
        provider.unregister()


def test_the_environment_variable_covers_every_client(grants, as_alice, autoload, edge):
    one, other = edge.session().client("s3"), edge.core_session().create_client("s3")
    assert signers(grants, one) == ["grant"]
    assert signers(grants, other) == ["grant"]
    (provider,) = _registry.autoloaded.values()
    assert provider.stats().vended == 1


def test_a_registered_session_goes_before_the_environment_variable(grants, register, as_alice, autoload, edge):
    session = edge.session()
    provider = register(session)
    assert signers(grants, session.client("s3")) == ["grant"]
    assert provider.stats().granted == 1
    assert not _registry.autoloaded


def test_a_wrong_option_in_the_environment_is_logged_and_then_refuses(
    grants, as_alice, autoload, edge, monkeypatch, caplog
):
    monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "sometimes")
    s3 = edge.session().client("s3")
    assert [one.levelno for one in caplog.records if "S3_ACCESS_GRANTS_FALLBACK" in one.message] == [logging.ERROR]
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"S3_ACCESS_GRANTS_FALLBACK: fallback='sometimes'.*'denied'"):
            s3.get_object(Bucket="data", Key="x")
    edge.session().client("sqs")
    assert grants.calls("GetObject") == 0


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        # What Python finds where a module can't be imported, and where another frame is in the middle of its import.
        pytest.param(None, "it can't be imported: ModuleNotFoundError", id="broken"),
        pytest.param(ModuleType("registration"), "in the middle of the import", id="while loading"),
    ],
)
def test_a_client_refuses_where_the_rest_of_the_package_is_not_there(
    grants, as_alice, autoload, edge, monkeypatch, caplog, module, reason
):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "access_grants_provider.registration", module)
        s3 = edge.session().client("s3")
    assert [one.levelno for one in caplog.records if reason in one.message] == [logging.ERROR]
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=reason):
            s3.get_object(Bucket="data", Key="x")
    assert grants.calls("GetObject") == 0


def test_the_plugin_leaves_other_services_alone(grants, as_alice, edge):
    client = edge.session().client("sqs")
    initialize_client_plugin(edge.bare(client))
    assert client.meta.events not in _registry.hooks


def test_options_come_from_the_profile(grants, register, as_alice, edge, tmp_path, monkeypatch):
    config = tmp_path / "config"
    config.write_text("[profile batch]\ns3_access_grants =\n  fallback = never\n  duration_seconds = 900\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    provider = register(edge.session(profile="batch"))
    assert (provider.config.fallback, provider.config.duration_seconds) == ("never", 900)
    monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "always")
    assert register(edge.session(profile="batch")).config.fallback == "always"
    assert register(edge.session(profile="batch"), fallback="denied").config.fallback == "denied"


def test_on_decision_sees_each_request(grants, register, alice):
    seen = []
    session = grants.session(alice)
    register(session, on_decision=seen.append)
    s3 = session.client("s3")
    signers(grants, s3)
    signers(grants, s3)
    assert [(one.operation, one.outcome, one.source, one.scope) for one in seen] == [
        ("GetObject", "granted", "vended", "s3://data/*"),
        ("GetObject", "granted", "cache", "s3://data/*"),
    ]
    assert seen[0].account_id == grants.account_id
    assert seen[0].region == "us-east-1"
    assert seen[0].expiration.tzinfo is not None


def test_stats_count_by_outcome(grants, register, alice):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    signers(grants, s3)
    signers(grants, s3)
    for call in (s3.list_buckets, lambda: s3.delete_object(Bucket="data", Key="x")):
        with pytest.raises(s3.exceptions.ClientError):
            call()
    stats = provider.stats()
    assert (stats.granted, stats.cache_hits, stats.vended, stats.unsupported, stats.fallback) == (2, 1, 1, 1, 1)


def test_explain_takes_both_names_and_says_what_is_missing(grants, register, alice):
    provider = register(grants.session(alice))
    one = provider.explain("get_object", Bucket="data", Key="x")
    other = provider.explain("GetObject", Bucket="data", Key="x")
    assert (one.outcome, one.target) == (other.outcome, other.target) == ("granted", "s3://data/x")
    assert [request for request in grants.s3_requests() if request.operation == "GetObject"] == []
    with pytest.raises(ConfigurationError, match="needs the parameter 'Key'"):
        provider.explain("get_object", Bucket="data")
    with pytest.raises(ConfigurationError, match="'fetch' is unknown"):
        provider.explain("fetch", Bucket="data")


def test_explain_shows_a_refusal_instead_of_raising_it(grants, register, alice):
    provider = register(grants.session(alice), fallback="never")
    decision = provider.explain("put_object", Bucket="data", Key="x")
    assert decision.outcome == "denied"
    assert "No grant gives" in str(decision.reason)


@pytest.mark.parametrize(
    ("uri", "scope"),
    [
        ("s3://data/x", "s3://data/*"),
        ("s3://data/p/", "s3://data/*"),
        ("s3://data/p*", "s3://data/*"),
        ("s3://data", "s3://data/*"),
    ],
)
def test_credentials_for_a_uri(grants, register, alice, uri, scope):
    provider = register(grants.session(alice))
    vended = provider.credentials(uri, "READ")
    assert vended.scope == scope
    assert vended.access_key.startswith("ASIA")
    assert vended.secret_key not in repr(vended)
    assert vended.token not in repr(vended)


def test_credentials_without_a_grant_are_refused_whatever_the_fallback(grants, register, alice):
    provider = register(grants.session(alice), fallback="always")
    with pytest.raises(access_grants_provider.exceptions.AccessDenied, match="WRITE on 's3://data/x'"):
        provider.credentials("s3://data/x", "WRITE")
    with pytest.raises(ConfigurationError, match="permission='DELETE'"):
        provider.credentials("s3://data/x", "DELETE")
    with pytest.raises(ConfigurationError, match="target='data/x'"):
        provider.credentials("data/x")


@pytest.mark.only("botocore", reason="the internal clients of an asynchronous S3 client end with it")
def test_many_differently_configured_clients_share_a_bounded_number_of_internal_ones(grants, register, alice):
    session = grants.session(alice)
    provider = register(session)
    # Of its own, which no other test has used.
    provider.runtime.clients = InternalClients(None)
    clients = []
    for size in range(1, MAX_CLIENTS + 10):
        clients.append(session.client("s3", config=Config(max_pool_connections=size)))
        # What is known of the caller would spare the calls.
        provider.clear()
        with contextlib.suppress(ClientError):
            clients[-1].get_object(Bucket="data", Key="x")
    assert (grants.calls("GetDataAccess"), grants.calls("GetCallerIdentity")) == (len(clients), 1)
    assert len(provider.runtime.clients._clients) == MAX_CLIENTS
    # A client whose internal ones were dropped gets new ones.
    provider.clear()
    with contextlib.suppress(ClientError):
        clients[0].get_object(Bucket="data", Key="x")
    assert grants.s3_requests()[-1].signer == "grant"
    assert len(provider.runtime.clients._clients) == MAX_CLIENTS


@pytest.mark.alice("READ s3://data/in/*", objects=["s3://data/in/x"])
def test_a_client_made_with_handed_out_credentials_is_left_alone(grants, register, alice):
    provider = register(grants.session(alice).client("s3"), fallback="never")
    vended = provider.credentials("s3://data/in/", "READ")
    keys = SimpleNamespace(
        access_key_id=vended.access_key, secret_access_key=vended.secret_key, session_token=vended.token
    )
    s3 = grants.session(keys).client("s3")
    other = register(s3, fallback="never")
    grants.forget_requests()
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"
    assert grants.control_calls() == 0
    assert other.stats().unsupported == 1
