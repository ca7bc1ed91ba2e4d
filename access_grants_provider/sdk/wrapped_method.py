"""A method of one client's class that is wrapped for as long as the client is covered.

botocore makes a class for each client. A method on the client itself that knows the client would keep it alive, so the
wrapper goes on the class. Others wrap the same methods, before and after: so a wrapper is taken away only where it is
still the outermost, and otherwise stays and passes its calls on. A provider that takes a client over from another finds
the wrapper in place and exchanges what it does, so that they do not pile up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["WrappedMethod"]

Method = Callable[..., Any]
MARK = "access_grants_slot"


class _Slot:
    """What one wrapper does now: call ``current``, or ``before``, the method it wraps, where nobody is attached."""

    def __init__(self, before: Method, is_own: bool) -> None:
        self.before = before
        self.is_own = is_own
        self.current: Method | None = None
        self.wrapper: Method | None = None


class WrappedMethod:
    """The method ``name`` of ``owner``, a class, as ``wrap`` makes it of the method that was there."""

    def __init__(self, owner: type, name: str, wrap: Callable[[Method], Method]) -> None:
        self._owner: Any = owner
        self._name = name
        self._wrap = wrap
        self._mine: Method | None = None
        self._slot: _Slot | None = None

    def attach(self) -> None:
        """Begin. Does nothing where there is no such method."""
        outermost = getattr(self._owner, self._name, None)
        if outermost is None:
            return
        slot: _Slot | None = getattr(outermost, MARK, None)
        if slot is None:
            slot = _Slot(outermost, self._name in vars(self._owner))
            mine = self._wrap(slot.before)
            setattr(self._owner, self._name, _wrapper(slot))
        else:
            mine = self._wrap(slot.before)
        self._slot, self._mine, slot.current = slot, mine, mine

    def detach(self) -> None:
        """Stop. A second time does nothing, nor where another provider has taken over."""
        slot, mine, self._slot, self._mine = self._slot, self._mine, None, None
        if slot is None or slot.current is not mine:
            return
        slot.current = None
        # By identity: functools.wraps() of somebody else's wrapper takes our mark along.
        if vars(self._owner).get(self._name) is not slot.wrapper:
            return
        if slot.is_own:
            setattr(self._owner, self._name, slot.before)
        else:
            delattr(self._owner, self._name)


def _wrapper(slot: _Slot) -> Method:
    @functools.wraps(slot.before)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return (slot.current or slot.before)(*args, **kwargs)

    setattr(wrapper, MARK, slot)
    slot.wrapper = wrapper
    return wrapper
