"""What one file of the cache on disk says, how that is checked, and the digests that name folders and files.

A file is JSON: a format version, the content as a text of JSON in it, and a digest of that text and the file's place.
So a file that was damaged, or copied to where another requester or bucket would find it, is no record any more.
Names are SHA-256 digests over parts with their lengths before them: no two different lists of parts give one name, and
no name tells a bucket or a key id.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.scopes import PERMISSIONS, GrantScope, Permission

__all__ = [
    "MAX_BYTES",
    "Entry",
    "Record",
    "context_digest",
    "decode",
    "encode",
    "folder_name",
    "lock_name",
    "record_name",
    "requester_digest",
    "requester_label",
    "requester_name",
]

# Raised when the form changes: a file of another version is then no record.
VERSION = 1
DOMAIN = b"access-grants-provider/cache/1/"
# A session token takes some 2 KB and a scope at most 2,000 characters, 12 KB where all of them are escaped.
MAX_BYTES = 64 * 1024

TEXTS = ("permission", "bucket", "key", "account_id", "region", "privilege", "access_key", "secret_key", "token")
TIMES = ("expiration", "vended_at")
SHOWN = ("permission", "account_id", "region", "privilege", "expiration", "vended_at")
LABEL_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Record:
    """One set of vended credentials. ``expiration`` and ``vended_at`` are seconds since the epoch.

    ``scope`` is not kept as text: ``s3://b/a*`` may be the prefix ``a`` or, under privilege Minimal, the object ``a*``.
    ``vended_at`` makes no difference between two: who drops credentials knows them, and not when a process got them.
    """

    permission: Permission
    scope: GrantScope
    account_id: str
    region: str
    privilege: str
    expiration: float
    vended_at: float = field(compare=False)
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """What may be shown of one file: ``expiration`` and ``vended_at`` in epoch seconds, ``size`` in bytes.

    ``requester`` is what :func:`requester_label` returns.
    """

    requester: str
    scope: str
    permission: Permission
    account_id: str
    region: str
    privilege: str
    expiration: float
    vended_at: float
    size: int

    @classmethod
    def of(cls, record: Record, requester: str, size: int) -> Entry:
        """Take from a record what is no secret; ``requester`` is its folder's name."""
        shown = {name: getattr(record, name) for name in SHOWN}
        return cls(requester=requester[:LABEL_DIGITS], scope=str(record.scope), size=size, **shown)


def requester_digest(access_key: str, secret_key: str, token: str | None) -> bytes:
    """Return what stands for one set of frozen credentials in every process, and does not lead back to them."""
    return _digest("requester", access_key, secret_key, token).digest()


def context_digest(config: AccessGrantsConfig, *elsewhere: str | None) -> bytes:
    """Return what stands for all that decides what is vended: options, and the endpoints in place of AWS."""
    options = (
        *elsewhere,
        config.account_id,
        config.endpoint_url,
        config.privilege,
        config.duration_seconds,
        config.audit_context,
    )
    return _digest("context", *options).digest()


def requester_name(requester: bytes) -> str:
    """Return the name of a requester's folder: 64 hexadecimal digits, as all names here."""
    return _digest("requester folder", requester).hexdigest()


def requester_label(requester: bytes) -> str:
    """Return what names a requester in :class:`Entry`: 12 hexadecimal digits, which tell nothing of the credentials."""
    return requester_name(requester)[:LABEL_DIGITS]


def folder_name(requester: bytes, context: bytes, bucket: str) -> str:
    """Return the name of the folder with a requester's records for one bucket in one context."""
    return _digest("bucket folder", requester, context, bucket).hexdigest()


def record_name(requester: bytes, context: bytes, record: Record) -> str:
    """Return a record's name: the same for all credentials that may take each other's place."""
    place = (record.region, record.account_id, *record.scope, record.permission)
    return _digest("record", requester, context, *place).hexdigest()


def lock_name(requester: bytes, context: bytes, key: tuple[object, ...]) -> str:
    """Return the name of a flight's lock: ``key`` may hold texts, bytes, numbers, None, and tuples of them.

    Raises :class:`TypeError` for anything else, which may mean something in this process only.
    """
    return _digest("lock", requester, context, key).hexdigest()


def encode(record: Record, place: tuple[str, ...]) -> bytes:
    """Return the content of a record's file; ``place`` are the names of its two folders and its own."""
    fields = {
        "permission": record.permission,
        **record.scope._asdict(),
        "account_id": record.account_id,
        "region": record.region,
        "privilege": record.privilege,
        "expiration": float(record.expiration),
        "vended_at": float(record.vended_at),
        "access_key": record.access_key,
        "secret_key": record.secret_key,
        "token": record.token,
    }
    content = json.dumps(fields)
    return json.dumps({"version": VERSION, "check": _check(content, place), "content": content}).encode()


def decode(data: bytes, place: tuple[str, ...]) -> Record:
    """Read a file's content. Raises :class:`ValueError` for whatever :func:`encode` would not write at this place."""
    try:
        document = json.loads(data)
        if type(document) is not dict or type(content := document.get("content")) is not str:
            raise ValueError("not the form of a record")
        if document != {"version": VERSION, "check": _check(content, place), "content": content}:
            raise ValueError("of another version, damaged, or copied from another place")
        fields = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if type(fields) is not dict or fields.keys() != {*TEXTS, *TIMES, "is_prefix"} or not _is_sound(fields):
        raise ValueError("without the fields of a record")
    scope = GrantScope(fields.pop("bucket"), fields.pop("key"), fields.pop("is_prefix"))
    return Record(scope=scope, **fields)


def _is_sound(fields: dict[str, Any]) -> bool:
    return (
        all(type(fields[name]) is str for name in TEXTS)
        and all(type(fields[name]) is float and math.isfinite(fields[name]) for name in TIMES)
        and type(fields["is_prefix"]) is bool
        and fields["permission"] in PERMISSIONS
        and fields["privilege"] in ("Default", "Minimal")
        and re.fullmatch("[0-9]{12}", fields["account_id"]) is not None
        and all(fields[name] for name in ("bucket", "region", "access_key", "secret_key", "token"))
    )


def _check(content: str, place: tuple[str, ...]) -> str:
    """Return the digest that tells a file as it was written from one that was damaged or copied."""
    return _digest("content", *place, content).hexdigest()


def _digest(purpose: str, *parts: object) -> hashlib._Hash:
    whole = hashlib.sha256()
    for part in (DOMAIN + purpose.encode(), *map(_unmistakable, parts)):
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole


def _unmistakable(part: object) -> bytes:
    """Write a value as bytes that no other value gives: None is not the empty text, and 1 is neither True nor "1"."""
    if isinstance(part, tuple):
        return b"t" + _digest("tuple", *part).digest()
    if isinstance(part, bytes):
        return b"b" + part
    if isinstance(part, str):
        # A key may hold half of a surrogate pair.
        return b"s" + part.encode("utf-8", "surrogatepass")
    if part is None or isinstance(part, (bool, int, float)):
        return b"r" + repr(part).encode()
    raise TypeError(f"{part!r} does not mean the same in every process")
