"""Whatever Access Grants answers, well-formed as botocore reads it: our errors and no others, and no wrong scope."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import datetime, timezone
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from access_grants_provider.core.caller_grants import caller_grants
from access_grants_provider.core.caller_state import CallerState, CallerStates
from access_grants_provider.core.clock import Clock
from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.credential_cache import StoredCredentials
from access_grants_provider.core.flow_context import FlowContext, PendingLog
from access_grants_provider.core.io_requests import (
    BucketRegion,
    GetDataAccess,
    GrantRequest,
    ListGrants,
    Pause,
    TimedCall,
)
from access_grants_provider.core.resolver import Resolver
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.core.service_errors import Denial, UnreadableAnswer
from access_grants_provider.exceptions import AccessGrantsError, MalformedAnswer
from access_grants_provider.sdk.api_calls import reply_of

NOW = 1_800_000_000.0
ACCOUNT = "111122223333"
TARGETS = [GrantScope("b", "a/k", False), GrantScope("b", "a/", True), GrantScope("b", "a/*", False)]

texts = st.text(max_size=6)
# What botocore's parser gives for these shapes: texts, aware times, structures, lists of them; each may be absent.
scopes = st.sampled_from(
    ["s3://b/a/*", "s3://b/*", "s3://b*", "s3://b/a/k", "s3://b/a*", "s3://bb/*", "s3://b/a/*x", "s3://B/*", "s3://"]
)
times = st.datetimes(timezones=st.just(timezone.utc)) | st.floats(NOW - 5, NOW + 5_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, timezone.utc)
)
keys = st.none() | texts | st.just("ASIA1")


def structure(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


whole = st.fixed_dictionaries({name: st.just("X1") for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")})
some_keys = structure(AccessKeyId=keys, SecretAccessKey=keys, SessionToken=keys, Expiration=st.none() | times)
credentials = some_keys | st.builds(lambda three, ends: {**three, "Expiration": ends}, whole, times)
vends = structure(
    Credentials=st.none() | credentials,
    MatchedGrantTarget=st.none() | texts | scopes,
    MatchedInstanceArn=st.none() | texts | st.just(f"arn:aws:s3:r:{ACCOUNT}:access-grants/default"),
    Grantee=st.none() | structure(GranteeType=texts),
)
# Half of the answers are whole but for the scope, or the scope would hardly ever be what decides.
alive = st.floats(NOW + 1, NOW + 5_000).map(lambda seconds: datetime.fromtimestamp(seconds, timezone.utc))
alive_keys = st.builds(lambda three, ends: {**three, "Expiration": ends}, whole, alive)
vends = vends | st.fixed_dictionaries({"Credentials": alive_keys, "MatchedGrantTarget": scopes | texts})
entries = structure(
    Permission=st.none() | texts | st.sampled_from(["READ", "WRITE", "READWRITE"]),
    GrantScope=st.none() | texts | scopes,
    ApplicationArn=st.none() | texts,
)
pages = structure(CallerAccessGrantsList=st.none() | st.lists(entries, max_size=3), NextToken=st.none() | texts)


CLOCK = Clock(lambda: NOW, lambda: 1_000.0)


def context(privilege: Any = "Default") -> FlowContext:
    config = AccessGrantsConfig(account_id=ACCOUNT, privilege=privilege)
    return FlowContext(config, CLOCK, lambda _: 0.0, PendingLog())


def state() -> CallerState:
    return CallerStates("Default", CLOCK).get_or_create(b"someone", "AKIA…WXYZ")


def find(remembered: CallerState, target: GrantScope, answers: dict[type, Any], privilege: Any = "Default") -> Any:
    """Resolve a request with these answers; return credentials or a denial."""
    request = GrantRequest("GetObject", "READ", target, "r")
    found, _source = drive(Resolver(remembered, request, context(privilege)).find(), answers)
    return found


def drive(steps: Generator[Any, Any, Any], answers: dict[type, Any]) -> Any:
    """Perform a generator's steps with these answers; a refusal is raised, a list given one after another."""
    reply: Any = None
    try:
        step = next(steps)
        for _ in range(50):
            assert not isinstance(step, Pause), "an answer that was read is no reason to call again"
            assert isinstance(step, TimedCall)
            reply = answers[type(step.call)]
            if isinstance(reply, list):
                reply = reply.pop(0) if reply else {}
            try:
                read = reply if isinstance(reply, Exception) else reply_of(step.call, reply)
            except UnreadableAnswer as error:
                read = error
            step = steps.throw(read) if isinstance(read, Exception) else steps.send(read)
    except StopIteration as done:
        return done.value
    raise AssertionError("it never ends")


