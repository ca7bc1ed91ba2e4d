"""Writes docs/aws-cli.md: what ``aws s3`` prints through grants, and what it asks of S3 Access Grants for that.

Run ``python tools/cli_transcript.py`` in an environment with the extra ``test-cli``: it calls the real AWS CLI,
version 1, against the local S3 Access Grants, which counts what it is asked. ``--check`` writes nothing and exits with
1 where the commands now print something else than the page says, but for dates and key ids.
"""

from __future__ import annotations

import argparse
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

PAGE = Path(__file__).parents[1] / "docs" / "aws-cli.md"
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

A transcript, made by `python tools/cli_transcript.py` with the real AWS CLI against the local S3 Access Grants of
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


def transcript(aws: str) -> list[Ran]:
    """Run the commands as somebody with one grant."""
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
        return [run(aws, command, home, environment, server) for command in COMMANDS]


def prepare(home: Path, person: Identity) -> None:
    """Put a person's AWS configuration and some files into a home."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(CONFIG, encoding="utf-8")
    (home / "report.csv").write_text("month,units\n2026-01,17\n", encoding="utf-8")
    (home / "months").mkdir()
    for month in range(1, 13):
        (home / "months" / f"{month:02}.csv").write_text(f"day,units\n01,{month}\n", encoding="utf-8")


def run(aws: str, command: str, home: Path, environment: dict[str, str], server: AccessGrantsServer) -> Ran:
    """Run one command and read the service's record of it."""
    server.forget_requests()
    done = subprocess.run(
        [aws, *command.split()[1:]],
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


def page_of(runs: list[Ran], versions: str) -> str:
    """Return the whole page."""
    parts = [HEAD.format(config=CONFIG, versions=versions)]
    for ran in runs:
        parts.append(f"```console\n$ {ran.command}\n{ran.printed.strip()}\n```\n")
        calls = ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in ran.asked.items())
        requests = ", ".join(f"{count} with {whose}" for whose, count in ran.signed.items())
        exit_code = f" Exit code {ran.code}." if ran.code else ""
        asked = f"{ran.asked.total()} control calls: {calls}" if calls else "No control call"
        parts.append(f"{asked}. S3 requests signed: {requests}.{exit_code}\n")
    return "\n".join(parts)


def shown(page: str) -> list[list[str]]:
    """Return what the commands print by a page, without what changes; files are transferred in any order."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [sorted(CHANGING.sub("…", block).splitlines()) for block in blocks]


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description="Writes docs/aws-cli.md.")
    parser.add_argument("--aws", default=str(Path(sys.executable).with_name("aws")), help="the AWS CLI, version 1")
    parser.add_argument("--check", action="store_true", help="compare the page instead")
    options = parser.parse_args()
    if not os.access(options.aws, os.X_OK):
        parser.error(f"{options.aws} is not there: install the extra test-cli, or give --aws")
    printed = subprocess.run([options.aws, "--version"], capture_output=True, text=True, check=True).stdout
    version = printed.split()[0]
    if not version.startswith("aws-cli/1."):
        parser.error(f"{options.aws} is {version}; the page shows version 1")
    page = page_of(transcript(options.aws), f"{version}, access-grants-provider/{access_grants_provider.__version__}")
    if not options.check:
        PAGE.write_text(page, encoding="utf-8")
        print(f"written: {PAGE}")
        return 0
    before, now = shown(PAGE.read_text(encoding="utf-8")), shown(page)
    if before == now:
        print(f"{len(now)} commands print what the page says")
        return 0
    for block, other in zip(before, now, strict=False):
        if block != other:
            print("the page:", *block, "now:", *other, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
