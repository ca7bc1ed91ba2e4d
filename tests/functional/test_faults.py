"""Every control call, struck by every fault, in every state, under every fallback: the cells of ``fault_table.py``.

The fast lane runs of each call one fault for each rule of the table, the exhaustive lane all.

For each state and fallback there is a client with options, a clock and credentials of its own. Each cell begins with a
fresh identity, and ends with a request that is granted after the fault.
"""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import count, product
from typing import Any

import botocore.httpsession
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import access_grants_provider
from access_grants_provider import exceptions
from access_grants_provider.core.clock import Clock
from access_grants_provider.sdk.caller import masked_key as label

from . import fault_table
from .edge_botocore import BotocoreEdge
from .fault_strikes import Refusals, struck
from .fault_table import AFTER_A_NO, CALLS, FAILURES, Cell, Expected

LIFE = 400  # seconds: the advisory window opens after 300, the mandatory one after 350
INTO = {"cold": 0, "warm": 10, "advisory": 301, "mandatory": 351}
# What a failure may be remembered for, under fallback="always".
FORGOTTEN = 31
# The longest that a request may take: the time-out of its one call and of S3, and a machine that is busy.
PATIENCE = 30
# Newer ones tell urllib3 not to.
BOTOCORE_COUNTS_BYTES = "enforce_content_length=False" not in inspect.getsource(botocore.httpsession)
# Long beside what a call takes on a busy machine; each fault of this kind is waited for once.
TIME_OUT = 2

ERRORS = {
    "fails": exceptions.ServiceFailure,
    "no answer": exceptions.Unreachable,
    "nonsense": exceptions.MalformedAnswer,
    "not accepted": exceptions.CallerCredentialsError,
    "no grant": exceptions.AccessDenied,
    "no permission": exceptions.PermissionMissing,
    "no instance": exceptions.NoInstance,
}
# Of these the message says what to do; each of the words is enough.
ADVICE = {
    "fails": ("Try again later", "The response does not look like AWS's"),
    "no answer": ("Check the network",),
    "nonsense": ("The response does not look like AWS's", "Check that this machine's clock is right"),
    "not accepted": ("Set this machine's clock",),
    "no grant": ("Ask the owner",),
    "no permission": ("Allow s3:GetDataAccess",),
    "no instance": ("Create an S3 Access Grants instance",),
}


class Scenario:
    """One edge, the local service over HTTP, and the clients."""

    def __init__(self, edge: Any, server: Any, refusals: Refusals) -> None:
        self.edge, self.server, self.refusals = edge, server, refusals
        self.started = server._clock()
        # One for all, since most of the work of making clients is to read botocore's models.
        self.session = edge.session(server.identity("nobody"))
        self.clients: Any = None
        self.rigs: dict[tuple[str, str, bool], Rig] = {}
        self.numbers = count()

    def rig(self, cell: Cell) -> Rig:
        place = (cell.state, cell.fallback, cell.fault == "timeout")
        if place not in self.rigs:
            self.rigs[place] = Rig(self, *place)
        return self.rigs[place]

    def passed(self, runtime: Any, seconds: float) -> None:
        """Let time pass for the rig whose provider pauses, which is the longest time that full jitter gives."""
        (rig,) = [rig for rig in self.rigs.values() if rig.provider.runtime is runtime]
        rig.passed += seconds


