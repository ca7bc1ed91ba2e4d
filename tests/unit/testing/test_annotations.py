"""Annotations of objects: no grant allows them, and a copy takes them along."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import Session

pytestmark = pytest.mark.skipif(
    "PutObjectAnnotation" not in Session().get_service_model("s3").operation_names,
    reason="this botocore has no annotations; 1.43.31 has",
)

PLAIN = {"Bucket": "sales", "Key": "in/plain"}
NOTE = {**PLAIN, "AnnotationName": "note"}


def test_annotations_are_kept_listed_and_deleted(either: Any, refused: Any) -> None:
    s3 = either.client("s3")
    with refused("NoSuchKey"):
        s3.put_object_annotation(**NOTE, AnnotationPayload=b"x")
    either.put("s3://sales/in/plain", b"body")
    with refused("NoSuchAnnotation"):
        s3.get_object_annotation(**NOTE)
    s3.put_object_annotation(**NOTE, AnnotationPayload=b"seen by two")
    s3.put_object_annotation(**{**NOTE, "AnnotationName": "other"}, AnnotationPayload=b"1")
    assert s3.get_object_annotation(**NOTE)["AnnotationPayload"].read() == b"seen by two"
    assert s3.get_object(**PLAIN)["Body"].read() == b"body"
    entries = s3.list_object_annotations(**PLAIN, AnnotationPrefix="no")["Annotations"]
    assert [(entry["AnnotationName"], entry["Size"]) for entry in entries] == [("note", 11)]
    s3.delete_object_annotation(**NOTE)
    assert [entry["AnnotationName"] for entry in s3.list_object_annotations(**PLAIN)["Annotations"]] == ["other"]
    either.put("s3://sales/in/plain", b"anew")
    assert s3.list_object_annotations(**PLAIN)["AnnotationCount"] == 0


@pytest.mark.parametrize("operation", ["put", "get", "delete", "list"])
def test_no_grant_allows_them(grants: Any, vend: Any, refused: Any, operation: str) -> None:
    grants.put("s3://sales/in/plain", b"body")
    grants.grant(grants.identity("alice"), "s3://sales/in/*", "READWRITE")
    s3 = vend(grants, grants.identity("alice"), "s3://sales/in/*", "READWRITE")
    calls = {
        "put": lambda: s3.put_object_annotation(**NOTE, AnnotationPayload=b"x"),
        "get": lambda: s3.get_object_annotation(**NOTE),
        "delete": lambda: s3.delete_object_annotation(**NOTE),
        "list": lambda: s3.list_object_annotations(**PLAIN),
    }
    with refused("AccessDenied", "because no session policy allows"):
        calls[operation]()


def test_a_copy_takes_annotations_along(grants: Any, vend: Any, refused: Any) -> None:
    alice, admin = grants.identity("alice"), grants.client("s3")
    grants.grant(alice, "s3://sales/in/*", "READWRITE")
    grants.put("s3://sales/in/plain", b"body")
    admin.put_object_annotation(**NOTE, AnnotationPayload=b"x")
    copy = {"Bucket": "sales", "Key": "in/copy", "CopySource": PLAIN}
    s3 = vend(grants, alice, "s3://sales/in/*", "READWRITE")
    for directive in ({}, {"AnnotationDirective": "COPY"}):
        with refused("AccessDenied", "s3:GetObjectAnnotation"):
            s3.copy_object(**copy, **directive)
    s3.copy_object(**copy, AnnotationDirective="EXCLUDE")
    assert admin.list_object_annotations(Bucket="sales", Key="in/copy")["AnnotationCount"] == 0
    grants.allow(alice, "s3://sales/in/*", "READWRITE")
    grants.permit(alice, "s3:GetObjectAnnotation")
    own = grants.client("s3", alice)
    with refused("AccessDenied", "s3:PutObjectAnnotation"):
        own.copy_object(**copy)
    grants.permit(alice, "s3:PutObjectAnnotation")
    own.copy_object(**copy)
    copied = admin.get_object_annotation(Bucket="sales", Key="in/copy", AnnotationName="note")
    assert copied["AnnotationPayload"].read() == b"x"
