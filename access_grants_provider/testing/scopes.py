"""Matching of S3 locations, the naive way: by comparing the `s3://` strings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """What a grant or a session covers: one object, or everything beginning with a text.

    `text` is a complete `s3://bucket/…` string without trailing star.
    """

    text: str
    exact: bool

    @property
    def bucket(self) -> str:
        """The bucket everything in this scope is in."""
        return self.text.removeprefix("s3://").partition("/")[0]

    def holds_key(self, bucket: str, key: str) -> bool:
        """Whether the scope covers this object."""
        uri = f"s3://{bucket}/{key}"
        return uri == self.text if self.exact else uri.startswith(self.text)

    def holds_prefix(self, bucket: str, prefix: str) -> bool:
        """Whether the scope covers every key that begins with `prefix`."""
        return not self.exact and f"s3://{bucket}/{prefix}".startswith(self.text)

    def holds(self, other: Scope) -> bool:
        """Whether the scope covers everything the other one covers."""
        if self.exact:
            return self == other
        return other.text.startswith(self.text)

    def __str__(self) -> str:
        return self.text if self.exact else self.text + "*"


def parse_scope(uri: str, is_object: bool = False) -> Scope:
    """The scope an `s3://` string means.

    A trailing star makes a prefix of it, several read as one, and with `is_object` stars are part of the key.
    A prefix never leaves its bucket, so `s3://bucket*` reads as `s3://bucket/*`. Without a star it is one
    object; `s3://bucket` alone is the object without a name, which nothing matches.

    Raises ValueError for anything that is not `s3://` and a bucket.
    """
    if not uri.startswith("s3://") or not uri.removeprefix("s3://").partition("/")[0].rstrip("*"):
        raise ValueError(f"not an S3 location: {uri!r}")
    if is_object or not uri.endswith("*"):
        return Scope(uri, exact=True)
    text = uri.rstrip("*")
    if "/" not in text.removeprefix("s3://"):
        text += "/"
    return Scope(text, exact=False)
