"""botocore's credentials, which can't be pickled: a pickle is a file or a message with the keys in it."""

from __future__ import annotations

from typing import Any, NoReturn, SupportsIndex

from botocore.credentials import Credentials

__all__ = ["UnpicklableCredentials", "refuse_pickling"]


def refuse_pickling(_self: object, _protocol: SupportsIndex) -> NoReturn:
    """Stand for ``__reduce_ex__``."""
    raise TypeError("credentials can't be pickled; register() in the process that needs them")


class UnpicklableCredentials(Credentials):
    """Access key, secret key and token. A copy is the object itself."""

    __reduce_ex__ = refuse_pickling

    def __copy__(self) -> UnpicklableCredentials:
        return self

    def __deepcopy__(self, _memo: Any) -> UnpicklableCredentials:
        return self
