"""What S3 Access Grants needs to know of an S3 operation: its permission, its target, and what a grant can't do.

``OPERATIONS`` is the one table. An operation that is not in it is not covered by S3 Access Grants and stays with the
caller's own credentials. The table rests on these pages:

- https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-grants-get-data.html, the supported actions.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-grants-location-register.html, the policy of a location's
  role. The session of a grant has no action beyond it. The actions on versions, as s3:DeleteObjectVersion, are in it.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html, the actions that S3 checks
  for an operation and its parameters.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from .scopes import GrantScope, Permission, Target, common_prefix

__all__ = [
    "OBJECT_OPERATIONS",
    "OPERATIONS",
    "RequiredAccess",
    "S3Operation",
    "copy_source",
    "required_access",
    "required_access_of_post",
    "unsupported_bucket",
]

Params = Mapping[str, Any]


class RequiredAccess(NamedTuple):
    """What a request needs: a permission on a target.

    Without ``permission`` S3 Access Grants does not cover the request (unsupported). With a permission but no
    ``target`` no single grant can cover it (a denial). ``reason`` says why in both cases.

    ``hint`` says what would help where S3 answers 403 although the request is signed with a grant.
    """

    permission: Permission | None
    target: Target | None
    reason: str | None = None
    hint: str | None = None


class S3Operation(NamedTuple):
    """One row of the table.

    ``permission``: what the operation needs on its target.
    ``find``: returns the target, and with it the access, from the permission and the request's parameters.
    ``target_parameters``: the parameters that decide the target. Whoever describes a request needs these and no other.
    ``if_match``: the parameter under which S3 also reads the object for the caller. WRITE then becomes READWRITE.
    ``unsupported``: the parameters that need an action which no grant's session has, each with what it does.
    """

    permission: Permission
    find: Callable[[Permission, Params], RequiredAccess]
    target_parameters: tuple[str, ...]
    if_match: str | None = None
    unsupported: Mapping[str, str] = {}


# What a bucket "name" looks like that is really an access point, an Object Lambda, an Outpost, a directory or
# a table bucket. AWS reserves these endings, no general purpose bucket can carry one:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", "--op-s3", ".mrap", "--x-s3", "--xa-s3", "--table-s3")

FILENAME = "${filename}"


def unsupported_bucket(bucket: str) -> bool:
    """Tell whether ``bucket`` is an ARN or one of the aliases that S3 Access Grants does not cover."""
    return bucket.startswith("arn:") or bucket.endswith(RESERVED_SUFFIXES)


def _object(permission: Permission, params: Params) -> RequiredAccess:
    return RequiredAccess(permission, GrantScope(params["Bucket"], params["Key"], False))


def _listing(permission: Permission, params: Params) -> RequiredAccess:
    return RequiredAccess(permission, GrantScope(params["Bucket"], params.get("Prefix") or "", True))


def _whole_bucket(permission: Permission, params: Params) -> RequiredAccess:
    return RequiredAccess(permission, GrantScope(params["Bucket"], "", True))


def _several_deletes(permission: Permission, params: Params) -> RequiredAccess:
    objects = params["Delete"]["Objects"]
    keys = [entry["Key"] for entry in objects]
    if not keys:
        return RequiredAccess(None, None, "the request names no key")
    # An ETag is the If-Match of one deletion.
    if any(entry.get("ETag") is not None for entry in objects):
        permission = "READWRITE"
    shared = common_prefix(keys)
    # The same key twice (two versions of it) is still one object.
    several = any(key != shared for key in keys)
    return RequiredAccess(permission, GrantScope(params["Bucket"], shared, several))


def _copy(permission: Permission, params: Params, hint: str | None = None) -> RequiredAccess:
    bucket, key = params["Bucket"], params["Key"]
    source_bucket, source_key = copy_source(params["CopySource"])
    if unsupported_bucket(source_bucket):
        return RequiredAccess(None, None, f"the source {source_bucket!r} is not a general purpose bucket")
    if source_bucket != bucket:
        return RequiredAccess(
            permission,
            None,
            f"it copies from bucket {source_bucket!r} to bucket {bucket!r}, and no single grant covers two buckets",
        )
    if source_key == key:
        return RequiredAccess(permission, GrantScope(bucket, key, False), None, hint)
    return RequiredAccess(permission, GrantScope(bucket, common_prefix([source_key, key]), True), None, hint)


def _copy_with_properties(permission: Permission, params: Params) -> RequiredAccess:
    # Unless told otherwise S3 copies the tags and annotations too, and nobody knows beforehand whether there are any.
    without_annotations = params.get("AnnotationDirective") == "EXCLUDE"
    return _copy(permission, params, HINT_ON_TAGS if without_annotations else HINT_ON_TAGS_AND_ANNOTATIONS)


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


HINT_ON_TAGS = (
    "CopyObject copies the object's tags too, and a grant does not allow that. With TaggingDirective='REPLACE' the "
    "request is signed with the caller's own credentials; GetObject and PutObject copy the content alone."
)
HINT_ON_TAGS_AND_ANNOTATIONS = (
    "CopyObject copies the object's tags and annotations too, and a grant does not allow that. "
    "AnnotationDirective='EXCLUDE' leaves out the annotations. With TaggingDirective='REPLACE' the request is signed "
    "with the caller's own credentials; GetObject and PutObject copy the content alone."
)

TAGS = "sets the object's tags (s3:PutObjectTagging)"
RETENTION = "sets an Object Lock retention (s3:PutObjectRetention)"
LEGAL_HOLD = "sets an Object Lock legal hold (s3:PutObjectLegalHold)"
EVENT_HOLD = "sets an Object Lock event hold"

# What S3 does where the parameter is missing, spelled out.
DEFAULTS = {"TaggingDirective": "COPY"}

_NEW_OBJECT = {
    "Tagging": TAGS,
    "ObjectLockMode": RETENTION,
    "ObjectLockRetainUntilDate": RETENTION,
    "ObjectLockLegalHoldStatus": LEGAL_HOLD,
    "ObjectLockEventHold": EVENT_HOLD,
    "ObjectLockEventHoldDurationDays": EVENT_HOLD,
    "ObjectLockEventHoldDurationYears": EVENT_HOLD,
}
_NEW_COPY = {**_NEW_OBJECT, "TaggingDirective": "replaces the object's tags (s3:PutObjectTagging)"}
_DELETION = {
    "BypassGovernanceRetention": "overrides an Object Lock retention (s3:BypassGovernanceRetention)",
    "MFA": "only the root user of the bucket's account can use",
}
# The same of a presigned POST, by the form's fields.
_POST_FIELDS = {
    "tagging": TAGS,
    "x-amz-object-lock-mode": RETENTION,
    "x-amz-object-lock-retain-until-date": RETENTION,
    "x-amz-object-lock-legal-hold": LEGAL_HOLD,
}

_KEY = ("Bucket", "Key")
_PREFIX = ("Bucket", "Prefix")
_SOURCE = ("Bucket", "Key", "CopySource")

_READ = S3Operation("READ", _object, _KEY)
_WRITE = S3Operation("WRITE", _object, _KEY)
_LIST = S3Operation("READ", _listing, _PREFIX)

OPERATIONS: Mapping[str, S3Operation] = {
    "GetObject": _READ,
    "HeadObject": _READ,
    "GetObjectAcl": _READ,
    "GetObjectAttributes": _READ,
    "ListParts": _READ,
    "PutObject": S3Operation("WRITE", _object, _KEY, "IfMatch", _NEW_OBJECT),
    "PutObjectAcl": _WRITE,
    "DeleteObject": S3Operation("WRITE", _object, _KEY, "IfMatch", _DELETION),
    "CreateMultipartUpload": S3Operation("WRITE", _object, _KEY, None, _NEW_OBJECT),
    "UploadPart": _WRITE,
    "CompleteMultipartUpload": S3Operation("WRITE", _object, _KEY, "IfMatch"),
    "AbortMultipartUpload": _WRITE,
    "ListObjects": _LIST,
    "ListObjectsV2": _LIST,
    "ListObjectVersions": _LIST,
    "ListMultipartUploads": _LIST,
    "HeadBucket": S3Operation("READ", _whole_bucket, ("Bucket",)),
    "DeleteObjects": S3Operation("WRITE", _several_deletes, ("Bucket", "Delete"), None, _DELETION),
    "CopyObject": S3Operation("READWRITE", _copy_with_properties, _SOURCE, None, _NEW_COPY),
    "UploadPartCopy": S3Operation("READWRITE", _copy, _SOURCE),
}

# The operations on one object: the permission each needs on ``Bucket`` and ``Key``, whatever its other parameters but
# for those named here, which call for required_access().
OBJECT_OPERATIONS: Mapping[str, tuple[Permission, frozenset[str]]] = {
    name: (row.permission, frozenset(row.unsupported).union([row.if_match] if row.if_match else []))
    for name, row in OPERATIONS.items()
    if row.find is _object
}


def required_access(operation: str, params: Params) -> RequiredAccess:
    """Say what ``operation`` (``"GetObject"``) with these API parameters needs.

    Raises ``KeyError`` naming the parameter where one that decides the target is missing.
    """
    row = OPERATIONS.get(operation)
    if row is None:
        return RequiredAccess(None, None, f"S3 Access Grants does not cover {operation}")
    if unsupported_bucket(params["Bucket"]):
        return RequiredAccess(None, None, f"{params['Bucket']!r} is not a general purpose bucket")
    # This runs on every request to S3: reads have no such parameters, and few writes name one.
    if row.unsupported and not row.unsupported.keys().isdisjoint(params):
        reason = _unsupported_parameter(row.unsupported, params)
        if reason is not None:
            return RequiredAccess(None, None, reason)
    if row.if_match is not None and params.get(row.if_match) is not None:
        return row.find("READWRITE", params)
    return row.find(row.permission, params)


def _unsupported_parameter(unsupported: Mapping[str, str], params: Params) -> str | None:
    """Return why a request is unsupported for one of its parameters, None where none asks for anything."""
    for name, effect in unsupported.items():
        value = params.get(name)
        # A false or empty value, and S3's own default, ask for nothing.
        if value and value != DEFAULTS.get(name):
            return f"S3 Access Grants does not cover the parameter {name}, which {effect}"
    return None


def required_access_of_post(bucket: str, key: str, fields: Params | None = None) -> RequiredAccess:
    """Say what a presigned POST to ``bucket`` needs.

    ``key`` is the form's field, ``${filename}`` included. ``fields`` are all the form's fields, names in any case.
    """
    if unsupported_bucket(bucket):
        return RequiredAccess(None, None, f"{bucket!r} is not a general purpose bucket")
    for name, value in (fields or {}).items():
        effect = _POST_FIELDS.get(name.lower())
        if effect is not None and value:
            return RequiredAccess(None, None, f"S3 Access Grants does not cover the form field {name}, which {effect}")
    known, filename, _ = key.partition(FILENAME)
    return RequiredAccess("WRITE", GrantScope(bucket, known, bool(filename)))
