"""Entries by prefix, of which the longest prefix of a key is found in a few steps. Without a lock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["PrefixIndex"]

Entry = TypeVar("Entry")


class PrefixIndex(Generic[Entry]):
    """Entries by prefix; finds the longest prefix of a key in a few steps, whatever their number.

    The prefixes are kept in order. All prefixes of a key sort at or before it, and whatever lies between the
    longest of them and the key starts with that prefix too; so the search looks at the nearest name before
    the key and, where it is no prefix, goes on with what the two have in common.

    There is no lock. ``_names`` may hold a name twice, or one whose entry was removed, and a search beside a change may
    find a shorter prefix, or nothing.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._entries: dict[str, Entry] = {}

    def longest(self, key: str) -> Entry | None:
        """Return the entry of the longest stored prefix that ``key`` starts with."""
        names = self._names
        end = bisect_right(names, key)
        try:
            while end:
                name = names[end - 1]
                if key.startswith(name):
                    entry = self._entries.get(name)
                    if entry is not None or not name:
                        return entry
                    # Removed. Every shorter prefix of the key is one of this, too.
                    key = name[:-1]
                else:
                    key = key[: _shared_length(key, name)]
                end = bisect_right(names, key, 0, end - 1)
        except IndexError:  # another thread removed names, so that there are fewer than `end`
            pass
        return None

    def get(self, prefix: str) -> Entry | None:
        """Return what is stored for exactly ``prefix``."""
        return self._entries.get(prefix)

    def put(self, prefix: str, entry: Entry) -> Entry | None:
        """Store, and return what was there."""
        replaced = self._entries.get(prefix)
        self._entries[prefix] = entry
        # Where something was there, another thread may have removed the name meanwhile.
        if replaced is None or not self._has_name(prefix):
            insort(self._names, prefix)
        return replaced

    def remove(self, prefix: str) -> None:
        """Forget a prefix."""
        self._entries.pop(prefix, None)
        at = bisect_left(self._names, prefix)
        if self._names[at : at + 1] != [prefix]:
            return
        with suppress(IndexError):
            name = self._names.pop(at)
            # Another thread has moved the names, or stored something, since they were looked at.
            if name in self._entries and not self._has_name(name):
                insort(self._names, name)

    def _has_name(self, prefix: str) -> bool:
        at = bisect_left(self._names, prefix)
        return self._names[at : at + 1] == [prefix]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))


def _shared_length(left: str, right: str) -> int:
    """Return how many leading characters two texts share, by halving: slices compare in C, characters don't."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left.startswith(right[low:middle], low):
            low = middle
        else:
            high = middle - 1
    return low
