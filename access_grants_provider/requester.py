"""Whose credentials sign a request: one set of frozen credentials, held so that it can't be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from botocore.credentials import Credentials

from .asking import is_account
from .memory import FrozenCredentials, Memory, Store

__all__ = ["Requester"]


class Requester:
    """One set of frozen credentials and what is remembered for it.

    No attribute of it is a secret in plain sight: ``repr`` and ``vars`` show none, and it can't be pickled.
    """

    __slots__ = ("__weakref__", "_frozen", "digest", "memory", "signer", "store")

    def __init__(self, frozen: FrozenCredentials, store: Store) -> None:
        self._frozen = frozen
        self.store = store
        self.digest = store.digest(frozen)
        self.memory: Memory = store.memory(self.digest, label(frozen.access_key))
        # From the environment it may be anything; STS is asked where it is no account.
        account_id = getattr(frozen, "account_id", None)
        if self.memory.account_id is None and is_account(account_id):
            self.memory.account_id = account_id
        self.signer = Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def is_still(self, frozen: FrozenCredentials, store: Store) -> bool:
        """Tell whether these are the very credentials, and remembered in ``store``."""
        return self._frozen == frozen and self.store is store

    def in_every_process(self, digest: Callable[[str, str, str | None], bytes]) -> bytes:
        """Return a digest of the credentials that other processes compute too; ``digest`` leads back to nothing."""
        return digest(self._frozen.access_key, self._frozen.secret_key, self._frozen.token)

    def __repr__(self) -> str:
        return f"<Requester {self.memory.label}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled; register again in the other process")


def label(access_key: str) -> str:
    """Return what names a caller in messages: the ends of the access key id."""
    return f"{access_key[:4]}…{access_key[-4:]}" if len(access_key) > 8 else f"{access_key[:2]}…"
