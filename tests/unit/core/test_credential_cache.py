"""Which stored credentials serve a request, and until when."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest

from access_grants_provider.core.credential_cache import CredentialCache, StoredCredentials
from access_grants_provider.core.prefix_index import PrefixIndex
from access_grants_provider.core.scopes import GrantScope, Permission

from .interruption import interrupted_at_every_step, steps_of

if TYPE_CHECKING:
    from ..conftest import Clock

MakeStored = Callable[..., StoredCredentials]
LIMIT = 32
# When the fixtures vend.
NOW = 1_800_000_000.0


@pytest.fixture
def cache(clock: Clock) -> CredentialCache:
    return CredentialCache(LIMIT, clock.both)


def at(key: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, key, False)


def below(prefix: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, prefix, True)


@pytest.mark.parametrize(
    ("life", "advisory", "mandatory"),
    [
        (43200, 900, 600),
        (7200, 900, 600),
        (4800, 900, 600),
        (3600, 900, 450),
        (2400, 600, 300),
        (900, 225, 112.5),
        (4, 1, 0.5),
    ],
)
def test_the_windows_are_botocore_s_and_shrink_with_the_life(
    make_stored: MakeStored, clock: Clock, life: float, advisory: float, mandatory: float
) -> None:
    stored = make_stored(seconds=life)
    assert stored.expires_at == clock() + life
    assert stored.expires_at - stored.advisory_refresh_at == pytest.approx(advisory)
    assert stored.expires_at - stored.mandatory_refresh_at == pytest.approx(mandatory)
    assert clock() < stored.advisory_refresh_at < stored.mandatory_refresh_at < stored.expires_at


def test_nothing_is_found_in_an_empty_cache(cache: CredentialCache) -> None:
    assert cache.find("READ", at("a"), NOW) is None
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("scope", "found", "not_found"),
    [
        ("s3://sales/pre/*", [at("pre/x"), at("pre/"), below("pre/"), below("pre/x")], [at("pre"), below("pre")]),
        ("s3://sales/pre/*", [], [at("prf"), at("pre/x", "other"), below("")]),
        ("s3://sales*", [at("x"), below("")], [at("x", "sales-archive"), at("x", "sale")]),
        ("s3://sales/key", [at("key")], [at("key/"), at("ke"), below("key"), at("key", "other")]),
    ],
)
def test_a_credential_is_found_for_what_its_scope_holds(
    cache: CredentialCache, make_stored: MakeStored, scope: str, found: list[GrantScope], not_found: list[GrantScope]
) -> None:
    stored = make_stored("READ", scope)
    cache.add(stored)
    assert [cache.find("READ", target, NOW) for target in found] == [stored] * len(found)
    assert [cache.find("READ", target, NOW) for target in not_found] == [None] * len(not_found)


@pytest.mark.parametrize(
    ("held", "serves"),
    [("READ", ["READ"]), ("WRITE", ["WRITE"]), ("READWRITE", ["READ", "WRITE", "READWRITE"])],
)
@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/*"])
def test_a_credential_is_found_for_what_its_permission_serves(
    cache: CredentialCache, make_stored: MakeStored, held: Permission, serves: list[Permission], scope: str
) -> None:
    cache.add(make_stored(held, scope))
    asked: list[Permission] = ["READ", "WRITE", "READWRITE"]
    assert [one for one in asked if cache.find(one, at("a"), NOW)] == serves


def test_the_nearest_scope_comes_first(cache: CredentialCache, make_stored: MakeStored) -> None:
    scopes = ["s3://sales/*", "s3://sales/a*", "s3://sales/a/*", "s3://sales/a/b/*", "s3://sales/a/b/c"]
    held = [make_stored("READ", scope) for scope in scopes]
    for stored in held:
        cache.add(stored)
    targets = [at("b"), at("ab"), at("a/x"), at("a/b/x"), at("a/b/c")]
    assert [cache.find("READ", target, NOW) for target in targets] == held
    assert cache.find("READ", below("a/b/c"), NOW) is held[3]


def test_the_permission_asked_for_comes_before_readwrite(cache: CredentialCache, make_stored: MakeStored) -> None:
    both, read = make_stored("READWRITE", "s3://sales/a"), make_stored("READ", "s3://sales/*")
    cache.add(both)
    assert cache.find("READ", at("a"), NOW) is both
    cache.add(read)
    assert cache.find("READ", at("a"), NOW) is read
    assert cache.find("WRITE", at("a"), NOW) is both


@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/a*"])
def test_a_newer_credential_of_the_same_scope_takes_the_place(
    cache: CredentialCache, make_stored: MakeStored, scope: str
) -> None:
    old, new = make_stored("READ", scope), make_stored("READ", scope)
    cache.add(old)
    cache.add(new)
    assert cache.find("READ", at("a"), NOW) is new
    assert len(cache) == 1


@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/a*"])
def test_drop_drops_exactly_that_record(cache: CredentialCache, make_stored: MakeStored, scope: str) -> None:
    old, new, wider = make_stored("READ", scope), make_stored("READ", scope), make_stored("READ", "s3://sales/*")
    for stored in (wider, old, new):
        cache.add(stored)
    cache.drop(old)
    assert cache.find("READ", at("a"), NOW) is new
    cache.drop(new)
    assert cache.find("READ", at("a"), NOW) is wider
    cache.drop(new)
    assert len(cache) == 1


def test_an_object_and_a_prefix_of_one_name_are_two_records(cache: CredentialCache, make_stored: MakeStored) -> None:
    exact, prefix = make_stored("READ", "s3://sales/a"), make_stored("READ", "s3://sales/a*")
    cache.add(exact)
    cache.add(prefix)
    assert len(cache) == 2
    cache.drop(exact)
    assert cache.find("READ", at("a"), NOW) is prefix


def test_it_never_holds_more_than_its_limit(cache: CredentialCache, make_stored: MakeStored, clock: Clock) -> None:
    for number in range(10 * LIMIT):
        cache.add(make_stored("READ", f"s3://sales/{number}{'*' * (number % 2)}"))
        assert len(cache) == len(list(cache)) <= LIMIT
    assert len(cache) > LIMIT // 2


def test_the_least_recently_used_goes_first(cache: CredentialCache, make_stored: MakeStored, clock: Clock) -> None:
    held = [make_stored("READ", f"s3://sales/{number}") for number in range(LIMIT)]
    for number, stored in enumerate(held):
        stored.used_at = clock() + (number + 5) % LIMIT
        cache.add(stored)
    cache.add(make_stored("READ", "s3://sales/new"))
    gone = [number for number in range(LIMIT) if cache.find("READ", at(str(number)), NOW) is None]
    by_use = sorted(range(LIMIT), key=lambda number: held[number].used_at)
    assert gone
    assert sorted(gone) == sorted(by_use[: len(gone)])


def test_the_newest_stays_even_where_it_was_used_least_recently(make_stored: MakeStored, clock: Clock) -> None:
    cache = CredentialCache(1, clock.both)
    old, new = make_stored("READ", "s3://sales/old"), make_stored("READ", "s3://sales/new")
    new.used_at = clock() - 1000
    cache.add(old)
    cache.add(new)
    assert list(cache) == [new]


@pytest.mark.parametrize("limit", [1, LIMIT])
def test_the_newest_stays_even_where_it_has_ended(make_stored: MakeStored, clock: Clock, limit: int) -> None:
    cache = CredentialCache(limit, clock.both)
    ended, living = make_stored("READ", "s3://sales/a*", seconds=-1), make_stored("READ", "s3://sales/b*")
    cache.add(ended)
    assert list(cache) == [ended]
    cache.add(living)
    assert list(cache) == [living]


def test_what_is_added_again_stays(cache: CredentialCache, make_stored: MakeStored) -> None:
    first, second = make_stored("READ", "s3://sales/a*"), make_stored("READ", "s3://sales/b*")
    for stored in (first, first, second, second):
        cache.add(stored)
    assert set(cache) == {first, second}


def test_what_has_expired_goes_before_what_is_used(
    cache: CredentialCache, make_stored: MakeStored, clock: Clock
) -> None:
    expired = make_stored("READ", "s3://sales/expired*", seconds=60)
    expired.used_at = clock() + 1_000
    cache.add(expired)
    clock.advance(120)
    living = [make_stored("READ", f"s3://sales/{number}") for number in range(LIMIT)]
    for stored in living:
        cache.add(stored)
    assert set(cache) == set(living)


def test_what_has_expired_goes_with_the_next_additions_though_there_is_room(
    make_stored: MakeStored, clock: Clock
) -> None:
    cache = CredentialCache(1_000, clock.both)
    for number in range(80):
        cache.add(make_stored("READ", f"s3://sales/expired/{number}{'*' * (number % 2)}", seconds=60))
    clock.advance(60)
    # Eight records are looked at by each addition.
    living = [make_stored("READ", f"s3://sales/{number}") for number in range(12)]
    for stored in living:
        cache.add(stored)
    assert set(cache) == set(living)
    assert cache.find("READ", at("expired/1"), clock()) is None


@pytest.mark.parametrize(("limit", "most"), [(1_000, 64), (10_000, 8)], ids=["full", "room"])
def test_one_addition_looks_at_few_records(make_stored: MakeStored, clock: Clock, limit: int, most: int) -> None:
    looked_at: set[int] = set()

    class Watched(StoredCredentials):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            looked_at.add(id(self))
            return super().__getattribute__(name)

    cache = CredentialCache(limit, clock.both)
    for number in range(1_000):
        stored = make_stored("READ", f"s3://sales/{number}*")
        stored.__class__ = Watched
        cache.add(stored)
    for number in range(40):
        looked_at.clear()
        cache.add(make_stored("READ", f"s3://sales/new/{number}*"))
        assert 0 < len(looked_at) <= most
    assert len(cache) == min(limit, 1_040)


@pytest.mark.parametrize("limit", [100, 100_000], ids=["full", "room"])
def test_one_addition_takes_as_many_steps_among_many_records_as_among_few(
    make_stored: MakeStored, clock: Clock, limit: int
) -> None:
    def steps(number: int) -> int:
        cache = CredentialCache(min(limit, number), clock.both)
        for one in range(number):
            cache.add(make_stored("READ", f"s3://sales/{one}*"))
        new = make_stored("READ", "s3://sales/new*")
        return steps_of(lambda: cache.add(new))

    assert 0 < steps(2_000) <= steps(100)


@pytest.mark.parametrize("number", [100, 10_000])
def test_one_addition_compares_few_names(number: int) -> None:
    class Name(str):
        __slots__ = ()
        compared = 0

        def __lt__(self, other: str) -> bool:
            Name.compared += 1
            return super().__lt__(other)

    index: PrefixIndex[int] = PrefixIndex()
    for one in range(number):
        index.put(f"{one:05}/", one)
    index.put(Name(f"{number // 2:05}/x"), 0)
    # Halving, once.
    assert 0 < Name.compared <= number.bit_length()


class Token:
    """Something that can be seen to go."""


@pytest.mark.parametrize("change", ["replaced", "dropped"])
def test_what_was_replaced_or_dropped_is_let_go_an_eighth_of_all_additions_later(
    make_stored: MakeStored, clock: Clock, change: str
) -> None:
    cache = CredentialCache(1_000, clock.both)
    first = [make_stored("READ", f"s3://sales/{number}{'*' * (number % 2)}") for number in range(80)]
    tokens = []
    for stored in first:
        stored.credentials = Token()
        tokens.append(ref(stored.credentials))
        cache.add(stored)
    for stored in first:
        if change == "replaced":
            cache.add(make_stored("READ", str(stored.scope)))
        else:
            cache.drop(stored)
    assert set(cache).isdisjoint(first)
    del first, stored
    # Of the 160 that may be there, each addition looks at eight.
    for number in range(20):
        cache.add(make_stored("READ", f"s3://hr/{number}"))
    assert [token() for token in tokens] == [None] * 80
    assert len(cache) == (100 if change == "replaced" else 20)


def test_what_is_used_outlives_what_is_not_in_a_cache_of_many(make_stored: MakeStored, clock: Clock) -> None:
    cache = CredentialCache(640, clock.both)
    used = [make_stored("READ", f"s3://sales/used/{number}") for number in range(320)]
    unused = [make_stored("READ", f"s3://sales/unused/{number}") for number in range(320)]
    for pair in zip(used, unused, strict=True):
        for stored in pair:
            cache.add(stored)
    clock.advance(1)
    for number in range(320):
        assert cache.get_fresh("READ", at(f"used/{number}"), clock()) is not None
    for number in range(160):
        cache.add(make_stored("READ", f"s3://sales/new/{number}"))
    assert set(used) <= set(cache)
    assert len(set(unused) & set(cache)) == 160


def test_credentials_of_the_past_go_by_the_wall_s_clock(
    cache: CredentialCache, make_stored: MakeStored, clock: Clock
) -> None:
    stored = make_stored("READ", "s3://sales/*", seconds=3600)
    cache.add(stored)
    clock.set_back(8 * 3600)
    assert cache.get_fresh("READ", at("a"), clock()) is stored
    clock.now = stored.advisory_refresh_at
    assert cache.get_fresh("READ", at("a"), clock()) is None


def test_fresh_credentials_are_handed_out_until_their_advisory_window(
    cache: CredentialCache, make_stored: MakeStored
) -> None:
    stored = make_stored("READ", "s3://sales/emea/*")
    cache.add(stored)
    just_before = stored.advisory_refresh_at - 0.001
    assert cache.get_fresh("READ", at("emea/x"), just_before) is stored
    assert stored.used_at == just_before
    assert cache.get_fresh("READ", at("emea/x"), stored.advisory_refresh_at) is None
    assert cache.get_fresh("READ", at("emea/x"), stored.expires_at) is None
    assert cache.get_fresh("READ", at("apac/x"), just_before) is None
    assert cache.get_fresh("WRITE", at("emea/x"), just_before) is None
    assert stored.used_at == just_before


@pytest.mark.parametrize(
    ("stale", "other"),
    [
        (("READ", "s3://sales/a"), ("READ", "s3://sales/*")),
        (("READ", "s3://sales/*"), ("READWRITE", "s3://sales/*")),
        (("READ", "s3://sales/a"), ("READWRITE", "s3://sales/a")),
    ],
)
def test_what_is_in_its_mandatory_window_comes_last(
    cache: CredentialCache, make_stored: MakeStored, stale: Any, other: Any
) -> None:
    nearest, farther = make_stored(*stale, seconds=900), make_stored(*other, seconds=3600)
    cache.add(nearest)
    assert cache.find("READ", at("a"), nearest.mandatory_refresh_at) is nearest
    cache.add(farther)
    assert cache.find("READ", at("a"), nearest.mandatory_refresh_at - 1) is nearest
    assert cache.find("READ", at("a"), nearest.mandatory_refresh_at) is farther
    # Where nothing else serves, the nearest again.
    assert cache.find("READ", at("a"), farther.expires_at) is nearest


def test_credentials_are_valid_for_as_long_as_they_live(make_stored: MakeStored, clock: Clock) -> None:
    stored = make_stored(seconds=3600)
    assert stored.is_valid_for(3600, clock())
    assert not stored.is_valid_for(3601, clock())


def test_what_no_credentials_live_for_is_not_asked_for_again_until_the_renewal(
    make_stored: MakeStored, clock: Clock
) -> None:
    stored = make_stored(seconds=3600, unmet_lifetime=43_200)
    assert stored.is_valid_for(43_200, stored.advisory_refresh_at - 1)
    assert not stored.is_valid_for(43_200, stored.advisory_refresh_at)
    assert not stored.is_valid_for(43_201, clock())


def test_the_record_shows_no_credentials(make_stored: MakeStored) -> None:
    stored = make_stored()
    assert repr(stored.credentials) not in repr(stored)
    assert str(stored.scope) in repr(stored)


def test_the_exact_record_is_found_by_scope_and_permission(cache: CredentialCache, make_stored: MakeStored) -> None:
    prefix, key = make_stored("READ", "s3://sales/a*"), make_stored("WRITE", "s3://sales/a")
    cache.add(prefix)
    cache.add(key)
    assert cache.exact("READ", below("a")) is prefix
    assert cache.exact("WRITE", at("a")) is key
    assert cache.exact("READ", below("ab")) is None
    assert cache.exact("WRITE", below("a")) is None
    assert cache.exact("READ", at("a")) is None


def test_a_longest_prefix_is_found_among_names_that_sort_between(make_stored: MakeStored) -> None:
    index: PrefixIndex[StoredCredentials] = PrefixIndex()
    for name in ["", "a", "a/", "a/b", "a/b!", "a/b/", "a/b/a", "a/b/b/z", "a/c", "b"]:
        index.put(name, make_stored("READ", f"s3://sales/{name}*"))
    found = {key: index.longest(key) for key in ("a/b/c", "a/b/a1", "a/b/b", "a/bb", "a0", "c", "")}
    expected = {"a/b/c": "a/b/", "a/b/a1": "a/b/a", "a/b/b": "a/b/", "a/bb": "a/b", "a0": "a", "c": "", "": ""}
    assert {key: one.scope.key for key, one in found.items() if one is not None} == expected


def test_what_was_removed_is_not_found_and_a_shorter_prefix_is(make_stored: MakeStored) -> None:
    index: PrefixIndex[StoredCredentials] = PrefixIndex()
    for name in ("", "a/", "a/b/"):
        index.put(name, make_stored("READ", f"s3://sales/{name}*"))
    index.remove("a/b/")
    index.remove("never there")
    nearest = index.longest("a/b/c")
    assert nearest is not None
    assert nearest.scope.key == "a/"
    index.remove("a/")
    nearest = index.longest("a/b/c")
    assert nearest is not None
    assert nearest.scope.key == ""
    assert len(index) == 1


def test_a_name_goes_with_its_entry(make_stored: MakeStored) -> None:
    index: PrefixIndex[StoredCredentials] = PrefixIndex()
    for number in range(100):
        for _ in range(2):
            index.put(f"a/{number}/", make_stored())
        index.remove(f"a/{number}/")
    assert index._names == []


# What races cost. There is no lock, so another thread, a signal handler or a `__del__` may come in at each step.


def test_what_is_stored_while_another_prefix_is_removed_is_found(make_stored: MakeStored) -> None:
    def begin() -> Any:
        index: PrefixIndex[StoredCredentials] = PrefixIndex()
        old, new = make_stored("READ", "s3://sales/z*"), make_stored("READ", "s3://sales/a/*")
        index.put("b/", make_stored("READ", "s3://sales/b/*"))
        index.put("z", old)

        def check() -> None:
            assert index.longest("a/x") is new
            assert index.longest("z") is None
            assert index.longest("b/x") is not None

        return lambda: index.put("a/", new), lambda: index.remove(old.scope.key), check

    assert interrupted_at_every_step(begin) > 5
    assert interrupted_at_every_step(begin, swapped=True) > 5


def test_what_renews_removed_credentials_is_found_at_the_next_renewal_at_the_latest(make_stored: MakeStored) -> None:
    def begin() -> Any:
        index: PrefixIndex[StoredCredentials] = PrefixIndex()
        old, new, newer = (make_stored("READ", "s3://sales/a/*") for _ in range(3))
        index.put("a/", old)

        def check() -> None:
            index.put("a/", newer)
            assert index.longest("a/x") is newer

        return lambda: index.put("a/", new), lambda: index.remove(old.scope.key), check

    interrupted_at_every_step(begin)
    interrupted_at_every_step(begin, swapped=True)


def test_a_search_beside_changes_finds_what_covers_the_key_or_nothing(make_stored: MakeStored) -> None:
    for change in ("put", "remove", "remove all"):

        def begin(change: str = change) -> Any:
            index: PrefixIndex[StoredCredentials] = PrefixIndex()
            found: list[Any] = []
            names = ("a", "a/b/", "a/b/c", "a/b/w", "b")
            for name in names:
                index.put(name, make_stored("READ", f"s3://sales/{name}*"))

            def changed() -> None:
                if change == "remove":
                    index.remove("a/b/")
                elif change == "remove all":
                    for name in names:
                        index.remove(name)
                else:
                    for name in ("", "a/", "a/b"):
                        index.put(name, make_stored("READ", f"s3://sales/{name}*"))

            def check() -> None:
                assert all(stored is None or "a/b/x".startswith(stored.scope.key) for stored in found)
                nearest = index.longest("a/b/x")
                assert (nearest and nearest.scope.key) == {"remove": "a", "remove all": None, "put": "a/b/"}[change]

            return lambda: found.append(index.longest("a/b/x")), changed, check

        interrupted_at_every_step(begin)
        interrupted_at_every_step(begin, swapped=True)


@pytest.mark.parametrize("other", ["0", "d"])
def test_removals_beside_each_other_remove_no_more_and_no_less(make_stored: MakeStored, other: str) -> None:
    def begin() -> Any:
        index: PrefixIndex[StoredCredentials] = PrefixIndex()
        names = ("a", "b", "c")
        for name in (*names, other):
            index.put(name, make_stored("READ", f"s3://sales/{name}*"))

        def remove_all() -> None:
            for name in names:
                index.remove(name)

        def check() -> None:
            assert [index.longest(name) is None for name in (*names, other)] == [True, True, True, False]

        return remove_all, remove_all, check

    assert interrupted_at_every_step(begin) > 20


def test_what_is_added_while_all_else_in_its_bucket_is_dropped_is_found(make_stored: MakeStored, clock: Clock) -> None:
    def begin() -> Any:
        cache = CredentialCache(LIMIT, clock.both)
        old, new = make_stored("READ", "s3://sales/z*"), make_stored("READ", "s3://sales/a/*")
        cache.add(old)

        def check() -> None:
            assert cache.find("READ", at("a/x"), clock()) is new
            assert list(cache) == [new]

        return lambda: cache.add(new), lambda: cache.drop(old), check

    assert interrupted_at_every_step(begin) > 20


@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/a/*"])
def test_dropping_and_adding_beside_an_eviction_raises_nothing(
    make_stored: MakeStored, clock: Clock, scope: str
) -> None:
    for change in ("drop", "add"):

        def begin(change: str = change) -> Any:
            cache, old = CredentialCache(LIMIT, clock.both), make_stored("READ", scope, seconds=-1)
            new, other = make_stored("READ", scope), make_stored("READ", "s3://hr/*")
            cache.add(old)

            def evict() -> None:
                cache.add(other)

            def check() -> None:
                cache.add(new)
                target = GrantScope("sales", "a/", True) if scope.endswith("*") else at("a")
                assert cache.find("READ", target, clock()) is new
                assert cache.find("READ", at("x", "hr"), clock()) is other

            return (lambda: cache.drop(old)) if change == "drop" else (lambda: cache.add(new)), evict, check

        interrupted_at_every_step(begin)
        interrupted_at_every_step(begin, swapped=True)


@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/a/*"])
def test_what_an_interrupted_addition_leaves_behind_goes_when_it_has_ended(
    make_stored: MakeStored, clock: Clock, scope: str
) -> None:
    def begin() -> Any:
        cache, stored = CredentialCache(LIMIT, clock.both), make_stored("READ", scope, seconds=60)
        living = [make_stored("READ", f"s3://hr/{number}") for number in range(2)]

        def check() -> None:
            clock.advance(60)
            for one in living:
                cache.add(one)
            clock.advance(-60)
            assert set(cache) == set(living)

        return lambda: uninterrupted(lambda: cache.add(stored)), interrupt, check

    assert interrupted_at_every_step(begin) > 20


def test_no_interrupted_eviction_lets_more_stay_than_the_limit(make_stored: MakeStored, clock: Clock) -> None:
    def begin() -> Any:
        cache, stored = CredentialCache(3, clock.both), []
        for number in range(7):
            stored.append(make_stored("READ", f"s3://sales/{number}*"))
            stored[-1].used_at += number
        for one in stored[:3]:
            cache.add(one)

        def check() -> None:
            for one in stored[4:]:
                cache.add(one)
            assert set(cache) == set(stored[4:])

        return lambda: uninterrupted(lambda: cache.add(stored[3])), interrupt, check

    assert interrupted_at_every_step(begin) > 100


def test_what_is_evicted_while_it_is_added_goes_with_a_later_addition(make_stored: MakeStored, clock: Clock) -> None:
    def begin() -> Any:
        cache = CredentialCache(1, clock.both)
        one, other, last = (make_stored("READ", f"s3://sales/{name}*") for name in "abc")
        one.used_at = other.used_at = clock() - 1

        def check() -> None:
            cache.add(last)
            assert list(cache) == [last]

        return lambda: cache.add(one), lambda: cache.add(other), check

    assert interrupted_at_every_step(begin) > 20


def interrupt() -> None:
    raise KeyboardInterrupt


def uninterrupted(work: Callable[[], object]) -> None:
    with suppress(KeyboardInterrupt):
        work()


@pytest.fixture
def hasty_threads() -> Any:
    """Have threads take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_that_store_remove_and_search_at_once_lose_nothing(make_stored: MakeStored) -> None:
    index: PrefixIndex[StoredCredentials] = PrefixIndex()
    junk = {f"junk/{number}/": make_stored("READ", f"s3://sales/junk/{number}/*") for number in range(200)}
    good = {f"{worker}/{number}/": make_stored("READ", "s3://sales/*") for worker in range(4) for number in range(200)}

    def store(worker: int) -> None:
        for number in range(200):
            prefix = f"{worker}/{number}/"
            index.put(prefix, good[prefix])
            if worker == 0:
                index.put(f"junk/{number}/", junk[f"junk/{number}/"])

    def remove() -> None:
        for _ in range(10):
            for prefix in junk:
                index.remove(prefix)

    def search() -> None:
        for number in range(2_000):
            key = f"{number % 4}/{number % 200}/x"
            found = index.longest(key)
            assert found is None or found is good[key[:-1]]

    with ThreadPoolExecutor(7) as pool:
        tasks = [*(pool.submit(store, worker) for worker in range(4)), pool.submit(remove), pool.submit(remove)]
        for task in [*tasks, pool.submit(search)]:
            task.result(60)
    remove()
    assert len(index) == len(good)
    assert all(index.longest(f"{prefix}x") is stored for prefix, stored in good.items())


@pytest.mark.usefixtures("hasty_threads")
def test_threads_that_add_find_and_drop_in_a_full_cache_leave_it_within_its_limit(
    make_stored: MakeStored, clock: Clock
) -> None:
    cache = CredentialCache(LIMIT, clock.both)

    def work(worker: int) -> None:
        for number in range(300):
            # Every other scope is another worker's too.
            stored = make_stored("READ", f"s3://sales/{worker * (number % 2)}/{number % 50}{'*' * (number % 3 > 0)}")
            cache.add(stored)
            found = cache.get_fresh("READ", stored.scope, clock())
            assert found is None or found.scope.covers(stored.scope)
            if number % 7 == 0:
                cache.drop(stored)
            assert len(list(cache)) <= 2 * LIMIT

    with ThreadPoolExecutor(6) as pool:
        for task in [pool.submit(work, worker) for worker in range(6)]:
            task.result(60)
    # What more than one thread left behind goes with the next additions.
    last = [make_stored("READ", f"s3://hr/{number}") for number in range(LIMIT)]
    for stored in last:
        cache.add(stored)
    assert set(cache) == set(last)
