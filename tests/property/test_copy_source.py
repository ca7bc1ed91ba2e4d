"""A copy's source is read back as what the user meant, however botocore writes it."""

from __future__ import annotations

from typing import Any

from botocore.handlers import handle_copy_source_param
from hypothesis import assume, example, given
from hypothesis import strategies as st

from access_grants_provider.core.operations import copy_source, required_access
from access_grants_provider.core.scopes import GrantScope

buckets = st.from_regex(r"\A[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]\Z")
# What can be sent at all: half of a surrogate pair has no UTF-8.
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
versions = st.none() | st.from_regex(r"\A[A-Za-z0-9._-]{1,32}\Z")


def on_the_wire(source: Any) -> Any:
    params = {"CopySource": source}
    handle_copy_source_param(params)
    return params["CopySource"]


@given(buckets, keys, versions)
@example("sales", "/a", None)
@example("sales", "a?versionId=1", "2")
@example("sales", "100%25+1 %2F", None)
@example("sales", "*", "null")
def test_a_mapping_comes_back_from_the_wire(bucket: str, key: str, version: str | None) -> None:
    source = {"Bucket": bucket, "Key": key}
    if version is not None:
        source["VersionId"] = version
    assert copy_source(source) == (bucket, key)
    assert copy_source(on_the_wire(source)) == (bucket, key)


@given(buckets, keys, versions, st.sampled_from(["", "/"]))
@example("sales", "a?b", "1", "/")
@example("sales", "a b+c%20", None, "")
def test_a_text_comes_back_from_the_wire(bucket: str, key: str, version: str | None, slash: str) -> None:
    assume("?versionId=" not in key)
    text = f"{slash}{bucket}/{key}" + (f"?versionId={version}" if version is not None else "")
    assert copy_source(on_the_wire(text)) == (bucket, key)


@given(buckets, keys, keys, versions)
def test_a_copy_s_target_holds_both_its_keys(bucket: str, source: str, key: str, version: str | None) -> None:
    wire = on_the_wire({"Bucket": bucket, "Key": source, "VersionId": version})
    access = required_access("CopyObject", {"Bucket": bucket, "Key": key, "CopySource": wire})
    assert access.permission == "READWRITE"
    assert access.target is not None
    assert access.target.covers(GrantScope(bucket, source, False))
    assert access.target.covers(GrantScope(bucket, key, False))
    assert access.target.is_prefix == (source != key)
