"""Users and groups of a directory in IAM Identity Center."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

# An identity store's id may stand before the UUID (IdentityStore's API, UserId and GroupId).
_ID = re.compile(r"([0-9a-f]{10}-)?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_NAMESPACE = uuid.UUID("0e6f2f5c-9a57-4c43-9c5f-5a1d4bb0a4c1")


@dataclass(frozen=True)
class DirectoryGroup:
    """A group of the directory; `id` is what a grant names it by."""

    name: str
    id: str


@dataclass(frozen=True)
class DirectoryUser:
    """A user of the directory, as a session carries one: with groups, and the application of the sign-in."""

    id: str
    group_ids: frozenset[str]
    application_arn: str | None


def directory_id(kind: str, name: str) -> str:
    """The UUID of the user or group of this name, the same each time."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


def is_directory_id(text: str) -> bool:
    """Whether a grant may name a user or group of the directory like this."""
    return _ID.fullmatch(text) is not None
