"""Buckets live in one region, and S3 redirects who comes to another."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def abroad(either: Any) -> str:
    name: str = either.bucket("abroad", region="eu-west-1")
    either.put("s3://abroad/x", b"far away")
    return name


def test_boto3_follows_the_redirect(either: Any, abroad: str) -> None:
    s3 = either.client("s3", region_name="us-west-2")
    assert s3.get_object(Bucket=abroad, Key="x")["Body"].read() == b"far away"
    seen = [(record.operation, record.status, record.region) for record in either.s3_requests()]
    assert seen[0] == ("GetObject", 301, "us-west-2")
    assert seen[-1] == ("GetObject", 200, "eu-west-1")
    s3.put_object(Bucket=abroad, Key="y", Body=b"written")
    assert either.read("s3://abroad/y") == b"written"
    assert [record.status for record in either.s3_requests()].count(301) == 1


def test_the_region_is_told_to_everybody(either: Any, abroad: str) -> None:
    s3 = either.client("s3", either.identity("nobody"))
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket=abroad)
    answer = caught.value.response
    assert answer["Error"]["Code"] == "403"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-west-1"
    assert [(record.region, record.status) for record in either.requests] == [("us-east-1", 301), ("eu-west-1", 403)]


def test_a_redirect_names_region_and_endpoint(either: Any, abroad: str) -> None:
    session = either.session()
    options = {"endpoint_url": either.url} if hasattr(either, "url") else {}
    s3 = session.client("s3", **options)
    answers: list[Any] = []
    s3.meta.events.register_first("needs-retry.s3", lambda response, **_: answers.append(response))
    s3.get_object(Bucket=abroad, Key="x")
    _, first = answers[0]
    assert first["Error"]["Code"] == "PermanentRedirect"
    assert first["Error"]["Region"] == "eu-west-1"
    assert first["Error"]["Endpoint"] == "abroad.s3.eu-west-1.amazonaws.com"


def test_buckets_are_created_with_boto3_where_boto3_says(either: Any) -> None:
    s3 = either.client("s3", region_name="eu-central-1")
    s3.create_bucket(Bucket="central", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="central", Key="x", Body=b"here")
    assert s3.head_bucket(Bucket="central")["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-central-1"
    assert {record.status for record in either.s3_requests()} == {200}


def test_grants_are_made_where_the_bucket_is(either: Any, abroad: str, vend: Any, refused: Any) -> None:
    alice = either.identity("alice")
    either.grant(alice, "s3://abroad/*", "READ")
    with refused("AccessGrantsInstanceNotExistsError"):
        vend(either, alice, "s3://abroad/x", "READ")
    s3 = vend(either, alice, "s3://abroad/x", "READ", region="eu-west-1")
    assert s3.get_object(Bucket=abroad, Key="x")["Body"].read() == b"far away"
