"""No secret comes out: not in logs, representations, errors or pickles."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

from access_grants_provider.registration import _registry


@pytest.fixture
def scenario(grants, register, caplog):
    caplog.set_level(logging.DEBUG)
    alice = grants.identity("alice", session=True)
    grants.grant(alice, "s3://data/in/*", "READWRITE")
    grants.put("s3://data/in/x", b"1")
    session = grants.session(alice)
    seen: list[Any] = []
    provider = register(session, on_decision=seen.append)
    s3 = session.client("s3")
    s3.get_object(Bucket="data", Key="in/x")
    vended = provider.credentials("s3://data/in/x", "READ")
    return alice, provider, s3, seen, vended


def secrets_of(alice, vended) -> list[str]:
    return [alice.secret_access_key, vended.secret_key]


def logged(caplog, name: str = "") -> str:
    """Return what the fixture had logged while it made its requests."""
    return "\n".join(one.getMessage() for one in caplog.get_records("setup") if one.name.startswith(name))


def test_no_secret_key_is_in_any_log_even_at_debug(scenario, caplog):
    alice, *_, vended = scenario
    assert "Response body of GetDataAccess: withheld" in logged(caplog)
    for secret in secrets_of(alice, vended):
        assert secret not in logged(caplog)


def test_no_token_is_in_our_own_logs(scenario, caplog):
    alice, *_, vended = scenario
    ours = logged(caplog, "access_grants_provider")
    assert "GetObject" in ours
    for token in (alice.session_token, vended.token):
        assert token not in ours


def everything_within(root: object) -> list[object]:
    """Return what can be reached from an object by its attributes, slots, items and closures, our classes only."""
    seen: dict[int, object] = {}
    todo = [root]
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        inside = list(getattr(one, "__dict__", {}).values()) if "access_grants" in type(one).__module__ else []
        if isinstance(one, dict):
            inside += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            inside += one
        todo += inside
    return list(seen.values())


def test_no_representation_shows_one(scenario, edge):
    alice, provider, s3, seen, vended = scenario
    hook = _registry.hooks[s3.meta.events]()
    reachable = everything_within([edge.bare(provider), hook, seen, vended])
    own = [one for one in reachable if not isinstance(one, str) or one not in (vars(vended).values())]
    shown = "\n".join(map(repr, own))
    for secret in [*secrets_of(alice, vended), vended.token, alice.session_token]:
        assert secret not in shown


def test_no_error_nor_its_traceback_with_locals_shows_one(grants, scenario):
    alice, provider, _, _, vended = scenario
    grants.tamper("GetDataAccess", lambda answer: {**answer, "MatchedGrantTarget": "s3://elsewhere/*"}, times=None)
    grants.put("s3://data/in/y", b"1")
    provider.clear()
    with pytest.raises(Exception, match="does not cover the target") as raised:
        provider.explain("get_object", Bucket="data", Key="in/x")
    frames = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    ours = [one for one in frames.stack if "access_grants_provider/testing" not in one.filename and one.locals]
    # botocore's frames hold the answer they parse; ours must not.
    text = "\n".join(str(one.locals) for one in ours if "/access_grants_provider/" in one.filename)
    assert text
    assert "SecretAccessKey" not in text
    assert alice.secret_access_key not in text


def test_a_requester_cannot_be_pickled(scenario):
    *_, s3, _, _ = scenario[:5]
    hook = _registry.hooks[s3.meta.events]()
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(hook._callers._last)


def test_a_decision_is_plain_data(scenario):
    decision = scenario[3][0]
    assert pickle.loads(pickle.dumps(decision)) == decision


def test_control_characters_in_a_key_forge_no_log_line(grants, scenario, caplog):
    _, provider, s3, *_ = scenario
    caplog.clear()
    caplog.set_level(logging.DEBUG, logger="access_grants_provider")
    with pytest.raises(s3.exceptions.ClientError):
        s3.get_object(Bucket="data", Key="out\nWARNING root: all is well")
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("access_grants_provider")]
    assert ours
    assert not [line for line in ours if "\n" in line]
