"""At the end of a program the adapter waits until pyarrow's threads have nothing to do, and not for ever."""

from __future__ import annotations

from cryptography.hazmat.bindings import _rust

from access_grants_provider.adapters.arrow_threads import task_counter, wait_until_idle


def test_it_waits_until_no_task_is_left():
    counts = [2, 1, 0, 0, 0]
    assert wait_until_idle(lambda: counts.pop(0))
    assert counts == []


def test_a_task_that_is_between_the_pools_when_they_are_read_is_waited_for():
    counts = [1, 0, 1, 0, 0, 0]
    assert wait_until_idle(lambda: counts.pop(0))
    assert counts == []


def test_the_wait_has_a_bound():
    assert not wait_until_idle(lambda: 1, seconds=0)


def test_a_library_without_these_functions_is_not_waited_for(tmp_path):
    assert task_counter(_rust.__file__) is None
    assert task_counter(str(tmp_path / "missing")) is None
    assert not wait_until_idle(None)
