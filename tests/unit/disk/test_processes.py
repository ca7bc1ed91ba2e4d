"""The cache on disk among many processes: no half file, nobody waits, and each process vends at most once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from access_grants_provider.disk import DiskCache

from .processes import ANN, CONTEXT, herd, left

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


def test_sixteen_processes_that_store_load_delete_and_clear_never_see_half_a_file(folder: Path) -> None:
    work = """
def work(number):
    found = 0
    for turn in range(30):
        kept = record(f"{number}/{turn}", "emea/" if turn % 2 else f"emea/{turn % 4}/")
        cache.store(ANN, CONTEXT, kept)
        for one in cache.load(ANN, CONTEXT, "sales"):
            assert one.secret_key == f"the secret of {one.access_key}"
            assert one.token == one.access_key * 400
            found += 1
        for entry in cache.entries():
            assert entry.scope.startswith("s3://sales/emea/")
        if turn % 10 == number % 10:
            cache.clear()
        if turn % 10 == 5:
            cache.delete(ANN, CONTEXT, kept)
            cache._swept_at = 0.0
    return found
"""
    found = herd(folder, 16, work)
    assert min(found) > 0
    assert left(folder, ".tmp") == []
    cache = DiskCache(folder, time.time)
    assert len(cache.load(ANN, CONTEXT, "sales")) == len(left(folder, ".json"))


VENDING = """
def work(number):
    if cache.load(ANN, CONTEXT, "sales"):
        return 0
    cache.store(ANN, CONTEXT, record(number))
    return 1
"""


def test_thirty_two_cold_processes_vend_once_each_at_most_and_the_next_thirty_two_never(folder: Path) -> None:
    assert 1 <= sum(herd(folder, 32, VENDING)) <= 32
    assert len(left(folder, ".json")) == 1
    assert sum(herd(folder, 32, VENDING)) == 0
