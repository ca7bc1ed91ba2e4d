"""Which stored credentials serve a request, and until when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from access_grants_provider.core.credential_cache import CredentialCache, PrefixIndex, Vended
from access_grants_provider.core.scopes import GrantScope, Permission

MakeVended = Callable[..., Vended]
LIMIT = 32


@pytest.fixture
def cache() -> CredentialCache:
    return CredentialCache(LIMIT)


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
    make_vended: MakeVended, clock: Callable[[], float], life: float, advisory: float, mandatory: float
) -> None:
    vended = make_vended(seconds=life)
    assert vended.expires_at == clock() + life
    assert vended.expires_at - vended.refresh_at == pytest.approx(advisory)
    assert vended.expires_at - vended.renew_at == pytest.approx(mandatory)
    assert clock() < vended.refresh_at < vended.renew_at < vended.expires_at


def test_nothing_is_found_in_an_empty_cache(cache: CredentialCache) -> None:
    assert cache.find("READ", at("a")) is None
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
    cache: CredentialCache, make_vended: MakeVended, scope: str, found: list[GrantScope], not_found: list[GrantScope]
) -> None:
    vended = make_vended("READ", scope)
    cache.add(vended, 0)
    assert [cache.find("READ", target) for target in found] == [vended] * len(found)
    assert [cache.find("READ", target) for target in not_found] == [None] * len(not_found)


@pytest.mark.parametrize(
    ("held", "serves"),
    [("READ", ["READ"]), ("WRITE", ["WRITE"]), ("READWRITE", ["READ", "WRITE", "READWRITE"])],
)
@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/*"])
def test_a_credential_is_found_for_what_its_permission_serves(
    cache: CredentialCache, make_vended: MakeVended, held: Permission, serves: list[Permission], scope: str
) -> None:
    cache.add(make_vended(held, scope), 0)
    asked: list[Permission] = ["READ", "WRITE", "READWRITE"]
    assert [one for one in asked if cache.find(one, at("a"))] == serves


def test_the_nearest_scope_comes_first(cache: CredentialCache, make_vended: MakeVended) -> None:
    scopes = ["s3://sales/*", "s3://sales/a*", "s3://sales/a/*", "s3://sales/a/b/*", "s3://sales/a/b/c"]
    held = [make_vended("READ", scope) for scope in scopes]
    for vended in held:
        cache.add(vended, 0)
    targets = [at("b"), at("ab"), at("a/x"), at("a/b/x"), at("a/b/c")]
    assert [cache.find("READ", target) for target in targets] == held
    assert cache.find("READ", below("a/b/c")) is held[3]


def test_the_permission_asked_for_comes_before_readwrite(cache: CredentialCache, make_vended: MakeVended) -> None:
    both, read = make_vended("READWRITE", "s3://sales/a"), make_vended("READ", "s3://sales/*")
    cache.add(both, 0)
    assert cache.find("READ", at("a")) is both
    cache.add(read, 0)
    assert cache.find("READ", at("a")) is read
    assert cache.find("WRITE", at("a")) is both


@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/a*"])
def test_a_newer_credential_of_the_same_scope_takes_the_place(
    cache: CredentialCache, make_vended: MakeVended, scope: str
) -> None:
    old, new = make_vended("READ", scope), make_vended("READ", scope)
    cache.add(old, 0)
    cache.add(new, 0)
    assert cache.find("READ", at("a")) is new
    assert len(cache) == 1


@pytest.mark.parametrize("scope", ["s3://sales/a", "s3://sales/a*"])
def test_drop_drops_exactly_that_record(cache: CredentialCache, make_vended: MakeVended, scope: str) -> None:
    old, new, wider = make_vended("READ", scope), make_vended("READ", scope), make_vended("READ", "s3://sales/*")
    for vended in (wider, old, new):
        cache.add(vended, 0)
    cache.drop(old)
    assert cache.find("READ", at("a")) is new
    cache.drop(new)
    assert cache.find("READ", at("a")) is wider
    cache.drop(new)
    assert len(cache) == 1


def test_an_object_and_a_prefix_of_one_name_are_two_records(cache: CredentialCache, make_vended: MakeVended) -> None:
    exact, prefix = make_vended("READ", "s3://sales/a"), make_vended("READ", "s3://sales/a*")
    cache.add(exact, 0)
    cache.add(prefix, 0)
    assert len(cache) == 2
    cache.drop(exact)
    assert cache.find("READ", at("a")) is prefix


def test_it_never_holds_more_than_its_limit(
    cache: CredentialCache, make_vended: MakeVended, clock: Callable[[], float]
) -> None:
    for number in range(10 * LIMIT):
        cache.add(make_vended("READ", f"s3://sales/{number}{'*' * (number % 2)}"), clock())
        assert len(cache) == len(list(cache)) <= LIMIT
    assert len(cache) > LIMIT // 2


def test_the_least_recently_used_goes_first(
    cache: CredentialCache, make_vended: MakeVended, clock: Callable[[], float]
) -> None:
    held = [make_vended("READ", f"s3://sales/{number}") for number in range(LIMIT)]
    for number, vended in enumerate(held):
        vended.used_at = clock() + (number + 5) % LIMIT
        cache.add(vended, clock())
    cache.add(make_vended("READ", "s3://sales/new"), clock())
    gone = [number for number in range(LIMIT) if cache.find("READ", at(str(number))) is None]
    by_use = sorted(range(LIMIT), key=lambda number: held[number].used_at)
    assert gone
    assert sorted(gone) == sorted(by_use[: len(gone)])


def test_the_newest_stays_even_where_it_was_used_least_recently(
    make_vended: MakeVended, clock: Callable[[], float]
) -> None:
    cache = CredentialCache(1)
    old, new = make_vended("READ", "s3://sales/old"), make_vended("READ", "s3://sales/new")
    new.used_at = clock() - 1000
    cache.add(old, clock())
    cache.add(new, clock())
    assert list(cache) == [new]


def test_what_has_expired_goes_before_what_is_used(
    cache: CredentialCache, make_vended: MakeVended, clock: Callable[[], float]
) -> None:
    expired = make_vended("READ", "s3://sales/expired*", seconds=60)
    expired.used_at = clock() + 1_000
    cache.add(expired, clock())
    living = [make_vended("READ", f"s3://sales/{number}") for number in range(LIMIT)]
    for vended in living:
        cache.add(vended, clock() + 120)
    assert set(cache) == set(living)


def test_what_has_expired_goes_in_time_though_there_is_room(
    cache: CredentialCache, make_vended: MakeVended, clock: Callable[[], float]
) -> None:
    cache.add(make_vended("READ", "s3://sales/expired*", seconds=60), clock())
    living = make_vended("READ", "s3://sales/a")
    cache.add(living, clock() + 301)
    assert list(cache) == [living]


def test_the_record_shows_no_signer(make_vended: MakeVended) -> None:
    vended = make_vended()
    assert repr(vended.signer) not in repr(vended)
    assert "signer" not in repr(vended)


def test_a_longest_prefix_is_found_among_names_that_sort_between(make_vended: MakeVended) -> None:
    index = PrefixIndex()
    for name in ["", "a", "a/", "a/b", "a/b!", "a/b/", "a/b/a", "a/b/b/z", "a/c", "b"]:
        index.put(name, make_vended("READ", f"s3://sales/{name}*"))
    found = {key: index.longest(key) for key in ("a/b/c", "a/b/a1", "a/b/b", "a/bb", "a0", "c", "")}
    expected = {"a/b/c": "a/b/", "a/b/a1": "a/b/a", "a/b/b": "a/b/", "a/bb": "a/b", "a0": "a", "c": "", "": ""}
    assert {key: one.scope.key for key, one in found.items() if one is not None} == expected
