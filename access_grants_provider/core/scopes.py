"""What a grant's scope is, and how two of them relate.

A scope is a set of keys in one bucket: one exact key, or every key that starts with a prefix. Prefixes
count by character; ``/`` means nothing special. What a request touches, its *target*, has the same two
forms, so one class serves both.

Rests on https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-grants-grant.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-grants-credentials.html.
"""

from typing import Literal, NamedTuple

from ..exceptions import ConfigurationError

__all__ = [
    "PERMISSIONS",
    "SCHEME",
    "GrantScope",
    "MalformedScope",
    "Permission",
    "Target",
    "common_prefix",
    "one_line",
    "permission_of",
    "permits",
    "target_of",
    "targets_of",
]

Permission = Literal["READ", "WRITE", "READWRITE"]
PERMISSIONS: tuple[Permission, ...] = ("READ", "WRITE", "READWRITE")

SCHEME = "s3://"


class MalformedScope(ValueError):
    """A text that is no scope of S3 Access Grants; the message quotes it."""


class GrantScope(NamedTuple):
    """A set of keys in one bucket.

    ``key`` is the one key of the set or, where ``is_prefix``, what all its keys start with (without the
    star; empty for the whole bucket).
    """

    bucket: str
    key: str
    is_prefix: bool

    @classmethod
    def parse(cls, text: str) -> "GrantScope":
        """Read a scope as S3 Access Grants writes it: ``s3://bucket/pre*``, ``s3://bucket/key``, ``s3://bucket*``.

        Trailing stars count as one. ``s3://bucket*`` is the bucket ``bucket``, never another whose name
        begins so. Raises :class:`MalformedScope`.
        """
        if not isinstance(text, str) or not text.startswith(SCHEME):
            raise MalformedScope(f"{text!r} is no S3 scope: it does not start with s3://")
        bucket, slash, key = text[len(SCHEME) :].partition("/")
        if not slash:
            bare = bucket.rstrip("*")
            if bare == bucket:
                raise MalformedScope(f"{text!r} is no S3 scope: neither a key nor a * follows the bucket")
            bucket, key = bare, "*"
        if not bucket or "*" in bucket:
            raise MalformedScope(f"{text!r} is no S3 scope: it names no bucket")
        if key.endswith("*"):
            return cls(bucket, key.rstrip("*"), True)
        if not key:
            raise MalformedScope(f"{text!r} is no S3 scope: neither a key nor a * follows the bucket")
        return cls(bucket, key, False)

    def covers(self, other: "GrantScope") -> bool:
        """Tell whether every key of ``other`` is in this scope.

        A listing of prefix P is the set ``P*``: it lies in ``S*`` exactly when P starts with S.
        """
        if self.bucket != other.bucket:
            return False
        if self.is_prefix:
            return other.key.startswith(self.key)
        return not other.is_prefix and other.key == self.key

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}{'*' if self.is_prefix else ''}"


Target = GrantScope


def permits(held: Permission, asked: Permission) -> bool:
    """Tell whether a credential vended for ``held`` serves a request that needs ``asked``."""
    return held in ("READWRITE", asked)


def common_prefix(keys: list[str]) -> str:
    """Return the longest text that all ``keys`` (at least one) start with, character by character."""
    # Every key lies between the least and the greatest, so what these two share all of them share.
    low, high = min(keys), max(keys)
    for position, character in enumerate(low):
        if high[position] != character:
            return low[:position]
    return low


def permission_of(text: str) -> Permission:
    """Read a permission as a user writes it. Raises :class:`ConfigurationError`."""
    if text not in PERMISSIONS:
        allowed = ", ".join(map(repr, PERMISSIONS))
        raise ConfigurationError(f"permission={text!r} is not allowed; it must be one of {allowed}")
    return text


def target_of(uri: str) -> Target:
    """Read an ``s3://`` URI: a key, a prefix (``s3://b/p/``, ``s3://b/p*``) or a bucket. Raises the same."""
    if not isinstance(uri, str) or not uri.startswith(SCHEME):
        forms = "s3://bucket, s3://bucket/prefix/ or s3://bucket/key"
        raise ConfigurationError(f"target={uri!r} is not allowed; it must be an s3:// URI: {forms}")
    bucket, slash, key = uri.removeprefix(SCHEME).partition("/")
    if slash and key and not key.endswith(("/", "*")):
        text = uri
    elif not slash and not bucket.endswith("*"):
        text = f"{uri}/*"
    else:
        text = f"{uri}*"
    try:
        return GrantScope.parse(text)
    except MalformedScope as error:
        raise ConfigurationError(f"target={uri!r} is not allowed: {error}") from None


def targets_of(text: str) -> list[tuple[Permission, Target]]:
    """Read the option ``prefetch``: ``s3://`` URIs separated by spaces, a permission before those it is for.

    READ is for those before the first permission. Raises the same.
    """
    wanted: list[tuple[Permission, Target]] = []
    permission: Permission = "READ"
    for word in text.split():
        if word in PERMISSIONS:
            permission = word
        else:
            wanted.append((permission, target_of(word)))
    return wanted


def one_line(text: object) -> str:
    """Return a foreign text with its control characters escaped: what the service quotes may not forge a log line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))
