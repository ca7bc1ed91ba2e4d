"""Requests that Access Grants has no say in go out as if the package were not there, without any call."""

from __future__ import annotations

import urllib.parse
from typing import Any

import botocore.exceptions
import pytest
from botocore import UNSIGNED
from botocore.config import Config

pytestmark = pytest.mark.alice("READWRITE s3://data/*")


@pytest.fixture
def session(grants, register, alice):
    session = grants.session(alice)
    # A refused GetBucketLocation would be answered from the grant.
    session.provider = register(session, probes="s3")
    return session


UNSUPPORTED = {
    "ListBuckets": lambda s3: s3.list_buckets(),
    "GetBucketLocation": lambda s3: s3.get_bucket_location(Bucket="data"),
    "GetBucketPolicy": lambda s3: s3.get_bucket_policy(Bucket="data"),
    "PutObjectTagging": lambda s3: s3.put_object_tagging(Bucket="data", Key="x", Tagging={"TagSet": []}),
    "GetObjectTagging": lambda s3: s3.get_object_tagging(Bucket="data", Key="x"),
    "PutObjectLegalHold": lambda s3: s3.put_object_legal_hold(Bucket="data", Key="x", LegalHold={"Status": "OFF"}),
    "RestoreObject": lambda s3: s3.restore_object(Bucket="data", Key="x", RestoreRequest={"Days": 1}),
}


@pytest.mark.parametrize("operation", UNSUPPORTED)
def test_operations_that_grants_do_not_cover_are_the_callers_own(grants, session, operation, control):
    s3 = session.client("s3")
    control()
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        UNSUPPORTED[operation](s3)
    (sent,) = [one for one in grants.requests if one.service == "s3"]
    assert sent.signer == "alice"
    assert control() == []
    assert session.provider.stats().unsupported == 1


class Sent:
    """Stands in for AWS: takes any request and keeps it."""

    def __init__(self, edge) -> None:
        self.edge = edge
        self.requests: list[Any] = []

    def __call__(self, request, **_):
        self.requests.append(request)
        return self.edge.empty_answer(request.url)


BUCKETS = [
    "arn:aws:s3:us-east-1:123456789012:accesspoint/ap",
    "arn:aws:s3:us-east-1:123456789012:accesspoint:ap",
    "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/olap",
    "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-01234567890123456/accesspoint/ap",
    "ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
    "olap-hrzrlukc5m36ft7okagglf3gmwluqus--ol-s3",
    "table-hrzrlukc5m36ft7okagglf3gmwluq--table-s3",
]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_access_points_and_their_like_are_left_alone(grants, session, alice, edge, bucket, control):
    s3 = session.client("s3")
    sent = Sent(edge)
    s3.meta.events.register_first("before-send.s3", sent)
    control()
    s3.head_object(Bucket=bucket, Key="x")
    (request,) = sent.requests
    assert alice.access_key_id in str(request.headers["Authorization"])
    assert control() == []
    assert session.provider.explain("get_object", Bucket=bucket, Key="x").outcome == "unsupported"


@pytest.mark.parametrize(
    "bucket", ["arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "express--use1-az4--x-s3"]
)
def test_multi_region_access_points_and_directory_buckets_are_unsupported(session, bucket, control):
    control()
    assert session.provider.explain("get_object", Bucket=bucket, Key="x").outcome == "unsupported"
    assert control() == []


def test_an_unsigned_client_stays_unsigned(grants, session, edge, control):
    s3 = session.client("s3", config=Config(signature_version=UNSIGNED))
    sent = Sent(edge)
    s3.meta.events.register_first("before-send.s3", sent)
    control()
    s3.head_object(Bucket="data", Key="x")
    assert "Authorization" not in sent.requests[0].headers
    assert control() == []


def test_a_client_without_credentials_gets_botocores_own_error(edge, register):
    session = edge.session()
    register(session)
    with pytest.raises(botocore.exceptions.NoCredentialsError):
        session.client("s3").get_object(Bucket="data", Key="x")


def test_credentials_that_somebody_else_gave_the_request_stay(grants, session, edge, control):
    s3 = session.client("s3")
    theirs = grants.identity("theirs")

    def give(request, **_):
        request.context.setdefault("signing", {})["request_credentials"] = edge.whoever(lambda: theirs)

    s3.meta.events.register_first("before-sign.s3", give)
    sent = Sent(edge)
    s3.meta.events.register_first("before-send.s3", sent)
    control()
    s3.head_object(Bucket="data", Key="x")
    assert theirs.access_key_id in str(sent.requests[0].headers["Authorization"])
    assert control() == []


def test_an_endpoint_that_is_not_aws_is_left_alone(grants, session, register, alice, edge, control):
    register(session, endpoint_url=None)
    s3 = session.client("s3", endpoint_url="https://minio.example:9000")
    sent = Sent(edge)
    s3.meta.events.register_first("before-send.s3", sent)
    control()
    s3.head_object(Bucket="data", Key="x")
    assert alice.access_key_id in str(sent.requests[0].headers["Authorization"])
    assert control() == []


@pytest.mark.parametrize(
    "endpoint",
    ["https://bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn"],
)
def test_an_endpoint_of_aws_is_covered(grants, register, alice, endpoint):
    session = grants.session(alice)
    provider = register(session.client("s3", endpoint_url=endpoint))
    assert provider.explain("get_object", Bucket="data", Key="x").outcome == "granted"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_is_signed_with_the_grant(grants, session, version):
    s3 = session.client("s3", config=Config(signature_version=version))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"})
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    key_id = query["AWSAccessKeyId"][0] if version == "s3" else query["X-Amz-Credential"][0].partition("/")[0]
    assert key_id.startswith("ASIA")
    assert grants.calls("GetDataAccess") == 1


@pytest.mark.parametrize(
    ("key", "target"),
    [("up/load", "s3://data/up/load"), ("up/${filename}", "s3://data/up/*"), ("${filename}", "s3://data/*")],
)
def test_a_presigned_post_asks_to_write_its_key(grants, session, key, target):
    s3 = session.client("s3", config=Config(signature_version="s3v4"))
    form = s3.generate_presigned_post("data", key)
    assert form["fields"]["x-amz-credential"].startswith("ASIA")
    (vend,) = [one.parameters for one in grants.requests if one.operation == "GetDataAccess"]
    assert (vend["Permission"], vend["Target"]) == ("WRITE", target)
