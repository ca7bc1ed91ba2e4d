"""The roles of moto's own IAM."""

from __future__ import annotations

from moto.iam.models import iam_backends

from .moto_backend import MotoBackend


class MotoRoles:
    """What moto's IAM knows of roles. A role that it does not know has no limits here."""

    def __init__(self, moto: MotoBackend) -> None:
        self._moto = moto

    def longest_session(self, role_arn: str) -> int | None:
        """For how many seconds this role may be assumed; None if moto does not know the role."""
        with self._moto.selected():
            for account in self._moto.accounts(iam_backends):
                # Copies, because requests on other threads add to moto's collections.
                for backend in list(account.values()):
                    for role in list(backend.roles.values()):
                        if role.arn == role_arn:
                            return int(role.max_session_duration)
        return None
