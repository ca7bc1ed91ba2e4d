"""The local S3 Access Grants in process: boto3's requests are answered before they reach the network."""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from moto import mock_aws
from moto.core.models import botocore_stubber

from .grants_api import InstanceLookup
from .http_messages import AWS_DOMAINS, Breakage, Request, text_of
from .service import DEFAULT_ACCOUNT, LocalAccessGrants

P = ParamSpec("P")
R = TypeVar("R")

# What botocore raises where a client gets no answer.
_ERRORS: Mapping[Breakage | None, Callable[..., Exception]] = {
    "reset": ConnectionClosedError,
    "silent": ReadTimeoutError,
    "refused": EndpointConnectionError,
}

# What moto puts into the environment while it is active.
_MOTO_KEYS = ("FOOBARKEY", "FOOBARSECRET")


class MockAccessGrants:
    """Answers boto3's requests to S3, S3 Access Grants and STS, and enforces the grants.

    A context manager that yields the `LocalAccessGrants`, and a decorator for functions; a function that has a
    parameter `access_grants` gets it there. It includes moto's `mock_aws`, in whatever order the two are nested.
    The credentials which the environment holds on entering, and moto's own fake ones, are the admin's.
    """

    def __init__(
        self, account_id: str, region: str, clock: Callable[[], float], find_instance_by: InstanceLookup = "account"
    ) -> None:
        self._options = (account_id, region, clock)
        self._find_instance_by: InstanceLookup = find_instance_by
        self._active: list[tuple[Any, Any]] = []

    def __enter__(self) -> LocalAccessGrants:
        access_grants = LocalAccessGrants(*self._options, find_instance_by=self._find_instance_by)
        access_grants.accept_keys(*_MOTO_KEYS)
        key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            access_grants.accept_keys(key, secret)
        moto = mock_aws()
        moto.start()
        previous = botocore_stubber.process_request
        # On the instance: other users of the class, and what moto itself calls, stay as they are.
        setattr(botocore_stubber, "process_request", _Interceptor(access_grants, previous))  # noqa: B010
        self._active.append((moto, previous))
        return access_grants

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        moto, previous = self._active.pop()
        setattr(botocore_stubber, "process_request", previous)  # noqa: B010
        moto.stop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run the function with it. A parameter `access_grants` is filled in."""
        wants = "access_grants" in inspect.signature(function).parameters

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with MockAccessGrants(*self._options, self._find_instance_by) as access_grants:
                if wants:
                    kwargs["access_grants"] = access_grants
                return function(*args, **kwargs)

        if wants:
            # pytest must not look for a fixture of that name.
            signature = inspect.signature(function)
            left = [entry for name, entry in signature.parameters.items() if name != "access_grants"]
            wrapper.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return wrapper


@overload
def mock_access_grants(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def mock_access_grants(
    *,
    account_id: str = ...,
    region: str = ...,
    clock: Callable[[], float] = ...,
    find_instance_by: InstanceLookup = ...,
) -> MockAccessGrants: ...
def mock_access_grants(
    function: Callable[P, R] | None = None,
    /,
    *,
    account_id: str = DEFAULT_ACCOUNT,
    region: str = "us-east-1",
    clock: Callable[[], float] = time.time,
    find_instance_by: InstanceLookup = "account",
) -> MockAccessGrants | Callable[P, R]:
    """Answer boto3's requests in process and enforce the grants: `with mock_access_grants() as grants:`.

    Also a decorator, with or without parentheses. See `MockAccessGrants` for what it does and `LocalAccessGrants` for
    the options.
    """
    mock = MockAccessGrants(account_id, region, clock, find_instance_by)
    return mock if function is None else mock(function)


class _Interceptor:
    def __init__(self, access_grants: LocalAccessGrants, pass_on: Callable[[AWSPreparedRequest], Any]) -> None:
        self._access_grants = access_grants
        self._pass_on = pass_on

    def __call__(self, prepared: AWSPreparedRequest) -> Any:
        parts = urlsplit(prepared.url)
        if not (parts.hostname or "").endswith(AWS_DOMAINS):
            return self._pass_on(prepared)
        body = _read(prepared.body)
        headers = {name.lower(): text_of(value) for name, value in prepared.headers.items()}
        host = headers.get("host", parts.netloc)
        request = Request(prepared.method, parts.scheme, host, parts.path or "/", parts.query, headers, body)
        response = self._access_grants.handle(request)
        if response is None:
            return self._pass_on(_of_account(_rewound(prepared, body), self._access_grants.account_of(request)))
        if response.broken in _ERRORS:
            raise _ERRORS[response.broken](endpoint_url=prepared.url)
        end = len(response.body) // 2 if response.broken == "cut off" else None
        return response.status, response.headers, response.body[:end]


def _of_account(prepared: AWSPreparedRequest, account_id: str | None) -> AWSPreparedRequest:
    # moto looks for the account there. The request goes no further than to moto.
    if account_id is not None:
        prepared.headers["x-moto-account-id"] = account_id
    return prepared


def _rewound(prepared: AWSPreparedRequest, body: bytes) -> AWSPreparedRequest:
    # A stream has been read by now. The request itself keeps it, as botocore rewinds it for a retry.
    if isinstance(prepared.body, (bytes, str, type(None))):
        return prepared
    return AWSPreparedRequest(prepared.method, prepared.url, prepared.headers, body, prepared.stream_output)


def _read(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytes, bytearray)):
        return bytes(body)
    content = body.read() if hasattr(body, "read") else b"".join(body)
    return content.encode() if isinstance(content, str) else bytes(content)
