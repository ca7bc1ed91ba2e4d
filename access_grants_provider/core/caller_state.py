"""Everything remembered, one compartment per requester.

A requester is one set of frozen credentials. Nothing is shared between two of them: no credential, no denial,
no instance, no call under way. One lock guards a store; it is never held across I/O.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, NamedTuple, Protocol

from ..exceptions import ServiceFailure
from .credential_cache import CredentialCache, Vended
from .fork_safety import in_forked_children, leaf_lock
from .scopes import GrantScope, Permission, Target, permits

__all__ = ["BucketFacts", "Denial", "Flight", "FrozenCredentials", "Memory", "Store"]

DENIAL_SECONDS = 300

MAX_REQUESTERS = 1_000
MAX_BUCKETS = 10_000
MAX_DENIALS = 10_000
# An instance holds at most 100,000 grants, so under privilege Default this many scopes is all there can be. Under
# Minimal every object has credentials of its own (some 2 KB each), and a long job would never stop growing.
MAX_CREDENTIALS: dict[str, int] = {"Default": 100_000, "Minimal": 10_000}
# How often in five minutes a 403 under one scope may ask Access Grants anew. Without a bound a bucket policy that
# refuses every key would double the calls of a job.
MAX_RECHECKS = 16
# How many targets of a bucket are looked up in vain before the bucket counts as nobody's.
MAX_MISSES = 2

DenialKind = Literal["no grant", "no instance", "permission missing", "two buckets"]
FlightKey = tuple[object, ...]


class FrozenCredentials(Protocol):
    """The form of botocore's ``ReadOnlyCredentials``."""

    @property
    def access_key(self) -> str:
        """The access key id."""

    @property
    def secret_key(self) -> str:
        """The secret access key."""

    @property
    def token(self) -> str | None:
        """The session token of temporary credentials."""


class Denial(NamedTuple):
    """Access Grants says no, until ``until`` (epoch seconds); ``reason`` is a sentence for people."""

    kind: DenialKind
    reason: str
    until: float = 0.0
    account_id: str | None = None
    region: str | None = None


class Flight:
    """One call under way that others wait for.

    ``landed`` says that an answer came, be it a denial; ``failure`` holds what went wrong. A flight that ended with
    neither was abandoned by its leader, and whoever waited takes over. ``leader`` is the thread or task that makes the
    call: if it comes again in the middle of it (a signal handler, say), it must not wait for itself.
    """

    __slots__ = ("done", "failure", "key", "landed", "leader")

    def __init__(self, leader: object) -> None:
        self.leader = leader
        self.key: FlightKey | None = None
        self.done: Future[None] = Future()
        self.landed = False
        self.failure: ServiceFailure | None = None


class BucketFacts:
    """What one requester knows of one bucket."""

    __slots__ = (
        "accounts",
        "denial",
        "depths",
        "grants",
        "grants_at",
        "grants_until",
        "misses",
        "no_owner_until",
        "region",
        "region_until",
    )

    def __init__(self) -> None:
        self.region: str | None = None
        self.region_until = 0.0
        self.accounts: dict[str, str] = {}
        self.denial: Denial | None = None
        self.grants: tuple[tuple[Permission, GrantScope], ...] | None = None
        self.grants_at: tuple[str, str] | None = None
        self.grants_until = 0.0
        self.depths: dict[Permission, int | None] = {}
        self.misses = 0
        self.no_owner_until = 0.0

    def no_owner(self, now: float) -> None:
        """Note that no instance has a location for a target. After a few of those it holds for the whole bucket."""
        self.misses += 1
        if self.misses >= MAX_MISSES:
            self.no_owner_until = now + DENIAL_SECONDS

    def may_hold(self, permission: Permission, target: Target, now: float) -> bool:
        """Tell whether the caller's listed grants leave a chance that ``target`` is granted.

        Without a list, or with an old one, there is always a chance. Whether a READ grant and a WRITE grant
        together answer a READWRITE request is not documented, so both together count as a chance.
        """
        grants = self.grants
        if grants is None or now >= self.grants_until:
            return True
        covering = [held for held, scope in grants if scope.covers(target)]
        if permission == "READWRITE":
            return "READWRITE" in covering or {"READ", "WRITE"} <= set(covering)
        return any(permits(held, permission) for held in covering)


