"""Real clients over HTTP: transfers in threads, resources, presigned URLs, processes that know only the environment."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

import access_grants_provider
from access_grants_provider.core import control_calls
from access_grants_provider.sdk.internal_clients import InternalClients

pytestmark = pytest.mark.alice("READWRITE s3://data/in/*")

MEBIBYTE = 1024 * 1024


@pytest.fixture
def session(server, alice, register):
    session = server.session(alice)
    session.provider = register(session, endpoint_url=server.url)
    return session


def signers(server, *operations: str) -> set[str | None]:
    return {one.signer for one in server.s3_requests() if not operations or one.operation in operations}


def test_transfers_in_threads_are_signed_with_one_grant(server, session, tmp_path):
    s3 = session.client("s3", endpoint_url=server.url)
    body = os.urandom(20 * MEBIBYTE)
    parts = TransferConfig(multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE, max_concurrency=8)
    s3.upload_fileobj(io.BytesIO(body), "data", "in/big", Config=parts)
    s3.download_file("data", "in/big", str(tmp_path / "big"), Config=parts)
    assert (tmp_path / "big").read_bytes() == body
    s3.copy({"Bucket": "data", "Key": "in/big"}, "data", "in/copy", Config=parts)
    assert server.read("s3://data/in/copy") == body
    operations = {one.operation for one in server.s3_requests()}
    assert {
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "UploadPartCopy",
        "GetObject",
    } <= operations
    # One vend a permission: WRITE for the upload, READ for the download, READWRITE for the copy.
    assert signers(server) == {"grant"}
    assert server.calls("GetDataAccess") == 3


def test_a_resource_reads_lists_and_deletes(server, session):
    bucket = session.resource("s3", endpoint_url=server.url).Bucket("data")
    for name in "abc":
        bucket.put_object(Key=f"in/{name}", Body=name.encode())
    assert [one.key for one in bucket.objects.filter(Prefix="in/")] == ["in/a", "in/b", "in/c"]
    assert bucket.Object("in/b").get()["Body"].read() == b"b"
    bucket.objects.filter(Prefix="in/").delete()
    assert list(bucket.objects.filter(Prefix="in/")) == []
    assert signers(server) == {"grant"}


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_work_without_boto3(server, session, version):
    s3 = session.client("s3", endpoint_url=server.url, config=Config(signature_version=version))
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "data", "Key": "in/p"})
    # urllib would add a Content-Type of its own, which SigV2 signs.
    request = urllib.request.Request(put, data=b"by url", method="PUT", headers={"Content-Type": ""})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    get = s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/p"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"by url"
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(get.replace("/in/p", "/in/q"))
    refused.value.close()
    assert [one.signer for one in server.s3_requests()][:2] == ["grant", "grant"]


def run(program: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(program)],
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PLAIN_PROGRAM = """
    import boto3
    s3 = boto3.client("s3")
    s3.put_object(Bucket="data", Key="in/x", Body=b"from a program that knows nothing")
    print(s3.get_object(Bucket="data", Key="in/x")["Body"].read().decode())
