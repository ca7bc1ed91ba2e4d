"""Users of moto's IAM and roles of its STS, in programs of their own, in every SDK: each reads through its grant."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

import access_grants_provider
from access_grants_provider.testing import AccessGrantsServer, Identity

SDK = os.environ.get("SDK_FOR_JAVASCRIPT", "")
AWS = os.environ.get("ACCESS_GRANTS_TEST_AWS") or str(Path(sys.executable).with_name("aws"))
ROLE = "arn:aws:iam::123456789012:role/nightly/job"
USER = "arn:aws:iam::123456789012:user/dora"

BOTO3 = """
import boto3
print(boto3.client("s3").get_object(Bucket="sales", Key="in/x")["Body"].read().decode())
"""
AIOBOTOCORE = """
import asyncio
from aiobotocore.session import get_session

async def read():
    async with get_session().create_client("s3") as s3:
        answer = await s3.get_object(Bucket="sales", Key="in/x")
        print((await answer["Body"].read()).decode())

asyncio.run(read())
"""


needs_aws_cli = pytest.mark.skipif(
    not os.access(AWS, os.X_OK),
    reason="no AWS CLI: install the extra test-cli, or name one in ACCESS_GRANTS_TEST_AWS",
)


@pytest.fixture
def server(access_grants_server: AccessGrantsServer) -> AccessGrantsServer:
    access_grants_server.bucket("sales")
    access_grants_server.put("s3://sales/in/x", "granted")
    return access_grants_server


def an_iam_user(server: AccessGrantsServer, folder: Path) -> dict[str, str]:
    """The environment of a program with an IAM user's keys, who has a grant."""
    server.client("iam").create_user(UserName="dora")
    keys = server.client("iam").create_access_key(UserName="dora")["AccessKey"]
    server.grant(USER, "s3://sales/in/*", "READ")
    return server.environment(_identity(keys))


def an_assumed_role(server: AccessGrantsServer, folder: Path) -> dict[str, str]:
    """The environment of a program with the keys of an assumed role, which has a grant."""
    server.grant(ROLE, "s3://sales/in/*", "READ")
    keys = server.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="nightly")["Credentials"]
    return server.environment(_identity(keys))


def a_profile(server: AccessGrantsServer, folder: Path) -> dict[str, str]:
    """The environment of a program whose profile says ``role_arn``; the role has a grant."""
    server.grant(ROLE, "s3://sales/in/*", "READ")
    variables = server.environment()
    credentials, config = folder / "credentials", folder / "config"
    credentials.write_text(
        f"[base]\naws_access_key_id = {variables.pop('AWS_ACCESS_KEY_ID')}\n"
        f"aws_secret_access_key = {variables.pop('AWS_SECRET_ACCESS_KEY')}\n"
    )
    config.write_text(f"[profile job]\nrole_arn = {ROLE}\nsource_profile = base\nrole_session_name = nightly\n")
    # The AWS CLI keeps the sessions of roles in its user's home.
    variables["HOME"] = str(folder)
    files = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_PROFILE": "job"}
    return {**variables, **files}


CALLERS: dict[str, Callable[[AccessGrantsServer, Path], dict[str, str]]] = {
    "IAM user": an_iam_user,
    "assumed role": an_assumed_role,
    "role_arn profile": a_profile,
}


def _identity(keys: Any) -> Identity:
    token = keys.get("SessionToken")
    return Identity("held", "", keys["AccessKeyId"], keys["SecretAccessKey"], token, "arn:aws:iam:::")


def run(command: list[str], variables: dict[str, str]) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        command, env={**inherited, "AWS_REGION": "us-east-1", **variables}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def reads(server: AccessGrantsServer) -> list[tuple[str | None, int]]:
    """The signer and the status of each read."""
    return [(record.signer, record.status) for record in server.requests if record.operation == "GetObject"]


@pytest.mark.versions
@pytest.mark.exhaustive
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("program", [BOTO3, AIOBOTOCORE], ids=["boto3", "aiobotocore"])
def test_python_reads_through_the_grant(server: AccessGrantsServer, tmp_path: Path, caller: str, program: str) -> None:
    if program == AIOBOTOCORE and importlib.util.find_spec("aiobotocore") is None:
        pytest.skip("aiobotocore is not installed")
    plugin = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "grants=access_grants_provider"}
    variables = CALLERS[caller](server, tmp_path)
    assert run([sys.executable, "-c", program], {**variables, **plugin}) == "granted"
    assert reads(server) == [("grant", 200)]


