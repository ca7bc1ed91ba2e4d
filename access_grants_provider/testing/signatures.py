"""Verification of AWS signatures, recomputed from the request as it was sent."""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, unquote_plus

from .errors import Refusal
from .http_messages import Request, bucket_of_host
from .identities import Credential

SKEW_SECONDS = 15 * 60
_ISO_BASIC = "%Y%m%dT%H%M%SZ"
_HTTP_DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d (GMT|\+0000)")

# What a client may declare instead of the hash of the payload. Of STREAMING-AWS4 bodies only the seed signature
# is verified, not the signature of each chunk.
_UNHASHED = re.compile(r"UNSIGNED-PAYLOAD|STREAMING-[A-Z0-9-]+")

# The query parameters that are part of a SigV2 resource (S3 developer guide, "Signing and authenticating REST").
_V2_SUBRESOURCES = frozenset(
    {
        "accelerate", "acl", "cors", "delete", "inventory", "lifecycle", "location", "logging", "metrics",
        "notification", "partNumber", "policy", "replication", "requestPayment", "restore", "select",
        "select-type", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions",
        "website", "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """The signer that a request names, with time and region. Nothing of it is proven before `verify`.

    `kind` is "v4", "v4-query", "v2" or "v2-query"; `expires` (epoch seconds) belongs to presigned URLs. `region` and
    `service` are empty in SigV2, which names neither.
    """

    kind: str
    access_key_id: str
    signature: str
    token: str | None
    signed_at: float | None
    expires: float | None = None
    date: str = ""
    region: str = ""
    service: str = ""
    signed_headers: tuple[str, ...] = ()


def read_claim(request: Request) -> Claim | None:
    """The claim a request makes, None if it is unsigned. Raises Refusal where it is malformed."""
    authorization = request.header("authorization")
    if authorization.startswith("AWS4-HMAC-SHA256"):
        return _header_claim(request, authorization)
    if authorization.startswith("AWS "):
        key, _, signature = authorization[4:].rpartition(":")
        date = request.header("x-amz-date") or request.header("date")
        return Claim("v2", key, signature, _token(request), _parse_http_date(date))
    if "X-Amz-Signature" in request.parameters:
        return _query_claim(request.parameters)
    if {"AWSAccessKeyId", "Signature", "Expires"} <= request.parameters.keys():
        found = request.parameters
        if not found["Expires"].isdigit():
            raise Refusal("AccessDenied", "Invalid date (should be seconds since epoch): " + found["Expires"])
        return Claim(
            "v2-query",
            found["AWSAccessKeyId"],
            found["Signature"],
            _token(request),
            None,
            float(found["Expires"]),
        )
    return None


def verify(
    request: Request, claim: Claim, find: Callable[[str], Credential | None], now: float, service: str = "s3"
) -> Credential:
    """The access key that has signed the request. Raises Refusal, in S3's words, if the claim does not hold."""
    credential = check_key(claim.access_key_id, claim.token, find, now)
    if claim.expires is not None and now > claim.expires:
        raise Refusal("AccessDenied", "Request has expired")
    if claim.expires is None and (claim.signed_at is None or abs(now - claim.signed_at) > SKEW_SECONDS):
        raise Refusal(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )
    if claim.service:
        # An amz header outside the signature could have been added on the way.
        added = {name for name in request.headers if name.startswith("x-amz-")} - {"x-amz-content-sha256"}
        if not {"host", *added} <= set(claim.signed_headers):
            raise Refusal("AccessDenied", "There were headers present in the request which were not signed")
    expected = _sign_v4(request, claim, credential) if claim.service else _sign_v2(request, claim, credential)
    wrong_service = claim.service not in ("", service)
    if wrong_service or not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise mismatch(claim.access_key_id)
    declared = request.header("x-amz-content-sha256")
    if declared and not _UNHASHED.fullmatch(declared) and declared != hashlib.sha256(request.body).hexdigest():
        raise Refusal(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            status=400,
        )
    return credential


def check_key(
    access_key_id: str, token: str | None, find: Callable[[str], Credential | None], now: float
) -> Credential:
    """The access key of this id, if it is known, not expired, and came with its session token."""
    credential = find(access_key_id)
    if credential is None:
        raise Refusal(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            details={"AWSAccessKeyId": access_key_id},
        )
    given, wanted = token or "", credential.session_token or ""
    if not credential.any_token and not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Refusal("InvalidToken", "The provided token is malformed or otherwise invalid.")
    if credential.expires_at is not None and now >= credential.expires_at:
        raise Refusal("ExpiredToken", "The provided token has expired.")
    return credential


def mismatch(access_key_id: str) -> Refusal:
    """S3's answer to a wrong signature."""
    return Refusal(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        details={"AWSAccessKeyId": access_key_id},
    )


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The SigV4 key of one day, region and service."""
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign_v2(secret: str, text: str) -> str:
    """The SigV2 signature of a text."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


def split_credential(scope: str) -> tuple[str, str, str, str]:
    """Key id, date, region and service of a SigV4 credential (`AKIA…/20260101/eu-west-1/s3/aws4_request`)."""
    parts = scope.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise malformed("The authorization header is malformed; the Credential is mal-formed.")
    return parts[0], parts[1], parts[2], parts[3]


def parse_iso_basic(text: str) -> float | None:
    """Epoch seconds of `20260101T000000Z`, None for anything else."""
    try:
        return float(calendar.timegm(time.strptime(text, _ISO_BASIC)))
    except ValueError:
        return None


def malformed(message: str) -> Refusal:
    """S3's answer to an authorization it cannot read."""
    return Refusal("AuthorizationHeaderMalformed", message, status=400)


def _header_claim(request: Request, authorization: str) -> Claim:
    found = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", authorization))
    if len(found) != 3:
        raise malformed("The authorization header is malformed; it lacks Credential, SignedHeaders or Signature.")
    key, date, region, service = split_credential(found["Credential"])
    stamp = request.header("x-amz-date")
    signed_at = parse_iso_basic(stamp) if stamp else _parse_http_date(request.header("date"))
    if signed_at is not None and time.strftime("%Y%m%d", time.gmtime(signed_at)) != date:
        raise malformed("The authorization header is malformed; Invalid credential date.")
    names = tuple(found["SignedHeaders"].split(";"))
    return Claim("v4", key, found["Signature"], _token(request), signed_at, None, date, region, service, names)


def _query_claim(found: Mapping[str, str]) -> Claim:
    key, date, region, service = split_credential(found.get("X-Amz-Credential", ""))
    signed_at = parse_iso_basic(found.get("X-Amz-Date", ""))
    lifetime = found.get("X-Amz-Expires", "")
    if signed_at is None or not lifetime.isdigit() or not 1 <= int(lifetime) <= 604800:
        raise Refusal(
            "AuthorizationQueryParametersError",
            "X-Amz-Expires must be a number of seconds, 1 to 604800",
            status=400,
        )
    return Claim(
        "v4-query",
        key,
        found["X-Amz-Signature"],
        found.get("X-Amz-Security-Token"),
        signed_at,
        signed_at + int(lifetime),
        date,
        region,
        service,
        tuple(found.get("X-Amz-SignedHeaders", "host").split(";")),
    )


def _sign_v4(request: Request, claim: Claim, credential: Credential) -> str:
    headers = "".join(f"{name}:{_header_value(request, name)}\n" for name in claim.signed_headers)
    payload = request.header("x-amz-content-sha256")
    if not payload and claim.kind == "v4-query":
        payload = request.parameters.get("X-Amz-Content-SHA256") or "UNSIGNED-PAYLOAD"
    payload = payload or hashlib.sha256(request.body).hexdigest()
    # S3 signs the path as sent; every other service signs the encoding of the encoded path.
    path = request.path if claim.service == "s3" else quote(request.path, safe="/~")
    names = ";".join(claim.signed_headers)
    canonical = "\n".join((request.method, path, _canonical_query(request.query), headers, names, payload))
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    stamp = time.strftime(_ISO_BASIC, time.gmtime(claim.signed_at))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = signing_key(credential.secret_access_key, claim.date, claim.region, claim.service)
    return hmac.new(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hexdigest()


def _header_value(request: Request, name: str) -> str:
    value = request.host if name == "host" else request.header(name)
    return " ".join(value.split())


def _canonical_query(query: str) -> str:
    pairs = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        name, value = (quote(unquote_plus(part), safe="-_.~") for part in (name, value))
        if name and name != "X-Amz-Signature":
            pairs.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _sign_v2(request: Request, claim: Claim, credential: Credential) -> str:
    # A presigned SigV2 URL carries in its query what was a header when it was signed.
    moved = {name.lower(): value for name, value in request.parameters.items()} if claim.expires else {}
    given = {**moved, **request.headers}
    amz = sorted(name for name in given if name.startswith("x-amz-"))
    date = str(int(claim.expires)) if claim.expires else ("" if "x-amz-date" in amz else given.get("date", ""))
    lines = [request.method, given.get("content-md5", ""), given.get("content-type", ""), date]
    lines += [f"{name}:{' '.join(given[name].split())}" for name in amz]
    return sign_v2(credential.secret_access_key, "\n".join([*lines, _v2_resource(request)]))


def _v2_resource(request: Request) -> str:
    bucket = bucket_of_host(request.hostname)
    path = request.path if bucket is None else f"/{bucket}{request.path}"
    return path + _v2_query(request.query.split("&"))


def _v2_query(items: Iterable[str]) -> str:
    chosen = []
    for item in items:
        name, equals, value = item.partition("=")
        if unquote(name) in _V2_SUBRESOURCES:
            chosen.append((name, f"{name}={unquote_plus(value)}" if equals and value else name))
    return ("?" + "&".join(text for _, text in sorted(chosen))) if chosen else ""


def _token(request: Request) -> str | None:
    lowered = {name.lower(): value for name, value in request.parameters.items()}
    return request.header("x-amz-security-token") or lowered.get("x-amz-security-token")


def _parse_http_date(text: str) -> float | None:
    if text.endswith("Z"):
        return parse_iso_basic(text)
    parsed = parsedate_to_datetime(text) if _HTTP_DATE.fullmatch(text) else None
    return None if parsed is None else parsed.timestamp()
