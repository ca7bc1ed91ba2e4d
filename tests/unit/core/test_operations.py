"""What an S3 request needs: the table of the design, row by row, and the operations that need thought."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.handlers import handle_copy_source_param

from access_grants_provider.core.operations import (
    OPERATIONS,
    RequiredAccess,
    required_access,
    required_access_of_post,
    unsupported_bucket,
)
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

# No grant's session has an action for these.
NOT_COVERED = """
CreateBucket CreateBucketMetadataConfiguration CreateBucketMetadataTableConfiguration CreateSession DeleteBucket
DeleteBucketAnalyticsConfiguration DeleteBucketCors DeleteBucketEncryption DeleteBucketIntelligentTieringConfiguration
DeleteBucketInventoryConfiguration DeleteBucketLifecycle DeleteBucketMetadataConfiguration
DeleteBucketMetadataTableConfiguration DeleteBucketMetricsConfiguration DeleteBucketOwnershipControls
DeleteBucketPolicy DeleteBucketReplication DeleteBucketTagging DeleteBucketWebsite DeleteObjectAnnotation
DeleteObjectTagging DeletePublicAccessBlock GetBucketAbac GetBucketAccelerateConfiguration GetBucketAcl
GetBucketAnalyticsConfiguration GetBucketCors GetBucketEncryption GetBucketIntelligentTieringConfiguration
GetBucketInventoryConfiguration GetBucketLifecycle GetBucketLifecycleConfiguration GetBucketLocation GetBucketLogging
GetBucketMetadataConfiguration GetBucketMetadataTableConfiguration GetBucketMetricsConfiguration GetBucketNotification
GetBucketNotificationConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
GetBucketReplication GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite GetObjectAnnotation
GetObjectLegalHold GetObjectLockConfiguration GetObjectRetention GetObjectTagging GetObjectTorrent
GetPublicAccessBlock ListBucketAnalyticsConfigurations ListBucketIntelligentTieringConfigurations
ListBucketInventoryConfigurations ListBucketMetricsConfigurations ListBuckets ListDirectoryBuckets
ListObjectAnnotations PutBucketAbac PutBucketAccelerateConfiguration PutBucketAcl PutBucketAnalyticsConfiguration
PutBucketCors PutBucketEncryption PutBucketIntelligentTieringConfiguration PutBucketInventoryConfiguration
PutBucketLifecycle PutBucketLifecycleConfiguration PutBucketLogging PutBucketMetricsConfiguration
PutBucketNotification PutBucketNotificationConfiguration PutBucketOwnershipControls PutBucketPolicy
PutBucketReplication PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite PutObjectAnnotation
PutObjectLegalHold PutObjectLockConfiguration PutObjectRetention PutObjectTagging PutPublicAccessBlock RenameObject
RestoreObject SelectObjectContent UpdateBucketMetadataAnnotationTableConfiguration
UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration UpdateObjectEncryption
WriteGetObjectResponse
"""

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


def on_object(permission: Any, key: str = "a/b") -> RequiredAccess:
    return RequiredAccess(permission, GrantScope("sales", key, False))


def on_prefix(permission: Any, start: str) -> RequiredAccess:
    return RequiredAccess(permission, GrantScope("sales", start, True))


@pytest.mark.parametrize("operation", READS)
def test_a_read_needs_read_on_the_object(operation: str) -> None:
    assert required_access(operation, {"Bucket": "sales", "Key": "a/b", "VersionId": "v"}) == on_object("READ")


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_needs_write_on_the_object(operation: str) -> None:
    assert required_access(operation, {"Bucket": "sales", "Key": "a/b"}) == on_object("WRITE")


@pytest.mark.parametrize("operation", CONDITIONAL_WRITES)
def test_a_write_with_if_match_needs_readwrite(operation: str) -> None:
    assert required_access(operation, {"Bucket": "sales", "Key": "a/b", "IfMatch": '"etag"'}) == on_object("READWRITE")


@pytest.mark.parametrize("operation", CONDITIONAL_WRITES)
def test_a_write_with_if_none_match_stays_a_write(operation: str) -> None:
    assert required_access(operation, {"Bucket": "sales", "Key": "a/b", "IfNoneMatch": "*"}) == on_object("WRITE")


def test_if_match_on_a_read_stays_a_read() -> None:
    assert required_access("GetObject", {"Bucket": "sales", "Key": "a/b", "IfMatch": '"etag"'}) == on_object("READ")


@pytest.mark.parametrize("key", ["a*", "*", "a/", "/a", "ä/日本", " ", "?versionId=1", "${filename}"])
def test_an_object_stays_the_object_whatever_its_name(key: str) -> None:
    assert required_access("GetObject", {"Bucket": "sales", "Key": key}) == on_object("READ", key)


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize(
    ("parameters", "start"),
    [({"Prefix": "a/b"}, "a/b"), ({"Prefix": "a/b/", "Delimiter": "/"}, "a/b/"), ({"Prefix": ""}, ""), ({}, ""),
     ({"Prefix": None}, ""), ({"Prefix": "a*"}, "a*")],
)  # fmt: skip
def test_a_listing_needs_read_on_its_prefix(operation: str, parameters: dict[str, Any], start: str) -> None:
    assert required_access(operation, {"Bucket": "sales", **parameters}) == on_prefix("READ", start)


def test_head_bucket_needs_read_on_the_whole_bucket() -> None:
    assert required_access("HeadBucket", {"Bucket": "sales"}) == on_prefix("READ", "")


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
def test_deletes_need_write_on_what_their_keys_share(objects: list[dict[str, Any]], access: RequiredAccess) -> None:
    assert required_access("DeleteObjects", {"Bucket": "sales", "Delete": {"Objects": objects}}) == access


def test_deletes_of_nothing_are_left_to_s3() -> None:
    access = required_access("DeleteObjects", {"Bucket": "sales", "Delete": {"Objects": []}})
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
    assert required_access(operation, params)[:3] == RequiredAccess("READWRITE", GrantScope("sales", *target))[:3]


@pytest.mark.parametrize(
    ("encoded", "key"),
    [("sales/a%2Fb%20c", "a/b c"), ("%2Fsales/a", "a"), ("sales/%E6%97%A5", "日"), ("sales/a%2Bb", "a+b"),
     ("sales/a%252Fb", "a%2Fb"), ("sales/a%3FversionId%3D1?versionId=2", "a?versionId=1")],
)  # fmt: skip
def test_an_encoded_source_is_compared_decoded(encoded: str, key: str) -> None:
    params = {"Bucket": "sales", "Key": key, "CopySource": encoded}
    assert required_access("CopyObject", params)[:3] == on_object("READWRITE", key)[:3]


@pytest.mark.parametrize("operation", COPIES)
@pytest.mark.parametrize("source", ["other/a/b", "/other/a/b", {"Bucket": "other", "Key": "a/b"}])
def test_a_copy_between_buckets_is_a_denial_that_says_so(operation: str, source: Any) -> None:
    access = required_access(operation, {"Bucket": "sales", "Key": "a/b", "CopySource": source})
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
        access = required_access(operation, params)
        assert (access.permission, access.target) == (None, None)
        assert access.reason is not None


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("bucket", NO_BUCKETS)
def test_access_points_and_other_kinds_of_buckets_are_left_alone(operation: str, bucket: str) -> None:
    access = required_access(operation, {"Bucket": bucket, "Key": "k", "CopySource": "a/b", "Delete": {"Objects": []}})
    assert (access.permission, access.target) == (None, None)
    assert access.reason == f"{bucket!r} is not a general purpose bucket"


@pytest.mark.parametrize(
    "bucket", ["sales", "s3alias", "mrap", "x-s3", "arn", "sales-s3alias-1", "--x-s3.sales", "team-111122223333-an"]
)
def test_a_bucket_that_only_looks_alike_is_a_bucket(bucket: str) -> None:
    assert not unsupported_bucket(bucket)
    assert required_access("GetObject", {"Bucket": bucket, "Key": "k"}).permission == "READ"


@pytest.mark.parametrize("operation", [*NOT_COVERED.split(), "NoSuchOperation"])
def test_everything_else_is_unsupported_whatever_its_parameters(operation: str) -> None:
    assert required_access(operation, {}) == RequiredAccess(None, None, f"S3 Access Grants does not cover {operation}")


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
    assert required_access_of_post("sales", key) == RequiredAccess("WRITE", GrantScope("sales", *target))


@pytest.mark.parametrize("bucket", NO_BUCKETS)
def test_a_presigned_post_to_what_is_no_bucket_is_left_alone(bucket: str) -> None:
    access = required_access_of_post(bucket, "a")
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
        required_access(operation, params)
    assert error.value.args == (missing,)


CREATING = ["PutObject", "CreateMultipartUpload", "CopyObject"]
DELETING = ["DeleteObject", "DeleteObjects"]
ANY_REQUEST = {"Bucket": "sales", "Key": "a/b", "CopySource": "sales/a/c", "Delete": {"Objects": [{"Key": "a/b"}]}}


@pytest.mark.parametrize(
    ("operations", "parameter", "value", "action"),
    [
        (CREATING, "Tagging", "team=emea", "s3:PutObjectTagging"),
        (CREATING, "ObjectLockMode", "GOVERNANCE", "s3:PutObjectRetention"),
        (CREATING, "ObjectLockRetainUntilDate", "2030-01-01T00:00:00Z", "s3:PutObjectRetention"),
        (CREATING, "ObjectLockLegalHoldStatus", "ON", "s3:PutObjectLegalHold"),
        (CREATING, "ObjectLockLegalHoldStatus", "OFF", "s3:PutObjectLegalHold"),
        (CREATING, "ObjectLockEventHold", "ON", "event hold"),
        (CREATING, "ObjectLockEventHoldDurationDays", 1, "event hold"),
        (CREATING, "ObjectLockEventHoldDurationYears", 1, "event hold"),
        (["CopyObject"], "TaggingDirective", "REPLACE", "s3:PutObjectTagging"),
        (DELETING, "BypassGovernanceRetention", True, "s3:BypassGovernanceRetention"),
        (DELETING, "MFA", "20899872 301749", "root user"),
    ],
)
def test_a_parameter_that_no_grant_allows_makes_the_request_unsupported(
    operations: list[str], parameter: str, value: Any, action: str
) -> None:
    for operation in operations:
        access = required_access(operation, {**ANY_REQUEST, parameter: value})
        assert (access.permission, access.target) == (None, None)
        assert access.reason is not None
        assert access.reason.startswith(f"S3 Access Grants does not cover the parameter {parameter}, which ")
        assert action in access.reason


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("PutObject", {"Tagging": "", "ACL": "private", "StorageClass": "STANDARD_IA", "Metadata": {"Tagging": "x"}}),
        ("CreateMultipartUpload", {"Tagging": ""}),
        ("DeleteObject", {"BypassGovernanceRetention": False, "VersionId": "v"}),
        ("DeleteObjects", {"BypassGovernanceRetention": False}),
        ("CopyObject", {"TaggingDirective": "COPY", "MetadataDirective": "REPLACE", "Tagging": ""}),
    ],
)
def test_a_parameter_that_asks_for_nothing_changes_nothing(operation: str, parameters: dict[str, Any]) -> None:
    assert required_access(operation, {**ANY_REQUEST, **parameters}) == required_access(operation, ANY_REQUEST)


def test_a_value_that_reads_like_a_default_is_no_default_elsewhere() -> None:
    assert required_access("PutObject", {**ANY_REQUEST, "Tagging": "COPY"}).permission is None


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({}, ["tags", "annotations", "TaggingDirective='REPLACE'", "AnnotationDirective='EXCLUDE'"]),
        ({"AnnotationDirective": "COPY"}, ["annotations", "AnnotationDirective='EXCLUDE'"]),
        ({"AnnotationDirective": "EXCLUDE"}, ["tags", "TaggingDirective='REPLACE'"]),
    ],
)
@pytest.mark.parametrize("key", ["a/b", "a/c"], ids=["to another key", "onto itself"])
def test_a_copy_says_what_else_it_copies(parameters: dict[str, str], named: list[str], key: str) -> None:
    hint = required_access("CopyObject", {**ANY_REQUEST, "Key": key, **parameters}).hint
    assert hint is not None
    assert [word for word in named if word not in hint] == []
    if parameters.get("AnnotationDirective") == "EXCLUDE":
        assert "nnotation" not in hint


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - {"CopyObject"}))
def test_no_other_operation_has_a_hint(operation: str) -> None:
    assert required_access(operation, ANY_REQUEST).hint is None


@pytest.mark.parametrize(
    "field",
    ["tagging", "Tagging", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date",
     "X-Amz-Object-Lock-Legal-Hold"],
)  # fmt: skip
def test_a_form_s_field_that_no_grant_allows_makes_the_post_unsupported(field: str) -> None:
    access = required_access_of_post("sales", "a/b", {"acl": "private", field: "x"})
    assert (access.permission, access.target) == (None, None)
    assert access.reason is not None
    assert access.reason.startswith(f"S3 Access Grants does not cover the form field {field}, which ")


def test_a_form_s_other_fields_change_nothing() -> None:
    fields = {"key": "a/b", "acl": "private", "tagging": "", "x-amz-meta-tagging": "x", "success_action_status": "201"}
    assert required_access_of_post("sales", "a/b", fields) == on_object("WRITE")


# All below: every operation and every parameter of the installed botocore's S3 model is classified. What one botocore
# knows and another does not is listed all the same.

# Parameters for which the operation's own permission is enough. S3 checks no action for most of them.
# Checked beside the operation, and part of a grant: s3:PutObjectAcl with WRITE (and on a version, as for deletions),
# s3:GetObjectVersion with READ, the actions on AWS KMS keys by the location's role.
ACCOUNT = "ExpectedBucketOwner RequestPayer"
ACL = "ACL GrantFullControl GrantRead GrantReadACP GrantWriteACP"
CUSTOMER_KEY = "SSECustomerAlgorithm SSECustomerKey SSECustomerKeyMD5"
ENCRYPTION = f"ServerSideEncryption SSEKMSKeyId SSEKMSEncryptionContext BucketKeyEnabled {CUSTOMER_KEY}"
CHECKSUMS = """ChecksumCRC32 ChecksumCRC32C ChecksumCRC64NVME ChecksumMD5 ChecksumSHA1 ChecksumSHA256 ChecksumSHA512
    ChecksumXXHASH128 ChecksumXXHASH3 ChecksumXXHASH64"""
METADATA = """CacheControl ContentDisposition ContentEncoding ContentLanguage ContentType Expires Metadata StorageClass
    WebsiteRedirectLocation"""
SOURCE = """CopySourceIfMatch CopySourceIfModifiedSince CopySourceIfNoneMatch CopySourceIfUnmodifiedSince
    CopySourceSSECustomerAlgorithm CopySourceSSECustomerKey CopySourceSSECustomerKeyMD5 ExpectedSourceBucketOwner"""
# A read compares what it reads anyway.
READING = f"""ChecksumMode IfMatch IfModifiedSince IfNoneMatch IfUnmodifiedSince PartNumber Range ResponseCacheControl
    ResponseContentDisposition ResponseContentEncoding ResponseContentLanguage ResponseContentType ResponseExpires
    VersionId {CUSTOMER_KEY} {ACCOUNT}"""
LISTING = f"Delimiter EncodingType {ACCOUNT}"
OTHERWISE_HARMLESS = {
    "GetObject": READING,
    "HeadObject": READING,
    "GetObjectAcl": f"VersionId {ACCOUNT}",
    "GetObjectAttributes": f"MaxParts ObjectAttributes PartNumberMarker VersionId {CUSTOMER_KEY} {ACCOUNT}",
    "ListParts": f"MaxParts PartNumberMarker UploadId {CUSTOMER_KEY} {ACCOUNT}",
    # S3 takes WriteOffsetBytes in directory buckets only, which no grant covers, and likewise IfMatchLastModifiedTime,
    # IfMatchSize and IfMatchInitiatedTime.
    "PutObject": f"""Body ChecksumAlgorithm ContentLength ContentMD5 IfNoneMatch WriteOffsetBytes {ACL} {CHECKSUMS}
        {ENCRYPTION} {METADATA} {ACCOUNT}""",
    "PutObjectAcl": f"AccessControlPolicy ChecksumAlgorithm ContentMD5 GrantWrite VersionId {ACL} {ACCOUNT}",
    "DeleteObject": f"IfMatchLastModifiedTime IfMatchSize VersionId {ACCOUNT}",
    "CreateMultipartUpload": f"ChecksumAlgorithm ChecksumType {ACL} {ENCRYPTION} {METADATA} {ACCOUNT}",
    "UploadPart": f"""Body ChecksumAlgorithm ContentLength ContentMD5 PartNumber UploadId {CHECKSUMS} {CUSTOMER_KEY}
        {ACCOUNT}""",
    "CompleteMultipartUpload": f"""ChecksumType IfNoneMatch MpuObjectSize MultipartUpload UploadId {CHECKSUMS}
        {CUSTOMER_KEY} {ACCOUNT}""",
    "AbortMultipartUpload": f"IfMatchInitiatedTime UploadId {ACCOUNT}",
    "ListObjects": f"Marker MaxKeys OptionalObjectAttributes {LISTING}",
    # The owners of the objects need s3:GetObjectAcl, which READ has.
    "ListObjectsV2": f"ContinuationToken FetchOwner MaxKeys OptionalObjectAttributes StartAfter {LISTING}",
    "ListObjectVersions": f"KeyMarker MaxKeys OptionalObjectAttributes VersionIdMarker {LISTING}",
    "ListMultipartUploads": f"KeyMarker MaxUploads UploadIdMarker {LISTING}",
    "HeadBucket": "ExpectedBucketOwner",
    "DeleteObjects": f"ChecksumAlgorithm {ACCOUNT}",
    # With READWRITE, the conditions on the destination may read it. AnnotationDirective is for the hint.
    "CopyObject": f"""AnnotationDirective ChecksumAlgorithm IfMatch IfNoneMatch MetadataDirective {ACL} {ENCRYPTION}
        {METADATA} {SOURCE} {ACCOUNT}""",
    "UploadPartCopy": f"CopySourceRange PartNumber UploadId {CUSTOMER_KEY} {SOURCE} {ACCOUNT}",
}  # fmt: skip
# An entry of DeleteObjects: its version needs s3:DeleteObjectVersion, its ETag s3:GetObject. The last two are for
# directory buckets.
DELETE = {"Objects", "Quiet"}
DELETE_ENTRY = {"Key", "VersionId", "ETag", "LastModifiedTime", "Size"}

S3 = botocore.session.Session().get_service_model("s3")


def parameters_of(operation: str) -> set[str]:
    shape = S3.operation_model(operation).input_shape
    return set() if shape is None else set(shape.members)


def test_every_operation_of_s3_is_classified() -> None:
    assert set(S3.operation_names) - set(OPERATIONS) - set(NOT_COVERED.split()) == set()
    assert set(OPERATIONS) & set(NOT_COVERED.split()) == set()
    assert set(OPERATIONS) <= set(S3.operation_names)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_parameter_of_a_covered_operation_is_classified(operation: str) -> None:
    row, harmless = OPERATIONS[operation], OTHERWISE_HARMLESS[operation].split()
    known = [*row.target_parameters, *row.unsupported, *harmless, *([row.if_match] if row.if_match else [])]
    assert parameters_of(operation) - set(known) == set()
    assert sorted(set(known)) == sorted(known), "a parameter is classified twice"


def test_every_part_of_a_multiple_deletion_is_classified() -> None:
    shape = S3.operation_model("DeleteObjects").input_shape
    assert shape is not None
    delete: Any = shape.members["Delete"]
    assert set(delete.members) - DELETE == set()
    assert set(delete.members["Objects"].member.members) - DELETE_ENTRY == set()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_parameters_of_the_target_are_those_that_the_operation_reads(operation: str) -> None:
    row = OPERATIONS[operation]
    seen = set()

    class Reads(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            seen.add(name)
            return super().__getitem__(name)

        def get(self, name: str, default: Any = None) -> Any:
            seen.add(name)
            return super().get(name, default)

    row.find(row.permission, Reads(ANY_REQUEST))
    assert seen - {"AnnotationDirective"} == set(row.target_parameters)
    assert set(row.target_parameters) <= parameters_of(operation)
