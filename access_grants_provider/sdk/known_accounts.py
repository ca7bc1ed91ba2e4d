"""The accounts of access keys, as STS has told this process."""

from __future__ import annotations

from ..core.caller_state import drop_oldest

__all__ = ["KnownAccounts", "known_accounts"]

MAX_KEYS = 10_000


class KnownAccounts:
    """Accounts by access key id, the latest 10,000: a key belongs to one account for as long as it exists.

    So a new session with a known key asks STS no more. It is a guess all the same: a local service may have told it of
    a key that another one has too. The core asks STS before it concludes a "no" from it.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, str] = {}

    def get(self, access_key: str) -> str | None:
        """Return the account of a key, 12 digits; None where STS was not asked."""
        return self._accounts.get(access_key)

    def add(self, access_key: str, account_id: str) -> None:
        """Remember what STS has told."""
        self._accounts[access_key] = account_id
        if len(self._accounts) > MAX_KEYS:
            drop_oldest(self._accounts)


known_accounts = KnownAccounts()
