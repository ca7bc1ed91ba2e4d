"""Run a boto3 program under ``access-grants exec`` for longer than its credentials live, and count what S3 refused.

By hand: ``python tests/functional/cli/outlives_credentials.py --seconds 120 --lifetime 15``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

from access_grants_provider.testing import AccessGrantsServer

COMMAND = (sys.executable, "-m", "access_grants_provider", "exec", "s3://data/in/", "--", sys.executable, "-c")
# It knows nothing of grants. Any refusal would raise; the server's record is what is counted.
READER = """
import sys, time
import boto3

s3 = boto3.client("s3")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"body"
    time.sleep(0.1)
"""


class Reads(NamedTuple):
    """How the program ended, what it read, how often it was refused, and how many sets of credentials signed."""

    code: int
    stderr: str
    served: int
    refused: int
    signers: set[str | None]
    keys: int


def read_for(seconds: float, lifetime: float) -> Reads:
    """Read for so many seconds with credentials that live so long."""
    with AccessGrantsServer() as server, tempfile.TemporaryDirectory() as cache:
        alice = server.identity("alice")
        server.bucket("data")
        server.put("s3://data/in/x", b"body")
        server.grant(alice, "s3://data/in/*", "READ")
        server.lifetime = lifetime
        environment = {**os.environ, **server.environment(alice), "S3_ACCESS_GRANTS_CACHE_FOLDER": f"{cache}/grants"}
        done = subprocess.run(
            [*COMMAND, READER, str(seconds)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            timeout=seconds + 120,
            check=False,
        )
        reads = [one for one in server.s3_requests() if one.operation == "GetObject"]
    served = sum(one.status == 200 for one in reads)
    return Reads(
        done.returncode,
        done.stderr,
        served,
        len(reads) - served,
        {one.signer for one in reads},
        len({one.access_key_id for one in reads}),
    )


def main() -> int:
    """Read the command line, print the counts, and return whether nothing was refused."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--lifetime", type=float, default=15)
    options = parser.parse_args()
    reads = read_for(options.seconds, options.lifetime)
    print(
        f"{options.seconds:g} s with credentials of {options.lifetime:g} s: {reads.served} reads, {reads.refused} "
        f"refused, {reads.keys} sets of credentials, signed by {', '.join(sorted(map(str, reads.signers)))}; "
        f"exit code {reads.code}",
        reads.stderr,
    )
    return int(bool(reads.code or reads.refused))


if __name__ == "__main__":
    sys.exit(main())