class Rig:
    """A client for the cells of one state and one fallback."""

    def __init__(self, scenario: Scenario, state: str, fallback: str, hasty: bool) -> None:
        self.scenario, self.server = scenario, scenario.server
        self.prefix = f"{state}-{fallback}{'-hasty' if hasty else ''}"
        self.key = f"{self.prefix}/x"
        self.server.put(f"s3://data/{self.key}", b"1")
        self.now = scenario.started
        self.identity: Any = None
        self.neighbour = self.server.identity(f"neighbour-of-{self.prefix}")
        self.server.grant(self.neighbour, f"s3://data/{self.prefix}/*", "READ")
        self.alone = True
        self.decisions: list[Any] = []
        self.made: list[str] = []
        wait = TIME_OUT if hasty else PATIENCE
        config = Config(connect_timeout=wait, read_timeout=wait, retries={"total_max_attempts": 1})
        self.s3 = scenario.session.client("s3", region_name="us-east-1", endpoint_url=self.server.url, config=config)
        self.s3._request_signer._credentials = scenario.edge.whoever(lambda: self.identity)
        bare = scenario.edge.bare(self.s3)
        options = {"endpoint_url": self.server.url, "fallback": fallback, "on_decision": self.decisions.append}
        if hasty:
            options["timeout_seconds"] = TIME_OUT
        self.passed = 0.0
        clock = Clock(lambda: self.now, lambda: self.passed)
        self.provider = access_grants_provider.register(bare, clock=clock, **options)
        self.provider.runtime.jitter = lambda seconds: seconds
        self.provider.runtime.clients = scenario.clients = scenario.clients or self.provider.runtime.clients
        self.provider.observer = lambda _step, call, _seconds, _failed: self.made.append(call.method)
        self.asked = scenario.edge.provider(self.provider)

    def begin(self, cell: Cell, number: int) -> None:
        """Bring a fresh identity into the cell's state."""
        self.now = self.scenario.started
        self.provider.runtime.notices.start_over()
        if self.alone:
            # Somebody else's credentials for the same keys lie in the same cache.
            self.identity, self.alone = self.neighbour, False
            self.asked.credentials(f"s3://data/{self.key}", "READ")
        self.identity = self.server.identity(f"{self.prefix}-{number}")
        self.server.allow(self.identity, f"s3://data/{self.prefix}/*", "READ")
        # So that there is something to list.
        self.elsewhere = self.server.grant(self.identity, f"s3://data/{self.prefix}-elsewhere/*", "READ")
        self.grant = self.server.grant(self.identity, f"s3://data/{self.prefix}/*", "READ")
        self.old: Any = None
        if cell.state != "cold":
            self.old = self.asked.credentials(f"s3://data/{self.key}", "READ")
            self.now += INTO[cell.state]
        if cell.call in AFTER_A_NO and cell.state != "warm":
            self.server.revoke(self.grant)
            self.grant = None
        self.decisions.clear()
        self.made.clear()

    def read(self) -> None:
        self.s3.get_object(Bucket="data", Key=self.key)["Body"].read()

    def signers(self) -> list[tuple[str, str]]:
        """Who signed the requests for this rig's object, and with which key."""
        data = [one for one in self.server.s3_requests() if one.key == self.key]
        # Never with what somebody else was vended, never as somebody else.
        assert {one.principal for one in data} <= {self.identity.name}
        assert {one.status for one in data} <= {200}
        return [(one.signer, one.access_key_id) for one in data]

    def end(self) -> None:
        for grant in filter(None, (self.grant, self.elsewhere)):
            self.server.revoke(grant)


@pytest.fixture(scope="module")
def edge(request) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        if request.param == "botocore":
            yield BotocoreEdge(monkeypatch)
        else:
            from .edge_aiobotocore import AiobotocoreEdge
            from .portal import Portal

            with Portal() as portal:
                yield AiobotocoreEdge(monkeypatch, portal)


@pytest.fixture(scope="module")
def scenario(edge) -> Iterator[Scenario]:
    refusals, now = Refusals(), time.time()
    home = "internal_clients" if edge.name == "botocore" else "aio_client"
    module = import_module(f"access_grants_provider.sdk.{home}")
    edge.monkeypatch.setattr(module, "hook_internal_client", refusals.hooked(module.hook_internal_client))
    with edge.local_service(lambda: now, over_http=True) as server, refusals.nobody:
        server.bucket("data")
        server.lifetime = LIFE
        made = Scenario(edge, server, refusals)
        edge.skip_pauses(made.passed)
        yield made
        for rig in made.rigs.values():
            rig.provider.unregister()


STAND_INS = fault_table.stand_ins()


@pytest.mark.parametrize(
    ("call", "fault", "field"),
    [pytest.param(*one, marks=() if one in STAND_INS else pytest.mark.exhaustive) for one in fault_table.struck()],
)
def test_a_fault_does_to_the_request_what_the_table_says(scenario, caplog, record_property, call, fault, field):
    cells = fault_table.cells(call, fault, field)
    for cell in cells:
        scenario.rig(cell).begin(cell, next(scenario.numbers))
    scenario.server.forget_requests()
    # Side by side only where all of them wait: threads that compute slow each other down.
    workers = len(cells) if fault == "timeout" else 1
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(workers) as pool:
        with struck(scenario.server, scenario.refusals, call, fault, field):
            pending = [pool.submit(scenario.rig(cell).read) for cell in cells]
            raised = [one.exception(PATIENCE) for one in pending]
        for cell, error in zip(cells, raised, strict=True):
            rig = scenario.rig(cell)
            counts_bytes = scenario.edge.name == "aiobotocore" or BOTOCORE_COUNTS_BYTES
            expected = fault_table.expected(cell, counts_bytes)
            try:
                check_outcome(rig, cell, expected, error, caplog, counts_bytes)
                check_what_is_kept(rig, cell, expected)
            except AssertionError as wrong:
                raise AssertionError(f"{cell}: {expected}; raised {error!r}; {wrong}") from wrong
            if expected.outcome not in ("held", "renewed"):
                check_it_is_granted_afterwards(rig, cell)
    for cell in cells:
        scenario.rig(cell).end()
    record_property("cells", [scenario.edge.name, len(cells)])


