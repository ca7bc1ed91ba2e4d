"""Locks that a fork waits for."""

from __future__ import annotations

import gc
import threading

import pytest

from access_grants_provider.core import fork_safety as forks


def test_a_lock_made_while_another_is_made_is_waited_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[threading.Lock] = []

    class Registry(dict):  # type: ignore[type-arg]
        """In the middle of an entry, another thread makes one too."""

        def __setitem__(self, key: int, value: object) -> None:
            if not made:
                made.append(threading.Lock())
                other = threading.Thread(target=lambda: made.append(forks.leaf_lock()))
                other.start()
                other.join(10)
            super().__setitem__(key, value)

    monkeypatch.setattr(forks, "_leaves", Registry())
    own = forks.leaf_lock()
    assert {id(reference()) for reference in forks._leaves.values()} == {id(own), id(made[1])}


def test_a_lock_that_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_leaves", {})
    kept = forks.leaf_lock()
    forks.leaf_lock()
    gc.collect()
    assert [reference() for reference in forks._leaves.values()] == [kept]
