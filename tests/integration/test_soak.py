"""The soak runs, finds nothing, and would find what is signed wrongly."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import access_grants_provider
from access_grants_provider.testing.records import RecordedRequest

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0
CALLS = 150

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it forks, and looks into /proc")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "stress.soak", *options]
    return subprocess.run(
        [*command, "--minutes", "0.05", "--calls", str(CALLS), "--threads", "16", "--tasks", "24"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.exhaustive
@linux
def test_a_short_soak_finds_no_failure_and_says_what_it_did():
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    record = re.search(
        r"requests = (\d+) \((\d+) by a grant, (\d+) by the caller\), vends = (\d+), rotations = (\d+), "
        r"faults injected = (\d+), failures = 0",
        done.stdout,
    )
    assert record is not None, done.stdout
    assert all(int(count) > 0 for count in record.groups()), done.stdout
    calls = re.search(r"^(\d+) calls, ", done.stdout, re.MULTILINE)
    assert calls is not None, done.stdout
    assert int(calls[1]) >= CALLS


@pytest.mark.exhaustive
@linux
def test_a_request_that_is_signed_wrongly_makes_the_soak_fail():
    done = run("--mutation", "stranger")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILURE: mallory signed it" in done.stdout


class Dice:
    """Throws what is asked for, again and again: first whether there is a fault, then which."""

    def __init__(self, *throws: float) -> None:
        self._throws = cycle(throws)

    def random(self) -> float:
        return next(self._throws)


def test_a_control_call_that_met_a_fault_is_answered_when_it_is_made_again(soak):
    always, a_reset = 0.0, 0.4
    with soak.service.FaultyServer(0) as server:
        server.bucket("data")
        alice = server.identity("alice")
        server.grant(alice, "s3://data/*", "READ")
        server._random = Dice(always, a_reset)
        provider = access_grants_provider.register(
            server.session(alice), account_id=server.account_id, endpoint_url=server.url
        )
        assert provider.credentials("s3://data/x", "READ").scope == "s3://data/*"
        assert [fault.kind for fault in server.faults] == ["reset"]
        assert server.calls("GetDataAccess") == 2


@pytest.fixture
def soak(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    names = ("journal", "oracle", "leaks", "service", "scenario")
    return SimpleNamespace(**{name: importlib.import_module(f"stress.soak.{name}") for name in names})


def work_of(soak, person: str = "alice", method: str = "get_object", zone: str = "steady", **more: Any) -> Any:
    prefix = {"steady": f"steady/{person}/", "moving": f"moving/{person}/0/"}.get(zone, f"{zone}/{person}/")
    given = {"generation": 1, "began": NOW, "ended": NOW + 1, "ending": "ok", **more}
    return soak.scenario.Work("w1", person, "threads", method, zone, prefix, {}, **given)


def record_of(person: str | None = "alice", signer: str | None = "grant", **more: Any) -> RecordedRequest:
    vended = {"scope": f"s3://soak/steady/{person}/*", "permission": "READ", "expires_at": NOW + 3}
    given: dict[str, Any] = {
        "service": "s3", "operation": "GetObject", "bucket": "soak", "key": "steady/alice/base", "access_key_id": "A",
        "signer": signer, "principal": person, "grant_id": None, "region": "us-east-1", "status": 200,
        "error_code": None, "user_agent": "Botocore/1 soak/w1", "time": NOW + 0.5, "host": "h", "signed_at": NOW,
        **(vended if signer == "grant" else {"scope": None, "permission": None, "expires_at": None}), **more,
    }  # fmt: skip
    return RecordedRequest(**given)


def complaints(soak, work: Any, *records: RecordedRequest, events: Any = (), faults: Any = ()) -> str:
    return "; ".join(soak.oracle.examine([work], records, events, faults).wrong)


def test_a_request_under_its_grant_is_right(soak):
    assert complaints(soak, work_of(soak), record_of()) == ""


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        (record_of(signer="alice"), "the caller signed it"),
        (record_of(person="bob", signer="bob"), "bob signed it"),
        (record_of(person=None, signer=None), "None signed it"),
        (record_of(person="bob"), "a credential vended to bob signed it"),
        (record_of(signed_at=NOW + 3), "an expired credential signed it"),
        (record_of(signed_at=None), "an expired credential signed it"),
        (record_of(scope="s3://soak/steady/*"), "a credential that does not cover it"),
        (record_of(permission="WRITE"), "a credential that does not cover it"),
        (record_of(status=403), "S3 refused the credential"),
        (record_of(user_agent="Botocore/1"), "requests of nobody"),
        (record_of(service="s3control", operation="GetDataAccess"), "none of the people"),
    ],
)
def test_a_wrong_signature_is_named(soak, record, complaint):
    assert complaint in complaints(soak, work_of(soak), record)


def test_without_a_grant_the_caller_signs_and_nobody_else(soak):
    work = work_of(soak, zone="own")
    assert complaints(soak, work, record_of(signer="alice")) == ""
    assert "none was right" in complaints(soak, work, record_of(scope="s3://soak/own/alice/*"))


def test_who_never_falls_back_is_refused_and_sends_nothing(soak):
    refused = work_of(soak, person="carol", zone="own", ending="AccessDenied")
    assert complaints(soak, refused) == ""
    assert "the caller signed it" in complaints(soak, refused, record_of(person="carol", signer="carol"))
    assert "it ended with AccessDenied" in complaints(soak, work_of(soak, person="carol", ending="AccessDenied"))


def test_an_outage_excuses_only_whom_it_befell_and_when(soak):
    failed = work_of(soak, ending="MalformedAnswer")
    fault = soak.service.Fault
    assert complaints(soak, failed, faults=[fault(NOW + 0.5, "empty", "alice", True)]) == ""
    for other in (
        fault(NOW + 0.5, "empty", "bob", True),
        fault(NOW + 0.5, "SlowDown", "alice", False),
        fault(NOW + 2, "empty", "alice", True),
    ):
        assert "it ended with MalformedAnswer" in complaints(soak, failed, faults=[other])


@pytest.mark.parametrize(
    ("granted", "revoked", "cleared", "by_grant", "by_caller"),
    [
        (-20, None, -10, True, False),  # held since before the provider forgot: nothing else is right
        (-20, None, -30, True, True),  # a refusal from before the grant may still be remembered
        (-20, -1, -10, True, True),  # taken, and what was vended lives on
        (-20, -9, -10, False, True),  # taken longer ago than credentials live
        (None, None, -10, False, True),
        (-20, 0.5, -10, True, True),  # taken in the middle of the call
    ],
)
def test_a_moving_grant_decides_by_when_it_was_there(soak, granted, revoked, cleared, by_grant, by_caller):
    event, folder = soak.journal.Event, "moving/alice/0/"
    events = [event("fresh", "alice", NOW + cleared, NOW + cleared, side="threads", generation=1)]
    for kind, when in (("granted", granted), ("revoked", revoked)):
        if when is not None:
            events.append(event(kind, "alice", NOW + when, NOW + when, folder))
    work = work_of(soak, zone="moving")
    signed = record_of(scope=f"s3://soak/{folder}*")
    assert (complaints(soak, work, signed, events=events) == "") == by_grant
    assert (complaints(soak, work, record_of(signer="alice"), events=events) == "") == by_caller


def test_after_unregister_the_caller_alone_signs(soak):
    event = soak.journal.Event
    retired = [event("retired", "alice", NOW - 2, NOW - 1, side="threads", generation=1)]
    refused = work_of(soak, ending="ClientError:AccessDenied")
    assert complaints(soak, refused, record_of(signer="alice", status=403), events=retired) == ""
    assert "none was right" in complaints(soak, work_of(soak), record_of(), events=retired)


def test_what_is_left_behind_is_named(soak):
    held = soak.leaks.Held
    before, after = held(1, 1, 9, 100.0, Counter(a=1)), held(2, 3, 10, 200.0, Counter(a=1, b=2))
    assert soak.leaks.leaks(before, before) == []
    assert soak.leaks.leaks(before, after) == [
        "2 threads, and 1 before",
        "3 sockets, and 1 before",
        "10 files, and 9 before",
        "200 MiB resident, and 100 before",
        "2 more b",
    ]
