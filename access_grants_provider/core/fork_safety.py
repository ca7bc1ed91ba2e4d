"""Locks that a forked child finds free, with whatever they guard whole.

A lock that another thread held at the moment of the fork would stay locked in the child for ever, and what it guards
half-changed. So a fork waits for each of them. That can't deadlock as long as they are leaves: whoever holds one takes
no other lock and does no I/O.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["in_forked_children", "leaf_lock"]

Owner = TypeVar("Owner")

# By identity, each taken out by its own weak reference when it dies: single steps that no other thread can cut in two.
_leaves: dict[int, weakref.ref[threading.RLock]] = {}
_callbacks: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]] = {}
_held: list[threading.RLock] = []


def leaf_lock() -> threading.RLock:
    """Return a lock that is taken on its own and only for a moment.

    Re-entrant, because a signal handler or a collected object's ``__del__`` may come in at any time in the thread that
    holds it; so what it guards has to be whole after each single step.
    """
    lock = threading.RLock()
    _leaves[id(lock)] = weakref.ref(lock, _remover(_leaves, id(lock)))
    return lock


def in_forked_children(owner: Owner, callback: Callable[[Owner], None]) -> None:
    """Have ``callback`` called with ``owner`` in each forked child, as long as the owner lives."""
    _callbacks[id(owner)] = (weakref.ref(owner, _remover(_callbacks, id(owner))), callback)


def _remover(registry: dict[int, Any], key: int) -> Callable[[object], None]:
    # Bound here: at the interpreter's end the module's names are gone before the last weak references.
    remove = registry.pop

    def gone(_: object) -> None:
        remove(key, None)

    return gone


def _before() -> None:
    locks = [lock for lock in (one() for one in list(_leaves.values())) if lock is not None]
    for lock in locks:
        lock.acquire()
    _held[:] = locks


def _in_parent() -> None:
    locks, _held[:] = list(_held), []
    for lock in locks:
        lock.release()


def _in_child() -> None:
    _in_parent()
    for reference, callback in list(_callbacks.values()):
        owner = reference()
        if owner is not None:
            callback(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
