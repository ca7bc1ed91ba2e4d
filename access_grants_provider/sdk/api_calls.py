"""The steps of a decision as calls of botocore clients: which operation, with what, and how its answer reads.

Nothing here does I/O, so the edges for threads and for tasks share it. The clients that make the calls carry no
identity: whoever a call is made for is one of its parameters, so an identity can't be left over from another call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from ..core.config import AccessGrantsConfig
from ..core.io_requests import (
    Answer,
    BucketRegion,
    CallerAccount,
    CallerGrant,
    FindInstance,
    ListGrants,
    Page,
    Step,
    Vend,
)
from ..core.scopes import SCHEME
from ..core.service_errors import UnreadableAnswer

__all__ = [
    "PARSER_ERRORS",
    "Call",
    "ClientShape",
    "answer_of",
    "answer_of_error",
    "call_for",
    "hook_internal_client",
    "is_aws_host",
    "read_timestamp",
    "response_of",
]

SIGNED_AS = "AccessGrantsSignedAs"
USER_AGENT = "access-grants-provider"
GRANT_FIELDS = ("Permission", "GrantScope", "ApplicationArn")
# What botocore needs to make a client that signs; never used, since each call brings its own credentials.
NOBODY: dict[str, Any] = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody"}

# What botocore's parsers raise on an answer that is not AWS's: on what is no XML, on XML without the element they look
# for (STS), on a time that is none. Some of its own errors are ValueErrors too, so those are let through first.
PARSER_ERRORS = (ResponseParserError, KeyError, ValueError)

# The suffixes of botocore's partitions.json, dual-stack and isolated partitions included.
AWS_SUFFIXES = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".api.amazonwebservices.eu",
    ".adc-e.uk",
    ".aws.scloud",
    ".ic.gov",
    ".sgov.gov",
)


class Call(NamedTuple):
    """One call: the client's service name and region, the client's method, its keyword arguments."""

    service: str
    region: str
    method: str
    parameters: dict[str, Any]


class ClientShape(NamedTuple):
    """How the clients for the calls are made: like the S3 client they serve.

    ``options`` are those of ``botocore.config.Config``; ``s3_endpoint_url`` is the S3 client's endpoint where that is
    not AWS.
    """

    options: tuple[tuple[str, Any], ...]
    verify: Any
    s3_endpoint_url: str | None

    def __repr__(self) -> str:
        # A proxy's address may hold a password.
        return f"<ClientShape of {len(self.options)} options>"

    def digest(self) -> bytes:
        """Return what stands for the shape as a key."""
        return hashlib.sha256(repr(tuple(self)).encode()).digest()

    @classmethod
    def of(cls, client: BaseClient) -> ClientShape:
        """Read the shape off an S3 client: proxies, time-outs, retries, FIPS, dual-stack, certificates."""
        config = client.meta.config
        dual_stack = bool((getattr(config, "s3", None) or {}).get("use_dualstack_endpoint"))
        options = {name: getattr(config, name, None) for name in SHARED_OPTIONS}
        if dual_stack:
            options["use_dualstack_endpoint"] = True
        # botocore keeps what create_client(verify=…) or the profile's ca_bundle said in the HTTP session alone.
        private: Any = client
        verify = getattr(private._endpoint.http_session, "_verify", None)
        endpoint = client.meta.endpoint_url
        foreign = endpoint if not is_aws_host(urlsplit(endpoint).hostname or "") else None
        return cls(tuple((name, value) for name, value in options.items() if value is not None), verify, foreign)

    def config(self, make: Callable[..., Config] = Config, **more: Any) -> Config:
        """Return the configuration of a client for the calls, made by a class of configurations."""
        return make(user_agent_extra=USER_AGENT, **dict(self.options), **more)

    def endpoint_url(self, service: str, config: AccessGrantsConfig) -> str | None:
        """Return where a service is called; None leaves it to botocore and its ``AWS_ENDPOINT_URL_*``.

        Where S3 itself is a local service, STS is asked at ``endpoint_url`` too: AWS does not know those credentials.
        """
        if service == "s3":
            return self.s3_endpoint_url
        if service == "s3control" or self.s3_endpoint_url is not None:
            return config.endpoint_url
        return None


SHARED_OPTIONS = (
    "client_cert",
    "connect_timeout",
    "max_pool_connections",
    "proxies",
    "proxies_config",
    "read_timeout",
    "retries",
    "s3",
    "tcp_keepalive",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
)


def is_aws_host(host: str) -> bool:
    """Tell whether a host name belongs to AWS, VPC endpoints included."""
    return host.endswith(AWS_SUFFIXES)


def call_for(step: Step, config: AccessGrantsConfig, signed_as: Credentials) -> Call:
    """Return the call that performs ``step`` (any but a wait), signed with the requester's own credentials."""
    signed: dict[str, Any] = {SIGNED_AS: signed_as}
    if isinstance(step, CallerAccount):
        return Call("sts", step.region, "get_caller_identity", signed)
    if isinstance(step, BucketRegion):
        return Call("s3", step.region, "head_bucket", {"Bucket": step.bucket, **signed})
    if isinstance(step, FindInstance):
        # What is asked for itself: the bucket's root may lie outside every location.
        wanted = {"AccountId": step.account_id, "S3Prefix": f"{SCHEME}{step.target.bucket}/{step.target.key}"}
        return Call("s3control", step.region, "get_access_grants_instance_for_prefix", {**wanted, **signed})
    if isinstance(step, ListGrants):
        # A leading fragment: without the slash it also finds grants written `s3://bucket*`.
        wanted = {"AccountId": step.account_id, "GrantScope": f"{SCHEME}{step.bucket}"}
        if step.everywhere:
            wanted["InstanceScope"] = "ALL"
        if step.token is not None:
            wanted["NextToken"] = step.token
        return Call("s3control", step.region, "list_caller_access_grants", {**wanted, **signed})
    if isinstance(step, Vend):
        return Call("s3control", step.region, "get_data_access", {**_vend_parameters(step, config), **signed})
    raise TypeError(f"{step!r} is performed without a call")


