"""docs/aws-cli.md: what ``aws s3`` prints through grants, and what it asks of S3 Access Grants for that.

The real AWS CLI, version 1 (extra ``test-cli``), runs against the local S3 Access Grants, which counts the calls.
The CLI is ``aws`` beside the running Python, or what ``ACCESS_GRANTS_TEST_AWS`` names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import access_grants_provider
from access_grants_provider.testing import AccessGrantsServer, Identity

__all__ = ["comparable", "missing", "render"]

AWS = os.environ.get("ACCESS_GRANTS_TEST_AWS") or str(Path(sys.executable).with_name("aws"))
CONFIG = """\
[plugins]
access-grants = access_grants_provider.awscli

[default]
region = us-east-1
"""
COMMANDS = (
    "aws s3 ls s3://sales/emea/",
    "aws s3 cp report.csv s3://sales/emea/report.csv --no-progress",
    "aws s3 cp s3://sales/emea/report.csv -",
    "aws s3 sync months s3://sales/emea/2026 --no-progress",
    "aws s3 ls s3://sales/apac/",
)
HEAD = """\
# `aws s3` through grants

A transcript, made by `python -m tools.docs` with the real AWS CLI against the local S3 Access Grants of
`access_grants_provider.testing`. Below each command stands what the service was asked, from its own record. The files
are `report.csv` and twelve in the folder `months`. The person has one grant, READWRITE on `s3://sales/emea/*`, and no
S3 permission of their own. `~/.aws/config`:

```ini
{config}```

Versions: {versions}.
"""
# What differs from run to run: dates, and the ends of the caller's key id.
CHANGING = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}|AKIA…\w{4}")


class Ran(NamedTuple):
    """A command, what it printed on stdout and stderr together, its exit code, and what the service was asked."""

    command: str
    printed: str
    code: int
    asked: Counter[str]
    signed: Counter[str]


def transcript() -> list[Ran]:
    """Run the commands as a person with one grant."""
    with AccessGrantsServer() as server, tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        server.bucket("sales")
        alice = server.identity("alice")
        server.grant(alice, "s3://sales/emea/*", "READWRITE")
        server.put("s3://sales/emea/2025.csv", b"month,units\n")
        prepare(home, alice)
        environment = {**server.environment(alice), "HOME": folder, "PATH": os.environ["PATH"], "TZ": "UTC"}
        for file_wins in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION"):
            del environment[file_wins]
        return [run(command, home, environment, server) for command in COMMANDS]


def prepare(home: Path, person: Identity) -> None:
    """Put a person's AWS configuration and some files into a home."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(CONFIG, encoding="utf-8")
    (home / "report.csv").write_text("month,units\n2026-01,17\n", encoding="utf-8")
    (home / "months").mkdir()
    for month in range(1, 13):
        (home / "months" / f"{month:02}.csv").write_text(f"day,units\n01,{month}\n", encoding="utf-8")


def run(command: str, home: Path, environment: dict[str, str], server: AccessGrantsServer) -> Ran:
    """Run one command and read the service's record of it."""
    server.forget_requests()
    done = subprocess.run(
        [AWS, *command.split()[1:]],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    asked = Counter(one.operation for one in server.requests if one.is_control_call)
    signed = Counter("a grant" if one.signer == "grant" else "the caller's own keys" for one in server.s3_requests())
    return Ran(command, done.stdout, done.returncode, asked, signed)


def comparable(page: str) -> list[str]:
    """Return what the commands print by a page, without what changes; files are transferred in any order."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in sorted(CHANGING.sub("…", block).splitlines())]


def missing() -> str | None:
    """Say why the page can't be written here; None where it can."""
    if not os.access(AWS, os.X_OK):
        return f"{AWS} is not there; install the extra test-cli, or set ACCESS_GRANTS_TEST_AWS"
    version = version_of_aws()
    return None if version.startswith("aws-cli/1.") else f"{AWS} is {version}, and the page shows version 1"


def version_of_aws() -> str:
    """Return how the AWS CLI names itself: ``aws-cli/1.46.3``."""
    return subprocess.run([AWS, "--version"], capture_output=True, text=True, check=True).stdout.split()[0]


def render(_page: str) -> str:
    """Return the whole page."""
    versions = f"{version_of_aws()}, access-grants-provider/{access_grants_provider.__version__}"
    parts = [HEAD.format(config=CONFIG, versions=versions)]
    for ran in transcript():
        parts.append(f"```console\n$ {ran.command}\n{ran.printed.strip()}\n```\n")
        calls = ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in ran.asked.items())
        requests = ", ".join(f"{count} with {whose}" for whose, count in ran.signed.items())
        exit_code = f" Exit code {ran.code}." if ran.code else ""
        asked = f"{ran.asked.total()} control calls: {calls}" if calls else "No control call"
        parts.append(f"{asked}. S3 requests signed: {requests}.{exit_code}\n")
    return "\n".join(parts)