"""
AUTOLOAD = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}


def test_one_environment_variable_is_enough(server, alice):
    printed = run(PLAIN_PROGRAM, {**server.environment(alice), **AUTOLOAD})
    assert printed == "from a program that knows nothing\n"
    assert signers(server, "PutObject", "GetObject") == {"grant"}


def test_the_default_session_is_covered_before_anybody_has_imported_boto3(server, alice):
    first = "import access_grants_provider; access_grants_provider.register()\n"
    run(first + textwrap.dedent(PLAIN_PROGRAM), server.environment(alice))
    assert signers(server, "PutObject", "GetObject") == {"grant"}


def test_an_adapter_asks_as_the_default_session_before_anybody_has_imported_boto3(server, alice):
    program = """
        from access_grants_provider.adapters.source import GrantSource
        print(GrantSource("s3://data/in/", "READ", None, {}).credentials().scope)
    """
    assert run(program, server.environment(alice)) == "s3://data/in/*\n"


def test_a_wrong_option_in_the_environment_stops_the_program(server, alice):
    environment = {**server.environment(alice), **AUTOLOAD, "S3_ACCESS_GRANTS_FALLBACK": "sometimes"}
    with pytest.raises(AssertionError, match="S3_ACCESS_GRANTS_FALLBACK: fallback='sometimes'"):
        run(PLAIN_PROGRAM, environment)
    assert server.s3_requests() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_goes_on_with_what_is_known_and_with_sockets_of_its_own(server, alice):
    program = """
        import json, os, sys, threading
        import boto3, access_grants_provider
        provider = access_grants_provider.register(account_id="123456789012")
        s3 = boto3.client("s3")
        s3.put_object(Bucket="data", Key="in/x", Body=b"1")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            # The grant to write is known; the one to read the child has to ask for, on a connection of its own.
            boto3.client("s3").put_object(Bucket="data", Key="in/y", Body=b"2")
            boto3.client("s3").get_object(Bucket="data", Key="in/x")["Body"].read()
            os.write(writer, json.dumps(provider.stats().vended).encode())
            os._exit(0)
        os.waitpid(child, 0)
        vended = json.loads(os.read(reader, 100))
        s3.get_object(Bucket="data", Key="in/y")["Body"].read()
        print(json.dumps([vended, provider.stats().vended]))
    """
    assert json.loads(run(program, server.environment(alice))) == [2, 2]
    assert signers(server, "PutObject", "GetObject") == {"grant"}
    assert server.calls("GetDataAccess") == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_a_call_does_not_wait_for_the_parents(server, alice, register, monkeypatch):
    # Longer than the test waits for the child's own call: there a wait for the parent's call would be seen.
    monkeypatch.setattr(control_calls, "WAIT_SECONDS", 60)
    session = server.session(alice)
    register(session, endpoint_url=server.url, account_id=server.account_id, timeout_seconds=300)
    s3 = session.client("s3", endpoint_url=server.url)
    with server.hold("GetDataAccess") as held:
        asking = threading.Thread(target=lambda: s3.put_object(Bucket="data", Key="in/x"))
        asking.start()
        held.wait_for(1)
        child = os.fork()
        if child == 0:
            try:
                s3.put_object(Bucket="data", Key="in/y")
            except BaseException:  # noqa: BLE001  the child must not go on with the tests
                os._exit(1)
            os._exit(0)
        held.wait_for(2)
        held.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asking.join()
    assert signers(server, "PutObject") == {"grant"}


def test_a_stranger_sets_it_up_with_s3control_and_the_environment_alone(server):
    program = """
        import boto3
        account = boto3.client("sts").get_caller_identity()["Account"]
        control = boto3.client("s3control")
        control.create_access_grants_instance(AccountId=account)
        location = control.create_access_grants_location(
            AccountId=account, LocationScope="s3://data", IAMRoleArn=f"arn:aws:iam::{account}:role/location"
        )
        control.create_access_grant(
            AccountId=account,
            AccessGrantsLocationId=location["AccessGrantsLocationId"],
            AccessGrantsLocationConfiguration={"S3SubPrefix": "set/up/*"},
            Grantee={"GranteeType": "IAM", "GranteeIdentifier": f"arn:aws:iam::{account}:user/carol"},
            Permission="READWRITE",
        )
    """
    run(program, server.environment(server.admin))
    carol = server.identity("carol")
    session = server.session(carol)
    provider = access_grants_provider.register(session, endpoint_url=server.url)
    s3 = session.client("s3", endpoint_url=server.url)
    s3.put_object(Bucket="data", Key="set/up/x", Body=b"1")
    assert provider.stats().granted == 1
    provider.unregister()


def test_a_region_redirect_ends_under_the_grant(server, alice, register):
    server.bucket("far", region="eu-west-1")
    server.grant(alice, "s3://far/*", "READ")
    server.put("s3://far/x", b"far")
    session = server.session(alice)
    register(session, endpoint_url=server.url)
    s3 = session.client("s3", endpoint_url=server.url)
    assert s3.get_object(Bucket="far", Key="x")["Body"].read() == b"far"
    reads = [(one.signer, one.region, one.status) for one in server.s3_requests() if one.operation == "GetObject"]
    assert reads == [("grant", "us-east-1", 301), ("grant", "eu-west-1", 200)]


def test_the_clients_settings_reach_the_internal_clients(server, alice, register):
    session = server.session(alice)
    s3 = session.client(
        "s3",
        endpoint_url=server.url,
        verify=False,
        config=Config(
            connect_timeout=3,
            read_timeout=4,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=7,
        ),
    )
    provider = register(s3, endpoint_url=server.url, timeout_seconds=7)
    # Of its own, which no other test has used.
    provider.runtime.clients = InternalClients(None)
    provider.explain("get_object", Bucket="data", Key="in/x")
    made = {client.meta.service_model.service_name: client for client in provider.runtime.clients._clients.values()}
    assert set(made) >= {"s3control", "sts"}
    for client in made.values():
        config = client.meta.config
        # The time-outs are those of the decision, and the retries are made by the package itself.
        assert (config.connect_timeout, config.read_timeout) == (7, 7)
        assert config.retries["total_max_attempts"] == 1
        assert config.max_pool_connections == 7
        assert client._endpoint.http_session._verify is False


def test_no_boto3_session_is_needed_for_a_client_with_keys(server, alice, register):
    s3 = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=alice.access_key_id,
        aws_secret_access_key=alice.secret_access_key,
    )
    register(s3, endpoint_url=server.url)
    s3.put_object(Bucket="data", Key="in/x")
    assert signers(server) == {"grant"}
