"""What the demo sets up and what it then does: a data lake, a data scientist, and the grants she holds."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig

from .checks import Expected, Raised, Step

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from access_grants_provider.testing import Identity, LocalAccessGrants

__all__ = ["ALLOWED", "BUCKET", "CALLER", "GRANTS", "set_up", "steps"]

CALLER = "alice"
BUCKET = "lake"
RAW, ML = "s3://lake/raw/*", "s3://lake/ml/*"
GRANTS = (("READ", RAW), ("READWRITE", ML))
# What the caller may do without any grant.
ALLOWED = ("READ", "s3://lake/docs/*")

OBJECTS = {
    "raw/q2.csv": "a,b\n1,2\n",
    "raw/q3.csv": "a,b\n3,4\n",
    "hr/pay.csv": "nobody,may\n",
    "docs/faq.md": "# Questions\n",
}

CONTENT = "x,y\n5,6\n"
REFUSED = Raised("S3", "AccessDenied")

BEFORE = "Before the one line that registers"
INSIDE = "After: access_grants_provider.register(session)"
BEYOND = "Beyond the grants: signed as alice herself"
NEVER = "With fallback='never', they are not sent"

MIB = 1024 * 1024
# Two parts: S3 takes none smaller than 5 MiB, unless it is the last.
MODEL = 6 * MIB
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
MULTIPART = ("CreateMultipartUpload", "UploadPart", "UploadPart", "CompleteMultipartUpload")


def set_up(server: LocalAccessGrants) -> Identity:
    """Make the bucket, its objects, the caller and the grants; the caller is returned."""
    server.bucket(BUCKET)
    for key, text in OBJECTS.items():
        server.put(f"s3://{BUCKET}/{key}", text)
    caller = server.identity(CALLER)
    for permission, scope in GRANTS:
        server.grant(caller, scope, permission)
    permission, scope = ALLOWED
    server.allow(caller, scope, permission)
    return caller


def steps() -> list[Step]:
    """Return the lines of the demo, in order."""
    return [
        Step(
            "list_objects_v2",
            _list,
            REFUSED,
            (Expected("ListObjectsV2", "READ", RAW, "fallback", signer=CALLER, status=403, error_code="AccessDenied"),),
            BEFORE,
            fallback=None,
        ),
        _granted("list_objects_v2", _list, ["raw/q2.csv", "raw/q3.csv"], "ListObjectsV2", "READ", RAW, RAW, "vended"),
        _granted("get_object", _get("raw/q3.csv"), "a,b\n3,4\n", "GetObject", "READ", "raw/q3.csv", RAW, "cache"),
        _granted("put_object", _put("ml/train.csv"), 200, "PutObject", "WRITE", "ml/train.csv", ML, "vended"),
        _granted("get_object", _get("ml/train.csv"), CONTENT, "GetObject", "READ", "ml/train.csv", ML, "vended"),
        Step(
            "upload_fileobj",
            _upload,
            None,
            tuple(_in_grant(part, "WRITE", "ml/model.bin", ML, "cache") for part in MULTIPART),
            INSIDE,
        ),
        _granted("head_object", _size, MODEL, "HeadObject", "READ", "ml/model.bin", ML, "cache"),
        _granted("copy_object", _copy, 200, "CopyObject", "READWRITE", "ml/train.*", ML, "vended"),
        _granted(
            "delete_objects", _delete, ["ml/model.bin", "ml/train.bak"], "DeleteObjects", "WRITE", ML, ML, "cache"
        ),
        _granted("presigned GET", _fetch, CONTENT, "GetObject", "READ", "ml/train.csv", ML, "cache"),
        _as_caller("put_object", _put("raw/q4.csv"), REFUSED, "PutObject", "WRITE", "raw/q4.csv", 403),
        _as_caller("get_object", _get("hr/pay.csv"), REFUSED, "GetObject", "READ", "hr/pay.csv", 403),
        _as_caller("get_object", _get("docs/faq.md"), "# Questions\n", "GetObject", "READ", "docs/faq.md", 200),
        Step(
            "get_object",
            _get("hr/pay.csv"),
            Raised("Access Grants", "AccessDenied"),
            (Expected("GetObject", "READ", _uri("hr/pay.csv"), "denied"),),
            NEVER,
            fallback="never",
        ),
    ]


def _granted(
    title: str,
    call: Callable[[S3Client], object],
    answer: object,
    operation: str,
    permission: str,
    place: str,
    scope: str,
    source: str,
) -> Step:
    return Step(title, call, answer, (_in_grant(operation, permission, place, scope, source),), INSIDE)


def _in_grant(operation: str, permission: str, place: str, scope: str, source: str) -> Expected:
    return Expected(operation, permission, _uri(place), "granted", scope, source, "grant", 200)


def _as_caller(
    title: str,
    call: Callable[[S3Client], object],
    answer: object,
    operation: str,
    permission: str,
    place: str,
    status: int,
) -> Step:
    code = None if status == 200 else "AccessDenied"
    request = Expected(operation, permission, _uri(place), "fallback", None, None, CALLER, status, code)
    return Step(title, call, answer, (request,), BEYOND)


def _uri(place: str) -> str:
    return place if place.startswith("s3://") else f"s3://{BUCKET}/{place}"


# The program: boto3 as anybody writes it.


def _list(s3: S3Client) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="raw/")["Contents"]]


def _get(key: str) -> Callable[[S3Client], str]:
    return lambda s3: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def _put(key: str) -> Callable[[S3Client], int]:
    return lambda s3: s3.put_object(Bucket=BUCKET, Key=key, Body=CONTENT)["ResponseMetadata"]["HTTPStatusCode"]


def _upload(s3: S3Client) -> None:
    s3.upload_fileobj(io.BytesIO(bytes(MODEL)), BUCKET, "ml/model.bin", Config=IN_PARTS)


def _size(s3: S3Client) -> int:
    return s3.head_object(Bucket=BUCKET, Key="ml/model.bin")["ContentLength"]


def _copy(s3: S3Client) -> int:
    source = f"{BUCKET}/ml/train.csv"
    return s3.copy_object(Bucket=BUCKET, Key="ml/train.bak", CopySource=source)["ResponseMetadata"]["HTTPStatusCode"]


def _delete(s3: S3Client) -> list[str]:
    keys = ("ml/model.bin", "ml/train.bak")
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    return sorted(entry["Key"] for entry in answer["Deleted"])


def _fetch(s3: S3Client) -> str:
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "ml/train.csv"}, ExpiresIn=60)
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - the demo's own server, over HTTP
        return str(response.read(), "utf-8")
