"""Entries by prefix, of which the longest prefix of a key is found in a few steps. Without a lock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["PrefixIndex"]

Entry = TypeVar("Entry")


class PrefixIndex(Generic[Entry]):
    """Entries by prefix; finds the longest prefix of a key in a few steps, whatever their number.

    The prefixes are kept in order. All prefixes of a key sort at or before it, and whatever lies between the
    longest of them and the key starts with that prefix too; so the search looks at the nearest name before
    the key and, where it is no prefix, goes on with what the two have in common.

    ``_names`` only ever grows, and is exchanged as a whole: a search that has begun never meets an index that is gone.
    It may hold names whose entries were removed, and a name twice.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._entries: dict[str, Entry] = {}

    def longest(self, key: str) -> Entry | None:
        """Return the entry of the longest stored prefix that ``key`` starts with."""
        names = self._names
        end = bisect_right(names, key)
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
        return None

    def get(self, prefix: str) -> Entry | None:
        """Return what is stored for exactly ``prefix``."""
        return self._entries.get(prefix)

    def put(self, prefix: str, entry: Entry) -> None:
        """Store, in place of what was there."""
        self._entries[prefix] = entry
        # Whether the name is there, not whether something was stored: `keep` may have dropped that a moment ago.
        names = self._names
        at = bisect_left(names, prefix)
        if at == len(names) or names[at] != prefix:
            insort(names, prefix)

    def remove(self, prefix: str) -> None:
        """Forget a prefix. Its name goes with the next :meth:`keep`."""
        self._entries.pop(prefix, None)

    def keep(self, wanted: Callable[[Entry], bool]) -> None:
        """Forget all but the wanted."""
        for prefix in list(self._entries):
            entry = self._entries.get(prefix)
            if entry is not None and not wanted(entry):
                self._entries.pop(prefix, None)
        self._names = names = sorted(self._entries)
        # What another thread stored meanwhile, and whose name it put into the old list: `put` stores first, so here it
        # is seen.
        present = set(names)
        for prefix in list(self._entries):
            if prefix not in present:
                insort(names, prefix)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        for prefix in list(self._entries):
            entry = self._entries.get(prefix)
            if entry is not None:
                yield entry


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
