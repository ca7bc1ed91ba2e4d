"""Each fault seen in aws-s3-access-grants-boto3-plugin 1.3.0, as a test that passes here."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import ClientError

from access_grants_provider.exceptions import AccessDenied, ServiceFailure
from access_grants_provider.registration import _registry

pytestmark = pytest.mark.only("botocore", reason="the official plugin, whose faults these are, is for boto3 alone")


@pytest.fixture
def bob(grants):
    return grants.identity("bob")


@pytest.fixture
def client(grants, register):
    def make(identity, **options):
        session = grants.session(identity)
        session.provider = register(session, **options)
        grants.forget_requests()
        return session.client("s3")

    return make


def vended_targets(grants) -> list[tuple[str, str]]:
    vends = [one.parameters for one in grants.requests if one.operation == "GetDataAccess"]
    return [(one["Permission"], one["Target"]) for one in vends]


def test_sts_is_called_on_every_request(grants, client, alice):
    grants.grant(alice, "s3://data/*", "WRITE")
    s3 = client(alice)
    for number in range(5):
        s3.put_object(Bucket="data", Key=str(number))
    assert grants.calls("GetCallerIdentity") == 1


def test_a_second_session_in_the_process_gets_the_first_ones_grants(grants, client, alice, bob):
    grants.grant(alice, "s3://data/*", "WRITE")
    client(alice).put_object(Bucket="data", Key="x")
    with pytest.raises(ClientError, match="user/bob is not authorized"):
        client(bob).put_object(Bucket="data", Key="x")


def test_grants_are_asked_for_as_the_default_identity(grants, register, alice, bob, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bob.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bob.secret_access_key)
    grants.grant(alice, "s3://data/*", "WRITE")
    s3 = boto3.client("s3", aws_access_key_id=alice.access_key_id, aws_secret_access_key=alice.secret_access_key)
    register(s3)
    grants.forget_requests()
    s3.put_object(Bucket="data", Key="x")
    assert {one.principal for one in grants.requests} == {"alice"}


class Rotating(RefreshableCredentials):
    """Credentials that a role gives and takes back, as on EC2."""

    def __init__(self, identity) -> None:
        self.identity = identity

    def get_frozen_credentials(self):
        one = self.identity
        return ReadOnlyCredentials(one.access_key_id, one.secret_access_key, one.session_token)


def test_entries_of_rotated_keys_cannot_be_found_or_evicted(grants, client, alice):
    grants.grant(alice, "s3://data/*", "WRITE")
    s3 = client(alice)
    credentials = s3._request_signer._credentials = Rotating(alice)
    s3.put_object(Bucket="data", Key="x")
    credentials.identity = grants.rotate(alice)
    s3.put_object(Bucket="data", Key="x")
    assert grants.calls("GetDataAccess") == 2
    assert len(_provider(s3).runtime.settings.states) == 1


def _provider(s3):
    from access_grants_provider.registration import _registry

    return _registry.hooks[s3.meta.events]().owner


def test_expiration_is_ignored(grants, client, alice, clock):
    grants.grant(alice, "s3://data/*", "WRITE")
    grants.lifetime = 60
    s3 = client(alice)
    s3.put_object(Bucket="data", Key="x")
    clock.forward(61)
    s3.put_object(Bucket="data", Key="x")
    assert grants.calls("GetDataAccess") == 2
    assert {one.status for one in grants.s3_requests()} == {200}


def test_object_grants_are_never_kept(grants, client, alice):
    grants.grant(alice, "s3://data/one", "WRITE")
    s3 = client(alice)
    for _ in range(3):
        s3.put_object(Bucket="data", Key="one")
    assert grants.calls("GetDataAccess") == 1


def test_ten_cold_threads_make_ten_calls(grants, client, alice):
    grants.grant(alice, "s3://data/*", "WRITE")
    s3 = client(alice)
    barrier = threading.Barrier(10)

    def put(number: int) -> None:
        barrier.wait()
        s3.put_object(Bucket="data", Key=f"{number}/x")

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(put, range(10)))
    assert grants.calls("GetDataAccess") == 1


def test_a_grant_on_a_prefix_is_used_for_the_object_named_like_it(grants, client, alice):
    grants.grant(alice, "s3://data/pre/*", "WRITE")
    s3 = client(alice)
    s3.put_object(Bucket="data", Key="pre/x")
    with pytest.raises(ClientError):
        s3.put_object(Bucket="data", Key="pre")
    assert [one.signer for one in grants.s3_requests()] == ["grant", "alice"]


def test_the_common_prefix_is_cut_at_a_slash(grants, client, alice):
    grants.grant(alice, "s3://data/a/b*", "WRITE")
    s3 = client(alice)
    s3.delete_objects(Bucket="data", Delete={"Objects": [{"Key": "a/b/c"}, {"Key": "a/bc"}]})
    assert vended_targets(grants) == [("WRITE", "s3://data/a/b*")]
    assert {one.signer for one in grants.s3_requests()} == {"grant"}


def test_an_encoded_copy_source_is_compared_raw(grants, client, alice):
    grants.grant(alice, "s3://data/ü b/*", "READWRITE")
    grants.put("s3://data/ü b/x", b"1")
    client(alice).copy_object(Bucket="data", Key="ü b/y", CopySource={"Bucket": "data", "Key": "ü b/x"})
    assert vended_targets(grants) == [("READWRITE", "s3://data/ü b/*")]


def test_upload_part_copy_is_not_mapped(grants, client, alice):
    provider = _provider(client(alice))
    decision = provider.explain("upload_part_copy", Bucket="data", Key="p/y", CopySource="data/p/x")
    assert (decision.permission, decision.target) == ("READWRITE", "s3://data/p/*")


def test_a_presigned_post_asks_for_the_whole_bucket(grants, client, alice):
    grants.grant(alice, "s3://data/up/*", "WRITE")
    client(alice).generate_presigned_post("data", "up/x")
    assert vended_targets(grants) == [("WRITE", "s3://data/up/x")]


def test_unsigned_clients_raise(grants, register, alice):
    register(s3 := grants.session(alice).client("s3", config=Config(signature_version=UNSIGNED)))
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket="data", Key="x")
    assert [one.operation for one in grants.requests][-1] == "GetObject"


def test_one_exception_object_is_raised_again_and_again(grants, client, alice):
    grants.grant(alice, "s3://data/elsewhere/*", "READ")
    s3 = client(alice, fallback="never")
    raised = []
    for _ in range(2):
        with pytest.raises(AccessDenied) as caught:
            s3.get_object(Bucket="data", Key="x")
        raised.append(caught.value)
    assert raised[0] is not raised[1]


def test_with_fallback_every_exception_is_swallowed(grants, client, alice, caplog):
    grants.grant(alice, "s3://data/*", "READ")
    grants.fail("GetDataAccess", "InternalFailure", status=400, times=None)
    with pytest.raises(ServiceFailure, match="InternalFailure"):
        client(alice, fallback="denied").get_object(Bucket="data", Key="x")
    s3 = client(alice, fallback="always")
    with pytest.raises(ClientError, match="user/alice is not authorized"):
        s3.get_object(Bucket="data", Key="x")
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert warning.name == "access_grants_provider.fallbacks"
    assert "InternalFailure" in warning.getMessage()


def test_asynchronous_clients_crash_where_a_grant_matches(access_grants_server, monkeypatch):
    aiobotocore_session = pytest.importorskip(
        "aiobotocore.session", reason="aiobotocore is not installed: it pins a botocore older than the newest"
    )
    import asyncio

    server = access_grants_server
    alice = server.identity("alice")
    server.bucket("data")
    server.grant(alice, "s3://data/*", "READ")
    server.put("s3://data/x", b"1")
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "access-grants=access_grants_provider")
    for name, value in server.environment(alice).items():
        monkeypatch.setenv(name, value)

    async def read() -> bytes:
        async with aiobotocore_session.get_session().create_client("s3") as s3:
            answer = await s3.get_object(Bucket="data", Key="x")
            async with answer["Body"] as body:
                return await body.read()

    assert asyncio.run(read()) == b"1"
    assert [one.signer for one in server.s3_requests()] == ["grant"]
    for provider in list(_registry.autoloaded.values()):
        provider.unregister()
