"""The local server as other programs meet it: unmodified boto3 in a process of its own, proxies, other services."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from access_grants_provider.testing import AccessGrantsServer

NASTY = [
    *("a b", "a+b", "a%2Fb", "ü", "x//y", "/lead", "st*r", "q?m", "dot/./x", "..", "a;b/c;d", "#", "~", "trail/"),
    *("a&b=c", " lead", "%", "a\\b", "日本/😀", "a:b@c,d", "'\"<>"),
]


@pytest.fixture
def server(access_grants_server: AccessGrantsServer) -> AccessGrantsServer:
    access_grants_server.bucket("sales")
    return access_grants_server


PROGRAM = """
import boto3
account = boto3.client("sts").get_caller_identity()["Account"]
keys = boto3.client("s3control").get_data_access(
    AccountId=account, Target="s3://sales/in/*", Permission="READWRITE")["Credentials"]
s3 = boto3.client("s3", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
                  aws_session_token=keys["SessionToken"])
s3.put_object(Bucket="sales", Key="in/copy", Body=s3.get_object(Bucket="sales", Key="in/x")["Body"].read())
print(account)
"""


@pytest.mark.parametrize("session", [False, True])
def test_an_unmodified_program_in_its_own_process(server: AccessGrantsServer, session: bool) -> None:
    alice = server.identity("alice", session=session)
    server.grant(alice, "s3://sales/in/*", "READWRITE")
    server.put("s3://sales/in/x", b"to copy")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **server.environment(alice)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == server.account_id
    assert server.read("s3://sales/in/copy") == b"to copy"
    assert [(record.operation, record.signer) for record in server.requests] == [
        ("GetCallerIdentity", "alice"),
        ("GetDataAccess", "alice"),
        ("GetObject", "grant"),
        ("PutObject", "grant"),
    ]


def test_keys_are_what_was_sent(server: AccessGrantsServer) -> None:
    alice = server.identity("alice")
    s3, nobody = server.client("s3", alice), server.client("s3", server.identity("nobody"))
    for key in NASTY:
        server.allow(alice, f"s3://sales/{key}" if not key.endswith("*") else "s3://sales/*", "READWRITE")
        s3.put_object(Bucket="sales", Key=key, Body=key.encode())
        assert s3.get_object(Bucket="sales", Key=key)["Body"].read() == key.encode()
        assert server.read(f"s3://sales/{key}") == key.encode()
        assert server.s3_requests()[-1].key == key
        with pytest.raises(ClientError, match="AccessDenied"):
            nobody.get_object(Bucket="sales", Key=key)
    listed = server.client("s3").list_objects_v2(Bucket="sales")["Contents"]
    assert {entry["Key"] for entry in listed} == set(NASTY)


def test_virtual_hosts(server: AccessGrantsServer) -> None:
    server.allow(alice := server.identity("alice"), "s3://sales/*", "READWRITE")
    address = urlsplit(server.url)
    s3 = server.session(alice).client(
        "s3",
        endpoint_url=f"http://access-grants.invalid:{address.port}",
        config=Config(s3={"addressing_style": "virtual"}, proxies={"http": server.url}),
    )
    s3.put_object(Bucket="sales", Key="a/b", Body=b"virtual")
    assert s3.get_object(Bucket="sales", Key="a/b")["Body"].read() == b"virtual"
    assert server.requests[-1].host.startswith("sales.access-grants.invalid")


def raw(server: AccessGrantsServer, method: str, target: str, **options: Any) -> tuple[int, bytes]:
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        connection.request(method, target, **options)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_is_no_proxy_for_the_world(server: AccessGrantsServer) -> None:
    status, body = raw(server, "GET", "http://example.com/")
    assert (status, body) == (502, b"The local S3 Access Grants are no proxy for example.com.\n")


def test_who_goes_through_the_proxy_to_aws_stays_here(server: AccessGrantsServer) -> None:
    s3 = server.session().client("s3", use_ssl=False, config=Config(proxies={"http": server.url}))
    assert [entry["Name"] for entry in s3.list_buckets()["Buckets"]] == ["sales"]


def test_chunked_bodies(server: AccessGrantsServer) -> None:
    s3 = server.client("s3", config=Config(signature_version="s3v4"))
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "sales", "Key": "chunked"}))
    status, _ = raw(server, "PUT", f"{url.path}?{url.query}", body=iter([b"one ", b"two"]), encode_chunked=True)
    assert status == 200
    assert server.read("s3://sales/chunked") == b"one two"


@pytest.mark.parametrize(
    ("header", "body"),
    [("Content-Length: many", ""), ("Content-Length: -1", ""), ("Transfer-Encoding: chunked", "many\r\n")],
)
def test_a_body_without_an_end_is_refused(server: AccessGrantsServer, header: str, body: str) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"PUT /sales/x HTTP/1.1\r\nHost: {host}\r\n{header}\r\n\r\n{body}".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_large_objects_and_trailing_checksums(server: AccessGrantsServer) -> None:
    content = os.urandom(9_000_000)
    s3 = server.client("s3", config=Config(request_checksum_calculation="when_supported"))
    for algorithm in ("CRC32", "SHA256"):
        s3.put_object(Bucket="sales", Key="large", Body=content, ChecksumAlgorithm=algorithm)
        assert s3.get_object(Bucket="sales", Key="large")["Body"].read() == content


def test_managed_transfers(server: AccessGrantsServer, tmp_path: Any) -> None:
    alice = server.identity("alice")
    server.allow(alice, "s3://sales/in/*", "READWRITE")
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(9_000_000))
    s3 = server.client("s3", alice)
    s3.upload_file(str(source), "sales", "in/file")
    s3.download_file("sales", "in/file", str(target))
    assert target.read_bytes() == source.read_bytes()
    assert server.calls("UploadPart") == 2


def test_other_services_answer_as_in_moto(server: AccessGrantsServer) -> None:
    control = server.client("s3control")
    block = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    control.put_public_access_block(AccountId=server.account_id, PublicAccessBlockConfiguration=block)
    found = control.get_public_access_block(AccountId=server.account_id)
    assert found["PublicAccessBlockConfiguration"] == block
    status, _ = raw(server, "GET", "/", headers={"Host": "nothing.example.com"})
    assert status in (403, 404)


def test_many_at_once(server: AccessGrantsServer) -> None:
    s3 = server.client("s3", config=Config(max_pool_connections=32))
    threads = [
        threading.Thread(target=s3.put_object, kwargs={"Bucket": "sales", "Key": str(n), "Body": b"x"})
        for n in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert s3.list_objects_v2(Bucket="sales")["KeyCount"] == 32


def test_stopping_leaves_nothing_behind() -> None:
    before = threading.active_count()
    first = AccessGrantsServer(account_id="111111111111", region="eu-west-1").start()
    first.bucket("left-behind")
    s3 = first.client("s3")
    assert s3.head_bucket(Bucket="left-behind")["BucketRegion"] == "eu-west-1"
    with pytest.raises(RuntimeError, match="running already"):
        first.start()
    blocked = first.hold("ListBuckets")
    one = threading.Thread(target=_ignoring_errors, args=(s3.list_buckets,))
    one.start()
    blocked.wait_for(1)
    first.stop()
    first.stop()
    one.join(20)
    with pytest.raises(RuntimeError, match="not running"):
        assert first.url
    assert threading.active_count() == before
    with AccessGrantsServer() as second, pytest.raises(ClientError, match="NoSuchBucket"):
        second.client("s3").list_objects_v2(Bucket="left-behind")


def _ignoring_errors(call: Any) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - the server goes away meanwhile
        return


def test_the_environment_is_plain_strings(server: AccessGrantsServer) -> None:
    environment = server.environment()
    assert all(isinstance(value, str) for value in environment.values())
    assert environment["S3_ACCESS_GRANTS_ENDPOINT_URL"] == server.url
    assert "AWS_SESSION_TOKEN" not in environment
    assert server.environment(server.identity("job", session=True))["AWS_SESSION_TOKEN"]


def test_a_session_signs_as_the_identity(server: AccessGrantsServer) -> None:
    session = server.session(server.identity("alice"))
    assert isinstance(session, boto3.Session)
    answer = session.client("sts", endpoint_url=server.url).get_caller_identity()
    assert answer["Arn"].endswith(":user/alice")
