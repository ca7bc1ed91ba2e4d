"""Users, roles and the sessions that grants vend, with their credentials."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock

from .directory import DirectoryUser
from .scopes import Scope

_LETTERS = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Identity:
    """A principal that signs requests: an IAM user, or a session of a role.

    `name` is the name of the user or the role; `session_token` is None for users. `role_arn` is the role that a session
    was assumed with, where its path is not known from the session's own ARN, and `unique_id` the `UserId` that moto
    gave. `directory_user` is whom a session carries that IAM Identity Center has enhanced.
    """

    name: str
    account_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    arn: str
    role_arn: str | None = None
    unique_id: str | None = None
    directory_user: DirectoryUser | None = None

    @property
    def user_id(self) -> str:
        """The `UserId` STS reports: a user's is stable, a session's carries the session's name."""
        if self.unique_id is not None:
            return self.unique_id
        stem = (self.name.upper() + "LOCALIDENTITY")[:16]
        return f"AIDA{stem}" if ":user/" in self.arn else f"AROA{stem}:session"

    @property
    def grantees(self) -> tuple[str, ...]:
        """The ARNs by which a grant may name this identity: its own, and for a session its role's too."""
        if ":assumed-role/" not in self.arn:
            return (self.arn,)
        if self.role_arn is not None:
            return (self.arn, self.role_arn)
        role = self.arn.partition(":assumed-role/")[2].partition("/")[0]
        return (self.arn, f"arn:aws:iam::{self.account_id}:role/{role}")


@dataclass(frozen=True)
class Vended:
    """What a session vended by a grant may do: `permission` on `scope`, without the keys in `denies`."""

    grant_id: str
    account_id: str
    region: str
    scope: Scope
    permission: str
    denies: tuple[Scope, ...]
    arn: str


@dataclass
class Credential:
    """One access key: whose it is, and until when. `any_token` waives the check of the session token."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    principal: Identity
    expires_at: float | None = None
    vended: Vended | None = None
    any_token: bool = False

    @property
    def arn(self) -> str:
        """Whom S3 names when it refuses a request signed with this key."""
        return self.vended.arn if self.vended else self.principal.arn


class IdentityStore:
    """All identities and access keys. Safe to use from several threads.

    `find_in_moto` knows the access keys that programs got from moto's IAM and STS.
    """

    def __init__(self, clock: Callable[[], float], find_in_moto: Callable[[str], Credential | None]) -> None:
        self._clock = clock
        self._find_in_moto = find_in_moto
        self._lock = RLock()
        self._credentials: dict[str, Credential] = {}
        self._current: dict[tuple[str, str, bool], Identity] = {}
        self._enhanced: dict[tuple[str, DirectoryUser], Identity] = {}

    def find(self, access_key_id: str) -> Credential | None:
        """The access key of this id."""
        with self._lock:
            known = self._credentials.get(access_key_id)
        return known if known is not None else self._find_in_moto(access_key_id)

    def key_of(self, identity: Identity) -> Credential:
        """The access key an identity signs with."""
        with self._lock:
            return self._credentials[identity.access_key_id]

    def get_or_create(self, name: str, account_id: str, session: bool) -> Identity:
        """The identity of this name, kind and account."""
        if not name or "/" in name or ":" in name:
            raise ValueError(f"An identity's name is letters, digits and '-_.@', without '/' and ':', not {name!r}")
        if not (account_id.isdigit() and len(account_id) == 12):
            raise ValueError(f"An account id has 12 digits, not {account_id!r}")
        with self._lock:
            existing = self._current.get((name, account_id, session))
            if existing is None:
                arn = f"arn:aws:iam::{account_id}:user/{name}"
                if session:
                    arn = f"arn:aws:sts::{account_id}:assumed-role/{name}/session"
                existing = self._current[name, account_id, session] = self._add_keys(name, account_id, arn)
            return existing

    def enhanced(self, name: str, account_id: str, user: DirectoryUser) -> Identity:
        """A session that carries a user of the directory, made on first use for each set of groups and application."""
        with self._lock:
            existing = self._enhanced.get((account_id, user))
            if existing is None:
                arn = f"arn:aws:sts::{account_id}:assumed-role/identity-center/{name}"
                existing = self._enhanced[account_id, user] = self._add_keys(name, account_id, arn, user)
            return existing

    def rotate(self, identity: Identity, expire: bool) -> Identity:
        """New keys for the same principal; the old ones go on working unless `expire`."""
        with self._lock:
            if expire:
                self.expire(identity)
            renewed = self._add_keys(identity.name, identity.account_id, identity.arn, identity.directory_user)
            if identity.directory_user is not None:
                self._enhanced[identity.account_id, identity.directory_user] = renewed
            else:
                self._current[identity.name, identity.account_id, identity.session_token is not None] = renewed
            return renewed

    def expire(self, identity: Identity) -> None:
        """From now on these keys give ExpiredToken."""
        with self._lock:
            self._credentials[identity.access_key_id].expires_at = self._clock()

    def accept(self, access_key_id: str, secret_access_key: str, principal: Identity) -> None:
        """Let foreign keys sign as `principal`, whatever session token comes with them."""
        credential = Credential(access_key_id, secret_access_key, None, principal, any_token=True)
        with self._lock:
            self._credentials[access_key_id] = credential

    def vend(self, principal: Identity, vended: Vended, expires_at: float) -> Credential:
        """Credentials of a session that a grant vends to `principal`."""
        # Real tokens are this long, and have "+", "/" and "=" in them: a program that cuts them should fail.
        token = "IQoJb3JpZ2luX2Vj" + _base64(720) + "=="
        key = "ASIA" + _random(_LETTERS, 16)
        credential = Credential(key, _base64(40), token, principal, expires_at, vended)
        with self._lock:
            self._credentials[key] = credential
        return credential

    def _add_keys(self, name: str, account_id: str, arn: str, user: DirectoryUser | None = None) -> Identity:
        session = ":assumed-role/" in arn
        key = ("ASIA" if session else "AKIA") + _random(_LETTERS, 16)
        token = "FwoGZXIvYXdzE" + _base64(320) if session else None
        identity = Identity(name, account_id, key, _base64(40), token, arn, directory_user=user)
        self._credentials[key] = Credential(key, identity.secret_access_key, token, identity)
        return identity


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def _base64(length: int) -> str:
    return base64.b64encode(secrets.token_bytes(length * 3 // 4)).decode()
