"""What a run does only if it is asked for."""

from __future__ import annotations

from typing import NamedTuple

from .account import Keys

__all__ = ["Extras"]


class Extras(NamedTuple):
    """What else to check.

    ``load``: how many calls to send at once. ``is_long``: whether to wait for the end of credentials. ``sso_keys`` are
    the credentials of a profile that was signed in with IAM Identity Center, ``sso_user`` is the UUID of their user.
    """

    load: int = 0
    is_long: bool = False
    sso_keys: Keys | None = None
    sso_user: str = ""
