"""What two local services of one process share, and what each has for itself."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.s3.models import s3_backends

from access_grants_provider.testing import AccessGrantsServer, mock_access_grants

ACCOUNT = "123456789012"


def buckets(running: Any) -> list[str]:
    return [bucket["Name"] for bucket in running.client("s3").list_buckets()["Buckets"]]


def test_a_second_server_leaves_the_first_ones_buckets_alone(server: AccessGrantsServer, refused: Any) -> None:
    server.put("s3://sales/x", b"first")
    with AccessGrantsServer() as second:
        second.bucket("sales")
        second.bucket("more")
        second.put("s3://sales/x", b"second")
        for running, content in ((server, b"first"), (second, b"second")):
            body = running.client("s3").get_object(Bucket="sales", Key="x")["Body"]
            assert body.read() == content
        assert buckets(server) == ["sales"]
        assert buckets(second) == ["sales", "more"]
        with refused("NoSuchBucket"):
            server.client("s3").list_objects_v2(Bucket="more")
    assert server.read("s3://sales/x") == b"first"


def test_a_server_keeps_its_buckets_while_moto_is_mocked_and_reset(server: AccessGrantsServer) -> None:
    server.put("s3://sales/x", b"kept")
    with mock_access_grants() as grants:
        grants.bucket("sales")
        with pytest.raises(KeyError):
            grants.read("s3://sales/x")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="motos")
        assert list(s3_backends[ACCOUNT]["aws"].buckets) == ["motos"]
    assert server.read("s3://sales/x") == b"kept"
    assert buckets(server) == ["sales"]


def test_motos_other_services_are_each_servers_own_too(server: AccessGrantsServer) -> None:
    block = {"BlockPublicAcls": True}
    server.client("s3control").put_public_access_block(AccountId=ACCOUNT, PublicAccessBlockConfiguration=block)
    with AccessGrantsServer() as second:
        control = second.client("s3control")
        with pytest.raises(control.exceptions.NoSuchPublicAccessBlockConfiguration):
            control.get_public_access_block(AccountId=ACCOUNT)
    kept = server.client("s3control").get_public_access_block(AccountId=ACCOUNT)
    assert kept["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True


def test_in_process_the_buckets_are_motos_own(grants: Any) -> None:
    assert list(s3_backends[ACCOUNT]["aws"].buckets) == ["sales"]
    assert s3_backends.bucket_accounts == {"sales": ("aws", ACCOUNT)}
