"""S3 Control's REST-XML in and out, driven by botocore's own model of the service."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from botocore.model import ListShape, OperationModel, Shape, StringShape, StructureShape

from .errors import REQUEST_ID, Refusal
from .http_messages import Request, Response

API_PREFIX = "/v20180820/"
_INTEGERS = {"integer", "long"}

# The state of Access Grants refuses these in words of their own.
_CHECKED_LATER = frozenset({"IAMRoleArn", "IdentityCenterArn", "Tags"})

# The model's own pattern is written in UTF-16, which Python can't compile.
_PATTERNS = {"AuditContext": "^[\\t\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]*\\Z"}

# A client in another process may know these although the botocore installed here does not.
_NEWER_PARAMETERS = {"AuditContext": "auditContext", "InstanceScope": "instanceScope"}


@cache
def _operations() -> tuple[tuple[str, re.Pattern[str], OperationModel], ...]:
    model = botocore.session.Session().get_service_model("s3control")
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path = operation.http["requestUri"].partition("?")[0]
        if path.startswith(API_PREFIX + "accessgrantsinstance"):
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))
            found.append((operation.http["method"], re.compile(pattern + "/?"), operation))
        elif path.startswith(API_PREFIX + "tags/"):
            # moto answers for the tags of everything else.
            pattern = re.escape(API_PREFIX + "tags/") + "(?P<resourceArn>.*(?::|%3[Aa])access-grants(?:/|%2[Ff]).*)"
            found.append((operation.http["method"], re.compile(pattern), operation))
    return tuple(found)


def find_operation(request: Request) -> OperationModel | None:
    """The Access Grants operation this request is, None for the rest of S3 Control."""
    for method, pattern, operation in _operations():
        if method == request.method and pattern.fullmatch(request.path):
            return operation
    return None


def parse_parameters(operation: OperationModel, request: Request) -> dict[str, Any]:
    """The request's parameters, under the names boto3 has for them. Raises Refusal for what is not as modelled."""
    shape = operation.input_shape
    if shape is None:
        return {}
    pattern = next(pattern for _, pattern, model in _operations() if model.name == operation.name)
    match = pattern.fullmatch(request.path)
    places: dict[str, Mapping[str, str]] = {
        "uri": {name: unquote(value) for name, value in match.groupdict().items()} if match else {},
        "querystring": request.parameters,
        "header": request.headers,
    }
    body = _body(request.body)
    result: dict[str, Any] = {}
    for name, member in shape.members.items():
        place = member.serialization.get("location")
        label = str(member.serialization.get("name", name))
        if place is None:
            element = _child(body, label)
            if element is not None:
                result[name] = _read(element, member)
        else:
            if isinstance(member, ListShape):
                result[name] = parse_qs(request.query, keep_blank_values=True).get(label, [])
                continue
            text = places[place].get(label.lower() if place == "header" else label)
            if text is not None:
                result[name] = _scalar(text, member, name)
    if operation.name in ("GetDataAccess", "ListCallerAccessGrants"):
        for name, label in _NEWER_PARAMETERS.items():
            if label in request.parameters:
                result.setdefault(name, request.parameters[label])
    _validate(result, shape)
    return result


def success(operation: OperationModel, result: Mapping[str, Any]) -> Response:
    """The answer carrying `result`."""
    headers = {"x-amz-request-id": REQUEST_ID}
    shape = operation.output_shape
    if shape is None or not shape.members:
        return Response(operation.http.get("responseCode", 200), headers)
    root = ElementTree.Element(shape.name)
    _write_members(root, result, shape)
    headers["Content-Type"] = "application/xml"
    return Response(200, headers, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _body(content: bytes) -> ElementTree.Element | None:
    if not content:
        return None
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - it comes from the program under test
    except ElementTree.ParseError:
        raise Refusal("MalformedXML", "The XML you provided was not well-formed") from None


def _child(parent: ElementTree.Element | None, name: str) -> ElementTree.Element | None:
    for element in parent if parent is not None else ():
        if element.tag.rpartition("}")[2] == name:
            return element
    return None


def _read(element: ElementTree.Element, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        result = {}
        for name, member in shape.members.items():
            found = _child(element, str(member.serialization.get("name", name)))
            if found is not None:
                result[name] = _read(found, member)
        return result
    if isinstance(shape, ListShape):
        return [_read(item, shape.member) for item in element]
    return _scalar(element.text or "", shape, shape.name)


def _scalar(text: str, shape: Shape, name: str) -> Any:
    if shape.type_name == "boolean":
        return text == "true"
    if shape.type_name not in _INTEGERS:
        return text
    try:
        return int(text)
    except ValueError:
        raise Refusal("InvalidRequest", f"{name} is a whole number, not {text!r}") from None


def _validate(values: Mapping[str, Any], shape: StructureShape) -> None:
    for name in shape.required_members:
        if name not in values:
            raise Refusal("InvalidRequest", f"Missing required parameter: {name}")
    for name, value in values.items():
        member = shape.members.get(name)
        if member is None:
            continue
        if isinstance(member, StructureShape):
            _validate(value, member)
        elif isinstance(member, StringShape) and member.enum and value not in member.enum:
            raise Refusal("InvalidRequest", f"{name} is one of {', '.join(member.enum)}, not {value!r}")
        elif name not in _CHECKED_LATER:
            _check_size(name, value, member.metadata)
            pattern = _PATTERNS.get(name) or member.metadata.get("pattern")
            # Keys may hold line feeds, and `^.+$` is not known to refuse them.
            if isinstance(value, str) and pattern is not None and not re.search(pattern, value, re.DOTALL):
                raise Refusal("InvalidRequest", f"{name} does not match {pattern}")


def _check_size(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    measure = value if isinstance(value, int) else len(value)
    if not limits.get("min", measure) <= measure <= limits.get("max", measure):
        what = "is" if isinstance(value, int) else "has a length"
        raise Refusal("InvalidRequest", f"{name} {what} between {limits.get('min')} and {limits.get('max')}")


def _write_members(parent: ElementTree.Element, values: Mapping[str, Any], shape: Shape | None) -> None:
    members = shape.members if isinstance(shape, StructureShape) else {}
    for name, value in values.items():
        if value is None:
            continue
        member = members.get(name)
        label = name if member is None else str(member.serialization.get("name", name))
        _write(ElementTree.SubElement(parent, label), value, member)


def _write(element: ElementTree.Element, value: Any, shape: Shape | None) -> None:
    if isinstance(value, Mapping):
        _write_members(element, value, shape)
    elif isinstance(value, list):
        item_shape = shape.member if isinstance(shape, ListShape) else None
        label = "member" if item_shape is None else str(item_shape.serialization.get("name", "member"))
        for item in value:
            _write(ElementTree.SubElement(element, label), item, item_shape)
    elif isinstance(value, datetime):
        element.text = value.strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        element.text = str(value)
