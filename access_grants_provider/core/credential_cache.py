"""Which stored credentials serve a request, and until when.

Pure data structures: no lock and no clock of their own. Times are seconds since the epoch and always passed in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import datetime
from heapq import nsmallest
from typing import Any

from .scopes import GrantScope, Permission, Target

__all__ = ["CredentialCache", "Vended"]

# The windows botocore's RefreshableCredentials has, scaled down for short lives: GetDataAccess may vend for
# 15 minutes, which botocore's own 15 minutes would put into the advisory window from birth.
ADVISORY_SECONDS, ADVISORY_SHARE = 15 * 60, 1 / 4
MANDATORY_SECONDS, MANDATORY_SHARE = 10 * 60, 1 / 8

SWEEP_SECONDS = 300
# What is evicted at once when the cache is full, so that a full cache does not pay for each entry added.
EVICTED_SHARE = 1 / 16

SERVED_BY: dict[Permission, tuple[Permission, ...]] = {
    "READ": ("READ", "READWRITE"),
    "WRITE": ("WRITE", "READWRITE"),
    "READWRITE": ("READWRITE",),
}


class Vended:
    """One set of vended credentials, what it may be used for and until when.

    ``signer`` is what the edge puts into a request to have it signed; the core never looks into it.
    ``refresh_at``: from here on one caller renews them and the others go on (advisory window). ``renew_at``: from
    here on they are not used any more (mandatory window). ``expires_at``: the ``Expiration`` of the answer.
    ``recalled``: another process was vended them. ``fell_short_of``: for how many seconds they were to be good when
    they were vended (presigned URLs) and are not, for none live that long.
    """

    # By hand, not by dataclass, which would take a millisecond of the import to make it.
    __slots__ = (
        "account_id",
        "expires_at",
        "fell_short_of",
        "permission",
        "recalled",
        "refresh_at",
        "region",
        "renew_at",
        "scope",
        "signer",
        "used_at",
    )

    def __init__(
        self,
        permission: Permission,
        scope: GrantScope,
        signer: Any,
        *,
        account_id: str,
        region: str,
        expiration: datetime,
        now: float,
        recalled: bool = False,
        fell_short_of: float = 0,
    ) -> None:
        """Make a record of credentials that were vended ``now`` and end at ``expiration`` (an aware time)."""
        self.permission = permission
        self.scope = scope
        self.signer = signer
        self.account_id = account_id
        self.region = region
        self.expires_at = expiration.timestamp()
        life = self.expires_at - now
        self.refresh_at = self.expires_at - min(ADVISORY_SECONDS, life * ADVISORY_SHARE)
        self.renew_at = self.expires_at - min(MANDATORY_SECONDS, life * MANDATORY_SHARE)
        self.used_at = now
        self.recalled = recalled
        self.fell_short_of = fell_short_of

    def lasts(self, lasting: float, now: float) -> bool:
        """Tell whether they are good for so many seconds from ``now``, or as long as can be had.

        What did not get that long when it was asked for would not get it a moment later either: so the next attempt is
        that of the renewal.
        """
        return now + lasting <= self.expires_at or (lasting <= self.fell_short_of and now < self.refresh_at)

    def __repr__(self) -> str:
        return f"<Vended {self.permission} on {str(self.scope)!r} until {self.expires_at}>"


class PrefixIndex:
    """Credentials by prefix; finds the longest prefix of a key in a few steps, whatever their number.

    The prefixes are kept in order. All prefixes of a key sort at or before it, and whatever lies between the
    longest of them and the key starts with that prefix too; so the search looks at the nearest name before
    the key and, where it is no prefix, goes on with what the two have in common.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._credentials: dict[str, Vended] = {}

    def longest(self, key: str) -> Vended | None:
        """Return the credentials of the longest stored prefix that ``key`` starts with."""
        names = self._names
        end = bisect_right(names, key)
        while end:
            name = names[end - 1]
            if key.startswith(name):
                return self._credentials[name]
            key = key[: _shared_length(key, name)]
            end = bisect_right(names, key, 0, end - 1)
        return None

    def get(self, prefix: str) -> Vended | None:
        """Return what is stored for exactly ``prefix``."""
        return self._credentials.get(prefix)

    def put(self, prefix: str, vended: Vended) -> None:
        """Store, in place of what was there."""
        # In this order, whoever comes in between finds no name without credentials.
        known = prefix in self._credentials
        self._credentials[prefix] = vended
        if not known:
            self._names.insert(bisect_left(self._names, prefix), prefix)

    def remove(self, prefix: str) -> None:
        """Forget a prefix that is stored."""
        del self._names[bisect_left(self._names, prefix)]
        del self._credentials[prefix]

    def keep(self, wanted: Callable[[Vended], bool]) -> None:
        """Forget all but the wanted, in one pass."""
        kept = {prefix: one for prefix, one in self._credentials.items() if wanted(one)}
        self._names = [name for name in self._names if name in kept]
        self._credentials = kept

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Vended]:
        return iter(self._credentials.values())


