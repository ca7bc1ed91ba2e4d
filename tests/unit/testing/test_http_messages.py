"""Which bucket and key a raw request names."""

import pytest

from access_grants_provider.testing.http_messages import Request, bucket_and_key
from access_grants_provider.testing.s3_operations import operation_name


@pytest.mark.parametrize(
    ("host", "path", "bucket", "key"),
    [
        ("127.0.0.1:5000", "/b/k", "b", "k"),
        ("[::1]:5000", "/b/k", "b", "k"),
        ("localhost:5000", "/b//k", "b", "/k"),
        ("s3.amazonaws.com", "/b", "b", None),
        ("s3.eu-west-1.amazonaws.com", "/b/", "b", None),
        ("s3-fips.us-west-2.amazonaws.com", "/b/k/", "b", "k/"),
        ("s3.dualstack.us-west-2.amazonaws.com", "/", None, None),
        ("b.s3.amazonaws.com", "/k%2Fl%252F", "b", "k/l%2F"),
        ("my.dotted.b.s3.eu-west-1.amazonaws.com", "//lead", "my.dotted.b", "/lead"),
        ("b.s3-fips.us-east-1.amazonaws.com", "/", "b", None),
        ("b.s3.dualstack.us-east-1.amazonaws.com:443", "/a+b", "b", "a+b"),
        ("b.localhost:4000", "/k", "b", "k"),
        ("s3.localhost:4000", "/b/k", "b", "k"),
        ("access-grants.invalid", "/b/k", "b", "k"),
    ],
)
def test_bucket_and_key(host: str, path: str, bucket: str | None, key: str | None) -> None:
    assert bucket_and_key(Request("GET", "http", host, path)) == (bucket, key)


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "name"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("GET", "/b", "", {}, "ListObjects"),
        ("GET", "/b", "list-type=2&prefix=x", {}, "ListObjectsV2"),
        ("GET", "/b", "versions", {}, "ListObjectVersions"),
        ("GET", "/b", "uploads", {}, "ListMultipartUploads"),
        ("GET", "/b", "location", {}, "GetBucketLocation"),
        ("HEAD", "/b", "", {}, "HeadBucket"),
        ("PUT", "/b", "", {}, "CreateBucket"),
        ("PUT", "/b", "versioning", {}, "PutBucketVersioning"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("POST", "/b", "", {"content-type": "multipart/form-data; boundary=x"}, "PostObject"),
        ("GET", "/b/k", "x-id=GetObject", {}, "GetObject"),
        ("GET", "/b/k", "versionId=1", {}, "GetObject"),
        ("GET", "/b/k", "acl", {}, "GetObjectAcl"),
        ("GET", "/b/k", "attributes", {"x-amz-object-attributes": "ETag"}, "GetObjectAttributes"),
        ("GET", "/b/k", "tagging", {}, "GetObjectTagging"),
        ("GET", "/b/k", "uploadId=1", {}, "ListParts"),
        ("HEAD", "/b/k", "", {}, "HeadObject"),
        ("PUT", "/b/k", "", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "b/l"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=1", {}, "UploadPart"),
        ("PUT", "/b/k", "partNumber=1&uploadId=1", {"x-amz-copy-source": "b/l"}, "UploadPartCopy"),
        ("PUT", "/b/k", "acl", {}, "PutObjectAcl"),
        ("PUT", "/b/k", "retention", {}, "PutObjectRetention"),
        ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=1", {}, "CompleteMultipartUpload"),
        ("POST", "/b/k", "restore", {}, "RestoreObject"),
        ("DELETE", "/b/k", "", {}, "DeleteObject"),
        ("DELETE", "/b/k", "uploadId=1", {}, "AbortMultipartUpload"),
        ("DELETE", "/b", "lifecycle", {}, "DeleteBucketLifecycle"),
    ],
)
def test_names_of_operations(method: str, path: str, query: str, headers: dict[str, str], name: str) -> None:
    assert operation_name(Request(method, "http", "localhost", path, query, headers)) == name
