"""What a raw S3 request does: its operation's name, and the permissions it needs."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl

import botocore.session

from .errors import Refusal
from .http_messages import Request, bucket_and_key, copy_source


@dataclass(frozen=True)
class Need:
    """One permission: an action on an object (`key`), on a listing (`prefix`), or on the bucket itself."""

    action: str
    bucket: str | None
    key: str | None = None
    prefix: str | None = None

    @property
    def resource(self) -> str:
        """The ARN that a refusal names."""
        if self.bucket is None:
            return "arn:aws:s3:::*"
        return f"arn:aws:s3:::{self.bucket}" + ("" if self.key is None else f"/{self.key}")


@dataclass(frozen=True)
class S3Call:
    """An S3 request, understood. `deletions` are the keys of a multi-object delete, each with its needs."""

    operation: str
    bucket: str | None
    key: str | None
    needs: tuple[Need, ...]
    deletions: tuple[tuple[str, tuple[Need, ...]], ...] = ()


@dataclass(frozen=True)
class _Rule:
    operation: str
    method: str
    level: str
    literals: tuple[tuple[str, str], ...]
    query: tuple[str, ...]
    headers: tuple[str, ...]

    def fits(self, request: Request, level: str) -> bool:
        found = request.parameters
        return (
            self.method == request.method
            and self.level == level
            and all(name in found and found[name] in (value, value or found[name]) for name, value in self.literals)
            and all(name in found for name in self.query)
            and all(name in request.headers for name in self.headers)
        )

    @property
    def weight(self) -> int:
        return 3 * len(self.literals) + 2 * len(self.query) + len(self.headers)


def read_call(request: Request) -> S3Call:
    """Find out what the request does. Raises Refusal for a body that S3 could not read."""
    bucket, key = bucket_and_key(request)
    operation = operation_name(request)
    if operation == "DeleteObjects" and bucket is not None:
        return S3Call(operation, bucket, key, (), _deletions(request.body, bucket))
    return S3Call(operation, bucket, key, tuple(_needs(request, operation, bucket, key)))


def operation_name(request: Request) -> str:
    """The name that botocore's model of S3 gives to this request; PostObject for a form, which it does not know."""
    bucket, key = bucket_and_key(request)
    if request.method == "POST" and key is None and "multipart/form-data" in request.header("content-type"):
        return "PostObject"
    level = "service" if bucket is None else "bucket" if key is None else "object"
    fitting = [rule for rule in rules() if rule.fits(request, level)]
    return max(fitting, key=lambda rule: rule.weight).operation if fitting else f"{request.method}:unknown"


@cache
def rules() -> tuple[_Rule, ...]:
    """How botocore's model of S3 tells its operations apart. Read once, which takes a moment."""
    model = botocore.session.Session().get_service_model("s3")
    rules = []
    # Renamed operations (…Lifecycle, …LifecycleConfiguration) share an address: the longer name is the living one.
    for name in sorted(model.operation_names, key=len, reverse=True):
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        if path.startswith("/Write") or name == "ListDirectoryBuckets":
            continue
        shape = operation.input_shape
        required = [] if shape is None else [shape.members[member] for member in shape.required_members]
        names = {
            place: tuple(
                str(member.serialization["name"]).lower() if place == "header" else str(member.serialization["name"])
                for member in required
                if member.serialization.get("location") == place
            )
            for place in ("querystring", "header")
        }
        level = "object" if "{Key" in path else "bucket" if shape and "Bucket" in shape.required_members else "service"
        literals = tuple((name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "x-id")
        headers = tuple(name for name in names["header"] if name == "x-amz-copy-source")
        rules.append(_Rule(name, operation.http["method"], level, literals, names["querystring"], headers))
    return tuple(rules)


# The action where it is not called like the operation; the second is for requests that name a version.
_OBJECT_ACTIONS = {
    "GetObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "HeadObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "GetObjectAcl": ("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
    "GetObjectAttributes": ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
    "GetObjectTagging": ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
    "ListParts": ("s3:ListMultipartUploadParts",) * 2,
    "PutObject": ("s3:PutObject",) * 2,
    "CreateMultipartUpload": ("s3:PutObject",) * 2,
    "UploadPart": ("s3:PutObject",) * 2,
    "UploadPartCopy": ("s3:PutObject",) * 2,
    "CompleteMultipartUpload": ("s3:PutObject",) * 2,
    "CopyObject": ("s3:PutObject",) * 2,
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",) * 2,
    "PutObjectAcl": ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
    "DeleteObject": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
}
_LISTINGS = {
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
_CREATING = {"PutObject", "CopyObject", "CreateMultipartUpload"}
_WRITING = _CREATING | {"UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "DeleteObject"}

# Headers of a write that ask for more than the write itself.
_HEADER_ACTIONS = {
    "x-amz-tagging": "s3:PutObjectTagging",
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-grant-full-control": "s3:PutObjectAcl",
    "x-amz-grant-read": "s3:PutObjectAcl",
    "x-amz-grant-read-acp": "s3:PutObjectAcl",
    "x-amz-grant-write-acp": "s3:PutObjectAcl",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-object-lock-retain-until-date": "s3:PutObjectRetention",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
    "x-amz-bypass-governance-retention": "s3:BypassGovernanceRetention",
}


def _needs(request: Request, operation: str, bucket: str | None, key: str | None) -> Iterable[Need]:
    if operation in _LISTINGS:
        prefix = "" if operation == "HeadBucket" else request.parameters.get("prefix", "")
        yield Need(_LISTINGS[operation], bucket, prefix=prefix)
        return
    if operation == "ListBuckets":
        yield Need("s3:ListAllMyBuckets", None)
        return
    if operation not in _OBJECT_ACTIONS:
        # Not among what grants cover: an action of the operation's own name, which no vended session has.
        yield Need(f"s3:{operation}", bucket, key)
        return
    plain, versioned = _OBJECT_ACTIONS[operation]
    yield Need(versioned if request.parameters.get("versionId") else plain, bucket, key)
    if operation in ("CopyObject", "UploadPartCopy"):
        yield _source_need(request.header("x-amz-copy-source"))
    if operation in _WRITING and "if-match" in request.headers:
        yield Need("s3:GetObject", bucket, key)
    if operation in _CREATING or operation == "DeleteObject":
        for header, action in _HEADER_ACTIONS.items():
            # A header of "false" (x-amz-bypass-governance-retention) asks for nothing.
            if request.header(header, "false").lower() != "false":
                yield Need(action, bucket, key)


def _source_need(header: str) -> Need:
    try:
        bucket, key, version = copy_source(header)
    except ValueError:
        raise Refusal(
            "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        ) from None
    return Need("s3:GetObjectVersion" if version else "s3:GetObject", bucket, key)


def _deletions(body: bytes, bucket: str) -> tuple[tuple[str, tuple[Need, ...]], ...]:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - it comes from the program under test
    except ElementTree.ParseError:
        raise Refusal("MalformedXML", "The XML you provided was not well-formed") from None
    found = []
    for entry in root:
        if _local_name(entry) != "Object":
            continue
        parts = {_local_name(part): part.text or "" for part in entry}
        if len(parts) != len(entry) or "Key" not in parts:
            raise Refusal("MalformedXML", "The XML you provided was not well-formed or did not validate")
        key = parts["Key"]
        needs = [Need("s3:DeleteObjectVersion" if parts.get("VersionId") else "s3:DeleteObject", bucket, key)]
        if parts.get("ETag"):
            needs.append(Need("s3:GetObject", bucket, key))
        found.append((key, tuple(needs)))
    return tuple(found)


def _local_name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
