"""The control calls of a decision as calls of botocore clients: which operation, with what, and how its answer reads.

Nothing here does I/O but :func:`response_of`, so the drivers for threads and for tasks share it. The clients that make
the calls carry no identity: the caller that a call is made for is one of its parameters, so an identity can't be left
over from another call.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from ..core.config import AccessGrantsConfig
from ..core.io_requests import (
    NO_BUCKET,
    BucketRegion,
    CallerAccount,
    CallerGrant,
    ControlCall,
    DataAccessReply,
    FindInstance,
    GetDataAccess,
    GrantPage,
    ListGrants,
)
from ..core.s3_hosts import is_s3_host
from ..core.scopes import SCHEME
from ..core.service_errors import UnreadableAnswer, retry_kind
from .unpicklable_credentials import UnpicklableCredentials

__all__ = [
    "NOBODY",
    "PARSER_ERRORS",
    "ApiCall",
    "api_call_for",
    "hook_internal_client",
    "read_timestamp",
    "reply_of",
    "reply_of_error",
    "response_of",
    "web_page_in",
]

SIGNED_AS = "AccessGrantsSignedAs"
GRANT_FIELDS = ("Permission", "GrantScope", "ApplicationArn")
# What botocore needs to make a client that signs; never used, since each call brings its own credentials.
NOBODY: dict[str, Any] = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody"}

# What botocore's parsers raise on an answer that is not AWS's: on what is no XML, on XML without the element they look
# for (STS), on a time that is none. Some of its own errors are ValueErrors too, so those are let through first.
PARSER_ERRORS = (ResponseParserError, KeyError, ValueError)


# A web page, as botocore's error quotes it, from its first character on, and its title, if that is short plain words. A
# page may repeat a request, and with it a session token: so nothing else of it is told. Compiled on demand, which would
# be a tenth of the import.
WEB_PAGE = r"(?i)[^<]*\nb['\"](?:\\[nrt]|\s)*<(?:!doctype html|html)\b"
TITLE = r"(?i)<title>\s*([A-Za-z0-9.,:!'-]{1,20}(?: [A-Za-z0-9.,:!'-]{1,20}){0,9})\s*</title>"


class ApiCall(NamedTuple):
    """One call: the client's service name and region, the client's method, its keyword arguments."""

    service: str
    region: str
    method: str
    parameters: dict[str, Any]


def api_call_for(call: ControlCall, config: AccessGrantsConfig, credentials: Any) -> ApiCall:
    """Return the call of a botocore client that asks for ``call``, signed with the caller's own credentials."""
    signed: dict[str, Any] = {SIGNED_AS: credentials}
    if isinstance(call, CallerAccount):
        return ApiCall("sts", call.region, "get_caller_identity", signed)
    if isinstance(call, BucketRegion):
        return ApiCall("s3", call.region, "head_bucket", {"Bucket": call.bucket, **signed})
    if isinstance(call, FindInstance):
        # What is asked for itself: the bucket's root may lie outside every location.
        wanted = {"AccountId": call.account_id, "S3Prefix": f"{SCHEME}{call.target.bucket}/{call.target.key}"}
        return ApiCall("s3control", call.region, "get_access_grants_instance_for_prefix", {**wanted, **signed})
    if isinstance(call, ListGrants):
        # A leading fragment: without the slash it also finds grants written `s3://bucket*`.
        wanted = {"AccountId": call.account_id, "GrantScope": f"{SCHEME}{call.bucket}"}
        if call.shared_instances:
            wanted["InstanceScope"] = "ALL"
        if call.token is not None:
            wanted["NextToken"] = call.token
        return ApiCall("s3control", call.region, "list_caller_access_grants", {**wanted, **signed})
    return ApiCall("s3control", call.region, "get_data_access", {**_data_access_parameters(call, config), **signed})


def _data_access_parameters(call: GetDataAccess, config: AccessGrantsConfig) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "AccountId": call.account_id,
        "Target": str(call.target),
        "Permission": call.permission,
        "Privilege": config.privilege,
    }
    if not call.target.is_prefix:
        wanted["TargetType"] = "Object"
    seconds = call.seconds or config.duration_seconds
    if seconds is not None:
        wanted["DurationSeconds"] = seconds
    if config.audit_context is not None:
        wanted["AuditContext"] = config.audit_context
    if call.shared_instances:
        wanted["InstanceScope"] = "ALL"
    return wanted


