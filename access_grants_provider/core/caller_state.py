"""Everything remembered of one caller, and of all of them.

A caller is one set of frozen credentials. Nothing is shared between two of them: no credential, no denial, no instance,
no call under way. There is no lock; :mod:`.credential_cache` says why, and what a race costs: a call too many.

What is remembered so that a denial needs no call is either about the very target (:class:`DenialCache`), or about a
whole thing that does not depend on the target: the bucket's region and its owner, that an account has no instance in a
region, that a caller may not call an instance, and the caller's list of grants of one instance.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from .circuit_breaker import CircuitBreaker
from .clock import Clock
from .credential_cache import CredentialCache
from .listed_grants import ListedGrants
from .scopes import GrantScope, Permission, Target
from .service_errors import Denial
from .single_flight import SingleFlight

__all__ = [
    "BucketState",
    "CallerState",
    "CallerStates",
    "DenialCache",
    "FrozenCredentials",
    "HeldGrant",
    "Owner",
    "drop_oldest",
]

# How long a "no" for one target holds.
DENIAL_SECONDS = 300
# How long it holds that an account has no instance, that a caller may not call, and where a bucket's owner is.
INSTANCE_SECONDS = 300
# How long the caller's list of grants counts, and how long none is asked for after one that could not be had.
LIST_SECONDS = 300
# How long a bucket's region counts as looked up.
REGION_SECONDS = 300
# The same after a look-up that failed: a lost packet must not deny a bucket for five minutes.
REGION_RETRY_SECONDS = 30
# For how long S3's 403s under one scope are counted.
RECHECK_SECONDS = 300

MAX_CALLERS = 1_000
MAX_BUCKETS = 10_000
# For all callers together, and what each may have at least: 450 bytes each, so 30 MB with 1,000 callers.
MAX_DENIALS, MIN_DENIALS = 10_000, 64
# An instance holds at most 100,000 grants, so under privilege Default this many scopes is all there can be. Under
# Minimal every object has credentials of its own (some 2 KB each), and a long job would never stop growing.
MAX_CREDENTIALS: dict[str, int] = {"Default": 100_000, "Minimal": 10_000}
# How often in five minutes a 403 under one scope may ask Access Grants anew. Without a bound a bucket policy that
# refuses every key would double the calls of a job.
MAX_RECHECKS = 16


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


class HeldGrant(NamedTuple):
    """A grant that a caller has, as listed or as vended; ``account_id`` and ``region`` are its instance's."""

    permission: Permission
    scope: GrantScope
    account_id: str
    region: str


class Owner(NamedTuple):
    """The account whose instance is responsible for a bucket; None where the caller may not look it up."""

    account_id: str | None
    until: float


class BucketState:
    """What one caller knows of one bucket. Each attribute is exchanged as a whole.

    ``owners`` are by region, ``listed`` by account and region of the instance, ``folder_depths`` by permission.
    """

    __slots__ = ("folder_depths", "listed", "owners", "region", "region_until")

    def __init__(self) -> None:
        self.region: str | None = None
        self.region_until = 0.0
        self.owners: dict[str, Owner] = {}
        self.listed: dict[tuple[str, str], ListedGrants] = {}
        self.folder_depths: dict[Permission, int | None] = {}

    def owner(self, region: str, now: float) -> Owner | None:
        """Return who was found to own the bucket; None where nobody was, or too long ago."""
        owner = self.owners.get(region)
        return owner if owner is not None and now < owner.until else None

    def current_lists(self, now: float) -> tuple[ListedGrants, ...]:
        """Return the caller's grants in the bucket, of each instance that was asked; none where one is not known."""
        lists = tuple(listed for listed in list(self.listed.values()) if now < listed.until)
        return lists if all(listed.grants is not None for listed in lists) else ()


