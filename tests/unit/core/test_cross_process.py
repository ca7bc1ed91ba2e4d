"""While another process renews, one's own credentials serve, and never into their mandatory window."""

from __future__ import annotations

from typing import Any

import pytest

from access_grants_provider.core.caller_state import Memory
from access_grants_provider.core.cross_process import shared
from access_grants_provider.core.io_requests import Guard, Guarded, Recall
from access_grants_provider.core.single_flight import flight_key

from .resolver_steps import ASK, EMEA, OWNER, MakeRules, MakeVended, Play


@pytest.mark.parametrize("life", [4, 900, 43_200])
@pytest.mark.parametrize("share", [0.76, 0.87])
def test_credentials_that_another_process_renews_serve_no_longer_than_ever(
    memory: Memory, make_rules: MakeRules, make_vended: MakeVended, play: Play, clock: Any, life: int, share: float
) -> None:
    rules, held = make_rules(account_id=OWNER, cache="disk"), make_vended("READ", EMEA, life)
    memory.credentials.add(held, 0)
    clock.advance(life * share if life < 43_200 else life - 610)
    assert held.refresh_at <= clock() < held.renew_at
    key = flight_key(memory, ASK, held, frozenset(), rules)[1:]
    nobody_asks = (Recall("sales"), []), (Guard(key, patient=False), Guarded(None, True))
    assert play(shared(memory, ASK, rules, held, iter), *nobody_asks) is held
    assert clock() < held.refresh_at <= held.renew_at
    clock.advance(held.renew_at - clock())
    assert memory.warm(ASK.permission, ASK.target, clock()) is None