def response_of(client: Any, call: ApiCall) -> Mapping[str, Any] | str:
    """Make a call in this thread and return botocore's response; of an answer it can't parse what may be told of it.

    Raises ``ClientError`` and ``BotoCoreError``.
    """
    try:
        response: Mapping[str, Any] = getattr(client, call.method)(**call.parameters)
    except (BotoCoreError, ClientError):
        raise
    except PARSER_ERRORS as error:
        return web_page_in(error, client)
    return response


def web_page_in(error: Exception, client: Any) -> str:
    """Return a remark on a web page, a proxy's say, that botocore could not parse; empty for anything else.

    The error quotes the whole answer, which may hold credentials; only the page's title is handed on.
    """
    text = str(error)
    if re.match(WEB_PAGE, text) is None:
        return ""
    title = re.search(TITLE, text)
    return f": {client.meta.endpoint_url} answered with a web page{f', {title[1]!r}' if title else ''}"


def reply_of(call: ControlCall, response: Mapping[str, Any] | str) -> Any:
    """Read a call's response; what the service left out comes out as None, for the core to judge.

    A text stands for an answer that botocore can't parse, and raises ``UnreadableAnswer``.
    """
    if isinstance(response, str):
        # Raised out here, so that nothing leads to the parser's error: it quotes the answer, credentials and all.
        raise UnreadableAnswer(response)
    if isinstance(call, CallerAccount):
        return response.get("Account")
    if isinstance(call, BucketRegion):
        return _region_in(response)
    if isinstance(call, FindInstance):
        return response.get("AccessGrantsInstanceArn")
    if isinstance(call, ListGrants):
        listed = response.get("CallerAccessGrantsList")
        if listed is None and "x-amz-request-id" not in _headers_of(response):
            # No empty list but none at all, from a service that is not AWS: it does not mean that there are no grants.
            raise UnreadableAnswer
        grants = [CallerGrant(*(entry.get(name) for name in GRANT_FIELDS)) for entry in listed or ()]
        return GrantPage(grants, response.get("NextToken"))
    vended = response.get("Credentials") or {}
    keys: list[Any] = [vended.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    expiration = vended.get("Expiration")
    return DataAccessReply(
        credentials=UnpicklableCredentials(*keys) if all(map(_fits_a_header, keys)) else None,
        expiration=expiration if isinstance(expiration, datetime) else None,
        matched=response.get("MatchedGrantTarget"),
        instance_arn=response.get("MatchedInstanceArn"),
    )


def _fits_a_header(text: object) -> bool:
    # A line break in a token would be refused by the HTTP library, in an error that quotes the token.
    return isinstance(text, str) and text != "" and text.isascii() and text.isprintable()


def reply_of_error(call: ControlCall, error: ClientError) -> Any:
    """Return the reply that an error still is, or raise it: a refused HeadBucket names the region all the same."""
    if isinstance(call, BucketRegion):
        region = _region_in(error.response)
        # A failure that tells nothing is worth another try.
        if region is None and error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return NO_BUCKET
        if region is not None or retry_kind(error) is None:
            return region
    raise error


def _region_in(response: Mapping[str, Any]) -> str | None:
    return _headers_of(response).get("x-amz-bucket-region")


def _headers_of(response: Mapping[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def read_timestamp(value: Any) -> datetime | None:
    """Read a time in an answer, None where it is none.

    As botocore's ``timestamp_parser``: its own raises ValueError or RuntimeError through everything, and an answer with
    an unreadable Expiration is a malformed answer like any other.
    """
    try:
        return parse_timestamp(value)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        return None


def hook_internal_client(client: BaseClient) -> None:
    """Have a client sign each call as the caller that is passed along, and reach endpoints that take no prefix."""
    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"provide-client-params.{service}", _sign_as)
    if service == "s3":
        client.meta.events.register_last("before-parameter-build.s3", _without_redirect)
    if service == "s3-control":
        client.meta.events.register("before-sign.s3-control", _without_account_in_host)


def _sign_as(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    context["signing"] = {"request_credentials": params.pop(SIGNED_AS)}


def _without_redirect(context: dict[str, Any], **_: object) -> None:
    """Keep botocore from following HeadBucket's redirect: the answer that redirects has told the region."""
    context["s3_redirect"]["redirected"] = True


def _without_account_in_host(request: AWSRequest, **_: object) -> None:
    """Take the account id off the host again where it leads nowhere.

    The endpoint rules of S3 Control turn every custom host into ``{AccountId}.host``. AWS, VPC endpoints included,
    answers there; ``123456789012.127.0.0.1`` does not exist.
    """
    parts = urlsplit(str(request.url))
    account, _dot, host = parts.netloc.partition(".")
    if account.isdigit() and len(account) == 12 and not is_s3_host(parts.hostname or ""):
        request.url = urlunsplit(parts._replace(netloc=host))