def check_outcome(
    rig: Rig, cell: Cell, expected: Expected, error: BaseException | None, caplog: Any, counts_bytes: bool
) -> None:
    attempts = fault_table.attempts(cell, counts_bytes) if expected.made else 0
    assert rig.made.count(xform_name(cell.call)) == attempts, rig.made
    signers = rig.signers()
    if expected.outcome == "raised":
        assert signers == []
        check_error(rig, cell, expected, error)
        return
    assert error is None
    (decision,) = rig.decisions
    if expected.outcome in ("held", "kept"):
        assert signers == [("grant", rig.old.access_key)]
        assert rig.old.expiration.timestamp() > rig.now
        assert decision.source == "cache"
    elif expected.outcome == "renewed":
        ((signer, access_key),) = signers
        assert signer == "grant"
        assert access_key not in (rig.old.access_key, rig.identity.access_key_id)
        assert decision.source == "vended"
    else:
        assert signers == [(rig.identity.name, rig.identity.access_key_id)]
        assert decision.outcome == "fallback"
        if cell.call == "HeadBucket" and cell.fault in ("timeout", "refused", "reset"):
            assert "whether bucket 'data' is in another region could not be found out" in decision.reason
        check_words(rig, cell, expected, decision.reason)
    warnings = [one.getMessage() for one in caplog.records if f"s3://data/{rig.prefix}/" in one.getMessage()]
    if expected.outcome == "kept":
        (warning,) = warnings
        assert "stay in use until" in warning
        check_words(rig, cell, expected, warning)
    elif expected.outcome == "own" and expected.effect in FAILURES:
        (warning,) = warnings
        assert decision.reason in warning
        assert label(rig.identity.access_key_id) in warning


def check_error(rig: Rig, cell: Cell, expected: Expected, error: BaseException | None) -> None:
    assert type(error) is ERRORS[expected.effect], repr(error)
    check_words(rig, cell, expected, str(error))
    assert any(words in str(error) for words in ADVICE[expected.effect]), str(error)
    if expected.effect in ("fails", "no answer", "not accepted"):
        assert error is not None
        assert isinstance(error.__cause__, (ClientError, BotoCoreError))


def check_words(rig: Rig, cell: Cell, expected: Expected, text: str) -> None:
    """Whatever is told names the call, the region, the target and the caller, and nothing that is secret."""
    if expected.effect in FAILURES:
        service = "sts" if cell.call == "GetCallerIdentity" else "s3"
        assert f"{service}:{cell.call} in us-east-1" in text
        assert f"s3://data/{rig.key}" in text
    if expected.effect != "no instance":
        assert label(rig.identity.access_key_id) in text
    assert rig.identity.secret_access_key not in text


def check_what_is_kept(rig: Rig, cell: Cell, expected: Expected) -> None:
    """What is remembered is whole: no call under way, no credentials but whole ones of this scope, no list of less."""
    mine = label(rig.identity.access_key_id)
    states = rig.provider.runtime.settings.states._states.values()
    for state in [one for one in states if one.masked_key == mine]:
        assert not len(state.calls)
        for stored in state.credentials:
            keys = stored.credentials
            assert all((keys.access_key, keys.secret_key, keys.token))
            assert str(stored.scope) == f"s3://data/{rig.prefix}/*"
            assert stored.advisory_refresh_at <= stored.mandatory_refresh_at < stored.expires_at
        if cell.call == "ListCallerAccessGrants" and expected.made:
            assert all(listed.grants is None for listed in state.bucket("data").listed.values())


def check_it_is_granted_afterwards(rig: Rig, cell: Cell) -> None:
    """The fault being over and forgotten, the request is granted; a no is remembered until it is cleared."""
    if rig.grant is None:
        rig.grant = rig.server.grant(rig.identity, f"s3://data/{rig.prefix}/*", "READ")
    rig.now += FORGOTTEN
    rig.passed += FORGOTTEN
    if cell.call in AFTER_A_NO or cell.fault in ("403 no grant", "403 IAM", "404"):
        rig.provider.clear()
        rig.alone = True
    decision = rig.asked.explain("get_object", Bucket="data", Key=rig.key)
    assert (decision.outcome, decision.source) == ("granted", "vended")


def test_the_page_in_the_docs_is_the_table():
    assert fault_table.PAGE.read_text(encoding="utf-8") == fault_table.page()


def test_the_fast_lane_holds_every_rule_of_the_table():
    def rules_of(struck):
        return {(call, fault_table.rule_of(call, fault)) for call, fault, _ in struck}

    fast = fault_table.stand_ins()
    assert fast < set(fault_table.struck())
    assert rules_of(fast) == rules_of(fault_table.struck())
    cells = [cell for one in fast for cell in fault_table.cells(*one)]
    assert {fault_table.expected(cell, True).outcome for cell in cells} == set(fault_table.OUTCOMES)


def test_every_cell_of_the_matrix_has_an_outcome_or_a_reason():
    told = {(call, fault) for call, fault, _ in fault_table.struck()}
    for call, fault in product(CALLS, fault_table.FAULTS):
        assert ((call, fault) in told) is (fault_table.left_out(call, fault) is None)
    for one, counts_bytes in product(fault_table.struck(), (True, False)):
        cells = fault_table.cells(*one)
        assert "cold" in {cell.state for cell in cells}
        for cell in cells:
            assert fault_table.expected(cell, counts_bytes).outcome in fault_table.OUTCOMES
