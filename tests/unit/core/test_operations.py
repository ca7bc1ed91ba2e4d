"""What an S3 call touches: the table of the design, row by row, and the operations that need thought."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.handlers import handle_copy_source_param

from access_grants_provider.core.operations import OPERATIONS, Access, access_of, access_of_post, unsupported_bucket
from access_grants_provider.core.scopes import GrantScope

READS = ["GetObject", "HeadObject", "GetObjectAcl", "GetObjectAttributes", "ListParts"]
WRITES = [
    "PutObject",
    "PutObjectAcl",
    "DeleteObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
]
CONDITIONAL_WRITES = ["PutObject", "DeleteObject", "CompleteMultipartUpload"]
LISTINGS = ["ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"]
COPIES = ["CopyObject", "UploadPartCopy"]

# Names of buckets that are none: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
NO_BUCKETS = [
    "arn:aws:s3:eu-west-1:111122223333:accesspoint/reports",
    "arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3-object-lambda:eu-west-1:111122223333:accesspoint/masked",
    "arn:aws:s3-outposts:eu-west-1:111122223333:outpost/op-01ac5d28a6a232904/accesspoint/reports",
    "arn:aws-cn:s3:cn-north-1:111122223333:accesspoint/reports",
    "reports-aqfqprnstn7aefdfbarligizwgyfouse1a-s3alias",
    "fsx-abcdefghijkl-ext-s3alias",
    "masked-a1a1a1a1a1a1a1a1a1a1a1a1a1a1use1a--ol-s3",
    "reports-o01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3",
    "mfzwi23gnjvgw.mrap",
    "express--euw1-az1--x-s3",
    "express-ap--euw1-az1--xa-s3",
    "63a8e430-6e0b-46f5-k833abtwr6s8tmtsycedn8s4yc3xhuse1b--table-s3",
]


def on_object(permission: Any, key: str = "a/b") -> Access:
    return Access(permission, GrantScope("sales", key, False))


def on_prefix(permission: Any, start: str) -> Access:
    return Access(permission, GrantScope("sales", start, True))


@pytest.mark.parametrize("operation", READS)
def test_a_read_needs_read_on_the_object(operation: str) -> None:
    assert access_of(operation, {"Bucket": "sales", "Key": "a/b", "VersionId": "v"}) == on_object("READ")


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_needs_write_on_the_object(operation: str) -> None:
    assert access_of(operation, {"Bucket": "sales", "Key": "a/b"}) == on_object("WRITE")


@pytest.mark.parametrize("operation", CONDITIONAL_WRITES)
def test_a_write_with_if_match_needs_readwrite(operation: str) -> None:
    assert access_of(operation, {"Bucket": "sales", "Key": "a/b", "IfMatch": '"etag"'}) == on_object("READWRITE")


@pytest.mark.parametrize("operation", CONDITIONAL_WRITES)
def test_a_write_with_if_none_match_stays_a_write(operation: str) -> None:
    assert access_of(operation, {"Bucket": "sales", "Key": "a/b", "IfNoneMatch": "*"}) == on_object("WRITE")


def test_if_match_on_a_read_stays_a_read() -> None:
    assert access_of("GetObject", {"Bucket": "sales", "Key": "a/b", "IfMatch": '"etag"'}) == on_object("READ")


@pytest.mark.parametrize("key", ["a*", "*", "a/", "/a", "ä/日本", " ", "?versionId=1", "${filename}"])
def test_an_object_stays_the_object_whatever_its_name(key: str) -> None:
    assert access_of("GetObject", {"Bucket": "sales", "Key": key}) == on_object("READ", key)


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize(
    ("parameters", "start"),
    [({"Prefix": "a/b"}, "a/b"), ({"Prefix": "a/b/", "Delimiter": "/"}, "a/b/"), ({"Prefix": ""}, ""), ({}, ""),
     ({"Prefix": None}, ""), ({"Prefix": "a*"}, "a*")],
)  # fmt: skip
def test_a_listing_needs_read_on_its_prefix(operation: str, parameters: dict[str, Any], start: str) -> None:
    assert access_of(operation, {"Bucket": "sales", **parameters}) == on_prefix("READ", start)


def test_head_bucket_needs_read_on_the_whole_bucket() -> None:
    assert access_of("HeadBucket", {"Bucket": "sales"}) == on_prefix("READ", "")


@pytest.mark.parametrize(
    ("objects", "access"),
    [
        ([{"Key": "a/b"}], on_object("WRITE")),
        ([{"Key": "a/b", "VersionId": "1"}, {"Key": "a/b", "VersionId": "2"}], on_object("WRITE")),
        ([{"Key": "a/b/c"}, {"Key": "a/bc"}], on_prefix("WRITE", "a/b")),
        ([{"Key": "a/b"}, {"Key": "a/b/c"}], on_prefix("WRITE", "a/b")),
        ([{"Key": "x"}, {"Key": "y"}], on_prefix("WRITE", "")),
        ([{"Key": "a/b", "ETag": '"e"'}], on_object("READWRITE")),
        ([{"Key": "a/b"}, {"Key": "a/c", "ETag": '"e"'}], on_prefix("READWRITE", "a/")),
        ([{"Key": "a/b", "ETag": None}], on_object("WRITE")),
    ],
)
def test_deletes_need_write_on_what_their_keys_share(objects: list[dict[str, Any]], access: Access) -> None:
    assert access_of("DeleteObjects", {"Bucket": "sales", "Delete": {"Objects": objects}}) == access


def test_deletes_of_nothing_are_left_to_s3() -> None:
    access = access_of("DeleteObjects", {"Bucket": "sales", "Delete": {"Objects": []}})
    assert (access.permission, access.target, access.reason) == (None, None, "the request names no key")


@pytest.mark.parametrize("operation", COPIES)
@pytest.mark.parametrize(
    ("source", "key", "target"),
    [
        ("sales/a/c", "a/b", ("a/", True)),
        ("/sales/a/c", "a/b", ("a/", True)),
        ("sales/a/c?versionId=Zm9v", "a/b", ("a/", True)),
        ("sales/x", "a/b", ("", True)),
        ("sales/a/b", "a/b", ("a/b", False)),
        ("sales/a/b?versionId=Zm9v", "a/b", ("a/b", False)),
        ("sales//a/b", "a/b", ("", True)),
        ("sales/a/b c", "a/b c", ("a/b c", False)),
        ("sales/a+b", "a+b", ("a+b", False)),
        ("sales/ä", "ä", ("ä", False)),
        ("sales/a?b", "a?b", ("a?b", False)),
        ({"Bucket": "sales", "Key": "a/c"}, "a/b", ("a/", True)),
        ({"Bucket": "sales", "Key": "a/b", "VersionId": "1"}, "a/b", ("a/b", False)),
        ({"Bucket": "sales", "Key": "a/b?versionId=1"}, "a/b?versionId=1", ("a/b?versionId=1", False)),
        ({"Bucket": "sales", "Key": "100%25"}, "100%25", ("100%25", False)),
        ({"Bucket": "sales", "Key": "/a/b"}, "/a/b", ("/a/b", False)),
    ],
)
@pytest.mark.parametrize("on_the_wire", [True, False], ids=["encoded by botocore", "as given"])
def test_a_copy_in_one_bucket_needs_readwrite_on_what_both_keys_share(
    operation: str, source: Any, key: str, target: tuple[str, bool], on_the_wire: bool
) -> None:
    params = {"Bucket": "sales", "Key": key, "CopySource": source}
    if on_the_wire or source == "sales/a?b":
        handle_copy_source_param(params)
    assert access_of(operation, params) == Access("READWRITE", GrantScope("sales", *target))


@pytest.mark.parametrize(
    ("encoded", "key"),
    [("sales/a%2Fb%20c", "a/b c"), ("%2Fsales/a", "a"), ("sales/%E6%97%A5", "日"), ("sales/a%2Bb", "a+b"),
     ("sales/a%252Fb", "a%2Fb"), ("sales/a%3FversionId%3D1?versionId=2", "a?versionId=1")],
)  # fmt: skip
def test_an_encoded_source_is_compared_decoded(encoded: str, key: str) -> None:
    params = {"Bucket": "sales", "Key": key, "CopySource": encoded}
    assert access_of("CopyObject", params) == on_object("READWRITE", key)


@pytest.mark.parametrize("operation", COPIES)
@pytest.mark.parametrize("source", ["other/a/b", "/other/a/b", {"Bucket": "other", "Key": "a/b"}])
def test_a_copy_between_buckets_is_a_denial_that_says_so(operation: str, source: Any) -> None:
    access = access_of(operation, {"Bucket": "sales", "Key": "a/b", "CopySource": source})
    assert (access.permission, access.target) == ("READWRITE", None)
    assert access.reason is not None
    assert "'other'" in access.reason
    assert "'sales'" in access.reason


@pytest.mark.parametrize("operation", COPIES)
@pytest.mark.parametrize("bucket", NO_BUCKETS)
def test_a_copy_from_what_is_no_bucket_is_left_alone(operation: str, bucket: str) -> None:
    for source in (
        {"Bucket": bucket, "Key": "a"},
        f"{bucket}/object/a" if bucket.startswith("arn:") else f"{bucket}/a",
    ):
        params = {"Bucket": "sales", "Key": "a/b", "CopySource": source}
        handle_copy_source_param(params)
        access = access_of(operation, params)
        assert (access.permission, access.target) == (None, None)
        assert access.reason is not None


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("bucket", NO_BUCKETS)
def test_access_points_and_other_kinds_of_buckets_are_left_alone(operation: str, bucket: str) -> None:
    access = access_of(operation, {"Bucket": bucket, "Key": "k", "CopySource": "a/b", "Delete": {"Objects": []}})
    assert (access.permission, access.target) == (None, None)
    assert access.reason == f"{bucket!r} is not a general purpose bucket"


@pytest.mark.parametrize(
    "bucket", ["sales", "s3alias", "mrap", "x-s3", "arn", "sales-s3alias-1", "--x-s3.sales", "team-111122223333-an"]
)
def test_a_bucket_that_only_looks_alike_is_a_bucket(bucket: str) -> None:
    assert not unsupported_bucket(bucket)
    assert access_of("GetObject", {"Bucket": bucket, "Key": "k"}).permission == "READ"


@pytest.mark.parametrize(
    "operation",
    [
        "ListBuckets", "CreateBucket", "DeleteBucket", "GetBucketPolicy", "GetBucketLocation", "PutBucketCors",
        "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging", "GetObjectRetention", "PutObjectRetention",
        "GetObjectLegalHold", "PutObjectLegalHold", "RestoreObject", "SelectObjectContent", "GetObjectTorrent",
        "WriteGetObjectResponse", "CreateSession", "RenameObject", "NoSuchOperation",
    ],
)  # fmt: skip
def test_everything_else_is_unsupported_whatever_its_parameters(operation: str) -> None:
    assert access_of(operation, {}) == Access(None, None, f"S3 Access Grants does not cover {operation}")


def test_the_table_has_the_rows_of_the_design_and_no_other() -> None:
    assert set(OPERATIONS) == {*READS, *WRITES, *LISTINGS, *COPIES, "HeadBucket", "DeleteObjects"}


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("a/b", ("a/b", False)),
        ("a/${filename}", ("a/", True)),
        ("${filename}", ("", True)),
        ("a/${filename}.csv", ("a/", True)),
        ("a/${filename}/${filename}", ("a/", True)),
        ("a/$filename", ("a/$filename", False)),
    ],
)
def test_a_presigned_post_writes_its_key_or_what_stands_before_the_filename(key: str, target: tuple[str, bool]) -> None:
    assert access_of_post("sales", key) == Access("WRITE", GrantScope("sales", *target))


@pytest.mark.parametrize("bucket", NO_BUCKETS)
def test_a_presigned_post_to_what_is_no_bucket_is_left_alone(bucket: str) -> None:
    access = access_of_post(bucket, "a")
    assert (access.permission, access.target) == (None, None)


@pytest.mark.parametrize(
    ("operation", "params", "missing"),
    [
        ("GetObject", {"Bucket": "sales"}, "Key"),
        ("GetObject", {"Key": "a"}, "Bucket"),
        ("PutObject", {"Bucket": "sales"}, "Key"),
        ("CopyObject", {"Bucket": "sales", "Key": "a"}, "CopySource"),
        ("CopyObject", {"Bucket": "sales", "Key": "a", "CopySource": {"Bucket": "sales"}}, "Key"),
        ("DeleteObjects", {"Bucket": "sales"}, "Delete"),
        ("DeleteObjects", {"Bucket": "sales", "Delete": {}}, "Objects"),
        ("ListObjectsV2", {}, "Bucket"),
    ],
)
def test_a_missing_parameter_is_named(operation: str, params: dict[str, Any], missing: str) -> None:
    with pytest.raises(KeyError) as error:
        access_of(operation, params)
    assert error.value.args == (missing,)
