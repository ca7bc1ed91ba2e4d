"""Pins of what boto3 and botocore do not promise and ``crt_transfers.py`` needs: the day it changes, this says so."""

from __future__ import annotations

import gc
import inspect
import weakref

import boto3
import boto3.s3.inject
import boto3.s3.transfer
import botocore.session
import pytest
from boto3.s3.transfer import TransferConfig

import access_grants_provider
from access_grants_provider.sdk.crt_transfers import TRANSFERS

KEYS = {"aws_access_key_id": "AKIATEST000000000001", "aws_secret_access_key": "s", "region_name": "us-east-1"}


@pytest.fixture
def session():
    return boto3.Session(**KEYS)


def test_each_client_has_a_class_of_its_own(session):
    assert type(session.client("s3")) is not type(session.client("s3"))


@pytest.mark.parametrize("name", TRANSFERS)
def test_the_transfer_methods_stand_in_the_clients_class_and_take_a_configuration(session, name):
    method = vars(type(session.client("s3")))[name]
    assert inspect.signature(method).parameters["Config"].default is None


def test_these_are_all_the_methods_with_a_configuration_beside_copy(session):
    found = {
        name
        for name, method in vars(type(session.client("s3"))).items()
        if inspect.isfunction(method) and "Config" in inspect.signature(method).parameters
    }
    assert found == {*TRANSFERS, "copy"}


@pytest.mark.parametrize("name", [*TRANSFERS, "copy"])
@pytest.mark.parametrize("kind", ["Bucket", "Object"])
def test_those_of_buckets_and_objects_end_in_the_clients(session, monkeypatch, kind, name):
    s3 = session.resource("s3")
    called = []
    monkeypatch.setattr(type(s3.meta.client), name, lambda self, **given: called.append(given["Config"]))
    config = TransferConfig()
    of, given = (s3.Bucket("b"), "xk") if kind == "Bucket" else (s3.Object("b", "k"), "x")
    getattr(of, name)(*given, Config=config)
    assert called == [config]


def test_a_copy_is_classic_whatever_its_configuration(session, monkeypatch):
    seen = []

    def stop(client, config, *_):
        seen.append(config.preferred_transfer_client)
        raise InterruptedError

    monkeypatch.setattr(boto3.s3.inject, "create_transfer_manager", stop)
    config = TransferConfig(preferred_transfer_client="crt")
    with pytest.raises(InterruptedError):
        session.client("s3").copy({"Bucket": "b", "Key": "k"}, "b", "l", Config=config)
    assert seen == ["classic"]


def test_classic_is_a_value_of_the_configuration_and_auto_its_default():
    assert TransferConfig().preferred_transfer_client == "auto"
    assert boto3.s3.transfer._should_use_crt(TransferConfig(preferred_transfer_client="classic")) is False


def test_a_client_is_asked_for_the_credentials_of_the_crt():
    pytest.importorskip("awscrt", reason="awscrt is not installed: pip install 'boto3[crt]'")
    import boto3.crt

    class Client:
        def _get_credentials(self):
            asked.append(self)

    asked: list[Client] = []
    assert boto3.crt.is_crt_compatible_request(Client(), crt_s3_client=object()) is False
    assert len(asked) == 1


@pytest.fixture
def without_collections():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_covered_client_is_gone_with_its_last_name(session, without_collections):
    provider = access_grants_provider.register(session)
    client = session.client("s3")
    gone = weakref.ref(client)
    del client
    assert gone() is None
    provider.unregister()


def test_a_client_made_by_botocore_alone_gets_no_methods():
    session = botocore.session.Session()
    provider = access_grants_provider.register(session)
    client = session.create_client("s3", region_name="us-east-1")
    assert not any(hasattr(client, name) for name in TRANSFERS)
    provider.unregister()
    assert not any(hasattr(client, name) for name in TRANSFERS)
