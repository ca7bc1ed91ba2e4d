"""A method of one client's class that is wrapped for as long as the client is covered.

botocore makes a class for each client. A method on the client itself that knows the client would keep it alive, so the
wrapper goes on the class. Others wrap the same methods, before and after: so a wrapper is taken away only where it is
still the outermost, and otherwise stays and passes its calls on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["WrappedMethod"]

Method = Callable[..., Any]


class WrappedMethod:
    """The method ``name`` of ``owner``, a class, as ``wrap`` makes it of the method that was there.

    ``wrap`` is also given a function that tells whether calls are to be changed, rather than passed on as they are.
    """

    def __init__(self, owner: type, name: str, wrap: Callable[[Method, Callable[[], bool]], Method]) -> None:
        self._owner: Any = owner
        self._name = name
        self._wrap = wrap
        self._before: Any = None
        self._mine: Any = None
        self._is_own = False
        self._active = False

    def attach(self) -> None:
        """Begin. Does nothing where there is no such method."""
        self._active = True
        if self._mine is not None and getattr(self._owner, self._name, None) is self._mine:
            return
        self._before = getattr(self._owner, self._name, None)
        if self._before is None:
            return
        self._is_own = self._name in vars(self._owner)
        mine: Any = None

        def active() -> bool:
            # An earlier one may be left below a wrapper of somebody else's.
            return self._active and self._mine is mine

        self._mine = mine = self._wrap(self._before, active)
        setattr(self._owner, self._name, mine)

    def detach(self) -> None:
        """Stop. A second time does nothing."""
        self._active = False
        if self._mine is None or vars(self._owner).get(self._name) is not self._mine:
            return
        if self._is_own:
            setattr(self._owner, self._name, self._before)
        else:
            delattr(self._owner, self._name)
        self._mine = None
