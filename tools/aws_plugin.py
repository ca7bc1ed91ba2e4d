"""Runs the integration tests of AWS's own boto3 plugin against the local S3 Access Grants.

``python -m tools.aws_plugin CHECKOUT``, where CHECKOUT is a checkout of ``aws/boto3-s3-access-grants-plugin``. Nothing
is fetched, and nothing is written into the checkout. The tests were written for a real account and say what AWS's
developers expect of it. Here moto and ``mock_access_grants`` stand for the account.

They run four times: with the plugin of the checkout and with this package in its place, each with clients that are in
another region than the test's buckets by default, and with clients in their region. The setup runs as an administrator;
the tests run as a session of the role that their grants are for, which moto's STS gives.

This module is the command and the pytest plugin that the command loads.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import access_grants_provider

ROOT = Path(__file__).parents[1]
TESTS = "tests/integration/test_plugin.py"
SETUP = "tests.integration.test_setup"
PLUGIN = "aws_s3_access_grants_boto3_plugin"
# The second one is where the tests' setup creates its buckets.
REGIONS = ("us-east-1", "us-west-1")
# Which plugin a run is about.
VARIABLE = "TESTED_PLUGIN"
OFFICIAL, OURS = "official", "access_grants_provider"
SECONDS = 300


class S3AccessGrantsPlugin:
    """What the tests know of AWS's plugin: a client, whether to fall back, and ``register()``."""

    def __init__(self, s3_client: Any, fallback_enabled: bool) -> None:
        self._client = s3_client
        self._fallback = "denied" if fallback_enabled else "never"

    def register(self) -> None:
        """Cover the client."""
        access_grants_provider.register(self._client, fallback=self._fallback)


class Account:
    """The account that the tests run in, and a line at the end that says who signed."""

    def __init__(self) -> None:
        from access_grants_provider.testing import mock_access_grants

        os.environ.update(AWS_ACCESS_KEY_ID="administrator", AWS_SECRET_ACCESS_KEY="secret")
        self._mock = mock_access_grants()
        self._access_grants = self._mock.__enter__()

    def pytest_collection_finish(self, session: Any) -> None:
        """The setup's clients exist now, made by an administrator; what is made from now on is the role's."""
        import boto3

        setup = sys.modules[SETUP].SetupIntegrationTests
        setup.test_account = self._access_grants.account_id
        role = f"arn:aws:iam::{setup.test_account}:role/{setup.iam_role_name}"
        self._access_grants.allow(role, f"s3://{setup.unregistered_bucket_name}*", "READWRITE")
        self._access_grants.permit(role, "s3:ListAllMyBuckets")
        keys = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
        os.environ.update(
            AWS_ACCESS_KEY_ID=keys["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=keys["SecretAccessKey"],
            AWS_SESSION_TOKEN=keys["SessionToken"],
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say who signed the S3 requests."""
        requests = self._access_grants.s3_requests()
        signed = Counter((request.operation, request.signer or "nobody", request.status) for request in requests)
        terminalreporter.section("S3 requests")
        for (operation, signer, status), count in signed.items():
            terminalreporter.line(f"{count} {operation} signed by {signer}: {status}")

    def pytest_unconfigure(self) -> None:
        """End."""
        self._mock.__exit__(None, None, None)


def pytest_configure(config: Any) -> None:
    """Begin, before the tests are imported: their classes make clients."""
    if os.environ[VARIABLE] == OURS:
        package, module = ModuleType(PLUGIN), ModuleType(f"{PLUGIN}.s3_access_grants_plugin")
        setattr(module, "S3AccessGrantsPlugin", S3AccessGrantsPlugin)  # noqa: B010
        sys.modules |= {package.__name__: package, module.__name__: module}
    config.pluginmanager.register(Account(), "aws-plugin-account")


def run(checkout: Path, plugin: str, region: str) -> int:
    """Run the tests in a process of their own, and return pytest's exit code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_ACCESS_GRANTS_"))}
    environment = kept | {
        VARIABLE: plugin,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_DEFAULT_REGION": region,
    }
    command = [sys.executable, "-m", "pytest", "-v", "-p", "tools.aws_plugin", "-p", "no:cacheprovider", TESTS]
    return subprocess.run(command, cwd=checkout, env=environment, timeout=SECONDS, check=False).returncode


def main() -> int:
    """Run the tests with each plugin and in each region, and return 0 if all passed."""
    parser = argparse.ArgumentParser(prog="python -m tools.aws_plugin", description="Runs the tests of AWS's plugin.")
    parser.add_argument("checkout", type=Path, help="a checkout of aws/boto3-s3-access-grants-plugin")
    options = parser.parse_args()
    for needed in (TESTS, PLUGIN):
        if not (options.checkout / needed).exists():
            parser.error(f"{options.checkout} is no checkout of AWS's plugin: it has no {needed}")
    if importlib.util.find_spec("cacheout") is None:
        parser.error("AWS's plugin needs cacheout: pip install cacheout")
    runs = [(plugin, region) for plugin in (OFFICIAL, OURS) for region in REGIONS]
    passed = {}
    for plugin, region in runs:
        print(f"\n{plugin}, clients in {region}", flush=True)
        passed[plugin, region] = run(options.checkout, plugin, region) == 0
    print()
    for (plugin, region), is_passed in passed.items():
        print(f"{plugin}, clients in {region}: {'all passed' if is_passed else 'FAILED'}")
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
