"""The way to moto, which keeps the buckets and objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.model_instances import reset_model_data
from moto.core.models import botocore_stubber
from moto.iam.access_control import PermissionResult
from moto.s3.models import s3_backends

from .http_messages import Request, Response, bucket_and_key, copy_source

# What says who signed: moto need not see it, and takes some of it for parameters of its own.
_SIGNING_PARAMETERS = frozenset({"awsaccesskeyid", "signature", "expires"})
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Bucket:
    """Where a bucket is and whose."""

    name: str
    region: str
    account_id: str


def find_bucket(name: str) -> Bucket | None:
    """The bucket of this name."""
    known = s3_backends.bucket_accounts.get(name)
    if known is None:
        return None
    partition, account_id = known
    found = s3_backends[account_id][partition].buckets.get(name)
    return None if found is None else Bucket(name, found.region_name, account_id)


def is_public(bucket: Bucket, key: str) -> bool:
    """Whether anybody may read this object: by its ACL, the bucket's ACL, or the bucket's policy."""
    partition, _ = s3_backends.bucket_accounts[bucket.name]
    found = s3_backends[bucket.account_id][partition].buckets[bucket.name]
    permission = found.get_permission("s3:GetObject", f"arn:aws:s3:::{bucket.name}/{key}")
    if permission != PermissionResult.PERMITTED:
        stored = found.keys.get(key)
        acl = getattr(stored, "acl", None)
        return bool(acl is not None and acl.public_read)
    return True


def send_s3(request: Request, account_id: str, region: str, signed: bool = True) -> Response:
    """Have moto carry out an S3 request that has been found to be in order.

    However bucket and key were written, moto gets them in one form, so that what was checked is what is done.
    """
    bucket, key = bucket_and_key(request)
    path = "/" if bucket is None else "/" + quote(bucket) + ("" if key is None else "/" + quote(key, safe="/~"))
    items = [item for item in request.query.split("&") if item and not _is_signing(item.partition("=")[0])]
    headers = {name: value for name, value in request.headers.items() if name != "transfer-encoding"}
    if request.method == "PUT" and headers.get("content-type", "").startswith(_FORM):
        # moto would take such a body for form fields and store nothing.
        headers["content-type"] = "binary/octet-stream"
    if "x-amz-copy-source" in headers:
        source_bucket, source_key, version = copy_source(headers["x-amz-copy-source"])
        source = f"/{quote(source_bucket)}/{quote(source_key, safe='/~')}"
        headers["x-amz-copy-source"] = f"{source}?versionId={version}" if version else source
    headers["host"] = f"s3.{region}.amazonaws.com"
    headers["x-moto-account-id"] = account_id
    headers["content-length"] = str(len(request.body))
    headers.pop("authorization", None)
    if signed:
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential=CHECKED/20000101/{region}/s3/aws4_request"
    url = f"https://s3.{region}.amazonaws.com{path}" + ("?" + "&".join(items) if items else "")
    return send(request.method, url, headers, request.body) or Response(501)


def send(method: str, url: str, headers: dict[str, str], body: bytes) -> Response | None:
    """Have moto carry out any request; None if it does not know the address."""
    carried = HTTPHeaders()
    for name, value in headers.items():
        carried[name] = value
    prepared = AWSPreparedRequest(method=method, url=url, headers=carried, body=body, stream_output=False)
    # The class's own method, as the instance's may be replaced by the very gate that is asking.
    answer: Any = BotocoreStubber.process_request(botocore_stubber, prepared)
    if answer is None:
        return None
    status, answered, content = answer
    content = content.encode() if isinstance(content, str) else bytes(content)
    return Response(int(status), {str(name): str(value) for name, value in dict(answered).items()}, content)


def reset() -> None:
    """Forget every bucket and all else moto holds."""
    BackendDict.reset()
    reset_model_data()


def _is_signing(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith("x-amz-") or lowered in _SIGNING_PARAMETERS
