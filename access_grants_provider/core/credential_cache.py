"""Which stored credentials serve a request, and until when.

No lock. A lock that a thread holds when a signal handler, a collected object's ``__del__`` or a fork comes in makes
other threads wait for whatever that code does, and code that waits for those threads then never ends. So each change
here is one step that the interpreter does not divide (a dict's or a list's own method), and a reader finds something
usable after each of them. The price of a race is credentials vended once more, never wrong ones.

``Expiration`` is a time of the wall clock, so times here are seconds since the epoch.

What one addition costs has a bound, for an event loop may wait for it. It looks at a few records, which takes 0.1 ms
where the cache is full; and the index of the bucket's prefixes moves the names behind the new one, which makes filling
quadratic in the scopes of one bucket. Measured: 2 s for 100,000 scopes of one bucket, half of it in the index; then
0.1 ms for one more, 0.3 ms at worst.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from .clock import Clock
from .prefix_index import PrefixIndex
from .scopes import GrantScope, Permission

__all__ = ["ADVISORY_SECONDS", "ADVISORY_SHARE", "CredentialCache", "StoredCredentials"]

# The windows botocore's RefreshableCredentials has, scaled down for short lives: GetDataAccess may vend for
# 15 minutes, which botocore's own 15 minutes would put into the advisory window from birth.
ADVISORY_SECONDS, ADVISORY_SHARE = 15 * 60, 1 / 4
MANDATORY_SECONDS, MANDATORY_SHARE = 10 * 60, 1 / 8

LATEST = datetime(9999, 12, 31, tzinfo=timezone.utc).timestamp()
# How many records each addition looks at, in turn. Where all are renewed, each is looked at eight times in its life:
# what has ended goes within an eighth of that. Where the cache is full, the least recently used of the 64 goes.
LOOKED_AT, LOOKED_AT_IF_FULL = 8, 64

SERVED_BY: dict[Permission, tuple[Permission, ...]] = {
    "READ": ("READ", "READWRITE"),
    "WRITE": ("WRITE", "READWRITE"),
    "READWRITE": ("READWRITE",),
}


class StoredCredentials:
    """One set of vended credentials, what it may be used for and until when.

    ``credentials`` is what the edge puts into a request to have it signed; the core never looks into it.
    ``advisory_refresh_at``: from here on one caller renews them and the others go on. ``mandatory_refresh_at``: from
    here on they are not used any more. ``expires_at``: the ``Expiration`` of the answer. ``vended_at``: when this or
    another process was given them. ``unmet_lifetime``: for how many seconds they were to be good when they were vended
    (presigned URLs) and are not, for none live that long. All but that one are seconds since the epoch.
    """

    # By hand, not by dataclass, which would take a millisecond of the import to make it.
    __slots__ = (
        "account_id",
        "advisory_refresh_at",
        "credentials",
        "expires_at",
        "from_other_process",
        "mandatory_refresh_at",
        "permission",
        "region",
        "scope",
        "unmet_lifetime",
        "used_at",
        "vended_at",
    )

    def __init__(
        self,
        permission: Permission,
        scope: GrantScope,
        credentials: Any,
        *,
        account_id: str,
        region: str,
        expiration: datetime,
        now: float,
        from_other_process: bool = False,
        unmet_lifetime: float = 0,
    ) -> None:
        """Make a record of credentials that were vended ``now`` and end at ``expiration`` (an aware time)."""
        self.permission = permission
        self.scope = scope
        self.credentials = credentials
        self.account_id = account_id
        self.region = region
        # In zones west of Greenwich year 9999 ends in a year that datetime does not have.
        self.expires_at = min(expiration.timestamp(), LATEST)
        life = self.expires_at - now
        self.advisory_refresh_at = self.expires_at - min(ADVISORY_SECONDS, life * ADVISORY_SHARE)
        self.mandatory_refresh_at = self.expires_at - min(MANDATORY_SECONDS, life * MANDATORY_SHARE)
        self.vended_at = now
        self.used_at = now
        self.from_other_process = from_other_process
        self.unmet_lifetime = unmet_lifetime

    def is_valid_for(self, seconds: float, now: float) -> bool:
        """Tell whether they are good for so many seconds from ``now``, or for as long as can be had.

        What did not get that long when it was asked for would not get it a moment later either: so the next attempt is
        that of the renewal.
        """
        return now + seconds <= self.expires_at or (seconds <= self.unmet_lifetime and now < self.advisory_refresh_at)

    def __repr__(self) -> str:
        return f"<StoredCredentials {self.permission} on {str(self.scope)!r} until {self.expires_at}>"


class CredentialCache:
    """The vended credentials of one caller, about ``limit`` at most, least recently used out first."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._objects: dict[tuple[Permission, str, str], StoredCredentials] = {}
        self._prefixes: dict[tuple[Permission, str], PrefixIndex[StoredCredentials]] = {}
        # All of them. What was looked at longest ago stands first.
        self._records: OrderedDict[tuple[Permission, GrantScope], StoredCredentials] = OrderedDict()

    def find(self, permission: Permission, target: tuple[str, str, bool], now: float) -> StoredCredentials | None:
        """Return the credentials of the nearest scope that covers ``target``.

        A key's own grant comes before a prefix, a longer prefix before a shorter one, and the permission asked for
        before READWRITE. What is in its mandatory window ``now`` comes last: it is returned where nothing else serves.
        """
        bucket, key, is_prefix = target
        stale = None
        for held in SERVED_BY[permission]:
            if self._objects and not is_prefix:
                exact = self._objects.get((held, bucket, key))
                if exact is not None:
                    if now < exact.mandatory_refresh_at:
                        return exact
                    stale = stale or exact
            index = self._prefixes.get((held, bucket))
            if index is not None:
                nearest = index.longest(key)
                if nearest is not None:
                    if now < nearest.mandatory_refresh_at:
                        return nearest
                    stale = stale or nearest
        return stale

    def get_fresh(self, permission: Permission, target: tuple[str, str, bool], now: float) -> StoredCredentials | None:
        """Return credentials that serve the request and need no thought: before their advisory window."""
        stored = self.find(permission, target, now)
        if stored is None or now >= stored.advisory_refresh_at:
            return None
        stored.used_at = now
        return stored

    def exact(self, permission: Permission, scope: GrantScope) -> StoredCredentials | None:
        """Return the credentials that are kept for just this scope and permission."""
        bucket, key, is_prefix = scope
        if not is_prefix:
            return self._objects.get((permission, bucket, key))
        index = self._prefixes.get((permission, bucket))
        return None if index is None else index.get(key)

    def add(self, stored: StoredCredentials) -> None:
        """Keep ``stored`` in place of what is there for the same scope and permission."""
        bucket, key, is_prefix = stored.scope
        # First, so that whatever can be found can be evicted, should an interrupt end this here.
        self._records[stored.permission, stored.scope] = stored
        if is_prefix:
            place = (stored.permission, bucket)
            index = self._prefixes.get(place)
            if index is None:
                index = self._prefixes.setdefault(place, PrefixIndex())
            index.put(key, stored)
            # Another thread may have emptied it, and dropped it, meanwhile.
            self._prefixes.setdefault(place, index)
        else:
            self._objects[stored.permission, bucket, key] = stored
        self._make_room(stored)

    def drop(self, stored: StoredCredentials) -> None:
        """Forget exactly this record; a newer one for the same scope stays."""
        bucket, key, is_prefix = stored.scope
        if self._records.get((stored.permission, stored.scope)) is not stored:
            return
        if is_prefix:
            # None where another thread was faster.
            index = self._prefixes.get((stored.permission, bucket))
            if index is not None:
                index.remove(key)
                if not index:
                    self._prefixes.pop((stored.permission, bucket), None)
        else:
            self._objects.pop((stored.permission, bucket, key), None)
        self._records.pop((stored.permission, stored.scope), None)

    def __iter__(self) -> Iterator[StoredCredentials]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def _make_room(self, newest: StoredCredentials) -> None:
        """Drop which of the next few records have ended and, of a full cache, the least recently used of the others."""
        now = self._clock.wall()
        living = []
        for stored in self._next_records(LOOKED_AT_IF_FULL if len(self._records) > self._limit else LOOKED_AT):
            if stored is newest:
                continue
            if stored.expires_at <= now:
                self.drop(stored)
            else:
                living.append(stored)
        surplus = len(self._records) - self._limit
        if surplus > 0:
            living.sort(key=_used_at)
            for stored in living[:surplus]:
                self.drop(stored)

    def _next_records(self, number: int) -> list[StoredCredentials]:
        """Return the records that were looked at longest ago, and put them last; fewer where another thread came in."""
        records = self._records
        found = []
        # Another thread may change them between two steps.
        with suppress(StopIteration, RuntimeError, KeyError):
            for _ in range(min(number, len(records))):
                place = next(iter(records))
                records.move_to_end(place)
                found.append(records[place])
        return found


def _used_at(stored: StoredCredentials) -> float:
    return stored.used_at
