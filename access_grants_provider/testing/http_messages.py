"""The plain HTTP messages which every part of the local service speaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from typing import Literal
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True)
class Request:
    """An HTTP request as it was sent, before anything was decoded.

    `path` and `query` are still percent-encoded, `host` may carry a port, and the names in `headers` are
    in lower case.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str, default: str = "") -> str:
        """The header of this (lower-case) name."""
        return self.headers.get(name, default)

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The decoded query. Of a name sent twice the first value counts; `?acl` is `{"acl": ""}`."""
        decoded: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            decoded.setdefault(name, value)
        return decoded

    @property
    def hostname(self) -> str:
        """The host without its port, in lower case."""
        host = self.host.lower()
        if host.startswith("["):
            return host[1:].partition("]")[0]
        return host.partition(":")[0]


Breakage = Literal["reset", "cut off", "silent", "refused"]


@dataclass
class Response:
    """An HTTP response. `broken` says what the client gets in place of all of it.

    "reset": half of it, then a reset. "cut off": half of it, then the connection's end. "silent": nothing, while the
    connection stays open. "refused": nothing, and a reset.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    broken: Breakage | None = None


def bucket_and_key(request: Request) -> tuple[str | None, str | None]:
    """The bucket and the key an S3 request names; None for what it does not name.

    A bucket is in the path (`/bucket/key`) where the host is an address, a name without dots, or S3's own
    name; otherwise it is the beginning of the host (`bucket.s3.eu-west-1.amazonaws.com`,
    `bucket.anything`). The key is the rest of the path, percent-decoded exactly once.
    """
    bucket = bucket_of_host(request.hostname)
    rest = request.path[1:]
    if bucket is None:
        first, _, rest = rest.partition("/")
        bucket = unquote(first) or None
    return bucket, unquote(rest) or None


def copy_source(header: str) -> tuple[str, str, str]:
    """Bucket, key and version (maybe "") of an `x-amz-copy-source`. Raises ValueError if it names no object.

    It may begin with a slash. The version is split off before decoding: a "?" of the key itself comes encoded.
    """
    path, _, version = header.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key:
        raise ValueError(f"not bucket/key: {header!r}")
    return bucket, key, version


def bucket_of_host(hostname: str) -> str | None:
    """The bucket in the host's name, None where the bucket has to be in the path."""
    if "." not in hostname or _is_address(hostname) or hostname == LOCAL_DOMAIN:
        return None
    if hostname.endswith(AWS_DOMAINS):
        if hostname.startswith(("s3.", "s3-")):
            return None
        for marker in (".s3.", ".s3-"):
            if marker in hostname:
                return hostname.rpartition(marker)[0]
        return None
    label = hostname.partition(".")[0]
    return None if label == "s3" else label


def _is_address(hostname: str) -> bool:
    try:
        ip_address(hostname)
    except ValueError:
        return False
    return True


AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")

# A name that resolves nowhere (RFC 6761): a client reaches it only through the server as its proxy.
LOCAL_DOMAIN = "access-grants.invalid"


def text_of(value: object) -> str:
    """A header or parameter value as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else json.dumps(value, default=str)