class DenialCache:
    """The denials of single targets, oldest out first. ``limit`` is asked at each addition."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._denials: dict[tuple[Permission, Target], Denial] = {}

    def find(self, permission: Permission, target: Target, now: float) -> Denial | None:
        """Return the denial that holds for just this target."""
        denial = self._denials.get((permission, target))
        return denial if denial is not None and now < denial.until else None

    def add(self, permission: Permission, target: Target, denial: Denial) -> None:
        """Remember a denial."""
        self._denials.pop((permission, target), None)
        while len(self._denials) >= self._limit():
            drop_oldest(self._denials)
        self._denials[permission, target] = denial

    def __len__(self) -> int:
        return len(self._denials)


def drop_oldest(entries: dict[Any, Any]) -> None:
    """Remove the entry that was added first, if there is one; nothing where another thread comes in."""
    # Between the two steps another thread may add or drop one.
    with suppress(StopIteration, RuntimeError):
        entries.pop(next(iter(entries)), None)


class CallerState:
    """What is remembered for one caller.

    ``masked_key`` names the caller in messages: the ends of the access key id. ``described`` says too where the
    credentials come from: ``"AKIA…MPLE, from the environment"``. ``account_is_guessed``: nobody has told this caller's
    ``account_id``, but STS is known to have told it of the same access key id.
    """

    __slots__ = (
        "__weakref__",
        "_breakers",
        "_buckets",
        "_rechecks",
        "account_id",
        "account_is_guessed",
        "calls",
        "credentials",
        "denials",
        "described",
        "instance_denials",
        "masked_key",
        "used_at",
    )

    def __init__(
        self, masked_key: str, clock: Clock, max_credentials: int, max_denials: Callable[[], int], source: str = ""
    ) -> None:
        self.masked_key = masked_key
        self.described = f"{masked_key}, {source}" if source else masked_key
        self.account_id: str | None = None
        self.account_is_guessed = False
        self.credentials = CredentialCache(max_credentials, clock)
        self.denials = DenialCache(max_denials)
        self.calls = SingleFlight()
        # By account and region: there is no instance, or the caller may not call it.
        self.instance_denials: dict[tuple[str, str], Denial] = {}
        self.used_at = clock.monotonic()
        self._buckets: dict[str, BucketState] = {}
        self._breakers: dict[str, CircuitBreaker] = {}
        self._rechecks: dict[tuple[Permission, GrantScope], tuple[float, dict[object, None]]] = {}

    def bucket(self, name: str) -> BucketState:
        """Return the state of a bucket, an empty one where it is new."""
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                drop_oldest(self._buckets)
            bucket = self._buckets.setdefault(name, BucketState())
        return bucket

    def breaker(self, region: str) -> CircuitBreaker:
        """Return the circuit breaker of a region."""
        breaker = self._breakers.get(region)
        return breaker if breaker is not None else self._breakers.setdefault(region, CircuitBreaker())

    def instance_denial(
        self, account_id: str, region: str, permission: Permission, target: Target, now: float
    ) -> Denial | None:
        """Return why one instance would refuse a target, if that is known without a call."""
        denial = self.instance_denials.get((account_id, region))
        if denial is not None and now < denial.until:
            return denial
        listed = self.bucket(target.bucket).listed.get((account_id, region))
        if listed is None or now >= listed.until or not listed.excludes(permission, target):
            return None
        reason = f"None of the caller's grants ({self.described}) in this bucket gives {permission} on {str(target)!r}"
        wanted = (permission, target)
        lists = self.bucket(target.bucket).current_lists(now)
        return Denial("no grant", reason, listed.until, account_id, region, wanted=wanted, lists=lists)

    def take_recheck(
        self, permission: Permission, scope: GrantScope, about: object, now: float, most: int = MAX_RECHECKS
    ) -> bool:
        """Take one of the looks at Access Grants that S3's refusals under ``scope`` may cause; False if none is left.

        There is one for each ``about``, a target say, and ``most`` within five minutes.
        """
        until, taken = self._rechecks.get((permission, scope), (0.0, {}))
        if now >= until:
            if len(self._rechecks) >= MAX_DENIALS:
                self._rechecks.clear()
            until, taken = self._rechecks[permission, scope] = (now + RECHECK_SECONDS, {})
        if about in taken or len(taken) >= most:
            return False
        taken[about] = None
        return True


class CallerStates:
    """The states of one provider's callers, at most ``MAX_CALLERS``, least recently used out first.

    A state is found by a keyed digest of the credentials, whose key exists in this process only: equal digests mean
    equal credentials, secret included, and nothing can be read from one.
    """

    def __init__(self, privilege: str, clock: Clock) -> None:
        self._digest_key = os.urandom(32)
        self._clock = clock
        self._max_credentials = MAX_CREDENTIALS[privilege]
        self._states: OrderedDict[bytes, CallerState] = OrderedDict()
        self._sweep_at = 0.0

    def get_or_create(self, digest: bytes, masked_key: str, source: str = "") -> CallerState:
        """Return the state of the caller with this digest, a new one at first."""
        now = self._clock.monotonic()
        state = self._states.get(digest)
        if state is None:
            if now >= self._sweep_at:
                self._sweep(now)
            new = CallerState(masked_key, self._clock, self._max_credentials, self._max_denials, source)
            state = self._states.setdefault(digest, new)
        # Another thread may drop it meanwhile.
        with suppress(KeyError):
            self._states.move_to_end(digest)
            while len(self._states) > MAX_CALLERS:
                self._states.popitem(last=False)
        state.used_at = now
        return state

    def digest(self, credentials: FrozenCredentials) -> bytes:
        """Return the digest that stands for one set of frozen credentials."""
        keyed = hashlib.blake2b(key=self._digest_key, digest_size=32)
        for part in (credentials.access_key, credentials.secret_key, credentials.token or ""):
            encoded = part.encode()
            keyed.update(len(encoded).to_bytes(4, "big") + encoded)
        return keyed.digest()

    def forget(self, digest: bytes) -> None:
        """Drop a caller whose credentials were rotated, with all that was vended to it."""
        self._states.pop(digest, None)

    def __len__(self) -> int:
        return len(self._states)

    def _max_denials(self) -> int:
        return max(MIN_DENIALS, MAX_DENIALS // max(1, len(self._states)))

    def _sweep(self, now: float) -> None:
        """Drop the callers that have nothing left: no credentials that live, and no denial that holds."""
        self._sweep_at = now + DENIAL_SECONDS
        wall = self._clock.wall()
        for digest in list(self._states):
            state = self._states.get(digest)
            if state is None or state.used_at + DENIAL_SECONDS > now:
                continue
            if all(stored.expires_at <= wall for stored in state.credentials):
                self._states.pop(digest, None)
