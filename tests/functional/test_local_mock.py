"""The local S3 Access Grants in process: as context manager, decorator and fixture, beside moto's own mocks."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.metadata import entry_points
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.models import botocore_stubber

from access_grants_provider.testing import mock_access_grants

pytest_plugins = ["pytester"]
NASTY = ["a b", "a+b", "a%2Fb", "ü", "x//y", "/lead", "st*r", "q?m", "dot/./x", "..", "a;b/c;d", "#", "trail/", "a&b=c"]


def test_a_plain_client_is_the_admin() -> None:
    with mock_access_grants() as grants:
        control = boto3.client("s3control")
        control.create_access_grants_instance(AccountId=grants.account_id)
        boto3.client("s3").create_bucket(Bucket="sales")
        assert boto3.client("sts").get_caller_identity()["Arn"] == grants.admin.arn
        assert {record.signer for record in grants.requests} == {"admin"}


@pytest.mark.parametrize("token", [None, "testing"])
def test_the_keys_in_the_environment_are_the_admins(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    before = boto3.client("s3")
    with mock_access_grants():
        before.create_bucket(Bucket="sales")
        boto3.client("s3").put_object(Bucket="sales", Key="x", Body=b"x")


@mock_access_grants
def test_as_a_decorator() -> None:
    boto3.client("s3").create_bucket(Bucket="sales")


@mock_access_grants(account_id="111111111111", region="eu-west-1")
def test_as_a_decorator_with_options(tmp_path: Any, access_grants: Any) -> None:
    assert tmp_path.exists()
    assert ":eu-west-1:111111111111:" in access_grants.instance()
    assert access_grants.client("sts").get_caller_identity()["Account"] == "111111111111"


def test_a_decorated_function_keeps_its_result_and_arguments() -> None:
    @mock_access_grants()
    def add(left: int, right: int = 1) -> int:
        return left + right

    assert add(1, right=2) == 3


@pytest.mark.parametrize("outside", [True, False])
def test_beside_mock_aws(outside: bool) -> None:
    managers: list[Any] = [mock_aws(), mock_access_grants()]
    first, second = managers if outside else reversed(managers)
    with first, second:
        boto3.client("s3").create_bucket(Bucket="sales")
        # What is neither S3 nor Access Grants is moto's, as ever.
        role = "arn:aws:iam::123456789012:role/anybody"
        assumed = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="someone")
        assert assumed["Credentials"]["AccessKeyId"].startswith("ASIA")
        with pytest.raises(ClientError, match="AccessGrantsInstanceNotExistsError"):
            boto3.client("s3control").get_access_grants_instance(AccountId="123456789012")


def test_leaving_restores_moto() -> None:
    before = botocore_stubber.process_request
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="outer")
        with mock_access_grants() as grants:
            outsider = grants.client("s3", grants.identity("alice"))
            with pytest.raises(ClientError, match="AccessDenied"):
                outsider.list_buckets()
        # moto on its own enforces nothing.
        assert outsider.list_buckets()["Buckets"]
    assert botocore_stubber.process_request == before


def test_nothing_is_left_for_the_next() -> None:
    with mock_access_grants() as grants:
        grants.bucket("sales")
    with mock_access_grants() as grants, pytest.raises(ClientError, match="NoSuchBucket"):
        grants.client("s3").get_object(Bucket="sales", Key="x")


def test_a_mock_can_be_entered_again() -> None:
    mock = mock_access_grants()
    for _ in range(2):
        with mock as grants:
            grants.bucket("sales")


def test_keys_are_what_was_sent() -> None:
    with mock_access_grants() as grants:
        grants.bucket("sales")
        alice = grants.identity("alice")
        s3 = grants.client("s3", alice)
        for key in NASTY:
            grants.allow(alice, f"s3://sales/{key}", "READWRITE")
            s3.put_object(Bucket="sales", Key=key, Body=key.encode())
            assert s3.get_object(Bucket="sales", Key=key)["Body"].read() == key.encode()
            assert grants.read(f"s3://sales/{key}") == key.encode()
            assert grants.s3_requests()[-1].key == key
        listed = grants.client("s3").list_objects_v2(Bucket="sales")["Contents"]
        assert {entry["Key"] for entry in listed} == set(NASTY)


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "file", "opened", "trailer"])
def test_every_kind_of_body(kind: str, tmp_path: Any) -> None:
    content = bytes(range(256)) * 40
    path = tmp_path / "body"
    path.write_bytes(content)
    with mock_access_grants() as grants, path.open("rb") as opened:
        grants.bucket("sales")
        body: Any = {"bytes": content, "bytearray": bytearray(content), "file": io.BytesIO(content)}.get(kind, opened)
        options = {"ChecksumAlgorithm": "SHA256"} if kind == "trailer" else {}
        grants.client("s3").put_object(Bucket="sales", Key="x", Body=body, **options)
        assert grants.read("s3://sales/x") == content


def test_a_failed_upload_is_retried_from_the_start() -> None:
    with mock_access_grants() as grants:
        grants.bucket("sales")
        grants.fail("PutObject", "SlowDown", times=1)
        grants.client("s3").put_object(Bucket="sales", Key="x", Body=io.BytesIO(b"sent"))
        assert grants.read("s3://sales/x") == b"sent"
        assert [record.status for record in grants.requests] == [503, 200]


def test_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_in_process(access_grants):
            access_grants.bucket("sales")
            alice = access_grants.identity("alice")
            assert access_grants.grant(alice, "s3://sales/*", "READ")

        def test_over_http(access_grants_server):
            access_grants_server.bucket("sales")
            assert access_grants_server.client("s3").list_buckets()["Buckets"]
        """
    )
    name = "access_grants_provider.testing.pytest_plugin"
    # Where the package is installed, pytest finds the plugin by itself.
    installed = any(entry.value == name for entry in entry_points(group="pytest11"))
    result = pytester.runpytest_inprocess(*([] if installed else ["-p", name]), "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_the_plugin_is_light() -> None:
    program = "import sys, access_grants_provider.testing.pytest_plugin; "
    program += "print([m for m in ('moto', 'boto3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_names_are_sorted_and_there() -> None:
    import access_grants_provider.testing as testing

    assert testing.__all__ == sorted(testing.__all__)
    assert all(getattr(testing, name) for name in testing.__all__)
    with pytest.raises(AttributeError):
        testing.nothing  # noqa: B018
