"""Every control call, struck by every fault, in every state, under every fallback: the cells of ``fault_table.py``.

For each state and fallback there is a client with options, a clock and credentials of its own, so the cells of one
fault run side by side. Each begins with a fresh identity, and ends with a request that is granted after the fault.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count, product
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import access_grants_provider
from access_grants_provider import exceptions
from access_grants_provider.requester import label

from . import fault_table
from .edge_botocore import BotocoreEdge
from .fault_table import AFTER_A_NO, CALLS, FAILURES, FALLBACKS, STATES, Cell, Expected

LIFE = 400  # seconds: the advisory window opens after 300, the mandatory one after 350
INTO = {"cold": 0, "warm": 10, "advisory": 301, "mandatory": 351}
# What a failure may be remembered for, under fallback="always".
FORGOTTEN = 31
# The longest that a request may take: the time-out of its one call and of S3, and a machine that is busy.
PATIENCE = 30
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
    "fails": ("try again later",),
    "no answer": ("check the network",),
    "nonsense": ("is that AWS which answers", "is this machine's clock right"),
    "not accepted": ("set this machine's clock",),
    "no grant": ("ask the owner",),
    "no permission": ("allow s3:GetDataAccess",),
    "no instance": ("create an S3 Access Grants instance",),
}
IAM_SAYS_NO = (
    "User: arn:aws:iam::123456789012:user/somebody is not authorized to perform: s3:{call} on resource: "
    "arn:aws:s3:us-east-1:123456789012:access-grants/default because no identity-based policy allows this"
)
METHODS = {
    "GetDataAccess": "get_data_access",
    "GetCallerIdentity": "get_caller_identity",
    "GetAccessGrantsInstanceForPrefix": "get_access_grants_instance_for_prefix",
    "ListCallerAccessGrants": "list_caller_access_grants",
    "HeadBucket": "head_bucket",
}


class Refusals:
    """Sends chosen calls of the package to a port where nobody listens, from where it is told to."""

    def __init__(self) -> None:
        self.call: str | None = None
        # Bound and never listening: connections are refused, and nobody else gets the port.
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))

    def hooked(self, hook: Callable[[Any], None]) -> Callable[[Any], None]:
        def hook_and_redirect(client: Any) -> None:
            hook(client)
            client.meta.events.register_first("before-send", self.redirect)

        return hook_and_redirect

    def redirect(self, request: Any, event_name: str, **_: object) -> None:
        if event_name.rpartition(".")[2] == self.call:
            parts = urlsplit(request.url)
            request.url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{self.nobody.getsockname()[1]}"))


class World:
    """One edge, the local service over HTTP, and the clients."""

    def __init__(self, edge: Any, server: Any, refusals: Refusals) -> None:
        self.edge, self.server, self.refusals = edge, server, refusals
        self.started = server._clock()
        # One for all, since most of the work of making clients is to read botocore's models.
        self.session = edge.session(server.identity("nobody"))
        self.clients: Any = None
        self.rigs: dict[tuple[str, str, bool], Rig] = {}
        self.counted = 0
        self.numbers = count()

    def rig(self, cell: Cell) -> Rig:
        place = (cell.state, cell.fallback, cell.fault == "timeout")
        if place not in self.rigs:
            self.rigs[place] = Rig(self, *place)
        return self.rigs[place]


class Rig:
    """A client for the cells of one state and one fallback."""

    def __init__(self, world: World, state: str, fallback: str, hasty: bool) -> None:
        self.world, self.server = world, world.server
        self.prefix = f"{state}-{fallback}{'-hasty' if hasty else ''}"
        self.key = f"{self.prefix}/x"
        self.server.put(f"s3://data/{self.key}", b"1")
        self.now = world.started
        self.identity: Any = None
        self.decisions: list[Any] = []
        self.made: list[str] = []
        wait = TIME_OUT if hasty else PATIENCE
        config = Config(connect_timeout=wait, read_timeout=wait, retries={"total_max_attempts": 1})
        self.s3 = world.session.client("s3", region_name="us-east-1", endpoint_url=self.server.url, config=config)
        self.s3._request_signer._credentials = world.edge.whoever(lambda: self.identity)
        bare = world.edge.bare(self.s3)
        options = {"endpoint_url": self.server.url, "fallback": fallback, "on_decision": self.decisions.append}
        self.provider = access_grants_provider.register(bare, **options)
        self.provider._clock = lambda: self.now
        self.provider.configure(self.provider.config)
        self.provider.clients = world.clients = world.clients or self.provider.clients
        self.provider.rules = replace(self.provider.rules, knows=world.clients.knows)
        self.provider.observer = lambda _step, call, _seconds, _failed: self.made.append(call.method)
        self.asked = world.edge.provider(self.provider)

    def begin(self, cell: Cell, number: int) -> None:
        """Bring a fresh identity into the cell's state."""
        self.now = self.world.started
        self.provider.clear()
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
def world(edge, pytestconfig) -> Iterator[World]:
    refusals, now = Refusals(), time.time()
    if edge.name == "botocore":
        from access_grants_provider import clients as module
    else:
        from access_grants_provider import aio as module
    edge.monkeypatch.setattr(module, "hook_internal_client", refusals.hooked(module.hook_internal_client))
    with edge.local_service(lambda: now, over_http=True) as server, refusals.nobody:
        server.bucket("data")
        server.lifetime = LIFE
        made = World(edge, server, refusals)
        yield made
        for rig in made.rigs.values():
            rig.provider.unregister()
    pytestconfig.stash.setdefault(fault_table.COUNTS, {})[edge.name] = made.counted


