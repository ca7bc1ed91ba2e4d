"""What an S3 call touches: its permission and its target.

The table below, and the few operations that need thought. Operations that are not in the table are not
covered by S3 Access Grants and stay with the caller's own credentials. Rests on the supported actions in
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-grants-get-data.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from .scopes import GrantScope, Permission, Target, common_prefix

__all__ = ["OPERATIONS", "RequiredAccess", "required_access", "required_access_of_post", "unsupported_bucket"]

Params = Mapping[str, Any]


class RequiredAccess(NamedTuple):
    """What a request needs: a permission on a target.

    Without ``permission`` S3 Access Grants does not know the request (unsupported). With a permission but
    no ``target`` no single grant could ever cover it (a denial). ``reason`` says why in both cases.
    """

    permission: Permission | None
    target: Target | None
    reason: str | None = None
    hint: str | None = None


# What a bucket "name" looks like that is really an access point, an Object Lambda, an Outpost, a directory or
# a table bucket. AWS reserves these endings, no general purpose bucket can carry one:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", "--op-s3", ".mrap", "--x-s3", "--xa-s3", "--table-s3")

CONDITIONAL_DELETE = "ETag"
FILENAME = "${filename}"


def unsupported_bucket(bucket: str) -> bool:
    """Tell whether ``bucket`` is an ARN or one of the aliases that S3 Access Grants does not cover."""
    return bucket.startswith("arn:") or bucket.endswith(RESERVED_SUFFIXES)


def _object(permission: Permission) -> Callable[[Params], RequiredAccess]:
    def access(params: Params) -> RequiredAccess:
        return RequiredAccess(permission, GrantScope(params["Bucket"], params["Key"], False))

    return access


def _write(params: Params) -> RequiredAccess:
    # With If-Match S3 compares the ETag on the caller's behalf and asks for s3:GetObject too.
    permission: Permission = "READWRITE" if params.get("IfMatch") is not None else "WRITE"
    return RequiredAccess(permission, GrantScope(params["Bucket"], params["Key"], False))


def _listing(params: Params) -> RequiredAccess:
    return RequiredAccess("READ", GrantScope(params["Bucket"], params.get("Prefix") or "", True))


def _bucket(params: Params) -> RequiredAccess:
    return RequiredAccess("READ", GrantScope(params["Bucket"], "", True))


def _several_deletes(params: Params) -> RequiredAccess:
    objects = params["Delete"]["Objects"]
    keys = [entry["Key"] for entry in objects]
    if not keys:
        return RequiredAccess(None, None, "the request names no key")
    conditional = any(entry.get(CONDITIONAL_DELETE) is not None for entry in objects)
    permission: Permission = "READWRITE" if conditional else "WRITE"
    shared = common_prefix(keys)
    # The same key twice (two versions of it) is still one object.
    several = any(key != shared for key in keys)
    return RequiredAccess(permission, GrantScope(params["Bucket"], shared, several))


def _copy(params: Params) -> RequiredAccess:
    bucket, key = params["Bucket"], params["Key"]
    source_bucket, source_key = copy_source(params["CopySource"])
    if unsupported_bucket(source_bucket):
        return RequiredAccess(None, None, f"the source {source_bucket!r} is not a general purpose bucket")
    if source_bucket != bucket:
        return RequiredAccess(
            "READWRITE",
            None,
            f"it copies from bucket {source_bucket!r} to bucket {bucket!r}, and no single grant covers two buckets",
        )
    if source_key == key:
        return RequiredAccess("READWRITE", GrantScope(bucket, key, False))
    return RequiredAccess("READWRITE", GrantScope(bucket, common_prefix([source_key, key]), True))


def copy_source(source: str | Params) -> tuple[str, str]:
    """Return bucket and decoded key of a ``CopySource``.

    A string is taken as it goes over the wire: URL-encoded once, maybe with a leading slash, maybe ending in
    ``?versionId=…``. A mapping has the plain ``Bucket`` and ``Key``.
    """
    if not isinstance(source, str):
        return source["Bucket"], source["Key"]
    path = unquote(source.partition("?")[0])
    if path.startswith("arn:"):
        return path, ""
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


_read = _object("READ")
_plain_write = _object("WRITE")

OPERATIONS: Mapping[str, Callable[[Params], RequiredAccess]] = {
    "GetObject": _read,
    "HeadObject": _read,
    "GetObjectAcl": _read,
    "GetObjectAttributes": _read,
    "ListParts": _read,
    "PutObject": _write,
    "PutObjectAcl": _plain_write,
    "DeleteObject": _write,
    "CreateMultipartUpload": _plain_write,
    "UploadPart": _plain_write,
    "CompleteMultipartUpload": _write,
    "AbortMultipartUpload": _plain_write,
    "ListObjects": _listing,
    "ListObjectsV2": _listing,
    "ListObjectVersions": _listing,
    "ListMultipartUploads": _listing,
    "HeadBucket": _bucket,
    "DeleteObjects": _several_deletes,
    "CopyObject": _copy,
    "UploadPartCopy": _copy,
}


def required_access(operation: str, params: Params) -> RequiredAccess:
    """Say what ``operation`` (``"GetObject"``) with these API parameters needs.

    Raises ``KeyError`` naming the parameter where one that decides the target is missing.
    """
    touches = OPERATIONS.get(operation)
    if touches is None:
        return RequiredAccess(None, None, f"S3 Access Grants does not cover {operation}")
    if unsupported_bucket(params["Bucket"]):
        return RequiredAccess(None, None, f"{params['Bucket']!r} is not a general purpose bucket")
    return touches(params)


def required_access_of_post(bucket: str, key: str) -> RequiredAccess:
    """Say what a presigned POST to ``bucket`` needs; ``key`` is the form's field, ``${filename}`` included."""
    if unsupported_bucket(bucket):
        return RequiredAccess(None, None, f"{bucket!r} is not a general purpose bucket")
    known, filename, _ = key.partition(FILENAME)
    return RequiredAccess("WRITE", GrantScope(bucket, known, bool(filename)))
