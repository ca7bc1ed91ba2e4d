"""Presigned URLs and POSTs: for how long the person who asks for one wants it to be good.

botocore tells no event a URL's ``ExpiresIn``, so ``generate_presigned_url`` of a covered client notes it for what is
signed within the call. A POST has its end in its policy.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any

from botocore.client import BaseClient

from .wrapped_method import WrappedMethod

__all__ = ["PRESIGNED", "PresignedUrls", "seconds_presigned_for"]

METHOD, EXPIRES_IN = "generate_presigned_url", "ExpiresIn"
# The endings of the signature versions of what is presigned.
PRESIGNED = ("-query", "-presign-post")
POLICY_TIME = "%Y-%m-%dT%H:%M:%SZ"

_expires_in: ContextVar[float] = ContextVar("access_grants_expires_in", default=0)


def seconds_presigned_for(context: Mapping[str, Any]) -> float:
    """Return for how many seconds from now the signature of what is presigned shall be good: 0 where nobody said."""
    policy = context.get("s3-presign-post-policy")
    if policy is None:
        return _expires_in.get()
    ends = datetime.strptime(policy["expiration"], POLICY_TIME).replace(tzinfo=timezone.utc)
    return (ends - datetime.now(timezone.utc)).total_seconds()


class PresignedUrls:
    """Notes what the calls of one client's ``generate_presigned_url`` ask for."""

    def __init__(self, client: BaseClient) -> None:
        self._method = WrappedMethod(type(client), METHOD, self._noting)

    def attach(self) -> None:
        """Begin."""
        self._method.attach()

    def detach(self) -> None:
        """Stop. A second time does nothing."""
        self._method.detach()

    def _noting(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        # Found out once: to bind each call's arguments to the signature costs more than to sign.
        parameters = inspect.signature(generate).parameters
        default = parameters[EXPIRES_IN].default if EXPIRES_IN in parameters else None
        place = list(parameters).index(EXPIRES_IN) if EXPIRES_IN in parameters else sys.maxsize

        def asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
            return _seconds(args[place] if len(args) > place else kwargs.get(EXPIRES_IN, default))

        if inspect.iscoroutinefunction(generate):

            @functools.wraps(generate)
            async def noting_async(*args: Any, **kwargs: Any) -> Any:
                token = _expires_in.set(asked(args, kwargs))
                try:
                    return await generate(*args, **kwargs)
                finally:
                    # What is collected half-way is closed in another context, where there is nothing to undo.
                    with contextlib.suppress(ValueError):
                        _expires_in.reset(token)

            return noting_async

        @functools.wraps(generate)
        def noting(*args: Any, **kwargs: Any) -> Any:
            token = _expires_in.set(asked(args, kwargs))
            try:
                return generate(*args, **kwargs)
            finally:
                _expires_in.reset(token)

        return noting


def _seconds(given: Any) -> float:
    """Read what botocore writes into the URL as it is, a text or another library's number; 0 for no length of time."""
    try:
        seconds = float(given)
    except (TypeError, ValueError, OverflowError):
        # botocore and S3 have their own word on that.
        return 0
    return seconds if math.isfinite(seconds) else 0
