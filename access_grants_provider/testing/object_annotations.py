"""The annotations of objects, which moto does not know."""

from __future__ import annotations

import hashlib
from typing import Any
from xml.sax.saxutils import escape

from .errors import REQUEST_ID, Refusal
from .http_messages import Request, Response

# The operations, as botocore's model names them; models before 1.43.31 have none.
OPERATIONS = frozenset(
    ("PutObjectAnnotation", "GetObjectAnnotation", "ListObjectAnnotations", "DeleteObjectAnnotation")
)
_ATTRIBUTE = "access_grants_annotations"


def annotations_of(stored: Any) -> dict[str, bytes]:
    """The annotations of an object of moto's, by name. They end with that object, or that version of it."""
    found: dict[str, bytes] = stored.__dict__.setdefault(_ATTRIBUTE, {})
    return found


def answer(operation: str, stored: Any, key: str, request: Request) -> Response:
    """Carry out one of the operations on an object of moto's; None is one that does not exist."""
    if stored is None:
        raise Refusal("NoSuchKey", "The specified key does not exist.", details={"Key": key})
    annotations, name = annotations_of(stored), request.parameters.get("annotationName", "")
    if operation == "ListObjectAnnotations":
        return _listed(annotations, key, request.parameters.get("annotation-prefix", ""))
    if operation == "PutObjectAnnotation":
        annotations[name] = _payload(request)
        inner = f"<Key>{escape(key)}</Key><AnnotationName>{escape(name)}</AnnotationName>"
        return _document("PutObjectAnnotationOutput", inner, {"ETag": _etag(annotations[name])})
    if name not in annotations:
        raise Refusal("NoSuchAnnotation", "The specified annotation does not exist on this object.", status=404)
    if operation == "DeleteObjectAnnotation":
        del annotations[name]
        return Response(204, {"x-amz-request-id": REQUEST_ID})
    return Response(200, {"x-amz-request-id": REQUEST_ID, "ETag": _etag(annotations[name])}, annotations[name])


def _listed(annotations: dict[str, bytes], key: str, prefix: str) -> Response:
    names = sorted(name for name in annotations if name.startswith(prefix))
    entries = "".join(
        f"<AnnotationEntry><AnnotationName>{escape(name)}</AnnotationName><ETag>{_etag(annotations[name])}</ETag>"
        f"<Size>{len(annotations[name])}</Size></AnnotationEntry>"
        for name in names
    )
    inner = f"<Key>{escape(key)}</Key><AnnotationCount>{len(names)}</AnnotationCount>"
    return _document("ListObjectAnnotationsOutput", f"{inner}<Annotations>{entries}</Annotations>", {})


def _payload(request: Request) -> bytes:
    """The body, without the frames that a checksum behind it brings along (content-encoding aws-chunked)."""
    rest = request.body
    if not request.header("x-amz-content-sha256").startswith("STREAMING-"):
        return rest
    payload = b""
    while True:
        head, _, rest = rest.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if size == 0:
            return payload
        payload, rest = payload + rest[:size], rest[size + 2 :]


def _document(name: str, inner: str, headers: dict[str, str]) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}>{inner}</{name}>'.encode()
    return Response(200, {"Content-Type": "application/xml", "x-amz-request-id": REQUEST_ID, **headers}, body)


def _etag(payload: bytes) -> str:
    return f'"{hashlib.md5(payload, usedforsecurity=False).hexdigest()}"'
