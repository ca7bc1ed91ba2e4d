"""Whose credentials sign a request, and what happens to what was vended when they change."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

from access_grants_provider.core.caller_state import CallerStates
from access_grants_provider.sdk.caller import Caller, CallerTracker, masked_key

# Any: in botocore's stubs each part may be missing, which in the credentials of a signed request it is not.
ANN: Any = ReadOnlyCredentials("AKIAANNANNANNANNANNA", "the secret of Ann", "the token of Ann")
BOB: Any = ReadOnlyCredentials("AKIABOBBOBBOBBOBBOBB", "the secret of Bob", "the token of Bob")


@pytest.fixture
def states(clock: Any) -> CallerStates:
    return CallerStates("Default", clock.both)


@pytest.fixture
def tracker() -> CallerTracker:
    """Tracks the callers of a client in a process where no vended session is known."""
    return CallerTracker(lambda _: False)


def test_a_caller_shows_no_secret(states: CallerStates) -> None:
    caller = Caller(ANN, states)
    assert repr(caller) == "<Caller AKIA…ANNA>"
    assert not hasattr(caller, "__dict__")
    assert "secret" not in f"{caller} {caller.state.masked_key} {caller.digest!r}"


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_caller_can_not_be_pickled(states: CallerStates, copied: Any) -> None:
    with pytest.raises(TypeError, match="register again in the other process"):
        copied(Caller(ANN, states))


@pytest.mark.parametrize(
    ("key", "masked"),
    [("AKIAANNANNANNANNANNA", "AKIA…ANNA"), ("AKIAANNA", "AK…"), ("AKIAANNAX", "AKIA…NNAX"), ("ab", "ab…"), ("", "…")],
)
def test_a_key_is_masked_to_its_ends(key: str, masked: str) -> None:
    assert masked_key(key) == masked


def test_the_calls_are_signed_with_the_same_credentials(states: CallerStates) -> None:
    assert Caller(ANN, states).credentials.get_frozen_credentials()[:3] == ANN[:3]


@pytest.mark.parametrize(
    ("account", "taken"), [("111122223333", "111122223333"), (None, None), ("", None), ("my account", None)]
)
def test_an_account_is_taken_from_the_credentials_only_where_it_is_one(
    states: CallerStates, account: str | None, taken: str | None
) -> None:
    frozen = ANN._replace(account_id=account) if "account_id" in ANN._fields else None
    if frozen is None:
        pytest.skip("this botocore's frozen credentials have no account_id")
    assert Caller(frozen, states).state.account_id == taken


def test_an_account_that_is_known_is_not_replaced(states: CallerStates) -> None:
    Caller(ANN, states).state.account_id = "444455556666"
    assert Caller(ANN, states).state.account_id == "444455556666"


def test_the_digest_for_other_processes_is_made_of_all_three_parts(states: CallerStates) -> None:
    assert Caller(ANN, states).in_every_process(lambda *parts: repr(parts).encode()) == repr(tuple(ANN[:3])).encode()


def tracked(tracker: CallerTracker, frozen: Any, states: CallerStates, credentials: Any, latest: Any = None) -> Caller:
    return tracker.known(frozen, states) or tracker.get_or_create(credentials, frozen, latest or frozen, states)


def test_the_same_credentials_are_the_same_caller(tracker: CallerTracker, states: CallerStates) -> None:
    credentials = Credentials(*ANN[:3])
    caller = tracked(tracker, ANN, states, credentials)
    assert tracker.known(ANN, states) is caller
    assert tracker.known(BOB, states) is None


def test_a_client_that_signs_as_two_in_turn_keeps_what_was_vended_to_both(
    tracker: CallerTracker, states: CallerStates
) -> None:
    ann = tracked(tracker, ANN, states, Credentials(*ANN[:3]))
    tracked(tracker, BOB, states, Credentials(*BOB[:3]))
    assert tracked(tracker, ANN, states, Credentials(*ANN[:3])).state is ann.state
    assert len(states) == 2


def refreshable() -> Any:
    return RefreshableCredentials.__new__(RefreshableCredentials)


def test_what_was_vended_to_rotated_credentials_goes_with_them(tracker: CallerTracker, states: CallerStates) -> None:
    credentials = refreshable()
    ann = tracked(tracker, ANN, states, credentials)
    bob = tracked(tracker, BOB, states, credentials)
    assert len(states) == 1
    assert tracker.known(BOB, states) is bob
    assert states.get_or_create(ann.digest, "ann") is not ann.state


def test_a_thread_that_saw_the_old_credentials_late_takes_nothing_away(
    tracker: CallerTracker, states: CallerStates
) -> None:
    credentials = refreshable()
    bob = tracked(tracker, BOB, states, credentials)
    late = tracked(tracker, ANN, states, credentials, latest=BOB)
    assert late.state is not bob.state
    assert tracker.known(BOB, states) is bob
    assert states.get_or_create(bob.digest, "bob") is bob.state


def test_after_clear_a_caller_is_remembered_anew(tracker: CallerTracker, states: CallerStates, clock: Any) -> None:
    credentials = refreshable()
    before = tracked(tracker, ANN, states, credentials)
    cleared = CallerStates("Default", clock.both)
    after = tracked(tracker, ANN, cleared, credentials)
    assert after.state is not before.state
    assert (len(states), len(cleared)) == (1, 1)


# Credentials that are a grant's own.


def test_credentials_that_another_process_handed_out_as_a_grant_s_are_known_as_such(states: CallerStates) -> None:
    tracker = CallerTracker(lambda access_key: access_key == ANN.access_key)
    assert tracked(tracker, ANN, states, Credentials(*ANN[:3])).is_vended
    assert not tracked(tracker, BOB, states, Credentials(*BOB[:3])).is_vended


def test_whether_a_session_is_a_grant_s_is_looked_up_once_for_each_set_of_credentials(states: CallerStates) -> None:
    looked_up: list[str] = []

    def is_vended_session(access_key: str) -> bool:
        looked_up.append(access_key)
        return True

    tracker = CallerTracker(is_vended_session)
    for frozen in (ANN, ANN, BOB, BOB):
        assert tracked(tracker, frozen, states, Credentials(*frozen[:3])).is_vended
    assert looked_up == [ANN.access_key, BOB.access_key]


def test_a_long_lived_key_is_no_grant_s_and_is_not_looked_up(states: CallerStates) -> None:
    def is_vended_session(access_key: str) -> bool:
        pytest.fail(f"{access_key} was looked up")

    tracker, long_lived = CallerTracker(is_vended_session), ANN._replace(token=None)
    assert not tracked(tracker, long_lived, states, Credentials(*long_lived[:2])).is_vended


# The caller of a warm request, recognised without a reading.


@pytest.mark.parametrize("part", ["access_key", "secret_key", "token"])
def test_credentials_of_which_one_part_was_exchanged_are_not_unchanged(
    tracker: CallerTracker, states: CallerStates, part: str
) -> None:
    credentials = Credentials(*ANN[:3])
    caller = tracked(tracker, ANN, states, credentials)
    assert tracker.unchanged(credentials, states) is caller
    setattr(credentials, part, getattr(BOB, part))
    assert tracker.unchanged(credentials, states) is None


def test_credentials_that_may_change_by_being_read_are_not_unchanged(
    tracker: CallerTracker, states: CallerStates
) -> None:
    class Changing(Credentials):
        pass

    credentials = Changing(*ANN[:3])
    tracked(tracker, ANN, states, credentials)
    assert tracker.unchanged(credentials, states) is None
