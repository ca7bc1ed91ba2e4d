"""A provider that answers for a session without covering its clients."""

from __future__ import annotations

import gc
import weakref

import boto3
import pytest

from access_grants_provider.exceptions import ConfigurationError
from access_grants_provider.registration import provider_for, register

pytestmark = pytest.mark.only("botocore", reason="provider_for() takes sessions of boto3 and botocore alone")


def test_it_answers_and_leaves_the_sessions_clients_alone(grants):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/a/*", "READ")
    grants.allow(alice, "s3://data/a/*", "READ")
    grants.put("s3://data/a/x", b"1")
    session = grants.session(alice)
    assert provider_for(session).credentials("s3://data/a/").scope == "s3://data/a/*"
    session.client("s3").get_object(Bucket="data", Key="a/x")
    assert [one.signer for one in grants.s3_requests()] == ["alice"]


def test_what_it_remembers_is_found_again_by_session_and_options(grants):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/a/*", "READ")
    session = grants.session(alice)
    for _ in range(3):
        provider_for(session).credentials("s3://data/a/")
    assert grants.calls("GetDataAccess") == 1
    assert provider_for(session, privilege="Minimal") is not provider_for(session)
    assert provider_for(grants.session(alice)) is not provider_for(session)


def test_a_registered_sessions_provider_answers_itself(grants):
    session = grants.session(grants.identity("alice"))
    provider = register(session, fallback="never")
    assert provider_for(session) is provider
    other = provider_for(session, fallback="always")
    assert other is not provider
    assert other.config.fallback == "always"
    provider.unregister()


def test_it_goes_with_its_session(grants):
    session = grants.session(grants.identity("alice"))
    provider = weakref.ref(provider_for(session))
    provider().stats()
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    assert provider() is None


def test_a_client_is_no_session(grants):
    with pytest.raises(ConfigurationError, match="Credentials are asked for with a session of boto3"):
        provider_for(grants.session(grants.identity("alice")).client("s3"))


def test_without_a_session_it_is_boto3s_default_session(grants, monkeypatch):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/a/*", "READ")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", grants.session(alice))
    assert provider_for().credentials("s3://data/a/").permission == "READ"
