"""Every HTTP request answered in this process: what is left to measure is what the caller's CPU does."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import botocore.handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

BUCKET, KEY = "warehouse", "emea/2026/q3/part-00042.parquet"
# About as long as the session tokens that STS hands out.
TOKEN = "T" * 760

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


class Caller(NamedTuple):
    """Whoever signs; a role's session, as most programs on AWS are."""

    access_key_id: str = "ASIACALLER0000000001"
    secret_access_key: str = "c" * 40
    session_token: str = TOKEN


class Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the whole body at once."""
        yield self.read()


class Service:
    """Answers every request of every client, and keeps the operations it was asked for."""

    def __init__(self) -> None:
        # A list, for threads: adding to one loses nothing, counting up does.
        self.operations: list[str] = []

    def __call__(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse:
        """Handle ``before-send``."""
        operation = event_name.rpartition(".")[2]
        self.operations.append(operation)
        headers: Any = {"content-type": "application/xml", "x-amz-bucket-region": "us-east-1"}
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


@contextmanager
def answered() -> Iterator[Service]:
    """Answer the requests of the clients that are made within the block."""
    service = Service()
    handler: Any = ("before-send", service)
    botocore.handlers.BUILTIN_HANDLERS.append(handler)
    try:
        yield service
    finally:
        botocore.handlers.BUILTIN_HANDLERS.remove(handler)
