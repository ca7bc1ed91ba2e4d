"""Whose credentials sign a request: one set of frozen credentials, held so that it can't be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from botocore.credentials import Credentials, RefreshableCredentials

from ..core.caller_state import CallerState, CallerStates, FrozenCredentials, drop_oldest
from ..core.get_data_access import is_account
from .known_accounts import known_accounts
from .unpicklable_credentials import UnpicklableCredentials

__all__ = ["Caller", "CallerTracker", "HandedOutKeys", "handed_out"]


# By the ``method`` of botocore's credential providers.
SOURCES = {
    "env": "from the environment",
    "shared-credentials-file": "from the credentials file",
    "config-file": "from the config file",
    "sso": "from an SSO login",
    "login": "from aws login",
    "assume-role": "of an assumed role",
    "assume-role-with-web-identity": "of a role assumed with a web identity",
    "custom-process": "from a credential_process",
    "iam-role": "of the instance's role",
    "container-role": "of the container's role",
    "explicit": "given by the program",
}
WITHOUT_PROFILE = ("env", "iam-role", "container-role", "explicit")


# More are hardly in use at once: each lives an hour or so, and was asked for one by one.
MAX_HANDED_OUT = 10_000


class HandedOutKeys:
    """The access key ids that ``provider.credentials()`` has handed out in this process, the latest 10,000.

    A program may make a client with them. Like those that other processes hand out they have no grants of their own.
    """

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    def add(self, access_key: str) -> None:
        """Remember one."""
        self._keys[access_key] = None
        if len(self._keys) > MAX_HANDED_OUT:
            drop_oldest(self._keys)

    def __contains__(self, access_key: str) -> bool:
        return access_key in self._keys


handed_out = HandedOutKeys()


class Caller:
    """One set of frozen credentials and what is remembered for it.

    ``is_vended``: the credentials are a grant's own, handed out by this process or another. No attribute is a secret
    in plain sight: ``repr`` and ``vars`` show none, and it can't be pickled.
    """

    __slots__ = ("__weakref__", "_frozen", "credentials", "digest", "is_vended", "state", "states")

    def __init__(
        self, frozen: FrozenCredentials, states: CallerStates, is_vended: bool = False, source: str = ""
    ) -> None:
        self._frozen = frozen
        self.is_vended = is_vended
        self.states = states
        self.digest = states.digest(frozen)
        self.state: CallerState = states.get_or_create(self.digest, masked_key(frozen.access_key), source)
        # From the environment it may be anything; STS is asked where it is no account.
        account_id = getattr(frozen, "account_id", None)
        if self.state.account_id is None:
            told = is_account(account_id)
            guess = None if told else known_accounts.get(frozen.access_key)
            # First: no other thread may take a guess for what was told.
            self.state.account_is_guessed = guess is not None
            self.state.account_id = account_id if told else guess
        self.credentials = UnpicklableCredentials(frozen.access_key, frozen.secret_key, frozen.token)

    def matches(self, frozen: FrozenCredentials, states: CallerStates) -> bool:
        """Tell whether these are the very credentials, and remembered in ``states``."""
        return self._frozen == frozen and self.states is states

    def learn(self, account_id: str) -> None:
        """Remember the account that STS has told, for other sessions of this process."""
        known_accounts.add(self._frozen.access_key, account_id)

    def in_every_process(self, digest: Callable[[str, str, str | None], bytes]) -> bytes:
        """Return a digest of the credentials that other processes compute too; ``digest`` leads back to nothing."""
        return digest(self._frozen.access_key, self._frozen.secret_key, self._frozen.token)

    def __repr__(self) -> str:
        return f"<Caller {self.state.masked_key}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled; register again in the other process")


class CallerTracker:
    """Whoever one client signs as: one caller at a time, and the next when its credentials change.

    ``unchanging`` is the class of credentials whose parts are nothing but attributes.
    """

    def __init__(
        self, is_vended_session: Callable[[str], bool], profile: str | None = None, unchanging: type[Any] = Credentials
    ) -> None:
        self._is_vended_session = is_vended_session
        self._profile = profile
        self._unchanging = unchanging
        self._last: Caller | None = None

    def unchanged(self, credentials: Any, states: CallerStates) -> Caller | None:
        """Return the caller that the client signed as last, if ``credentials`` hold the very same texts in memory.

        So nothing is read, frozen and compared, which would cost more than to find what was vended. None for
        credentials that may change by being read.
        """
        last = self._last
        if last is None or type(credentials) is not self._unchanging or last.states is not states:
            return None
        known = last.credentials
        same = (
            credentials.access_key is known.access_key
            and credentials.secret_key is known.secret_key
            and credentials.token is known.token
        )
        return last if same else None

    def known(self, frozen: FrozenCredentials, states: CallerStates) -> Caller | None:
        """Return the caller that the client signed as last, if these are still the same credentials."""
        last = self._last
        return last if last is not None and last.matches(frozen, states) else None

    def get_or_create(
        self, credentials: object, frozen: FrozenCredentials, latest: FrozenCredentials, states: CallerStates
    ) -> Caller:
        """Return the caller that signs with ``frozen``, which was read off ``credentials`` just before ``latest``."""
        last = self._last
        # Only temporary credentials can be a grant's.
        key = frozen.access_key
        is_vended = frozen.token is not None and (key in handed_out or self._is_vended_session(key))
        caller = Caller(frozen, states, is_vended, source_of(credentials, self._profile))
        if not isinstance(credentials, RefreshableCredentials):
            # The client may sign as somebody else with the next request, and then as this caller again.
            self._last = caller
        elif latest == frozen:
            # Rotated, and not merely seen late by this thread: what was vended to the old ones goes with them.
            self._last = caller
            if last is not None and last.states is states:
                states.forget(last.digest)
        return caller


def source_of(credentials: object, profile: str | None) -> str:
    """Say for people where credentials come from: ``"from an SSO login, profile 'work'"``; empty if that is unknown."""
    method = getattr(credentials, "method", None)
    source = SOURCES.get(method, "") if isinstance(method, str) else ""
    return f"{source}, profile {profile!r}" if source and profile and method not in WITHOUT_PROFILE else source


def masked_key(access_key: str) -> str:
    """Return what names a caller in messages: the ends of the access key id."""
    return f"{access_key[:4]}…{access_key[-4:]}" if len(access_key) > 8 else f"{access_key[:2]}…"
