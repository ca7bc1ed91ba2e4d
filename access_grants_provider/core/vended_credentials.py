"""The credentials of a grant, as a user is handed them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from .scopes import Permission

__all__ = ["VendedCredentials"]


@dataclass(frozen=True)
class VendedCredentials:
    """Frozen credentials of a grant, which can't be pickled: a pickle is a file or a message with the keys in it.

    ``expiration`` is an aware UTC time, ``scope`` the grant's ``s3://`` URI. ``region`` is the instance's, which is the
    bucket's too.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expiration: datetime
    scope: str
    permission: Permission
    region: str

    def __reduce__(self) -> NoReturn:
        raise TypeError("vended credentials can't be pickled; ask for them in the process that needs them")

    def __copy__(self) -> VendedCredentials:
        return self

    def __deepcopy__(self, _memo: object) -> VendedCredentials:
        return self
