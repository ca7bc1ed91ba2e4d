"""Whatever a key is made of, and however it is written on its way, the decision is about that key.

A real client, the package, and the local service in process, which reads the key off the wire by itself.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from botocore.config import Config
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import access_grants_provider
from access_grants_provider.testing import mock_access_grants
from access_grants_provider.testing.http_messages import Request, bucket_and_key

SPECIAL = [
    "/", "//", ".", "..", "%2F", "%252F", "%", "*", "**", "?", "+", " ", "#", "&", "=", ":", "~", "é", "日本",
    "\U0001f600", "\\", "'", '"', "<",
]  # fmt: skip
# Half of a surrogate pair has no UTF-8, and is botocore's to refuse; its own test is below.
# Of control characters XML 1.0 can't tell, so the service's refusal that quotes such a key can't be read.
letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
pieces = st.lists(st.sampled_from(SPECIAL) | st.text(letters, max_size=4), min_size=1, max_size=8).map("".join)
starts = st.sampled_from(["", "in/", "in", "in//", "/in/", "in/../", "./in/", "in%2F", "IN/"])
keys = st.builds(str.__add__, starts, pieces).filter(lambda key: 0 < len(key.encode()) <= 1024)
longest = st.sampled_from(["in/" + "a" * 1021, "é" * 512, "in/" + "%2F" * 340, "/" * 1024])
limits = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Scenario:
    """A grant on ``in/``, a client, its decisions and what the service was asked."""

    def __init__(self, stack: ExitStack) -> None:
        self.service: Any = stack.enter_context(mock_access_grants())
        self.service.bucket("data")
        alice = self.service.identity("alice")
        self.service.grant(alice, "s3://data/in/*", "READWRITE")
        self.service.allow(alice, "s3://data/*", "READWRITE")
        session = self.service.session(alice)
        self.decisions: list[Any] = []
        self.provider = access_grants_provider.register(session, on_decision=self.decisions.append)
        stack.callback(self.provider.unregister)
        self.s3 = session.client("s3")
        self.sigv4 = session.client("s3", config=Config(signature_version="s3v4"))

    def start_over(self) -> None:
        """Forget, so that the service is asked for just this target."""
        self.provider.clear()
        self.decisions.clear()
        self.service.forget_requests()

    def is_about(self, target: str, granted: bool, is_object: bool = True) -> None:
        """Hold the last decision, what Access Grants was asked, and who signed, to what was meant."""
        (decision,) = self.decisions
        assert (decision.target, decision.outcome) == (target, "granted" if granted else "fallback")
        asked = [one.parameters for one in self.service.requests if one.operation == "GetDataAccess"]
        assert {(one["Target"], one.get("TargetType")) for one in asked} == {(target, "Object" if is_object else None)}
        assert [one.signer for one in self.service.s3_requests()] == ["grant" if granted else "alice"]


@pytest.fixture(scope="module")
def running() -> Iterator[Scenario]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield Scenario(stack)


@pytest.fixture
def scenario(running: Scenario) -> Scenario:
    return running


@limits
@given(keys | longest, st.sampled_from(["put_object", "get_object", "head_object", "delete_object"]))
@example("in/../out", "put_object")
@example("in/*", "put_object")
@example("*", "put_object")
@example(".", "get_object")
@example("in/a%2Fb+c d?e#f", "put_object")
def test_a_key_is_asked_for_and_signed_as_it_is(scenario: Scenario, key: str, method: str) -> None:
    scenario.service.put(f"s3://data/{key}", b"1")
    scenario.start_over()
    getattr(scenario.s3, method)(Bucket="data", Key=key)
    scenario.is_about(f"s3://data/{key}", key.startswith("in/"))
    (record,) = scenario.service.s3_requests()
    assert (record.key, record.status // 100) == (key, 2)


@limits
@given(keys)
def test_a_listing_is_asked_for_by_its_very_prefix(scenario: Scenario, prefix: str) -> None:
    # Trailing stars of a prefix can't be told from the star that makes it one; the wider reading must not be granted.
    assume(not prefix.endswith("*"))
    scenario.start_over()
    scenario.s3.list_objects_v2(Bucket="data", Prefix=prefix)
    scenario.is_about(f"s3://data/{prefix}*", prefix.startswith("in/"), is_object=False)


@limits
@given(keys, keys, st.sampled_from(["mapping", "text", "text with a slash"]))
@example("in/a?b", "in/%2F", "text")
@example("in/a+b", "in/a b", "text with a slash")
@example("in/a", "out", "mapping")
def test_a_copy_is_asked_for_by_what_its_two_keys_share(scenario: Scenario, source: str, key: str, form: str) -> None:
    assume("?versionId=" not in source)
    written: Any = {"Bucket": "data", "Key": source}
    if form != "mapping":
        written = f"{'/' if form == 'text with a slash' else ''}data/{source}"
    scenario.service.put(f"s3://data/{source}", b"1")
    scenario.start_over()
    # To copy an object onto itself S3 wants something changed.
    scenario.s3.copy_object(Bucket="data", Key=key, CopySource=written, MetadataDirective="REPLACE")
    shared = key
    while not source.startswith(shared):
        shared = shared[:-1]
    (decision,) = scenario.decisions
    assert decision.target == f"s3://data/{shared}" + ("*" if source != key else "")
    both_granted = source.startswith("in/") and key.startswith("in/")
    assert decision.outcome == ("granted" if both_granted else "fallback")
    (record,) = scenario.service.s3_requests()
    assert (record.key, record.signer, record.status) == (key, "grant" if both_granted else "alice", 200)


@limits
@given(keys, st.booleans())
def test_a_presigned_url_is_for_the_key_that_was_decided_on(scenario: Scenario, key: str, fourth: bool) -> None:
    scenario.start_over()
    client = scenario.sigv4 if fourth else scenario.s3
    url = urllib.request.Request(client.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": key}))
    path, _, query = url.selector.partition("?")
    assert bucket_and_key(Request("GET", "https", url.host, path, query)) == ("data", key)
    (decision,) = scenario.decisions
    assert (decision.target, decision.outcome == "granted") == (f"s3://data/{key}", key.startswith("in/"))


@given(st.text(letters, max_size=3), st.characters(categories=["Cs"]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_half_a_surrogate_pair_is_refused_as_without_the_package_and_asks_nobody(
    scenario: Scenario, text: str, half: str
) -> None:
    scenario.start_over()
    with pytest.raises(UnicodeEncodeError):
        scenario.s3.get_object(Bucket="data", Key=f"in/{text}{half}")
    assert scenario.service.requests == []
