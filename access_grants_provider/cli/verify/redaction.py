"""Answers without account ids, keys and names, which are private or differ from run to run."""

from __future__ import annotations

import re

from .account import Account
from .plan import Names, other_region
from .seen import Seen

__all__ = ["redacted"]

PATTERNS = (
    (re.compile(r"\b\d{12}\b"), "ACCOUNT"),
    (re.compile(r"\bA[A-Z]{3}[A-Z0-9]{12,17}\b"), "KEY"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"(assumed-role/[^/ ]+/)[^ /]+"), r"\1SESSION"),
    (re.compile(r"(:user/)[^ ]+"), r"\1USER"),
)


def redacted(seen: Seen, account: Account, names: Names) -> Seen:
    """Return the answer with words in place of the account, keys, ids, the run's number, and the two regions."""
    message = seen.message.replace(names.run, "agp-verify-RUN").replace(account.id, "ACCOUNT")
    for pattern, word in PATTERNS:
        message = pattern.sub(word, message)
    for region, word in ((account.region, "REGION"), (other_region(account.region), "OTHER-REGION")):
        message = re.sub(rf"(?<![\w-]){re.escape(region)}(?![\w-])", word, message)
    return seen._replace(message=message)