@contextmanager
def struck(world: World, call: str, fault: str, field: str | None) -> Iterator[None]:
    """Have the fault befall every such call within the block."""
    server = world.server
    if fault in ("500", "503", "SlowDown", "429"):
        codes = {"500": "InternalError", "503": "ServiceUnavailable", "429": "TooManyRequestsException"}
        server.fail(call, codes.get(fault, fault), times=None)
    elif fault == "timeout":
        server.hold(call)
    elif fault == "refused":
        world.refusals.call = call
    elif fault == "reset":
        server.reset_connection(call, times=None)
    elif fault == "cut off":
        server.cut_off(call, times=None)
    elif fault == "half a document":
        server.answer(call, f"<{call}Result><Credentials><AccessKeyId>ASIACUT".encode(), times=None)
    elif fault == "not XML":
        server.answer(call, b"<!doctype html><html><body><p>Sign in to this network<br>", times=None)
    elif fault == "no content":
        server.answer(call, b"<Hello/>", times=None)
    elif fault == "empty answer":
        server.answer(call, b"", times=None)
    elif fault == "missing field":
        server.tamper(call, lambda result: without(result, field), times=None)
    elif fault in ("clock behind", "clock ahead"):
        expired = "expired" if fault == "clock behind" else "not yet current"
        said = ("SignatureDoesNotMatch", f"Signature {expired}: 20260101T000000Z is an hour off")
        if call != "GetCallerIdentity":
            said = ("RequestTimeTooSkewed", "The difference between the times is too large.")
        server.fail(call, said[0], message=said[1], status=403, times=None)
    elif fault == "ended already":
        server.tamper(call, ended, times=None)
    elif fault == "403 no grant":
        message = "You do not have READ permissions to the requested S3 Prefix: s3://data/x"
        server.fail(call, "AccessDenied", message=message, times=None)
    elif fault == "403 IAM":
        server.fail(call, "AccessDenied", message=IAM_SAYS_NO.format(call=call), times=None)
    elif fault == "404":
        server.fail(call, "AccessGrantsInstanceNotExistsError", times=None)
    elif fault == "404 elsewhere":
        server.answer(call, b"Nothing here.\n", status=404, times=None)
    else:
        raise LookupError(fault)
    try:
        yield
    finally:
        world.refusals.call = None
        server.heal()


