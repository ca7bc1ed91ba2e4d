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

__all__ = ["in_forked_children", "leaf_lock"]

# By identity, each taken out by its own weak reference when it dies: single steps that no other thread can cut in two.
_leaves: dict[int, weakref.ref[threading.Lock]] = {}
_callbacks: dict[int, weakref.WeakMethod[Callable[[], None]]] = {}
_held: list[threading.Lock] = []


def leaf_lock() -> threading.Lock:
    """Return a lock that is taken on its own and only for a moment."""
    lock = threading.Lock()
    key = id(lock)
    _leaves[key] = weakref.ref(lock, lambda _: _leaves.pop(key, None))
    return lock


def in_forked_children(method: Callable[[], None]) -> None:
    """Have a bound method called in each forked child, as long as its object lives."""
    key = id(getattr(method, "__self__", method))
    _callbacks[key] = weakref.WeakMethod(method, lambda _: _callbacks.pop(key, None))


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
    for callback in (one() for one in list(_callbacks.values())):
        if callback is not None:
            callback()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