def _vend_parameters(step: Vend, config: AccessGrantsConfig) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "AccountId": step.account_id,
        "Target": str(step.target),
        "Permission": step.permission,
        "Privilege": config.privilege,
    }
    if not step.target.is_prefix:
        wanted["TargetType"] = "Object"
    seconds = step.seconds or config.duration_seconds
    if seconds is not None:
        wanted["DurationSeconds"] = seconds
    if config.audit_context is not None:
        wanted["AuditContext"] = config.audit_context
    if step.everywhere:
        wanted["InstanceScope"] = "ALL"
    return wanted


def response_of(client: Any, call: Call) -> Mapping[str, Any] | None:
    """Make a call in this thread and return botocore's response, None for an answer that botocore can't parse.

    Raises ``ClientError`` and ``BotoCoreError``.
    """
    try:
        response: Mapping[str, Any] = getattr(client, call.method)(**call.parameters)
    except (BotoCoreError, ClientError):
        raise
    except PARSER_ERRORS:
        return None
    return response


def answer_of(step: Step, response: Mapping[str, Any]) -> Any:
    """Read a call's response; what the service left out comes out as None, for the flow to judge."""
    if isinstance(step, CallerAccount):
        return response.get("Account")
    if isinstance(step, BucketRegion):
        return _region_in(response)
    if isinstance(step, FindInstance):
        return response.get("AccessGrantsInstanceArn")
    if isinstance(step, ListGrants):
        listed = response.get("CallerAccessGrantsList")
        if listed is None and "x-amz-request-id" not in _headers_of(response):
            # Not an empty list but none, from somebody who is not AWS: nobody is told by it that there are no grants.
            raise UnreadableAnswer
        grants = [CallerGrant(*(entry.get(name) for name in GRANT_FIELDS)) for entry in listed or ()]
        return Page(grants, response.get("NextToken"))
    vended = response.get("Credentials") or {}
    keys: list[Any] = [vended.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    expiration = vended.get("Expiration")
    return Answer(
        signer=Credentials(*keys) if all(map(_fits_a_header, keys)) else None,
        expiration=expiration if isinstance(expiration, datetime) else None,
        matched=response.get("MatchedGrantTarget"),
        instance_arn=response.get("MatchedInstanceArn"),
    )


def _fits_a_header(text: object) -> bool:
    # A line break in a token would be refused by the HTTP library, in an error that quotes the token.
    return isinstance(text, str) and text != "" and text.isascii() and text.isprintable()


def answer_of_error(step: Step, error: ClientError) -> Any:
    """Return the answer that an error still is, or raise it: a refused HeadBucket names the region all the same."""
    if isinstance(step, BucketRegion):
        return _region_in(error.response)
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
    if account.isdigit() and len(account) == 12 and not is_aws_host(parts.hostname or ""):
        request.url = urlunsplit(parts._replace(netloc=host))
