"""The list of native libraries says what the table of programs shows, and names adapters that exist."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from access_grants_provider.adapters.libraries import NATIVE_LIBRARIES
from tests.ecosystem.programs import LIBRARIES, runs

PROGRAMS = {library.name: library for library in LIBRARIES}


@pytest.mark.parametrize("library", NATIVE_LIBRARIES, ids=lambda library: library.name)
def test_the_ways_of_a_library_are_those_in_which_its_programs_work(library):
    programs = PROGRAMS[library.name]
    works = {way for way in programs.ways if any(run.works for run in runs(programs, way))}
    assert set(library.ways) == works
    assert library.module in programs.needs
    assert (library.variable is not None) == ("variable" in works)


def test_each_library_whose_programs_sign_natively_is_listed():
    native = {library.name for library in LIBRARIES if any(not program.variable for program in library.programs)}
    # pandas is as native as the pyarrow that it takes.
    assert native - {"pandas"} == {library.name for library in NATIVE_LIBRARIES}


@pytest.mark.parametrize("library", NATIVE_LIBRARIES, ids=lambda library: library.name)
def test_an_adapter_that_is_named_exists(library):
    assert (library.adapter is not None) == ("adapter" in library.ways)
    assert find_spec(f"access_grants_provider.adapters.{library.adapter}") is not None