def without(result: Any, field: str | None) -> Any:
    """Return a result without this field, at whatever depth."""
    if isinstance(result, dict):
        return {name: without(one, field) for name, one in result.items() if name != field}
    return [without(one, field) for one in result] if isinstance(result, list) else result


def ended(result: dict[str, Any]) -> dict[str, Any]:
    credentials = dict(result["Credentials"])
    credentials["Expiration"] = datetime.now(timezone.utc) - timedelta(hours=1)
    return {**result, "Credentials": credentials}


@pytest.mark.parametrize(("call", "fault", "field"), list(fault_table.struck()))
def test_a_fault_does_to_the_request_what_the_table_says(world, caplog, call, fault, field):
    cells = fault_table.cells(call, fault, field)
    for cell in cells:
        world.rig(cell).begin(cell, next(world.numbers))
    world.server.forget_requests()
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(len(cells)) as pool:
        with struck(world, call, fault, field):
            pending = [pool.submit(world.rig(cell).read) for cell in cells]
            raised = [one.exception(PATIENCE) for one in pending]
        for cell, error in zip(cells, raised, strict=True):
            rig = world.rig(cell)
            counts_bytes = world.edge.name == "aiobotocore"
            expected = fault_table.expected(cell, rig.provider.clients.knows("InstanceScope"), counts_bytes)
            try:
                check_outcome(rig, cell, expected, error, caplog)
                check_what_is_kept(rig, cell)
            except AssertionError as wrong:
                wrong.add_note(f"{cell}: {expected}; raised {error!r}") if hasattr(wrong, "add_note") else None
                raise
        world.server.forget_requests()
        for cell in cells:
            check_it_is_granted_afterwards(world.rig(cell), cell)
    for cell in cells:
        world.rig(cell).end()
    world.counted += len(cells)


def check_outcome(rig: Rig, cell: Cell, expected: Expected, error: BaseException | None, caplog: Any) -> None:
    assert (METHODS[cell.call] in rig.made) is expected.made, rig.made
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


def check_what_is_kept(rig: Rig, cell: Cell) -> None:
    """What is remembered is whole: no call under way, and no credentials but whole ones of this scope."""
    for memory in rig.provider.store._made:
        assert not memory.flights
        for vended in memory.credentials:
            assert all((vended.signer.access_key, vended.signer.secret_key, vended.signer.token))
            assert str(vended.scope) == f"s3://data/{rig.prefix}/*"
            assert vended.refresh_at <= vended.renew_at < vended.expires_at


def check_it_is_granted_afterwards(rig: Rig, cell: Cell) -> None:
    """The fault being over and forgotten, the request is granted; a no is remembered until it is cleared."""
    if rig.grant is None:
        rig.grant = rig.server.grant(rig.identity, f"s3://data/{rig.prefix}/*", "READ")
    rig.now += FORGOTTEN
    if cell.call in AFTER_A_NO or cell.fault in ("403 no grant", "403 IAM", "404"):
        rig.provider.clear()
    rig.read()
    assert [signer for signer, _ in rig.signers()] == ["grant"]


def test_the_page_in_the_docs_is_the_table():
    assert fault_table.PAGE.read_text(encoding="utf-8") == fault_table.page()


def test_every_cell_of_the_matrix_has_an_outcome_or_a_reason():
    told = {(call, fault) for call, fault, _ in fault_table.struck()}
    for call, fault in product(CALLS, fault_table.FAULTS):
        assert ((call, fault) in told) is (fault_table.left_out(call, fault) is None)
    for one, one_call, counts_bytes in product(fault_table.struck(), (True, False), (True, False)):
        cells = fault_table.cells(*one)
        assert len(cells) == len(STATES) * len(FALLBACKS)
        for cell in cells:
            assert fault_table.expected(cell, one_call, counts_bytes).outcome in fault_table.OUTCOMES
