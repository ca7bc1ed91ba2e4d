"""A multi-object delete of which some keys are refused: S3 deletes the rest and answers 200."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import replace

from .errors import REQUEST_ID, Refusal
from .http_messages import Request, Response

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# They belong to the body as it was sent, not to what is left of it.
_BODY_CHECKS = ("content-md5", "x-amz-sdk-checksum-algorithm")


def delete_objects(request: Request, refused: Mapping[str, Refusal], send: Callable[[Request], Response]) -> Response:
    """Have `send` delete what is not refused, and report the refused keys as S3 does."""
    if not refused:
        return send(request)
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.fromstring(request.body)  # noqa: S314 - it comes from the program under test
    left = 0
    for entry in [element for element in root if _local_name(element) == "Object"]:
        key = next((part.text or "" for part in entry if _local_name(part) == "Key"), "")
        if key in refused:
            root.remove(entry)
        else:
            left += 1
    response = Response(200, {"x-amz-request-id": REQUEST_ID}, f'<DeleteResult xmlns="{_NAMESPACE}"/>'.encode())
    if left:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in _BODY_CHECKS and not name.startswith("x-amz-checksum-")
        }
        response = send(replace(request, body=ElementTree.tostring(root), headers=headers))
    if response.status != 200:
        return response
    result = ElementTree.fromstring(response.body)  # noqa: S314 - moto's
    for key, refusal in refused.items():
        error = ElementTree.SubElement(result, f"{{{_NAMESPACE}}}Error")
        for name, text in (("Key", key), ("Code", refusal.code), ("Message", refusal.message)):
            ElementTree.SubElement(error, f"{{{_NAMESPACE}}}{name}").text = text
    body = ElementTree.tostring(result, encoding="utf-8", xml_declaration=True)
    kept = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
    return Response(200, {**kept, "Content-Type": "application/xml"}, body)


def _local_name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
