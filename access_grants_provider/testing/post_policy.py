"""Uploads by an HTML form: the signed policy in the form, and whether the form keeps to it."""

from __future__ import annotations

import base64
import binascii
import calendar
import hmac
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from .errors import Refusal
from .http_messages import Request
from .identities import Credential
from .s3_operations import Need
from .signatures import check_key, mismatch, parse_iso_basic, sign_v2, signing_key, split_credential

# Fields which the policy need not mention.
_FREE_FIELDS = frozenset({"awsaccesskeyid", "policy", "signature", "x-amz-signature", "file", "bucket"})


@dataclass(frozen=True)
class Form:
    """A POST form: its fields by lower-case name, and the size of its file in bytes."""

    fields: Mapping[str, str]
    filename: str
    size: int

    @property
    def key(self) -> str | None:
        """The key to write, with the file's name put in."""
        key = self.fields.get("key")
        return None if key is None else key.replace("${filename}", self.filename.rpartition("/")[2])

    @property
    def _credential(self) -> tuple[str, str, str, str]:
        return split_credential(self.fields.get("x-amz-credential", ""))

    @property
    def access_key_id(self) -> str | None:
        """Whose key has signed the policy, if any."""
        if "x-amz-credential" in self.fields:
            return self._credential[0]
        return self.fields.get("awsaccesskeyid")

    @property
    def region(self) -> str | None:
        """The region the policy was signed for; SigV2 names none."""
        return self._credential[2] if "x-amz-credential" in self.fields else None

    def needs(self, bucket: str) -> list[Need]:
        """The permissions it takes to store the file."""
        needs = [Need("s3:PutObject", bucket, self.key or "")]
        if "acl" in self.fields:
            needs.append(Need("s3:PutObjectAcl", bucket, self.key or ""))
        if "tagging" in self.fields:
            needs.append(Need("s3:PutObjectTagging", bucket, self.key or ""))
        return needs


def read_form(request: Request) -> Form:
    """The form in the request's body. Raises Refusal if there is no key or no file in it."""
    kind, options = parse_options_header(request.header("content-type"))
    parser = FormDataParser(stream_factory=lambda *_, **__: io.BytesIO())
    _, fields, files = parser.parse(io.BytesIO(request.body), kind, len(request.body), options)
    values = {name.lower(): value for name, value in fields.items(multi=True)}
    if len(values) != sum(1 for _ in fields.items(multi=True)):
        raise Refusal("InvalidArgument", "A form has each of its fields once.")
    upload = files.get("file")
    if upload is None and "file" not in values:
        raise Refusal("InvalidArgument", "POST requires exactly one file upload per request.")
    content = values["file"].encode() if upload is None else upload.stream.read()
    filename = "" if upload is None else upload.filename or ""
    if "key" not in values:
        raise Refusal("InvalidArgument", "Bucket POST must contain a field named 'key'.")
    return Form(values, filename, len(content))


def verify(form: Form, bucket: str, find: Callable[[str], Credential | None], now: float) -> Credential:
    """The access key that signed the form's policy. Raises Refusal if it has not, or the form breaks the policy."""
    key_id, policy = form.access_key_id, form.fields.get("policy")
    if key_id is None or policy is None:
        raise Refusal("AccessDenied", "Access Denied")
    credential = check_key(key_id, form.fields.get("x-amz-security-token"), find, now)
    if not hmac.compare_digest(_signature(form, policy, credential).encode(), _given_signature(form).encode()):
        raise mismatch(key_id)
    document = _read_policy(policy)
    if now > _expiration(document):
        raise Refusal("AccessDenied", "Invalid according to Policy: Policy expired.")
    _check_conditions(form, bucket, document.get("conditions", []))
    return credential


def _signature(form: Form, policy: str, credential: Credential) -> str:
    if "x-amz-credential" not in form.fields:
        return sign_v2(credential.secret_access_key, policy)
    _, date, region, service = split_credential(form.fields["x-amz-credential"])
    if parse_iso_basic(form.fields.get("x-amz-date", "")) is None:
        raise Refusal("InvalidArgument", "X-Amz-Date must be formatted via ISO8601 Basic")
    key = signing_key(credential.secret_access_key, date, region, service)
    return hmac.new(key, policy.encode(), "sha256").hexdigest()


def _given_signature(form: Form) -> str:
    name = "x-amz-signature" if "x-amz-credential" in form.fields else "signature"
    return form.fields.get(name, "")


def _read_policy(text: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode(text))
    except (ValueError, binascii.Error):
        document = None
    if not isinstance(document, dict):
        raise Refusal("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.")
    return document


def _expiration(document: Mapping[str, Any]) -> float:
    text = str(document.get("expiration", "")).partition(".")[0].rstrip("Z")
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        raise Refusal("InvalidPolicyDocument", "Invalid Policy: Invalid 'expiration' value") from None


def _check_conditions(form: Form, bucket: str, conditions: list[Any]) -> None:
    given = {**form.fields, "bucket": bucket}
    # The policy speaks of the key as the form writes it; only starts-with is about the finished key.
    mentioned = set()
    for condition in conditions:
        parts = (
            [["eq", "$" + name, value] for name, value in condition.items()]
            if isinstance(condition, dict)
            else [condition]
        )
        for kind, first, second in parts:
            if kind == "content-length-range":
                _check_size(form.size, int(first), int(second))
                continue
            name = str(first).removeprefix("$").lower()
            mentioned.add(name)
            value = given.get(name, "")
            if name == "key" and kind == "starts-with":
                value = form.key or ""
            if not (value == second if kind == "eq" else kind == "starts-with" and value.startswith(second)):
                raise Refusal(
                    "AccessDenied",
                    f"Invalid according to Policy: Policy Condition failed: {json.dumps([kind, first, second])}",
                )
    extra = sorted(
        name for name in form.fields if name not in mentioned | _FREE_FIELDS and not name.startswith("x-ignore-")
    )
    if extra:
        raise Refusal("AccessDenied", f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _check_size(size: int, least: int, most: int) -> None:
    if size < least:
        raise Refusal("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
    if size > most:
        raise Refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
