"""Whose credentials sign a request: one set of frozen credentials, held so that it can't be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, Protocol

from botocore.credentials import Credentials, RefreshableCredentials

from ..core.caller_state import FrozenCredentials, Memory, Store
from ..core.get_data_access import is_account

__all__ = ["Requester", "Requesters"]


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


class Requesters:
    """Whoever one client signs as: one requester at a time, and the next when its credentials change."""

    def __init__(self, stores: HasStore) -> None:
        self._stores = stores
        self._last: Requester | None = None

    def known(self, frozen: FrozenCredentials) -> Requester | None:
        """Return the requester whom the client signed as last, if these are still the same credentials."""
        last = self._last
        return last if last is not None and last.is_still(frozen, self._stores.store) else None

    def meet(self, credentials: object, frozen: FrozenCredentials, latest: FrozenCredentials) -> Requester:
        """Return whoever signs with ``frozen``, which were read off ``credentials`` just before ``latest``."""
        last, store = self._last, self._stores.store
        requester = Requester(frozen, store)
        if not isinstance(credentials, RefreshableCredentials):
            # Whoever the client signs as may change from one request to the next and back.
            self._last = requester
        elif latest == frozen:
            # Rotated, and not merely seen late by this thread: what was vended to the old ones goes with them.
            self._last = requester
            if last is not None and last.store is store:
                store.forget(last.digest)
        return requester


class HasStore(Protocol):
    """The provider, whose store is another one after ``clear()``."""

    store: Store


def label(access_key: str) -> str:
    """Return what names a caller in messages: the ends of the access key id."""
    return f"{access_key[:4]}…{access_key[-4:]}" if len(access_key) > 8 else f"{access_key[:2]}…"
