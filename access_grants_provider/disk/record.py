"""The format of a record, and the digests that name the folders and files of the cache on disk.

A record's file is JSON: a format version, the content as a JSON text, and a digest of that text and of the file's
place. A file that was damaged, or copied to the place of another caller or bucket, does not decode.
Names are SHA-256 digests over parts, each with its length before it: two different lists of parts never give the same
name, and no name reveals a bucket or a key id.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.scopes import PERMISSIONS, GrantScope, Permission

__all__ = [
    "MAX_BYTES",
    "MAX_TIME",
    "Entry",
    "Record",
    "caller_digest",
    "caller_label",
    "caller_name",
    "context_digest",
    "decode",
    "encode",
    "folder_name",
    "record_name",
    "session_name",
]

# Increased when the format changes: a file of another version does not decode.
VERSION = 1
DOMAIN = b"access-grants-provider/cache/1/"
# A session token takes some 2 KB and a scope at most 2,000 characters, 12 KB where all of them are escaped.
MAX_BYTES = 64 * 1024
# The start of the year 10000. datetime and some file systems represent no later time.
MAX_TIME = 253_402_300_800.0

TEXTS = ("permission", "bucket", "key", "account_id", "region", "privilege", "access_key", "secret_key", "token")
TIMES = ("expiration", "vended_at")
SHOWN = ("permission", "account_id", "region", "privilege", "expiration", "vended_at")
LABEL_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Record:
    """One set of vended credentials. ``expiration`` and ``vended_at`` are seconds since the epoch.

    ``vended_at`` is the time just before GetDataAccess was sent, so that :meth:`.DiskCache.clear` also forgets
    credentials that were on their way. It is not compared: a caller that deletes credentials need not know it.
    ``scope`` is not stored as text: ``s3://b/a*`` is the prefix ``a`` or, under privilege Minimal, the object ``a*``.
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
    """The parts of a record that are not secret, and the ``size`` of its file in bytes.

    ``caller`` is a :func:`caller_label`. ``expiration`` and ``vended_at`` are seconds since the epoch.
    """

    caller: str
    scope: str
    permission: Permission
    account_id: str
    region: str
    privilege: str
    expiration: float
    vended_at: float
    size: int

    @classmethod
    def of(cls, record: Record, caller: str, size: int) -> Entry:
        """Copy what is not secret from a record; ``caller`` is the name of the caller's folder."""
        shown = {name: getattr(record, name) for name in SHOWN}
        return cls(caller=caller[:LABEL_DIGITS], scope=str(record.scope), size=size, **shown)


def caller_digest(access_key: str, secret_key: str, token: str | None) -> bytes:
    """Return a digest of one set of frozen credentials: the same in every process."""
    return _digest("caller", access_key, secret_key, token).digest()


def context_digest(config: AccessGrantsConfig, *elsewhere: str | None) -> bytes:
    """Return a digest of everything that decides what is vended: options, and endpoints used instead of AWS."""
    options = (
        *elsewhere,
        config.account_id,
        config.endpoint_url,
        config.privilege,
        config.duration_seconds,
        config.audit_context,
    )
    return _digest("context", *options).digest()


def caller_name(caller: bytes) -> str:
    """Return the name of a caller's folder: 64 hexadecimal digits, as all names here."""
    return _digest("caller folder", caller).hexdigest()


def caller_label(caller: bytes) -> str:
    """Return the short name of a caller in :class:`Entry`: 12 hexadecimal digits that reveal no credentials."""
    return caller_name(caller)[:LABEL_DIGITS]


def folder_name(caller: bytes, context: bytes, bucket: str) -> str:
    """Return the name of the folder that holds a caller's records for one bucket in one context."""
    return _digest("bucket folder", caller, context, bucket).hexdigest()


def record_name(caller: bytes, context: bytes, record: Record) -> str:
    """Return the name of a record: the same for all credentials that can replace each other."""
    place = (record.region, record.account_id, *record.scope, record.permission)
    return _digest("record", caller, context, *place).hexdigest()


def session_name(access_key_id: str) -> str:
    """Return the name of a vended session in :mod:`.sessions`."""
    return _digest("vended session", access_key_id).hexdigest()


def encode(record: Record, place: tuple[str, ...]) -> bytes:
    """Return the content of a record's file; ``place`` holds the names of its two folders and its own name."""
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
    """Read the content of a file. Raises :class:`ValueError` for content that :func:`encode` never writes here."""
    try:
        document = json.loads(data)
        if type(document) is not dict or type(content := document.get("content")) is not str:
            raise ValueError("not a record")
        if document != {"version": VERSION, "check": _check(content, place), "content": content}:
            raise ValueError("another version, damaged, or copied from another place")
        fields = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if type(fields) is not dict or fields.keys() != {*TEXTS, *TIMES, "is_prefix"} or not _is_sound(fields):
        raise ValueError("the fields are not those of a record")
    scope = GrantScope(fields.pop("bucket"), fields.pop("key"), fields.pop("is_prefix"))
    return Record(scope=scope, **fields)


def _is_sound(fields: dict[str, Any]) -> bool:
    return (
        all(type(fields[name]) is str for name in TEXTS)
        # False for NaN too.
        and all(type(fields[name]) is float and 0 <= fields[name] < MAX_TIME for name in TIMES)
        and type(fields["is_prefix"]) is bool
        and fields["permission"] in PERMISSIONS
        and fields["privilege"] in ("Default", "Minimal")
        and re.fullmatch("[0-9]{12}", fields["account_id"]) is not None
        and all(fields[name] for name in ("bucket", "region", "access_key", "secret_key", "token"))
    )


def _check(content: str, place: tuple[str, ...]) -> str:
    """Return the digest that a damaged or copied file does not match."""
    return _digest("content", *place, content).hexdigest()


def _digest(purpose: str, *parts: str | bytes | int | None) -> hashlib._Hash:
    whole = hashlib.sha256()
    for part in (DOMAIN + purpose.encode(), *map(_as_bytes, parts)):
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole


def _as_bytes(part: str | bytes | int | None) -> bytes:
    """Encode a value so that no other value gives the same bytes: None is not "", and 1 is neither True nor "1"."""
    if isinstance(part, bytes):
        return b"b" + part
    if isinstance(part, str):
        # A key may hold half of a surrogate pair.
        return b"s" + part.encode("utf-8", "surrogatepass")
    return b"r" + repr(part).encode()
