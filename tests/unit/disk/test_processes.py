"""The cache on disk among many processes: no half file, and one flight."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from access_grants_provider.disk import DiskCache

from .fleet import ANN, CONTEXT, PATIENCE, herd, left

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork and no flock here")
CLOCK, LOCK_SECONDS = time.time, PATIENCE


def test_sixteen_processes_that_keep_recall_drop_and_clear_never_see_half_a_file(folder: Path) -> None:
    work = """
def work(number):
    found = 0
    for turn in range(30):
        kept = record(f"{number}/{turn}", "emea/" if turn % 2 else f"emea/{turn % 4}/")
        cache.keep(ANN, CONTEXT, kept)
        for one in cache.recall(ANN, CONTEXT, "sales"):
            assert one.secret_key == f"the secret of {one.access_key}"
            assert one.token == one.access_key * 400
            found += 1
        for entry in cache.entries():
            assert entry.scope.startswith("s3://sales/emea/")
        if turn % 10 == number % 10:
            cache.clear(ANN if number % 2 else None)
        if turn % 10 == 5:
            cache.drop(ANN, CONTEXT, kept)
            cache._sweep_at = 0
    return found
"""
    found = herd(folder, 16, work)
    assert min(found) > 0
    assert left(folder, ".tmp") == []
    cache = DiskCache(folder, time.time)
    assert len(cache.recall(ANN, CONTEXT, "sales")) == len(left(folder, ".json"))


def test_of_thirty_two_cold_processes_one_asks(folder: Path) -> None:
    work = """
def work(number):
    if cache.recall(ANN, CONTEXT, "sales"):
        return 0
    with cache.lock(ANN, CONTEXT, KEY) as lock:
        if not lock.held or cache.recall(ANN, CONTEXT, "sales"):
            return 0 if lock.held else 100
        cache.keep(ANN, CONTEXT, record(number))
        return 1
"""
    assert sum(herd(folder, 32, work)) == 1
    assert left(folder, ".lock") == []
