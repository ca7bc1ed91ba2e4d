"""Each S3 operation that grants cover, through a real client: who signed it, and with which grant."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

PART = b"x" * 5 * 1024 * 1024


@pytest.fixture
def s3(grants, register) -> Any:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/in/*", "READWRITE")
    grants.put("s3://data/in/there", b"body")
    grants.put("s3://data/in/also", b"body")
    session = grants.session(alice)
    register(session)
    return session.client("s3")


def upload_id(s3: Any) -> str:
    return s3.create_multipart_upload(Bucket="data", Key="in/big")["UploadId"]


READS: dict[str, Callable[[Any], object]] = {
    "GetObject": lambda s3: s3.get_object(Bucket="data", Key="in/there")["Body"].read(),
    "HeadObject": lambda s3: s3.head_object(Bucket="data", Key="in/there"),
    "GetObjectAcl": lambda s3: s3.get_object_acl(Bucket="data", Key="in/there"),
    "GetObjectAttributes": lambda s3: s3.get_object_attributes(
        Bucket="data", Key="in/there", ObjectAttributes=["ETag"]
    ),
    "ListObjects": lambda s3: s3.list_objects(Bucket="data", Prefix="in/"),
    "ListObjectsV2": lambda s3: s3.list_objects_v2(Bucket="data", Prefix="in/t"),
    "ListObjectVersions": lambda s3: s3.list_object_versions(Bucket="data", Prefix="in/"),
    "ListMultipartUploads": lambda s3: s3.list_multipart_uploads(Bucket="data", Prefix="in/"),
    "ListParts": lambda s3: s3.list_parts(Bucket="data", Key="in/big", UploadId=upload_id(s3)),
}
WRITES: dict[str, Callable[[Any], object]] = {
    "PutObject": lambda s3: s3.put_object(Bucket="data", Key="in/new", Body=b"1"),
    "PutObjectAcl": lambda s3: s3.put_object_acl(Bucket="data", Key="in/there", ACL="private"),
    "DeleteObject": lambda s3: s3.delete_object(Bucket="data", Key="in/there"),
    "CreateMultipartUpload": upload_id,
    "UploadPart": lambda s3: s3.upload_part(
        Bucket="data", Key="in/big", UploadId=upload_id(s3), PartNumber=1, Body=PART
    ),
    "AbortMultipartUpload": lambda s3: s3.abort_multipart_upload(Bucket="data", Key="in/big", UploadId=upload_id(s3)),
    "DeleteObjects": lambda s3: s3.delete_objects(
        Bucket="data", Delete={"Objects": [{"Key": "in/there"}, {"Key": "in/also"}]}
    ),
}
BOTH: dict[str, Callable[[Any], object]] = {
    "CopyObject": lambda s3: s3.copy_object(Bucket="data", Key="in/copy", CopySource="data/in/there"),
    "UploadPartCopy": lambda s3: s3.upload_part_copy(
        Bucket="data",
        Key="in/big",
        UploadId=upload_id(s3),
        PartNumber=1,
        CopySource={"Bucket": "data", "Key": "in/there"},
    ),
    "PutObject": lambda s3: s3.put_object(
        Bucket="data", Key="in/there", Body=b"2", IfMatch=s3.head_object(Bucket="data", Key="in/there")["ETag"]
    ),
}
CASES = [
    pytest.param(operation, permission, call, id=f"{operation}-{permission}")
    for permission, calls in (("READ", READS), ("WRITE", WRITES), ("READWRITE", BOTH))
    for operation, call in calls.items()
]


@pytest.mark.versions
@pytest.mark.fast_cases(7)
@pytest.mark.parametrize(("operation", "permission", "call"), CASES)
def test_the_request_is_signed_with_the_grant_for_its_permission(grants, s3, operation, permission, call):
    call(s3)
    sent = [one for one in grants.s3_requests() if one.operation == operation][-1]
    assert (sent.signer, sent.scope, sent.permission, sent.status // 100) == ("grant", "s3://data/in/*", permission, 2)


def test_a_multipart_upload_is_completed_under_one_vend(grants, s3):
    upload = upload_id(s3)
    part = s3.upload_part(Bucket="data", Key="in/big", UploadId=upload, PartNumber=1, Body=PART)
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="data", Key="in/big", UploadId=upload, MultipartUpload=done)
    assert {one.signer for one in grants.s3_requests()} == {"grant"}
    assert grants.calls("GetDataAccess") == 1


def test_a_grant_on_the_bucket_lets_its_head_through(grants, register):
    bob = grants.identity("bob")
    grants.grant(bob, "s3://data/*", "READ")
    session = grants.session(bob)
    register(session)
    session.client("s3").head_bucket(Bucket="data")
    (sent,) = grants.s3_requests()
    assert (sent.operation, sent.signer) == ("HeadBucket", "grant")


@pytest.mark.versions
@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(
    "key", ["in/a b", "in/a+b", "in/a%2Fb", "in/ü€", "in//x", "in/st*r", "in/star*", "in/q?m", "in/./x", "in/#~'()"]
)
def test_a_key_of_any_form_is_asked_for_as_it_is(grants, s3, key):
    s3.put_object(Bucket="data", Key=key, Body=b"1")
    assert s3.get_object(Bucket="data", Key=key)["Body"].read() == b"1"
    s3.copy_object(Bucket="data", Key="in/copy", CopySource={"Bucket": "data", "Key": key})
    assert s3.get_object(Bucket="data", Key="in/copy")["Body"].read() == b"1"
    s3.delete_objects(Bucket="data", Delete={"Objects": [{"Key": key}]})
    assert {one.signer for one in grants.s3_requests()} == {"grant"}
    targets = [one.parameters["Target"] for one in grants.requests if one.operation == "GetDataAccess"]
    assert targets[0] == f"s3://data/{key}"


def test_a_body_that_is_a_stream_is_sent_whole(grants, s3):
    s3.put_object(Bucket="data", Key="in/stream", Body=io.BytesIO(b"stream"))
    assert grants.read("s3://data/in/stream") == b"stream"


def test_a_retry_that_falls_back_does_not_keep_the_grant_of_the_first_attempt(grants, register):
    alice = grants.identity("alice")
    grants.allow(alice, "s3://data/in/*", "READ")
    grant = grants.grant(alice, "s3://data/in/*", "READ")
    grants.put("s3://data/in/there", b"body")
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")

    def between_attempts(attempts: int, **_: object) -> None:
        if attempts == 1:
            grants.revoke(grant)
            provider.clear()

    s3.meta.events.register("needs-retry.s3.GetObject", between_attempts)
    grants.fail("GetObject", "InternalError", times=1)
    assert s3.get_object(Bucket="data", Key="in/there")["Body"].read() == b"body"
    assert [one.signer for one in grants.s3_requests() if one.operation == "GetObject"] == ["grant", "alice"]


def test_a_listing_under_a_narrower_grant_than_its_prefix_is_not_signed_with_it(grants, s3, caplog):
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket="data", Prefix="i")
    (sent,) = grants.s3_requests()
    assert sent.signer == "alice"
    assert "signed with the caller's own" in caplog.text


def test_a_first_request_reads_no_model_that_the_client_has_read(unshared_models, s3, monkeypatch):
    """Reading models is most of the work of making a client."""
    read, load = [], JSONFileLoader.load_file

    def noted(loader, path):
        loaded = load(loader, path)
        if loaded is not None:
            read.append(PurePath(path))
        return loaded

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    s3.get_object(Bucket="data", Key="in/there")
    assert {path.parent.parent.name for path in read} <= {"s3control", "sts"}
