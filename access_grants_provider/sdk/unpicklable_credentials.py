"""botocore's credentials, which can't be pickled: a pickle is a file or a message with the keys in it."""

from __future__ import annotations

from typing import Any, NoReturn, SupportsIndex

from botocore.credentials import Credentials, ReadOnlyCredentials

__all__ = ["UnpicklableCredentials", "refuse_pickling"]


def refuse_pickling(_self: object, _protocol: SupportsIndex) -> NoReturn:
    """Stand for ``__reduce_ex__``."""
    raise TypeError("credentials can't be pickled; register() in the process that needs them")


class UnpicklableCredentials(Credentials):
    """Access key, secret key and token, which stay as they are. A copy is the object itself.

    ``awaitable``: what an asynchronous client's signer takes for them, once there is one.
    """

    __reduce_ex__ = refuse_pickling

    def __init__(self, access_key: str, secret_key: str, token: str | None) -> None:
        super().__init__(access_key, secret_key, token)
        self.awaitable: Any = None
        # They sign each request under a grant, and are frozen once for all of these.
        self._frozen = super().get_frozen_credentials()

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return access key, secret key and token."""
        return self._frozen

    def __copy__(self) -> UnpicklableCredentials:
        return self

    def __deepcopy__(self, _memo: Any) -> UnpicklableCredentials:
        return self
