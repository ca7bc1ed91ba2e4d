"""Locks that a fork waits for."""

from __future__ import annotations

import threading

import pytest

from access_grants_provider import forks


def test_a_lock_made_while_another_is_made_is_waited_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[threading.Lock] = []
    other = threading.Thread(target=lambda: made.append(forks.leaf_lock()))

    def meanwhile() -> None:
        """Stand for a lock that is gone; when it is looked at, another thread has its turn."""
        if other.ident is None:
            other.start()
            other.join(0.2)

    monkeypatch.setattr(forks, "_leaves", [meanwhile])
    own = forks.leaf_lock()
    other.join(10)
    assert {id(reference()) for reference in forks._leaves} == {id(own), id(made[0])}