def holds(scope: str, target: GrantScope) -> bool:
    """Say naively whether a grant of this text holds the target."""
    bucket, slash, key = scope.removeprefix("s3://").partition("/")
    if not slash:
        bucket, key = bucket.rstrip("*"), "*"
    if bucket != target.bucket:
        return False
    if key.endswith("*"):
        return target.key.startswith(key.rstrip("*"))
    return not target.is_prefix and target.key == key


@settings(max_examples=300)
@given(vends, st.sampled_from(TARGETS), st.sampled_from(["Default", "Minimal"]))
def test_a_vend_gives_credentials_for_its_target_or_our_error(answer: Any, target: GrantScope, privilege: Any) -> None:
    remembered = state()
    try:
        found = find(remembered, target, {GetDataAccess: answer}, privilege)
    except MalformedAnswer:
        event("malformed")
        assert len(remembered.credentials) == 0, "a half-filled cache"
        return
    event("vended")
    assert isinstance(found, StoredCredentials)
    matched = answer.get("MatchedGrantTarget")
    assert found.scope.covers(target)
    assert found.scope == target if privilege == "Minimal" or matched == str(target) else holds(matched, target)
    assert holds(str(found.scope), target) or found.scope == target
    assert found.expires_at > NOW
    keys = found.credentials
    assert (keys.access_key, keys.secret_key, keys.token) == tuple(
        answer["Credentials"][name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    )
    assert list(remembered.credentials) == [found]


class Refusal:
    """GetDataAccess's answer where no grant allows the request."""

    def __new__(cls) -> Any:
        from botocore.exceptions import ClientError

        said = {"Error": {"Code": "AccessDenied", "Message": "You do not have READ permissions to the requested"}}
        return ClientError(said, "GetDataAccess")  # type: ignore[arg-type]


@settings(max_examples=200)
@given(st.lists(pages, max_size=4), st.sampled_from(TARGETS))
def test_a_list_of_grants_refuses_nothing_that_it_grants(answers: list[Any], target: GrantScope) -> None:
    remembered, other = state(), GrantScope("b", "elsewhere", False)
    given_out = [dict(answer) for answer in answers]
    found = find(remembered, other, {GetDataAccess: Refusal(), BucketRegion: {}, ListGrants: list(given_out)})
    assert isinstance(found, Denial)
    read = given_out[: next((n for n, one in enumerate(given_out, 1) if one.get("NextToken") is None), len(given_out))]
    lists = [answer.get("CallerAccessGrantsList") for answer in read]
    granted = any(
        entry.get("Permission") in ("READ", "READWRITE") and holds(str(entry.get("GrantScope")), target)
        for entries in lists
        for entry in entries or []
    )
    denial = remembered.instance_denial(ACCOUNT, "r", "READ", target, CLOCK.monotonic())
    event("denied" if denial else "not denied")
    if granted or None in lists or not lists:
        assert denial is None
    assert remembered.denials.find("READ", other, CLOCK.monotonic()) is found


@settings(max_examples=200)
@given(st.lists(pages, max_size=4), st.none() | st.sampled_from(TARGETS))
def test_the_grants_of_the_caller_are_listed_or_our_error(answers: list[Any], target: GrantScope | None) -> None:
    left, remembered = list(answers), state()
    begun = time.monotonic()
    try:
        for grant in caller_grants(
            lambda steps: drive(steps, {ListGrants: left, BucketRegion: {}}), remembered, target, "r", context()
        ):
            assert isinstance(grant.scope, str)
            assert target is None or GrantScope.parse(grant.scope).bucket == target.bucket
    except AccessGrantsError as error:
        assert isinstance(error, MalformedAnswer)  # noqa: PT017  an error is one of two right endings
    assert time.monotonic() - begun < 60
