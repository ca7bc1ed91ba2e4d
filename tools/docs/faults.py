"""docs/faults.md, from the table of faults that the tests run cell by cell."""

from __future__ import annotations

from tests.functional import fault_table

__all__ = ["render"]


def render(_page: str) -> str:
    """Return the whole page."""
    return fault_table.page()