class Memory:
    """What is remembered for one requester. Its methods are called with ``lock`` held.

    ``label`` names the requester in messages: the ends of the access key id, nothing secret.
    """

    __slots__ = (
        "__weakref__",
        "account_id",
        "buckets",
        "credentials",
        "denials",
        "flights",
        "label",
        "lock",
        "outages",
        "rechecks",
    )

    def __init__(self, lock: AbstractContextManager[Any], label: str, limit: int) -> None:
        self.lock = lock
        self.label = label
        self.account_id: str | None = None
        self.credentials = CredentialCache(limit)
        self.denials: dict[tuple[Permission, Target], Denial] = {}
        self.buckets: dict[str, BucketFacts] = {}
        self.flights: dict[FlightKey, Flight] = {}
        self.outages: dict[str, Any] = {}  # by region, an Outage of :mod:`.outages`
        self.rechecks: dict[tuple[Permission, GrantScope], tuple[float, set[Target]]] = {}

    def warm(self, permission: Permission, target: Target, now: float) -> Vended | None:
        """Return credentials that serve the request and need no thought. Takes the lock itself."""
        with self.lock:
            vended = self.credentials.find(permission, target, now)
        if vended is None or now >= vended.refresh_at:
            return None
        vended.used_at = now
        return vended

    @contextmanager
    def flight(self, leader: object) -> Iterator[Flight]:
        """Provide a flight that may :meth:`board` within the block, and end it with the block, whatever happens in it.

        It exists before anybody can see it, so no interrupt finds it under a key and without an end.
        """
        mine = Flight(leader)
        try:
            yield mine
        except ServiceFailure as failure:
            mine.failure = failure
            raise
        finally:
            with self.lock:
                if mine.key is not None and self.flights.get(mine.key) is mine:
                    del self.flights[mine.key]
            mine.done.set_result(None)

    def board(self, key: FlightKey, mine: Flight) -> Flight:
        """Return the flight under ``key``: one that is under way, else ``mine``, which is then under way."""
        mine.key = key
        return self.flights.setdefault(key, mine)

    def bucket(self, name: str) -> BucketFacts:
        """Return the facts of a bucket, empty ones where it is new."""
        facts = self.buckets.get(name)
        if facts is None:
            if len(self.buckets) >= MAX_BUCKETS:
                del self.buckets[next(iter(self.buckets))]
            facts = self.buckets[name] = BucketFacts()
        return facts

    def denial(self, permission: Permission, target: Target, now: float) -> Denial | None:
        """Return the denial that is known to hold for the request, if any."""
        facts = self.bucket(target.bucket)
        if facts.denial is not None and now < facts.denial.until:
            return facts.denial
        known = self.denials.get((permission, target))
        if known is not None and now < known.until:
            return known
        if facts.may_hold(permission, target, now):
            return None
        return Denial(
            "no grant",
            f"none of the grants the caller ({self.label}) has in this bucket gives {permission} on {str(target)!r}",
            facts.grants_until,
            *(facts.grants_at or ()),
        )

    def deny(self, permission: Permission, target: Target, denial: Denial) -> None:
        """Remember a denial: of the whole bucket where it is about the instance or the caller, else of the target."""
        facts = self.bucket(target.bucket)
        # One instance's locations may hold some keys of a bucket and not others.
        only_here = denial.kind == "no instance" and denial.account_id is None and facts.misses < MAX_MISSES
        if denial.kind in ("no instance", "permission missing") and not only_here:
            facts.denial = denial
            return
        self.denials.pop((permission, target), None)
        if len(self.denials) >= MAX_DENIALS:
            del self.denials[next(iter(self.denials))]
        self.denials[permission, target] = denial

    def may_recheck(self, permission: Permission, scope: GrantScope, target: Target, now: float) -> bool:
        """Tell whether a 403 on ``target`` under ``scope`` shall ask Access Grants again, and note that it does."""
        until, targets = self.rechecks.get((permission, scope), (0.0, set()))
        if now >= until:
            if len(self.rechecks) >= MAX_DENIALS:
                self.rechecks.clear()
            until, targets = self.rechecks[permission, scope] = (now + DENIAL_SECONDS, set())
        if target in targets or len(targets) >= MAX_RECHECKS:
            return False
        targets.add(target)
        return True


class Store:
    """The memories of one provider, at most ``MAX_REQUESTERS``, least recently used out first.

    A memory is found by a keyed digest of the credentials, whose key exists in this process only: equal digests mean
    equal credentials, secret included, and nothing can be read from one.
    """

    def __init__(self, privilege: str) -> None:
        self.lock = leaf_lock()
        self._digest_key = os.urandom(32)
        self._limit = MAX_CREDENTIALS[privilege]
        self._memories: OrderedDict[bytes, Memory] = OrderedDict()
        # Those too that were forgotten here and are still in use somewhere.
        self._made: weakref.WeakSet[Memory] = weakref.WeakSet()
        in_forked_children(self, Store._abandon_flights)

    def memory(self, digest: bytes, label: str) -> Memory:
        """Return the memory of the requester with this digest, a new one at first."""
        with self.lock:
            memory = self._memories.get(digest)
            if memory is None:
                memory = self._memories[digest] = Memory(self.lock, label, self._limit)
                self._made.add(memory)
                if len(self._memories) > MAX_REQUESTERS:
                    self._memories.popitem(last=False)
            else:
                self._memories.move_to_end(digest)
            return memory

    def digest(self, credentials: FrozenCredentials) -> bytes:
        """Return the digest that stands for one set of frozen credentials."""
        keyed = hashlib.blake2b(key=self._digest_key, digest_size=32)
        for part in (credentials.access_key, credentials.secret_key, credentials.token or ""):
            encoded = part.encode()
            keyed.update(len(encoded).to_bytes(4, "big") + encoded)
        return keyed.digest()

    def forget(self, digest: bytes) -> None:
        """Drop a requester whose credentials were rotated, with all that was vended to it."""
        with self.lock:
            self._memories.pop(digest, None)

    def __len__(self) -> int:
        return len(self._memories)

    def _abandon_flights(self) -> None:
        # In a forked child: what was under way goes on in the parent, and nobody here will ever end it.
        for memory in self._made:
            memory.flights.clear()