@pytest.mark.versions
@pytest.mark.exhaustive
@needs_aws_cli
@pytest.mark.parametrize("caller", CALLERS)
def test_the_aws_cli_with_the_plugin_reads(server: AccessGrantsServer, tmp_path: Path, caller: str) -> None:
    variables = {**CALLERS[caller](server, tmp_path), "HOME": str(tmp_path)}
    plugins = "[plugins]\naccess-grants = access_grants_provider.awscli\n"
    if run([AWS, "--version"], {}).startswith("aws-cli/2."):
        plugins += f"cli_legacy_plugin_path = {Path(access_grants_provider.__file__).parents[1]}\n"
    config = tmp_path / "config"
    config.write_text(f"{config.read_text() if config.exists() else ''}{plugins}")
    variables["AWS_CONFIG_FILE"] = str(config)
    assert run([AWS, "s3", "cp", "s3://sales/in/x", "-"], variables) == "granted"
    assert set(reads(server)) == {("grant", 200)}


@pytest.mark.exhaustive
@needs_aws_cli
@pytest.mark.parametrize("caller", CALLERS)
def test_the_aws_cli_asks_for_the_grant_and_reads(server: AccessGrantsServer, tmp_path: Path, caller: str) -> None:
    variables = CALLERS[caller](server, tmp_path)
    question = ["--account-id", server.account_id, "--target", "s3://sales/in/*", "--permission", "READ"]
    shown = ["--query", "Credentials.[AccessKeyId,SecretAccessKey,SessionToken]", "--output", "text"]
    key, secret, token = run([AWS, "s3control", "get-data-access", *question, *shown], variables).split()
    held = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
    variables.pop("AWS_PROFILE", None)
    assert run([AWS, "s3", "cp", "s3://sales/in/x", "-"], {**variables, **held}) == "granted"
    assert reads(server) == [("grant", 200)]


@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.skipif(
    not (Path(SDK) / "node_modules/@aws-sdk/client-s3-control").is_dir(),
    reason="SDK_FOR_JAVASCRIPT names no folder with @aws-sdk/client-s3 and @aws-sdk/client-s3-control in node_modules",
)
@pytest.mark.parametrize("caller", CALLERS)
def test_the_sdk_for_javascript_reads(server: AccessGrantsServer, tmp_path: Path, caller: str) -> None:
    script = str(Path(__file__).with_name("local_identities.mjs"))
    variables = CALLERS[caller](server, tmp_path)
    assert run(["node", "--no-warnings", script, server.account_id, "sales", "in/x"], variables) == "granted"
    assert reads(server) == [("grant", 200)]


def test_boto3_finds_s3_control_as_it_stands(server: AccessGrantsServer) -> None:
    server.grant(alice := server.identity("alice"), "s3://sales/in/*", "READ")
    keys: Any = {"aws_access_key_id": alice.access_key_id, "aws_secret_access_key": alice.secret_access_key}
    control = boto3.Session(region_name="us-east-1").client("s3control", endpoint_url=server.url, **keys)
    found = control.list_caller_access_grants(AccountId=server.account_id)["CallerAccessGrantsList"]
    assert [entry["GrantScope"] for entry in found] == ["s3://sales/in/*"]
    assert server.requests[-1].host.startswith(f"{server.account_id}.127.0.0.1:")


CONTROL = """
import sys, boto3
from botocore.config import Config
options = {} if len(sys.argv) == 1 else {"endpoint_url": sys.argv[1], "config": Config(proxies={"http": sys.argv[2]})}
found = boto3.client("s3control", **options).get_access_grants_instance(AccountId="123456789012")
print(found["AccessGrantsInstanceId"])
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", ["environment", "proxy"])
def test_boto3_in_another_process_finds_s3_control(server: AccessGrantsServer, way: str) -> None:
    server.instance()
    arguments = {"environment": [], "proxy": ["http://access-grants.invalid", server.url]}[way]
    assert run([sys.executable, "-c", CONTROL, *arguments], server.environment()) == "default"


@pytest.mark.exhaustive
@pytest.mark.skipif(importlib.util.find_spec("aiobotocore") is None, reason="aiobotocore is not installed")
def test_aiobotocore_finds_s3_control_as_it_stands(server: AccessGrantsServer) -> None:
    import asyncio

    from aiobotocore.session import get_session

    async def instance(url: str) -> Any:
        session, admin = get_session(), server.admin
        session.set_credentials(admin.access_key_id, admin.secret_access_key)
        async with session.create_client("s3control", region_name="us-east-1", endpoint_url=url) as control:
            return (await control.get_access_grants_instance(AccountId=server.account_id))["AccessGrantsInstanceId"]

    server.instance()
    for url in (server.url, server.s3control_url):
        assert asyncio.run(instance(url)) == "default"
