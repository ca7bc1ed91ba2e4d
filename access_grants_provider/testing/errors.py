"""Refusals of the local service and how S3, S3 Control and STS write them down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

from .http_messages import Response

REQUEST_ID = "LOCAL0ACCESS0GRANTS"

# The status AWS sends with a code, for those that `fail()` is likely to be asked for.
STATUS_BY_CODE: Mapping[str, int] = {
    "AccessDenied": 403,
    "AccessGrantAlreadyExists": 409,
    "AccessGrantsInstanceAlreadyExists": 409,
    "AccessGrantsInstanceNotEmptyError": 400,
    "AccessGrantsInstanceNotExistsError": 404,
    "AccessGrantsInstanceResourcePolicyNotExists": 404,
    "AccessGrantsLocationAlreadyExistsError": 409,
    "AccessGrantsLocationNotEmptyError": 400,
    "BandwidthLimitExceeded": 503,
    "BucketNotEmpty": 409,
    "ExpiredToken": 400,
    "ExpiredTokenException": 400,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidAccessGrant": 400,
    "InvalidAccessGrantsLocation": 400,
    "InvalidAccessKeyId": 403,
    "InvalidClientTokenId": 403,
    "InvalidIamRole": 400,
    "InvalidIdentityCenterInstance": 400,
    "InvalidRequest": 400,
    "InvalidResourcePolicy": 400,
    "InvalidTag": 400,
    "InvalidTags": 400,
    "InvalidToken": 400,
    "NoSuchAccessGrantError": 404,
    "NoSuchAccessGrantsLocationError": 404,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchResource": 404,
    "NoSuchUpload": 404,
    "PermanentRedirect": 301,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "StsNotAuthorizedError": 403,
    "StsPackedPolicyTooLargeError": 400,
    "StsValidationError": 400,
    "Throttling": 400,
    "ThrottlingException": 400,
    "TooManyRequestsException": 429,
    "TooManyTags": 400,
}


# https://www.w3.org/TR/xml/#charsets
NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
REPLACEMENT = "\ufffd"


class Refusal(Exception):
    """A request that is answered with an error.

    `code` is the error's name, `status` the HTTP status (known for the usual codes, else 400), `details` are
    further elements of the error document and `headers` go with the response.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message or code
        self.status = status if status is not None else STATUS_BY_CODE.get(code, 400)
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def error_response(refusal: Refusal, service: str, method: str) -> Response:
    """The refusal as `service` ("s3", "s3control" or "sts") sends it; an answer to HEAD has no body."""
    body = b"" if method == "HEAD" else _document(refusal, service).encode()
    headers = {"x-amz-request-id": REQUEST_ID, **refusal.headers}
    if body:
        headers["Content-Type"] = "text/xml" if service == "sts" else "application/xml"
    return Response(refusal.status, headers, body)


def _document(refusal: Refusal, service: str) -> str:
    inner = _element("Code", refusal.code) + _element("Message", refusal.message)
    inner += "".join(_element(name, value) for name, value in refusal.details.items())
    request_id = _element("RequestId", REQUEST_ID)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
    if service == "s3":
        return f"{declaration}<Error>{inner}{request_id}<HostId>{REQUEST_ID}</HostId></Error>"
    if service == "sts":
        inner = _element("Type", "Sender") + inner
        opening = '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        return f"{opening}<Error>{inner}</Error>{request_id}</ErrorResponse>"
    return f"{declaration}<ErrorResponse><Error>{inner}</Error>{request_id}</ErrorResponse>"


def _element(name: str, text: str) -> str:
    # A key may hold characters that XML has no way to write.
    return f"<{name}>{escape(NOT_XML.sub(REPLACEMENT, text))}</{name}>"


def access_denied(arn: str, action: str, resource: str, policy: str) -> Refusal:
    """IAM's refusal: `policy` says which kind of policy lacks the permission ("identity-based", "session")."""
    return Refusal(
        "AccessDenied",
        f'User: {arn} is not authorized to perform: {action} on resource: "{resource}" '
        f"because no {policy} policy allows the {action} action",
    )
