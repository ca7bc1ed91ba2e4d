"""How one attempt of a request was signed, what it leaves in the request's context, and what S3's answer says of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.credential_cache import Vended
from ..core.operations import Access
from .caller import Requester

__all__ = [
    "ATTEMPT",
    "NOTHING",
    "Attempt",
    "may_say_expired",
    "rewound",
    "says_expired",
    "signing_region",
    "start_clean",
]

# Where a request's context keeps what the last attempt was signed with.
ATTEMPT = "access_grants_attempt"
PSEUDO_REGIONS = {"aws-global": "us-east-1", "s3-external-1": "us-east-1"}

NOTHING: Mapping[str, Any] = {}
EXPIRED = ("ExpiredToken", "InvalidToken")


class Attempt(NamedTuple):
    """How one attempt of a request was signed; ``recovered`` once it was sent again because S3 refused that.

    ``signer`` is the object that stands in the request's signing context.
    """

    vended: Vended
    signer: Any
    from_cache: bool
    access: Access
    requester: Requester
    recovered: bool


def start_clean(context: dict[str, Any]) -> bool:
    """Take the last attempt's grant out of a retry's context; say whether the request was sent again for it."""
    last: Attempt = context.pop(ATTEMPT)
    signing = context.get("signing", {})
    if signing.get("request_credentials") is last.signer:
        context["signing"] = {name: value for name, value in signing.items() if name != "request_credentials"}
    return last.recovered


def signing_region(context: dict[str, Any], signer: Any) -> str:
    """Return the region a request is signed for: its own, else the client's."""
    region: str | None = context.get("signing", NOTHING).get("region") or signer.region_name
    return "us-east-1" if region is None else PSEUDO_REGIONS.get(region, region)


def says_expired(response: tuple[Any, dict[str, Any]]) -> bool:
    """Tell whether S3 refused the credentials as such."""
    return response[1].get("Error", {}).get("Code") in EXPIRED


def may_say_expired(response: tuple[Any, dict[str, Any]], method: str, region: str) -> bool:
    """Tell whether S3 may have refused the credentials as such: an answer to HEAD has no body, thus no code.

    S3 also answers 400 to a HEAD signed for the wrong region, and names the right one: that is the redirector's
    business.
    """
    http = response[0]
    return method == "HEAD" and http.status_code == 400 and http.headers.get("x-amz-bucket-region", region) == region


def rewound(body: Any) -> bool:
    """Rewind a body as botocore will; where that fails, S3's refusal tells more than the failure to send again."""
    if body is None or isinstance(body, (bytes, bytearray, str)):
        return True
    try:
        sought = body.seek(0)
    except (AttributeError, OSError, ValueError):
        return False
    if inspect.iscoroutine(sought):
        # An asynchronous file: botocore, aiobotocore's too, would not wait for it.
        sought.close()
        return False
    return True
