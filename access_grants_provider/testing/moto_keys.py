"""The access keys that programs get from moto's own IAM and STS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timezone
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from .identities import Credential, Identity
from .moto_backend import MotoBackend


class MotoKeys:
    """The keys of moto's IAM users, and of the sessions that moto's STS has issued.

    They are looked up each time, because a program may deactivate or delete a key.
    """

    def __init__(self, moto: MotoBackend) -> None:
        self._moto = moto

    def find(self, access_key_id: str) -> Credential | None:
        """The access key of this id; None if moto has not issued it, or if it is not active."""
        with self._moto.selected():
            for user in self._stored(iam_backends, "users"):
                for key in user.access_keys:
                    if key.access_key_id == access_key_id and key.status == "Active":
                        return _of_user(user, key)
            for session in self._stored(sts_backends, "assumed_roles"):
                if session.access_key_id == access_key_id:
                    return _of_session(session)
        return None

    def _stored(self, backends: Any, name: str) -> Iterator[Any]:
        for account in self._moto.accounts(backends):
            # Copies, because requests on other threads add to moto's collections.
            for backend in list(account.values()):
                stored = getattr(backend, name)
                yield from list(stored.values() if isinstance(stored, dict) else stored)


def _of_user(user: Any, key: Any) -> Credential:
    secret = key.secret_access_key
    identity = Identity(user.name, user.account_id, key.access_key_id, secret, None, user.arn, unique_id=user.id)
    return Credential(key.access_key_id, secret, None, identity)


def _of_session(session: Any) -> Credential:
    key, secret, token = session.access_key_id, session.secret_access_key, session.session_token
    identity = Identity(
        session.role_arn.rpartition("/")[2], session.account_id, key, secret, token, session.arn,
        role_arn=session.role_arn, unique_id=session.user_id,
    )  # fmt: skip
    # moto writes the time in UTC without saying so.
    return Credential(key, secret, token, identity, session.expiration.replace(tzinfo=timezone.utc).timestamp())
