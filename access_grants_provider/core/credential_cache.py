"""Which stored credentials serve a request, and until when.

No lock. A lock that a thread holds when a signal handler, a collected object's ``__del__`` or a fork comes in makes
other threads wait for whatever that code does, and code that waits for those threads then never ends. So each change
here is one step that the interpreter does not divide (a dict's or a list's own method), and a reader finds something
usable after each of them. The price of a race is credentials vended once more, never wrong ones.

``Expiration`` is a time of the wall clock, so times here are seconds since the epoch; the sweep goes by the monotonic
clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from heapq import nsmallest
from typing import Any

from .clock import Clock
from .prefix_index import PrefixIndex
from .scopes import GrantScope, Permission

__all__ = ["ADVISORY_SECONDS", "ADVISORY_SHARE", "CredentialCache", "StoredCredentials"]

# The windows botocore's RefreshableCredentials has, scaled down for short lives: GetDataAccess may vend for
# 15 minutes, which botocore's own 15 minutes would put into the advisory window from birth.
ADVISORY_SECONDS, ADVISORY_SHARE = 15 * 60, 1 / 4
MANDATORY_SECONDS, MANDATORY_SHARE = 10 * 60, 1 / 8

SWEEP_SECONDS = 300
LATEST = datetime(9999, 12, 31, tzinfo=timezone.utc).timestamp()
# What is evicted at once when the cache is full, so that a full cache does not pay for each entry added.
EVICTED_SHARE = 1 / 16

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
        # What was added since the last sweep counts as new, whatever it replaced: exact only after a sweep.
        self._at_most = 0
        self._sweep_at = 0.0

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
        if is_prefix:
            place = (stored.permission, bucket)
            index = self._prefixes.get(place)
            if index is None:
                index = self._prefixes.setdefault(place, PrefixIndex())
            self._at_most += index.get(key) is None
            index.put(key, stored)
        else:
            self._at_most += (stored.permission, bucket, key) not in self._objects
            self._objects[stored.permission, bucket, key] = stored
        if self._at_most > self._limit or self._clock.monotonic() >= self._sweep_at:
            self._make_room(stored)

    def drop(self, stored: StoredCredentials) -> None:
        """Forget exactly this record; a newer one for the same scope stays."""
        bucket, key, is_prefix = stored.scope
        if self.exact(stored.permission, stored.scope) is not stored:
            return
        if is_prefix:
            # None where another thread's sweep was faster.
            index = self._prefixes.get((stored.permission, bucket))
            if index is not None:
                index.remove(key)
        else:
            self._objects.pop((stored.permission, bucket, key), None)

    def __iter__(self) -> Iterator[StoredCredentials]:
        for place in list(self._objects):
            stored = self._objects.get(place)
            if stored is not None:
                yield stored
        for index in list(self._prefixes.values()):
            yield from index

    def __len__(self) -> int:
        return len(self._objects) + sum(len(index) for index in list(self._prefixes.values()))

    def _make_room(self, newest: StoredCredentials) -> None:
        self._sweep_at = self._clock.monotonic() + SWEEP_SECONDS
        now = self._clock.wall()
        leaving = {id(stored) for stored in self if stored.expires_at <= now}
        surplus = len(self) - len(leaving) - self._limit
        if surplus > 0:
            surplus += int(self._limit * EVICTED_SHARE)
            candidates = (stored for stored in self if stored is not newest and id(stored) not in leaving)
            leaving.update(map(id, nsmallest(surplus, candidates, key=lambda stored: stored.used_at)))
        if leaving:
            for place in list(self._objects):
                if id(self._objects.get(place)) in leaving:
                    self._objects.pop(place, None)
            for bucket in list(self._prefixes):
                index = self._prefixes.get(bucket)
                if index is not None:
                    index.keep(lambda stored: id(stored) not in leaving)
                    if not index:
                        self._prefixes.pop(bucket, None)
        self._at_most = len(self)
