"""The tags of instances, locations and grants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .errors import Refusal

Tags = dict[str, str]
_MOST = 50
_TEXT = re.compile(r"[\w\s.:/=+\-@]*")


def add_tags(tags: Tags, added: Iterable[Mapping[str, str]]) -> None:
    """Put more tags to `tags`, which keeps its old ones if one of them is refused."""
    entries = [(entry.get("Key", ""), entry.get("Value", "")) for entry in added]
    if len({key for key, _ in entries}) < len(entries):
        raise Refusal(
            "InvalidTag", "There are duplicate tag keys in your request. Remove the duplicate tag keys and try again."
        )
    for key, value in entries:
        if key.lower().startswith("aws:"):
            raise Refusal("InvalidTags", "Tag keys cannot start with AWS reserved prefix for system tags.")
        if not (1 <= len(key) <= 128 and len(value) <= 256 and _TEXT.fullmatch(key) and _TEXT.fullmatch(value)):
            raise Refusal(
                "InvalidTag",
                "This request contains a tag key or value that isn't valid. Valid characters include the following: "
                "[a-zA-Z+-=._:/]. Tag keys can contain up to 128 characters. "
                "Tag values can contain up to 256 characters.",
            )
    merged = {**tags, **dict(entries)}
    if len(merged) > _MOST:
        raise Refusal("TooManyTags", "The number of tags exceeds the limit of 50 tags. Remove some tags and try again.")
    tags.update(merged)
