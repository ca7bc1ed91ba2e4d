"""CPU of a warm GetObject: plain boto3, aws-s3-access-grants-boto3-plugin 1.3.0, and access_grants_provider.

Run ``python -m benchmarks.warm_get`` in an environment with the extra ``bench``. Every HTTP request is answered in
process, so what is measured is what the caller's CPU does: building, signing and parsing. The three take turns in
short rounds in one process; the figure is the median over the rounds, beside it the spread (quartiles).
"""

from __future__ import annotations

import argparse
import datetime
import gc
import io
import os
import platform
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import boto3
import botocore.handlers
import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

import access_grants_provider

PEER = "aws-s3-access-grants-boto3-plugin"
BUCKET, KEY = "warehouse", "emea/2026/q3/part-00042.parquet"
# About as long as the session tokens that STS hands out.
TOKEN = "T" * 760
UNMEASURED = 5

STS = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/alice</Arn><UserId>AIDA</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
INSTANCE = """<GetAccessGrantsInstanceForPrefixResponse><AccessGrantsInstanceArn>
arn:aws:s3:us-east-1:123456789012:access-grants/default</AccessGrantsInstanceArn>
<AccessGrantsInstanceId>default</AccessGrantsInstanceId></GetAccessGrantsInstanceForPrefixResponse>""".replace("\n", "")
VENDED = """<GetDataAccessResult><Credentials><AccessKeyId>ASIAVENDED0000000001</AccessKeyId>
<SecretAccessKey>vendedvendedvendedvendedvendedvendedvend</SecretAccessKey><SessionToken>{token}</SessionToken>
<Expiration>{expiration}</Expiration></Credentials><MatchedGrantTarget>s3://{bucket}/emea/*</MatchedGrantTarget>
</GetDataAccessResult>"""


class Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
        """Yield the whole body at once."""
        yield self.read()


class Service:
    """Answers every request of every client in this process, and counts them by operation."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse:
        """Handle ``before-send``."""
        operation = event_name.rpartition(".")[2]
        self.calls[operation] += 1
        headers = {"content-type": "application/xml", "x-amz-bucket-region": "us-east-1"}
        body = b""
        if operation == "GetCallerIdentity":
            body = STS.encode()
        elif operation == "GetAccessGrantsInstanceForPrefix":
            body = INSTANCE.encode()
        elif operation == "GetDataAccess":
            end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
            body = VENDED.format(token=TOKEN, expiration=end.strftime("%Y-%m-%dT%H:%M:%SZ"), bucket=BUCKET).encode()
        elif operation == "GetObject":
            body = b"x" * 16
            headers = {"content-type": "binary/octet-stream", "etag": '"0"', "content-length": "16"}
        raw: Any = Raw(body)
        return AWSResponse(request.url, 200, headers, raw)


def clients() -> dict[str, Any]:
    """Return the S3 clients to compare, by name. The caller's own credentials are a role session's, as on AWS."""
    own = {"aws_access_key_id": "ASIACALLER0000000001", "aws_secret_access_key": "c" * 40}

    def session() -> Any:
        return boto3.Session(**own, aws_session_token=TOKEN, region_name="us-east-1")

    made = {"plain boto3": session().client("s3")}
    try:
        from aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin import S3AccessGrantsPlugin
    except ImportError:
        pass
    else:
        peer_session = session()
        client = peer_session.client("s3")
        S3AccessGrantsPlugin(client, fallback_enabled=False, customer_session=peer_session._session).register()
        made[PEER] = client
    ours = session()
    access_grants_provider.register(ours)
    made["access_grants_provider"] = ours.client("s3")
    return made


def read(client: Any) -> Callable[[], None]:
    """Return a warm GetObject."""

    def get() -> None:
        client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()

    return get


def measure(rounds: int, requests: int) -> tuple[dict[str, list[float]], dict[str, Counter[str]]]:
    """Return microseconds of CPU per request by round, and the calls of all warm requests, both by client."""
    service = Service()
    handler: Any = ("before-send", service)
    botocore.handlers.BUILTIN_HANDLERS.append(handler)
    try:
        gets = {name: read(client) for name, client in clients().items()}
        for get in gets.values():
            for _ in range(20):
                get()
        times: dict[str, list[float]] = {name: [] for name in gets}
        calls: dict[str, Counter[str]] = {name: Counter() for name in gets}
        names = list(gets)
        order = random.Random(0)
        for _ in range(rounds):
            # In a random order, and each begins unmeasured: or one would always run in the caches another left behind.
            order.shuffle(names)
            for name in names:
                get = gets[name]
                gc.collect()
                gc.disable()
                for _ in range(UNMEASURED):
                    get()
                service.calls.clear()
                start = time.process_time_ns()
                for _ in range(requests):
                    get()
                times[name].append((time.process_time_ns() - start) / requests / 1000)
                gc.enable()
                calls[name] += service.calls
    finally:
        botocore.handlers.BUILTIN_HANDLERS.remove(handler)
    return times, calls


def main() -> int:
    """Measure, print the table, and fail where a count is not what the design promises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="rounds per client (default 60)")
    parser.add_argument("--requests", type=int, default=100, help="requests per round (default 100)")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_ACCESS_GRANTS_", "BOTOCORE_"))]:
        del os.environ[name]
    times, calls = measure(options.rounds, options.requests)
    print(f"CPU of a warm GetObject, answered in process; {options.rounds} interleaved rounds of {options.requests}")
    try:
        peer = version(PEER)
    except PackageNotFoundError:
        peer = "not installed (extra 'bench')"
    print(
        f"Python {platform.python_version()}, botocore {version('botocore')}, boto3 {version('boto3')}, "
        f"access_grants_provider {access_grants_provider.__version__}, {PEER} {peer}\n"
    )
    plain = times["plain boto3"]
    print(f"{'':36}{'µs':>8}{'quartiles':>18}{'over plain':>12}{'control calls':>15}")
    for name, taken in times.items():
        low, middle, high = statistics.quantiles(taken, n=4)
        ratio = statistics.median(one / base for one, base in zip(taken, plain, strict=True))
        control = sum(count for operation, count in calls[name].items() if operation != "GetObject")
        each = control / (options.rounds * options.requests)
        print(f"{name:36}{middle:8.1f}{f'{low:.1f} to {high:.1f}':>18}{f'×{ratio:.3f}':>12}{each:15.2f}")
    ours = calls["access_grants_provider"]
    return 0 if set(ours) == {"GetObject"} else 1


if __name__ == "__main__":
    sys.exit(main())
