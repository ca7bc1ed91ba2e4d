"""Which stored credentials serve a request, and until when.

No lock. A lock that a thread holds when a signal handler, a collected object's ``__del__`` or a fork comes in makes
other threads wait for whatever that code does, and code that waits for those threads then never ends. So each change
here is one step that the interpreter does not divide (a dict's or a list's own method), and a reader finds something
usable after each of them. The price of a race is credentials vended once more, never wrong ones.

``Expiration`` is a time of the wall clock, so times here are seconds since the epoch.

What one addition costs has a bound, for an event loop may wait for it. It looks at a few records; and the index of the
bucket's prefixes moves the names behind the new one, which makes filling quadratic in the scopes of one bucket.
Measured: 0.8 s of CPU time for 100,000 scopes of one bucket, 0.5 s of it to move names. The longest addition takes
1 ms, when a dict grows. One more in a full cache takes 0.04 ms, 0.2 ms at worst.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from itertools import islice
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
    (presigned URLs) and are not, for none live that long. All but that one are seconds since the epoch. ``kept_until``,
    which is the cache's: when it lets go of them, 0 as soon as they are replaced or dropped.
    """

    # By hand, not by dataclass, which would take a millisecond of the import to make it.
    __slots__ = (
        "account_id",
        "advisory_refresh_at",
        "credentials",
        "expires_at",
        "from_other_process",
        "kept_until",
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
        self.kept_until = self.expires_at
        self.vended_at = now
        self.used_at = now
        self.from_other_process = from_other_process
        self.unmet_lifetime = unmet_lifetime

    @property
    def mandatory_refresh_at(self) -> float:
        """The time from which on they are not used any more. Few ask, so it is not kept: that takes 32 bytes."""
        return self.expires_at - min(MANDATORY_SECONDS, (self.expires_at - self.vended_at) * MANDATORY_SHARE)

    def is_valid_for(self, seconds: float, now: float) -> bool:
        """Tell whether they are good for so many seconds from ``now``, or for as long as can be had.

        What did not get that long when it was asked for would not get it a moment later either: so the next attempt is
        that of the renewal.
        """
        return now + seconds <= self.expires_at or (seconds <= self.unmet_lifetime and now < self.advisory_refresh_at)

    def __repr__(self) -> str:
        return f"<StoredCredentials {self.permission} on {str(self.scope)!r} until {self.expires_at}>"


class CredentialCache:
    """The vended credentials of one caller, about ``limit`` at most, least recently used out first.

    What was replaced counts until it is looked at. So a full cache may hold a few less.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._objects: dict[tuple[Permission, str, str], StoredCredentials] = {}
        self._prefixes: dict[tuple[Permission, str], PrefixIndex[StoredCredentials]] = {}
        # What was looked at longest ago stands last. What was replaced or dropped stays until it is looked at. A deque
        # takes 8 bytes for each, where an OrderedDict by permission and scope takes 130.
        self._order: deque[StoredCredentials] = deque()

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
                    # Nearly all are before the earlier of the two, which costs less to read.
                    if now < exact.advisory_refresh_at or now < exact.mandatory_refresh_at:
                        return exact
                    stale = stale or exact
            index = self._prefixes.get((held, bucket))
            if index is not None:
                nearest = index.longest(key)
                if nearest is not None:
                    if now < nearest.advisory_refresh_at or now < nearest.mandatory_refresh_at:
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
        self._order.appendleft(stored)
        if is_prefix:
            place = (stored.permission, bucket)
            index = self._prefixes.get(place)
            if index is None:
                index = self._prefixes.setdefault(place, PrefixIndex())
            replaced = index.put(key, stored)
            # Another thread may have emptied it, and dropped it, meanwhile.
            self._prefixes.setdefault(place, index)
        else:
            replaced = self._objects.get((stored.permission, bucket, key))
            self._objects[stored.permission, bucket, key] = stored
        if replaced is not None and replaced is not stored:
            replaced.kept_until = 0
        if not stored.kept_until:
            # Another thread evicted it before it could be found. Now it can, so it has to be evicted again.
            self._order.appendleft(stored)
        self._make_room(stored)

    def drop(self, stored: StoredCredentials) -> None:
        """Forget exactly this record; a newer one for the same scope stays."""
        if self.exact(stored.permission, stored.scope) is not stored:
            return
        stored.kept_until = 0
        bucket, key, is_prefix = stored.scope
        if is_prefix:
            # None where another thread was faster.
            index = self._prefixes.get((stored.permission, bucket))
            if index is not None:
                index.remove(key)
                if not index:
                    self._prefixes.pop((stored.permission, bucket), None)
        else:
            self._objects.pop((stored.permission, bucket, key), None)

    def __iter__(self) -> Iterator[StoredCredentials]:
        yield from list(self._objects.values())
        for index in list(self._prefixes.values()):
            yield from index

    def __len__(self) -> int:
        return len(self._objects) + sum(len(index) for index in list(self._prefixes.values()))

    def _make_room(self, newest: StoredCredentials) -> None:
        """Drop what has ended of the few records looked at longest ago, and the least recently used of a full cache."""
        order, now = self._order, self._clock.wall()
        surplus = len(order) - self._limit
        number = LOOKED_AT_IF_FULL if surplus > 0 else LOOKED_AT
        order.rotate(number)
        try:
            looked_at = list(islice(order, number))
        except RuntimeError:  # another thread came in
            return
        leaving = [stored for stored in looked_at if stored.kept_until <= now and stored is not newest]
        surplus -= len(leaving)
        if surplus > 0:
            living = (stored for stored in reversed(looked_at) if stored not in leaving and stored is not newest)
            leaving += sorted(living, key=_used_at)[:surplus]
        for stored in leaving:
            # First, so that another thread that is adding it knows.
            stored.kept_until = 0
            self.drop(stored)
            # One of the first, where `rotate` put it, unless another thread was faster.
            with suppress(ValueError):
                order.remove(stored)


def _used_at(stored: StoredCredentials) -> float:
    return stored.used_at
