"""A profile whose ``credential_process`` is this command: for boto3, and for an SDK in another language.

The latter under ``access-grants exec`` too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import CredentialRetrievalError

from .conftest import COMMAND, ROOT

SCRIPT = Path(__file__).with_suffix("").with_name("credential_process.mjs")
SDK = os.environ.get("SDK_FOR_JAVASCRIPT", "")


# How long credentials live, in runs of the command as this machine does them now. What a run hands out lives for a
# quarter of it at least, so that an SDK that goes on with the old ones while it runs the command can do so.
LIFE_IN_RUNS = 20
READS_IN_A_LIFE = 20
PATIENCE = 5  # lives


@pytest.fixture
def server(server):
    server.put("s3://data/in/x", b"body")
    return server


def past_the_first_end(server, read) -> None:
    """Read until the first credentials have ended and others have signed."""
    begin = time.monotonic()
    read()
    while len(keys(server)) < 2 or time.monotonic() < begin + server.lifetime + 1:
        # Without a pause the reads would take the CPU from the command that renews, and from the other tests.
        time.sleep(server.lifetime / READS_IN_A_LIFE)
        read()
        assert time.monotonic() < begin + PATIENCE * server.lifetime


@pytest.fixture
def granted(server, alice, profiles, monkeypatch):
    """The profile ``granted`` is the environment's: it has nothing but the command."""
    command = [sys.executable, "-m", "access_grants_provider", "credentials", "s3://data/in/"]
    process = " ".join([*command, "--profile", "base"])
    path = profiles(
        f"[profile base]\naws_access_key_id = {alice.access_key_id}\n"
        f"aws_secret_access_key = {alice.secret_access_key}\n"
        f"[profile granted]\nregion = us-east-1\ncredential_process = {process}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    begin = time.monotonic()
    # Fails, for nobody has a grant there: so nothing is kept that would serve later.
    subprocess.run([*command[:-1], "s3://data/out/"], capture_output=True, check=False)
    server.lifetime = max(4, LIFE_IN_RUNS * (time.monotonic() - begin))
    monkeypatch.setenv("AWS_PROFILE", "granted")
    return path


def reads(server) -> list[tuple[str | None, int]]:
    return [(one.signer, one.status) for one in server.s3_requests() if one.operation == "GetObject"]


def keys(server) -> set[str | None]:
    return {one.access_key_id for one in server.s3_requests() if one.operation == "GetObject"}


@pytest.mark.exhaustive
def test_boto3_reads_through_the_grant_and_again_when_the_first_credentials_have_expired(server, granted):
    s3 = boto3.Session().client("s3")

    def read() -> None:
        assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"body"

    past_the_first_end(server, read)
    assert set(reads(server)) == {("grant", 200)}
    # Each refresh is a process of its own, and most of them found what the one before was vended.
    assert len(keys(server)) == server.calls("GetDataAccess")


def test_boto3_shows_the_one_line_of_a_refusal(server, granted):
    granted.write_text(granted.read_text().replace("s3://data/in/", "s3://data/out/"))
    s3 = boto3.Session().client
    with pytest.raises(CredentialRetrievalError, match=r"Error: No grant gives the caller .* READ on 's3://data/out/"):
        s3("s3")


@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.skipif(
    not (Path(SDK) / "node_modules/@aws-sdk/client-s3").is_dir(),
    reason="SDK_FOR_JAVASCRIPT names no folder in which `npm install @aws-sdk/client-s3` was run",
)
@pytest.mark.parametrize("before", [(), (*COMMAND, "exec", "s3://data/in/", "--profile", "base", "--")])
def test_the_sdk_for_javascript_reads_through_the_grant_and_again_after_expiry(server, granted, before):
    with subprocess.Popen(
        [*before, "node", str(SCRIPT), "data", "in/x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None

        def read() -> None:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "body\n", process.stderr.read()

        # Some minutes before the end this SDK fetches new credentials in the background, and goes on with the old ones
        # until it has them.
        past_the_first_end(server, read)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert set(reads(server)) == {("grant", 200)}
    assert len(keys(server)) >= 2
