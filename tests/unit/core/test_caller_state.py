"""What is remembered belongs to one requester, is bounded, and survives a fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from access_grants_provider.core import caller_state as module
from access_grants_provider.core.caller_state import Denial, Flight, Memory, Store
from access_grants_provider.core.credential_cache import Vended
from access_grants_provider.core.scopes import GrantScope, Permission

MakeVended = Callable[..., Vended]


class Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None = None


ANN = Keys("AKIAANN", "secret of Ann", "token")


@pytest.fixture
def store() -> Store:
    return Store("Default")


def at(key: str, bucket: str = "sales") -> GrantScope:
    return GrantScope(bucket, key, False)


@pytest.mark.parametrize(
    "other",
    [
        ANN._replace(secret_key="another secret"),
        ANN._replace(token="another token"),
        ANN._replace(token=None),
        ANN._replace(access_key="AKIABOB"),
        Keys("AKIAANNs", "ecret of Ann", "token"),
        Keys("AKIAANN", "secret of Annt", "oken"),
    ],
)
def test_other_credentials_are_another_requester(store: Store, other: Keys) -> None:
    assert store.digest(ANN) != store.digest(other)
    assert store.memory(store.digest(ANN), "ann") is not store.memory(store.digest(other), "other")


def test_the_same_credentials_are_the_same_requester(store: Store) -> None:
    again = Keys(*ANN)
    assert store.memory(store.digest(ANN), "ann") is store.memory(store.digest(again), "ann")
    assert len(store) == 1


def test_a_digest_tells_nothing_outside_its_store(store: Store) -> None:
    digest = store.digest(ANN)
    assert digest != Store("Default").digest(ANN)
    assert not any(part.encode() in digest for part in ANN if part)


def test_nothing_is_shared_between_two_requesters(store: Store, make_vended: MakeVended) -> None:
    ann = store.memory(store.digest(ANN), "ann")
    bob = store.memory(store.digest(ANN._replace(secret_key="Bob's")), "bob")
    vended = make_vended()
    ann.credentials.add(vended, 0)
    ann.deny("READ", at("x"), Denial("no grant", "no", 10.0))
    ann.deny("READ", at("x", "other"), Denial("no instance", "no", 10.0))
    ann.account_id = "111122223333"
    ann.flights["READ", at("x")] = Flight("leader")
    assert bob.warm("READ", at("emea/x"), 0) is None
    assert bob.denial("READ", at("x"), 0) is None
    assert bob.denial("READ", at("x", "other"), 0) is None
    assert bob.account_id is None
    assert not bob.flights


def test_credentials_that_were_rotated_go_with_all_that_was_vended(store: Store, make_vended: MakeVended) -> None:
    digest = store.digest(ANN)
    store.memory(digest, "ann").credentials.add(make_vended(), 0)
    store.forget(digest)
    store.forget(digest)
    assert len(store) == 0
    assert len(store.memory(digest, "ann").credentials) == 0


def test_the_requester_seen_longest_ago_goes_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQUESTERS", 2)
    first, second = store.memory(b"1", "1"), store.memory(b"2", "2")
    assert store.memory(b"1", "1") is first
    store.memory(b"3", "3")
    assert len(store) == 2
    assert store.memory(b"1", "1") is first
    assert store.memory(b"2", "2") is not second


def is_free(lock: Any) -> bool:
    """Ask another thread: whoever holds the lock may take it again."""
    with ThreadPoolExecutor(1) as elsewhere:
        taken: bool = elsewhere.submit(lock.acquire, blocking=False).result()
        if taken:
            elsewhere.submit(lock.release).result()
        return taken


def test_warm_credentials_are_handed_out_until_their_advisory_window(memory: Memory, make_vended: MakeVended) -> None:
    vended = make_vended("READ", "s3://sales/emea/*")
    memory.credentials.add(vended, 0)
    assert memory.warm("READ", at("emea/x"), vended.refresh_at - 0.001) is vended
    assert vended.used_at == vended.refresh_at - 0.001
    assert memory.warm("READ", at("emea/x"), vended.refresh_at) is None
    assert memory.warm("READ", at("emea/x"), vended.expires_at) is None
    assert memory.warm("READ", at("apac/x"), vended.used_at) is None
    assert memory.warm("WRITE", at("emea/x"), vended.used_at) is None
    assert is_free(memory.lock)


def test_a_denial_holds_for_its_target_and_permission_until_its_time(memory: Memory) -> None:
    denial = Denial("no grant", "no", 300.0)
    memory.deny("READ", at("x"), denial)
    assert memory.denial("READ", at("x"), 299.9) is denial
    assert memory.denial("READ", at("x"), 300.0) is None
    assert memory.denial("WRITE", at("x"), 0) is None
    assert memory.denial("READ", at("y"), 0) is None
    assert memory.denial("READ", GrantScope("sales", "x", True), 0) is None


@pytest.mark.parametrize("kind", ["no instance", "permission missing"])
def test_a_denial_that_is_not_about_the_key_holds_for_the_bucket(memory: Memory, kind: Any) -> None:
    denial = Denial(kind, "no", 300.0, "444455556666", "eu-west-1")
    memory.deny("READ", at("x"), denial)
    assert memory.denial("WRITE", at("y"), 299.9) is denial
    assert memory.denial("WRITE", at("y"), 300.0) is None
    assert memory.denial("READ", at("x", "other"), 0) is None


READ_A: tuple[Permission, GrantScope] = ("READ", GrantScope("sales", "a/", True))
WRITE_A: tuple[Permission, GrantScope] = ("WRITE", GrantScope("sales", "a/", True))
BOTH_A: tuple[Permission, GrantScope] = ("READWRITE", GrantScope("sales", "a/", True))


@pytest.mark.parametrize(
    ("grants", "permission", "key", "a_chance"),
    [
        ((READ_A,), "READ", "a/x", True),
        ((READ_A,), "READ", "b/x", False),
        ((READ_A,), "WRITE", "a/x", False),
        ((READ_A,), "READWRITE", "a/x", False),
        ((READ_A, WRITE_A), "READWRITE", "a/x", True),
        ((BOTH_A,), "READ", "a/x", True),
        ((BOTH_A,), "WRITE", "a/x", True),
        ((BOTH_A,), "READWRITE", "a/x", True),
        ((), "READ", "a/x", False),
    ],
)
def test_listed_grants_deny_what_lies_outside_all_of_them(
    memory: Memory, grants: tuple[Any, ...], permission: Permission, key: str, a_chance: bool
) -> None:
    facts = memory.bucket("sales")
    facts.grants, facts.grants_until = grants, 300.0
    denial = memory.denial(permission, at(key), 299.9)
    assert (denial is None) is a_chance
    if denial is not None:
        assert denial.kind == "no grant"
        assert repr(f"s3://sales/{key}") in denial.reason
        assert memory.label in denial.reason
    assert memory.denial(permission, at(key), 300.0) is None


def test_denials_and_buckets_are_bounded(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DENIALS", 3)
    monkeypatch.setattr(module, "MAX_BUCKETS", 3)
    for number in range(10):
        memory.deny("READ", at(str(number)), Denial("no grant", "no", 300.0))
        memory.bucket(f"bucket-{number}")
    assert [number for number in range(10) if memory.denial("READ", at(str(number)), 0)] == [7, 8, 9]
    assert len(memory.denials) == 3
    assert len(memory.buckets) <= 3


def test_a_target_is_rechecked_once_in_five_minutes(memory: Memory) -> None:
    scope = GrantScope("sales", "", True)
    assert memory.may_recheck("READ", scope, at("x"), 0)
    assert not memory.may_recheck("READ", scope, at("x"), 299)
    assert memory.may_recheck("WRITE", scope, at("x"), 299)
    assert memory.may_recheck("READ", scope, at("y"), 299)
    assert memory.may_recheck("READ", scope, at("x"), 300)


def test_a_bucket_that_refuses_every_key_is_not_rechecked_for_each(memory: Memory) -> None:
    scope = GrantScope("sales", "", True)
    asked = [number for number in range(100) if memory.may_recheck("READ", scope, at(str(number)), 0)]
    assert len(asked) == module.MAX_RECHECKS


@pytest.fixture
def child() -> Iterator[Callable[[Callable[[], bool]], bool]]:
    """Say whether something is true in a forked child."""

    def forked(check: Callable[[], bool]) -> bool:
        process = os.fork()
        if process == 0:
            code = 1
            try:
                code = 0 if check() else 1
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0

    return forked


# Other tests of the same run may have left threads behind, of which Python 3.12 warns.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_keeps_the_credentials_and_abandons_the_flights(
    store: Store, make_vended: MakeVended, child: Callable[[Callable[[], bool]], bool]
) -> None:
    memory, vended, flight = store.memory(store.digest(ANN), "ann"), make_vended(), Flight("leader")
    memory.credentials.add(vended, 0)
    memory.flights["READ", at("x")] = flight

    def whole() -> bool:
        free = memory.lock.acquire(timeout=5)
        memory.lock.release()
        return free and not memory.flights and memory.warm("READ", at("emea/x"), vended.used_at) is vended

    assert child(whole)
    assert memory.flights == {("READ", at("x")): flight}
    assert is_free(memory.lock)
