"""What a session vended by a grant may do, operation by operation, through unmodified boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.s3.models import S3Backend

pytestmark = pytest.mark.alice(
    *(f"{permission} s3://sales/in/*" for permission in ("READ", "WRITE", "READWRITE")),
    objects={f"s3://sales/{key}": key for key in ("in/x", "in/y", "out/x")},
)

NO_SESSION_POLICY = "because no session policy allows the {} action"


def upload_id(grants: Any, key: str) -> str:
    return str(grants.client("s3").create_multipart_upload(Bucket="sales", Key=key)["UploadId"])


READS: dict[str, Callable[[Any, Any, str], Any]] = {
    "s3:GetObject": lambda s3, grants, key: s3.get_object(Bucket="sales", Key=key),
    "s3:GetObject ": lambda s3, grants, key: s3.get_object(Bucket="sales", Key=key, Range="bytes=0-1"),
    "s3:GetObjectAcl": lambda s3, grants, key: s3.get_object_acl(Bucket="sales", Key=key),
    "s3:GetObjectAttributes": lambda s3, grants, key: s3.get_object_attributes(
        Bucket="sales", Key=key, ObjectAttributes=["ObjectSize"]
    ),
    "s3:ListMultipartUploadParts": lambda s3, grants, key: s3.list_parts(
        Bucket="sales", Key=key, UploadId=upload_id(grants, key)
    ),
    "s3:ListBucket": lambda s3, grants, key: s3.list_objects(Bucket="sales", Prefix=key),
    "s3:ListBucket ": lambda s3, grants, key: s3.list_objects_v2(Bucket="sales", Prefix=key, Delimiter="/"),
    "s3:ListBucketVersions": lambda s3, grants, key: s3.list_object_versions(Bucket="sales", Prefix=key),
    "s3:ListBucketMultipartUploads": lambda s3, grants, key: s3.list_multipart_uploads(Bucket="sales", Prefix=key),
}
WRITES: dict[str, Callable[[Any, Any, str], Any]] = {
    "s3:PutObject": lambda s3, grants, key: s3.put_object(Bucket="sales", Key=key, Body=b"new"),
    "s3:PutObject ": lambda s3, grants, key: s3.create_multipart_upload(Bucket="sales", Key=key),
    "s3:PutObject  ": lambda s3, grants, key: s3.upload_part(
        Bucket="sales", Key=key, UploadId=upload_id(grants, key), PartNumber=1, Body=b"part"
    ),
    "s3:PutObject   ": lambda s3, grants, key: s3.put_object(Bucket="sales", Key=key, Body=b"new", IfNoneMatch="x"),
    "s3:PutObjectAcl": lambda s3, grants, key: s3.put_object_acl(Bucket="sales", Key=key, ACL="private"),
    "s3:DeleteObject": lambda s3, grants, key: s3.delete_object(Bucket="sales", Key=key),
    "s3:AbortMultipartUpload": lambda s3, grants, key: s3.abort_multipart_upload(
        Bucket="sales", Key=key, UploadId=upload_id(grants, key)
    ),
}


@pytest.mark.parametrize("action", READS)
def test_reading(grants: Any, alice: Any, vend: Any, refused: Any, action: str) -> None:
    call, words = READS[action], NO_SESSION_POLICY.format(action.strip())
    for permission in ("READ", "READWRITE"):
        s3 = vend(grants, alice, "s3://sales/in/*", permission)
        call(s3, grants, "in/x")
        with refused("AccessDenied", words):
            call(s3, grants, "out/x")
    with refused("AccessDenied", words):
        call(vend(grants, alice, "s3://sales/in/*", "WRITE"), grants, "in/x")


@pytest.mark.parametrize("action", WRITES)
def test_writing(grants: Any, alice: Any, vend: Any, refused: Any, action: str) -> None:
    call, words = WRITES[action], NO_SESSION_POLICY.format(action.strip())
    for permission in ("WRITE", "READWRITE"):
        s3 = vend(grants, alice, "s3://sales/in/*", permission)
        call(s3, grants, "in/x")
        with refused("AccessDenied", words):
            call(s3, grants, "out/x")
    with refused("AccessDenied", words):
        call(vend(grants, alice, "s3://sales/in/*", "READ"), grants, "in/x")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("list_buckets", {}),
        ("get_bucket_location", {"Bucket": "sales"}),
        ("get_bucket_versioning", {"Bucket": "sales"}),
        ("delete_bucket", {"Bucket": "sales"}),
        ("get_object_tagging", {"Bucket": "sales", "Key": "in/x"}),
        ("put_object_tagging", {"Bucket": "sales", "Key": "in/x", "Tagging": {"TagSet": []}}),
        ("put_object", {"Bucket": "sales", "Key": "in/x", "Tagging": "a=b"}),
        ("put_object_legal_hold", {"Bucket": "sales", "Key": "in/x", "LegalHold": {"Status": "ON"}}),
        ("restore_object", {"Bucket": "sales", "Key": "in/x", "RestoreRequest": {"Days": 1}}),
        ("list_objects_v2", {"Bucket": "sales"}),
        ("list_objects_v2", {"Bucket": "sales", "Prefix": "in"}),
    ],
)
def test_what_no_grant_on_a_prefix_covers(
    grants: Any, alice: Any, vend: Any, refused: Any, method: str, options: Any
) -> None:
    s3 = vend(grants, alice, "s3://sales/in/*", "READWRITE")
    with refused("AccessDenied", "because no session policy allows"):
        getattr(s3, method)(**options)


def test_a_head_is_refused_without_a_body(grants: Any, alice: Any, vend: Any) -> None:
    s3 = vend(grants, alice, "s3://sales/in/*", "READ")
    assert s3.head_object(Bucket="sales", Key="in/x")["ContentLength"] == 4
    for call in (
        lambda: s3.head_object(Bucket="sales", Key="out/x"),
        lambda: s3.head_bucket(Bucket="sales"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "403"
        headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amz-bucket-region"] == "us-east-1"


def test_a_grant_on_the_whole_bucket(grants: Any, vend: Any) -> None:
    bob = grants.identity("bob")
    grants.grant(bob, "s3://sales*", "READ")
    s3 = vend(grants, bob, "s3://sales/*", "READ")
    s3.head_bucket(Bucket="sales")
    s3.list_objects_v2(Bucket="sales")


def test_an_object_grant_is_for_one_key(grants: Any, vend: Any, refused: Any) -> None:
    bob = grants.identity("bob")
    grants.grant(bob, "s3://sales/one", "READ")
    for key in ("one", "one2", "one/x"):
        grants.put(f"s3://sales/{key}", key)
    s3 = vend(grants, bob, "s3://sales/one", "READ", TargetType="Object")
    assert s3.get_object(Bucket="sales", Key="one")["Body"].read() == b"one"
    for key in ("one2", "one/x"):
        with refused("AccessDenied"):
            s3.get_object(Bucket="sales", Key=key)
    with refused("AccessDenied"):
        s3.list_objects_v2(Bucket="sales", Prefix="one")


def test_a_minimal_session_covers_its_target(grants: Any, alice: Any, vend: Any, refused: Any) -> None:
    s3 = vend(grants, alice, "s3://sales/in/x", "READ", Privilege="Minimal", TargetType="Object")
    s3.get_object(Bucket="sales", Key="in/x")
    with refused("AccessDenied"):
        s3.get_object(Bucket="sales", Key="in/y")


def test_copies(grants: Any, alice: Any, vend: Any, refused: Any) -> None:
    s3 = vend(grants, alice, "s3://sales/in/*", "READWRITE")
    s3.copy_object(Bucket="sales", Key="in/z", CopySource={"Bucket": "sales", "Key": "in/x"})
    s3.copy_object(Bucket="sales", Key="in/z", CopySource="/sales/in/x")
    assert grants.read("s3://sales/in/z") == b"in/x"
    grants.put("s3://sales/in/a%2Fb +", b"encoded")
    s3.copy_object(Bucket="sales", Key="in/e", CopySource={"Bucket": "sales", "Key": "in/a%2Fb +"})
    assert grants.read("s3://sales/in/e") == b"encoded"
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:GetObject")):
        s3.copy_object(Bucket="sales", Key="in/z", CopySource={"Bucket": "sales", "Key": "out/x"})
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:PutObject")):
        s3.copy_object(Bucket="sales", Key="out/z", CopySource={"Bucket": "sales", "Key": "in/x"})
    writer = vend(grants, alice, "s3://sales/in/*", "WRITE")
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:GetObject")):
        writer.copy_object(Bucket="sales", Key="in/z", CopySource={"Bucket": "sales", "Key": "in/x"})
    upload = s3.create_multipart_upload(Bucket="sales", Key="in/big")["UploadId"]
    part = {"Bucket": "sales", "Key": "in/big", "UploadId": upload, "PartNumber": 1}
    s3.upload_part_copy(CopySource={"Bucket": "sales", "Key": "in/x"}, **part)
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:GetObject")):
        s3.upload_part_copy(CopySource={"Bucket": "sales", "Key": "out/x"}, **part)


def test_a_copy_source_is_read_once(grants: Any, alice: Any, vend: Any, refused: Any) -> None:
    # What is checked has to be what moto copies, however the header is written.
    s3 = vend(grants, alice, "s3://sales/in/*", "READWRITE")
    grants.put("s3://sales/in/x;y", b"semicolon")

    def put(source: str) -> None:
        def unquoted(params: Any, **_: Any) -> None:
            params["headers"]["x-amz-copy-source"] = source

        s3.meta.events.register_last("before-call.s3.CopyObject", unquoted)
        s3.copy_object(Bucket="sales", Key="in/target", CopySource="sales/in/x")

    put("sales/in/x;y")
    assert grants.read("s3://sales/in/target") == b"semicolon"
    with refused("AccessDenied"):
        put("sales%2Fout%2Fx")
    with refused("InvalidArgument", "Copy Source must mention"):
        put("sales")


def test_a_whole_multipart_upload(grants: Any, alice: Any, vend: Any) -> None:
    s3 = vend(grants, alice, "s3://sales/in/*", "WRITE")
    upload = s3.create_multipart_upload(Bucket="sales", Key="in/big")["UploadId"]
    tag = s3.upload_part(Bucket="sales", Key="in/big", UploadId=upload, PartNumber=1, Body=b"only part")["ETag"]
    s3.complete_multipart_upload(
        Bucket="sales", Key="in/big", UploadId=upload, MultipartUpload={"Parts": [{"ETag": tag, "PartNumber": 1}]}
    )
    assert grants.read("s3://sales/in/big") == b"only part"


def test_conditional_writes_read_too(grants: Any, alice: Any, vend: Any, refused: Any) -> None:
    tag = grants.client("s3").head_object(Bucket="sales", Key="in/x")["ETag"]
    writer = vend(grants, alice, "s3://sales/in/*", "WRITE")
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:GetObject")):
        writer.put_object(Bucket="sales", Key="in/x", Body=b"", IfMatch=tag)
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:GetObject")):
        writer.delete_object(Bucket="sales", Key="in/x", IfMatch=tag)
    answer = writer.delete_objects(Bucket="sales", Delete={"Objects": [{"Key": "in/x", "ETag": tag}, {"Key": "in/y"}]})
    assert [entry["Key"] for entry in answer["Errors"]] == ["in/x"]
    assert [entry["Key"] for entry in answer["Deleted"]] == ["in/y"]
    both = vend(grants, alice, "s3://sales/in/*", "READWRITE")
    both.delete_object(Bucket="sales", Key="in/x", IfMatch=tag)


def test_deleting_several_objects_answers_for_each(either: Any, vend: Any) -> None:
    bob = either.identity("bob")
    either.grant(bob, "s3://sales/in/*", "WRITE")
    keys = ["in/x", "in/ü &", "out/x", "out/y"]
    for key in keys:
        either.put(f"s3://sales/{key}", key)
    s3 = vend(either, bob, "s3://sales/in/*", "WRITE")
    answer = s3.delete_objects(Bucket="sales", Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == ["in/x", "in/ü &"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [
        ("out/x", "AccessDenied"),
        ("out/y", "AccessDenied"),
    ]
    assert either.read("s3://sales/out/x") == b"out/x"
    answer = s3.delete_objects(Bucket="sales", Delete={"Objects": [{"Key": "out/x"}], "Quiet": True})
    assert [entry["Key"] for entry in answer["Errors"]] == ["out/x"]
    assert "Errors" not in s3.delete_objects(Bucket="sales", Delete={"Objects": [{"Key": "in/x"}]})


def test_malformed_deletions(grants: Any, alice: Any, vend: Any, refused: Any) -> None:
    s3 = vend(grants, alice, "s3://sales/in/*", "WRITE")
    for body in ("nonsense", "<Delete><Object><Key>in/x</Key><Key>out/x</Key></Object></Delete>"):

        def write(params: Any, body: str = body, **_: Any) -> None:
            params["body"] = body.encode()

        s3.meta.events.register_last("before-call.s3.DeleteObjects", write)
        with refused("MalformedXML"):
            s3.delete_objects(Bucket="sales", Delete={"Objects": [{"Key": "in/x"}]})
    assert grants.read("s3://sales/out/x") == b"out/x"


def test_versions(grants: Any, vend: Any, refused: Any) -> None:
    bob = grants.identity("bob")
    grants.bucket("history", versioned=True)
    grants.grant(bob, "s3://history/in/*", "READWRITE")
    for key in ("in/x", "out/x"):
        grants.put(f"s3://history/{key}", b"first")
        grants.put(f"s3://history/{key}", b"second")
    first = {
        entry["Key"]: entry["VersionId"]
        for entry in grants.client("s3").list_object_versions(Bucket="history")["Versions"]
        if not entry["IsLatest"]
    }
    reader, writer = (vend(grants, bob, "s3://history/in/*", permission) for permission in ("READ", "WRITE"))
    old = {"Bucket": "history", "Key": "in/x", "VersionId": first["in/x"]}
    assert reader.get_object(**old)["Body"].read() == b"first"
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:DeleteObjectVersion")):
        reader.delete_object(**old)
    with refused("AccessDenied", NO_SESSION_POLICY.format("s3:GetObjectVersion")):
        reader.get_object(Bucket="history", Key="out/x", VersionId=first["out/x"])
    writer.delete_object(**old)


def test_nested_locations_have_roles_of_their_own(grants: Any, vend: Any, refused: Any) -> None:
    bob = grants.identity("bob")
    grants.put("s3://sales/p/inner/x", b"inner")
    grants.put("s3://sales/p/x", b"outer")
    grants.location("s3://sales/p/*", denies=["s3://sales/p/inner/*"])
    grants.grant(bob, "s3://sales/p/*", "READ")
    s3 = vend(grants, bob, "s3://sales/p/inner/x", "READ")
    assert s3.get_object(Bucket="sales", Key="p/x")["Body"].read() == b"outer"
    with refused("AccessDenied", "no identity-based policy allows the s3:GetObject action"):
        s3.get_object(Bucket="sales", Key="p/inner/x")
    grants.location("s3://sales/p/inner/*")
    grants.grant(bob, "s3://sales/p/inner/*", "READ")
    inner = vend(grants, bob, "s3://sales/p/inner/x", "READ")
    assert inner.get_object(Bucket="sales", Key="p/inner/x")["Body"].read() == b"inner"


def test_identities_have_no_permission_for_data_at_first(either: Any, refused: Any) -> None:
    bob = either.identity("bob")
    either.put("s3://sales/own/x", b"own")
    s3 = either.client("s3", bob)
    with refused("AccessDenied", f"User: {bob.arn} is not authorized to perform: s3:GetObject on resource: "):
        s3.get_object(Bucket="sales", Key="own/x")
    with refused("AccessDenied", "no identity-based policy allows the s3:ListAllMyBuckets action"):
        s3.list_buckets()
    either.allow(bob, "s3://sales/own/*", "READ")
    assert s3.get_object(Bucket="sales", Key="own/x")["Body"].read() == b"own"
    with refused("AccessDenied"):
        s3.put_object(Bucket="sales", Key="own/x", Body=b"")
    either.permit(bob, "s3:ListAllMyBuckets")
    assert [entry["Name"] for entry in s3.list_buckets()["Buckets"]] == ["sales"]
    either.forbid(bob, "s3:GetObject")
    with refused("AccessDenied"):
        s3.get_object(Bucket="sales", Key="own/x")


def test_the_admin_of_one_account_is_nobody_in_another(grants: Any, refused: Any) -> None:
    grants.bucket("foreign", account_id="222222222222")
    grants.put("s3://foreign/x", b"foreign")
    with refused("AccessDenied"):
        grants.client("s3").get_object(Bucket="foreign", Key="x")
    theirs = grants.client("s3", grants.admin_of("222222222222"))
    assert theirs.get_object(Bucket="foreign", Key="x")["Body"].read() == b"foreign"
    with refused("AccessDenied"):
        theirs.list_objects_v2(Bucket="sales")


def test_a_bucket_that_is_not_there(either: Any, refused: Any) -> None:
    for identity in (either.admin, either.identity("bob")):
        with refused("NoSuchBucket"):
            either.client("s3", identity).get_object(Bucket="no-such-bucket", Key="x")


def test_unsigned_requests(grants: Any, refused: Any) -> None:
    grants.put("s3://sales/secret", b"secret")
    grants.client("s3").put_object(Bucket="sales", Key="public", Body=b"public", ACL="public-read")
    anybody = grants.client("s3", config=Config(signature_version=botocore.UNSIGNED))
    assert anybody.get_object(Bucket="sales", Key="public")["Body"].read() == b"public"
    with refused("AccessDenied", "Access Denied"):
        anybody.get_object(Bucket="sales", Key="secret")
    with refused("AccessDenied"):
        anybody.put_object(Bucket="sales", Key="public", Body=b"")


@pytest.mark.parametrize("operation", ["UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "ListParts", "Abort"])
def test_an_unknown_upload_is_not_found(either: Any, refused: Any, operation: str) -> None:
    either.put("s3://sales/in/x", b"source")
    s3 = either.client("s3", config=Config(retries={"total_max_attempts": 1}))
    begun = s3.create_multipart_upload(Bucket="sales", Key="in/other")["UploadId"]
    for upload in ("unknown", begun):
        one = {"Bucket": "sales", "Key": "in/y", "UploadId": upload}
        part = {**one, "PartNumber": 1}
        calls = {
            "UploadPart": lambda part=part: s3.upload_part(**part, Body=b"x"),
            "UploadPartCopy": lambda part=part: s3.upload_part_copy(**part, CopySource="sales/in/x"),
            "CompleteMultipartUpload": lambda one=one: s3.complete_multipart_upload(
                **one, MultipartUpload={"Parts": [{"ETag": "x", "PartNumber": 1}]}
            ),
            "ListParts": lambda one=one: s3.list_parts(**one),
            "Abort": lambda one=one: s3.abort_multipart_upload(**one),
        }
        with refused("NoSuchUpload", "The specified multipart upload does not exist."):
            calls[operation]()
        assert either.requests[-1].status == 404


def test_an_exception_of_moto_is_a_recorded_500(either: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("out of order")

    s3 = either.client("s3", config=Config(retries={"total_max_attempts": 1}))
    monkeypatch.setattr(S3Backend, "list_objects_v2", broken, raising=False)
    monkeypatch.setattr(S3Backend, "list_objects", broken)
    with refused("InternalError", "KeyError: 'out of order'"):
        s3.list_objects_v2(Bucket="sales")
    record = either.requests[-1]
    assert (record.operation, record.status, record.error_code) == ("ListObjectsV2", 500, "InternalError")


def test_a_copy_takes_tags_along(grants: Any, vend: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/in/*", "READWRITE")
    grants.put("s3://sales/in/plain", b"x")
    admin = grants.client("s3")
    admin.put_object(Bucket="sales", Key="in/tagged", Body=b"x", Tagging="team=data")
    s3 = vend(grants, alice, "s3://sales/in/*", "READWRITE")
    s3.copy_object(Bucket="sales", Key="in/y", CopySource="sales/in/plain")
    for directive in ({}, {"TaggingDirective": "COPY"}):
        with refused("AccessDenied", "s3:GetObjectTagging"):
            s3.copy_object(Bucket="sales", Key="in/y", CopySource="sales/in/tagged", **directive)
    s3.copy_object(Bucket="sales", Key="in/y", CopySource="sales/in/tagged", TaggingDirective="REPLACE")
    grants.permit(alice, "s3:GetObjectTagging")
    own = grants.client("s3", alice)
    grants.allow(alice, "s3://sales/in/*", "READWRITE")
    with refused("AccessDenied", "s3:PutObjectTagging"):
        own.copy_object(Bucket="sales", Key="in/y", CopySource="sales/in/tagged")
    grants.permit(alice, "s3:PutObjectTagging")
    own.copy_object(Bucket="sales", Key="in/y", CopySource="sales/in/tagged")
    assert admin.get_object_tagging(Bucket="sales", Key="in/y")["TagSet"] == [{"Key": "team", "Value": "data"}]


@pytest.mark.parametrize("parameter", ["GrantRead", "GrantReadACP", "GrantWriteACP", "GrantFullControl"])
def test_grants_in_headers_need_the_permission_for_acls(grants: Any, refused: Any, parameter: str) -> None:
    alice = grants.identity("alice")
    grants.permit(alice, "s3:PutObject")
    s3 = grants.client("s3", alice)
    with refused("AccessDenied", "s3:PutObjectAcl"):
        s3.put_object(Bucket="sales", Key="in/x", **{parameter: "id=abc"})


def test_a_bypass_that_is_false_asks_for_nothing(grants: Any, refused: Any) -> None:
    alice = grants.identity("alice")
    grants.permit(alice, "s3:DeleteObject")
    s3 = grants.client("s3", alice)
    s3.delete_object(Bucket="sales", Key="in/x", BypassGovernanceRetention=False)
    with refused("AccessDenied", "s3:BypassGovernanceRetention"):
        s3.delete_object(Bucket="sales", Key="in/x", BypassGovernanceRetention=True)
