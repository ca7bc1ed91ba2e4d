"""Presigned URLs and POSTs: for how long the person who asks for one wants it to be good.

botocore tells no event a URL's ``ExpiresIn``. A client's ``generate_presigned_url`` hands it on, with the request's
context, to the method of that name of its request signer. There it is noted in the context. A POST has its end in its
policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from types import FunctionType
from typing import Any

__all__ = ["PRESIGNED", "PresignedUrls", "seconds_presigned_for"]

METHOD = "generate_presigned_url"
# Where a request's context keeps what the program gave as ExpiresIn.
EXPIRES_IN = "access_grants_expires_in"
# The endings of the signature versions of what is presigned.
PRESIGNED = ("-query", "-presign-post")
POLICY_TIME = "%Y-%m-%dT%H:%M:%SZ"


def seconds_presigned_for(context: Mapping[str, Any]) -> float:
    """Return for how many seconds from now the signature of what is presigned shall be good: 0 where nobody said."""
    policy = context.get("s3-presign-post-policy")
    if policy is None:
        return _seconds(context.get(EXPIRES_IN))
    ends = datetime.strptime(policy["expiration"], POLICY_TIME).replace(tzinfo=timezone.utc)
    return (ends - datetime.now(timezone.utc)).total_seconds()


class PresignedUrls:
    """Notes what is asked of one client's request signer."""

    def __init__(self, request_signer: Any) -> None:
        self._signer = request_signer
        # What somebody else has put on this signer; None for the method of its class.
        self._before: Any = None
        self._mine = self._generate

    def attach(self) -> None:
        """Begin, in place of another provider."""
        there = vars(self._signer).get(METHOD)
        other = getattr(there, "__self__", None)
        self._before = other._before if isinstance(other, PresignedUrls) else there
        setattr(self._signer, METHOD, self._mine)

    def detach(self) -> None:
        """Stop. A second time does nothing, nor where somebody has put another method there meanwhile."""
        if vars(self._signer).get(METHOD) is not self._mine:
            return
        if self._before is None:
            delattr(self._signer, METHOD)
        else:
            setattr(self._signer, METHOD, self._before)

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        # botocore's client passes keywords alone.
        if "request_dict" in kwargs:
            kwargs["request_dict"]["context"][EXPIRES_IN] = kwargs.get("expires_in")
        # Of aiobotocore it is a coroutine, which the client awaits.
        if self._before is not None:
            return self._before(*args, **kwargs)
        # Looked up with each call: tests put a mock on the class, which does not bind.
        generate = type(self._signer).generate_presigned_url
        if isinstance(generate, FunctionType):
            return generate(self._signer, *args, **kwargs)
        return generate(*args, **kwargs)


def _seconds(given: Any) -> float:
    """Read what botocore writes into the URL as it is, a text or another library's number; 0 for no length of time."""
    try:
        seconds = float(given)
    except (TypeError, ValueError, OverflowError):
        # botocore and S3 have their own word on that.
        return 0
    return seconds if math.isfinite(seconds) else 0
