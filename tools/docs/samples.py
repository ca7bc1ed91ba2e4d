"""The sample output in docs/commands.md: what the commands print against the local S3 Access Grants.

A sample is a block ``console`` below the comment ``<!-- sample -->``. Its first line is the command; what stands below
that is replaced by what the command prints, stdout and stderr together. Keys, times and ports differ in each run: an
example stands for them.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from access_grants_provider.testing import AccessGrantsServer

__all__ = ["BLOCK", "render"]

BLOCK = re.compile(r"(<!-- sample -->\n```console\n\$ (?P<command>[^\n]*)\n).*?(^```$)", re.MULTILINE | re.DOTALL)
COLUMNS = "100"
SECONDS = 60
PROGRAM = """\
import boto3

s3 = boto3.client("s3")
print(s3.get_object(Bucket="sales", Key="emea/q3.csv")["Body"].read().decode())
"""
# What differs from run to run, or from machine to machine, and what stands for it.
EXAMPLES = (
    # doctor's lines on the libraries that happen to be installed.
    (re.compile(r"^note +\S.* signs S3 requests itself\..*\n(?: {20}.*\n)*", re.MULTILINE), ""),
    (re.compile(r"\b(AKIA|ASIA)…\w{4}"), r"\1…1234"),
    (re.compile(r'("(?:AccessKeyId|SecretAccessKey|SessionToken)": ")[^"]+'), r"\1…"),
    (re.compile(r"((?:AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN)=)\S+"), r"\1…"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)"), r"2026-01-31T13:00:00\1"),
    (re.compile(r"\b\d+(?:\.\d+)? (m?s)\b(?=[),;]|$)", re.MULTILINE), r"40 \1"),
    (re.compile(r"(?<=127\.0\.0\.1:|localhost:)\d+"), "9000"),
    (re.compile(r"\b(?=\d*[a-f])[0-9a-f]{12}\b"), "a6d12608e902"),  # a caller in the cache on disk
)


def environment(server: AccessGrantsServer, home: Path) -> dict[str, str]:
    """Return the environment of a person with one grant, READ on ``s3://sales/emea/*``, in an empty home."""
    server.bucket("sales")
    alice = server.identity("alice")
    server.grant(alice, "s3://sales/emea/*", "READ")
    server.put("s3://sales/emea/q3.csv", b"country,amount\nFR,5")
    (home / "read.py").write_text(PROGRAM, encoding="utf-8")
    bin_folder = str(Path(sys.executable).parent)
    own = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(home), "COLUMNS": COLUMNS, "NO_COLOR": "1"}
    if "PYTHONPATH" in os.environ:
        own["PYTHONPATH"] = os.environ["PYTHONPATH"]
    variables = server.environment(alice)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        # The home is empty, and doctor tells of a file that is named and is not there.
        variables.pop(name, None)
    return {**own, "PYTHONIOENCODING": "utf-8", "TZ": "UTC", **variables}


def printed(command: str, home: Path, variables: dict[str, str]) -> str:
    """Run a command and return what it prints. ``serve`` is ended when it says that it serves."""
    words = shlex.split(command)
    with subprocess.Popen(
        [sys.executable, "-m", "access_grants_provider", *words[1:]],
        cwd=home,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if words[1] == "serve" and "Ctrl-C" in line:
                process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
    text = "\n".join(lines).strip()
    for pattern, example in EXAMPLES:
        text = pattern.sub(example, text)
    return text.replace(str(home), "/home/alice")


def render(page: str) -> str:
    """Return the page with its samples as the program prints them now."""
    with AccessGrantsServer() as server, tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        variables = environment(server, home)
        return BLOCK.sub(lambda block: f"{block[1]}{printed(block['command'], home, variables)}\n{block[3]}", page)