def _shared_length(one: str, other: str) -> int:
    """Return how many leading characters two texts share, by halving: slices compare in C, characters don't."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[low:middle], low):
            low = middle
        else:
            high = middle - 1
    return low


class CredentialCache:
    """The vended credentials of one requester, at most ``limit``, least recently used out first.

    Not safe for threads by itself: its owner holds a lock around each call.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._objects: dict[tuple[Permission, str, str], Vended] = {}
        self._prefixes: dict[tuple[Permission, str], PrefixIndex] = {}
        self._count = 0
        self._sweep_at = 0.0

    def find(self, permission: Permission, target: Target, now: float = 0.0) -> Vended | None:
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
                    if now < exact.renew_at:
                        return exact
                    stale = stale or exact
            index = self._prefixes.get((held, bucket))
            if index is not None:
                nearest = index.longest(key)
                if nearest is not None:
                    if now < nearest.renew_at:
                        return nearest
                    stale = stale or nearest
        return stale

    def exact(self, permission: Permission, scope: GrantScope) -> Vended | None:
        """Return the credentials that are kept for just this scope and permission."""
        bucket, key, is_prefix = scope
        if not is_prefix:
            return self._objects.get((permission, bucket, key))
        index = self._prefixes.get((permission, bucket))
        return None if index is None else index.get(key)

    def add(self, vended: Vended, now: float) -> None:
        """Keep ``vended`` in place of what is there for the same scope and permission."""
        bucket, key, is_prefix = vended.scope
        if is_prefix:
            index = self._prefixes.setdefault((vended.permission, bucket), PrefixIndex())
            self._count += index.get(key) is None
            index.put(key, vended)
        else:
            place = (vended.permission, bucket, key)
            self._count += place not in self._objects
            self._objects[place] = vended
        if self._count > self._limit or now >= self._sweep_at:
            self._make_room(now, vended)

    def drop(self, vended: Vended) -> None:
        """Forget exactly this record; a newer one for the same scope stays."""
        bucket, key, is_prefix = vended.scope
        if is_prefix:
            index = self._prefixes.get((vended.permission, bucket))
            if index is None or index.get(key) is not vended:
                return
            index.remove(key)
            if not index:
                del self._prefixes[vended.permission, bucket]
        else:
            place = (vended.permission, bucket, key)
            if self._objects.get(place) is not vended:
                return
            del self._objects[place]
        self._count -= 1

    def __iter__(self) -> Iterator[Vended]:
        yield from self._objects.values()
        for index in self._prefixes.values():
            yield from index

    def __len__(self) -> int:
        return self._count

    def _make_room(self, now: float, newest: Vended) -> None:
        self._sweep_at = now + SWEEP_SECONDS
        leaving = {id(one) for one in self if one.expires_at <= now}
        surplus = self._count - len(leaving) - self._limit
        if surplus > 0:
            surplus += int(self._limit * EVICTED_SHARE)
            candidates = (one for one in self if one is not newest and id(one) not in leaving)
            leaving.update(map(id, nsmallest(surplus, candidates, key=lambda one: one.used_at)))
        if not leaving:
            return
        # In one pass: dropping them one by one from the ordered names takes seconds where there are 100,000.
        self._objects = {place: one for place, one in self._objects.items() if id(one) not in leaving}
        for place, index in list(self._prefixes.items()):
            index.keep(lambda one: id(one) not in leaving)
            if not index:
                del self._prefixes[place]
        self._count = len(self._objects) + sum(map(len, self._prefixes.values()))
