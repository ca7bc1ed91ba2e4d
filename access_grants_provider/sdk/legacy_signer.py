"""Requests signed with credentials of their own, in a botocore whose signer knows only those of the client.

botocore from 1.34.70 signs with ``request.context["signing"]["request_credentials"]``. The botocore inside AWS CLI v2
does not. There the event ``choose-signer`` gives the request a signature version of ours, whose class in
``botocore.auth.AUTH_TYPE_MAPS`` signs as the version it stands for does, but with those credentials. Region, signing
name and a presigned URL's expiry stay botocore's business: a handler of ``before-sign``, which could make the signature
as well, is not told the expiry.
"""

from __future__ import annotations

import inspect
import weakref
from typing import Any

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient

__all__ = ["honour_request_credentials"]

# Before the name of the signature version that one of ours stands for.
OURS = "access-grants."
SUFFIXES = ("-query", "-presign-post")
ASKING = "access_grants_provider.asks_for_signature"


def honour_request_credentials(client: BaseClient) -> None:
    """Have a client's requests signed with ``request_credentials``, where its botocore would not do it."""
    private: Any = client
    if "request_credentials" in inspect.signature(private._request_signer.get_auth_instance).parameters:
        return
    service = client.meta.service_model.service_id.hyphenize()
    # First, for the first answer counts. The others are asked from within.
    client.meta.events.register_first(f"choose-signer.{service}", _Chooser(client.meta.events), OURS)


class _Chooser:
    """Handles ``choose-signer``: the version that the other handlers choose, as one of ours."""

    def __init__(self, events: Any) -> None:
        # The emitter holds the handler.
        self._events = weakref.proxy(events)

    def __call__(self, event_name: str, signature_version: Any, context: dict[str, Any], **others: Any) -> Any:
        if ASKING in context:
            return None
        context[ASKING] = True
        try:
            _handler, chosen = self._events.emit_until_response(
                event_name, signature_version=signature_version, context=context, **others
            )
        finally:
            del context[ASKING]
        return _ours(signature_version if chosen is None else chosen, signature_version)


def _ours(chosen: Any, asked: Any) -> Any:
    """Return our version for the chosen one; itself where no credentials sign: unsigned, bearer tokens, S3 Express."""
    if not isinstance(chosen, str):
        return chosen
    # As the signer does with what is chosen for a presigned request.
    suffix = next((one for one in SUFFIXES if isinstance(asked, str) and asked.endswith(one)), "")
    chosen = chosen if chosen.endswith(suffix) else chosen + suffix
    versions: dict[str, Any] = botocore.auth.AUTH_TYPE_MAPS
    base = versions.get(chosen)
    if base is None or base.REQUIRES_TOKEN or getattr(base, "REQUIRES_IDENTITY_CACHE", False):
        return chosen
    if OURS + chosen not in versions:
        versions[OURS + chosen] = type(f"AccessGrants{base.__name__}", (_WithRequestCredentials, base), {})
    return OURS + chosen


class _WithRequestCredentials:
    """Goes before a signature's class: it signs with the request's own credentials, if there are any."""

    credentials: Any

    def add_auth(self, request: AWSRequest) -> None:
        """Sign a request."""
        credentials = request.context.get("signing", {}).get("request_credentials")
        if credentials is not None:
            self.credentials = credentials.get_frozen_credentials()
        super().add_auth(request)  # type: ignore[misc]
