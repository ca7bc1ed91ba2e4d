"""What a user is handed: nothing secret is shown, and credentials can't be pickled."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timezone
from typing import Any

import pytest

from access_grants_provider import CallerGrant, Decision, Stats, VendedCredentials

ENDS = datetime(2027, 1, 15, tzinfo=timezone.utc)
VENDED = VendedCredentials("ASIAVENDED", "the secret", "the token", ENDS, "s3://sales/*", "READ", "eu-west-1")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_vended_credentials_can_not_be_pickled(protocol: int) -> None:
    # A pickle is a file or a message with the keys in it.
    for held in (VENDED, [VENDED], {"credentials": VENDED}):
        with pytest.raises(TypeError, match="can't be pickled; ask for them in the process that needs them"):
            pickle.dumps(held, protocol)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_vended_credentials_can_be_copied_within_the_process(copied: Any) -> None:
    assert copied(VENDED) is VENDED
    assert copied([VENDED]) == [VENDED]


def test_vended_credentials_show_no_secret() -> None:
    for shown in (repr(VENDED), str(VENDED), f"{[VENDED]}"):
        assert not any(secret in shown for secret in ("ASIAVENDED", "the secret", "the token"))
        assert "s3://sales/*" in shown


def test_vended_credentials_are_frozen() -> None:
    with pytest.raises(AttributeError):
        VENDED.token = "other"  # type: ignore[misc]


def test_a_decision_can_be_formatted_pickled_and_compared() -> None:
    decision = Decision("GetObject", "READ", "s3://sales/x", "granted", "s3://sales/*", "cache", expiration=ENDS)
    assert "%s" % decision == repr(decision)  # noqa: UP031  in somebody's callback
    assert pickle.loads(pickle.dumps(decision)) == decision
    assert len({decision, copy.copy(decision)}) == 1
    with pytest.raises(AttributeError):
        decision.outcome = "denied"  # type: ignore[misc]


def test_counts_and_grants_are_plain_tuples() -> None:
    assert Stats() == (0,) * 10
    assert CallerGrant("READ", "s3://sales/*") == ("READ", "s3://sales/*", None)
