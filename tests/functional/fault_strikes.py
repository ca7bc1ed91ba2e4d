"""How the faults of ``fault_table.py`` are brought about."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit, urlunsplit

IAM_SAYS_NO = (
    "User: arn:aws:iam::123456789012:user/somebody is not authorized to perform: s3:{call} on resource: "
    "arn:aws:s3:us-east-1:123456789012:access-grants/default because no identity-based policy allows this"
)


class Refusals:
    """Sends chosen calls of the package to a port where nobody listens, from where it is told to."""

    def __init__(self) -> None:
        self.call: str | None = None
        # Bound and never listening: connections are refused, and nobody else gets the port.
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))

    def hooked(self, hook: Callable[[Any], None]) -> Callable[[Any], None]:
        def hook_and_redirect(client: Any) -> None:
            hook(client)
            client.meta.events.register_first("before-send", self.redirect)

        return hook_and_redirect

    def redirect(self, request: Any, event_name: str, **_: object) -> None:
        if event_name.rpartition(".")[2] == self.call:
            parts = urlsplit(request.url)
            request.url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{self.nobody.getsockname()[1]}"))


@contextmanager
def struck(server: Any, refusals: Refusals, call: str, fault: str, field: str | None) -> Iterator[None]:
    """Have the fault befall every such call within the block."""
    if fault in ("500", "503", "SlowDown", "429"):
        codes = {"500": "InternalError", "503": "ServiceUnavailable", "429": "TooManyRequestsException"}
        server.fail(call, codes.get(fault, fault), times=None)
    elif fault == "timeout":
        server.hold(call)
    elif fault == "refused":
        refusals.call = call
    elif fault == "reset":
        server.reset_connection(call, times=None)
    elif fault == "cut off":
        server.cut_off(call, times=None)
    elif fault == "half a document":
        server.answer(call, f"<{call}Result><Credentials><AccessKeyId>ASIACUT".encode(), times=None)
    elif fault == "not XML":
        server.answer(call, b"<!doctype html><html><body><p>Sign in to this network<br>", times=None)
    elif fault == "no content":
        server.answer(call, b"<Hello/>", times=None)
    elif fault == "empty answer":
        server.answer(call, b"", times=None)
    elif fault == "missing field":
        server.tamper(call, lambda result: without(result, field), times=None)
    elif fault in ("clock behind", "clock ahead"):
        expired = "expired" if fault == "clock behind" else "not yet current"
        said = ("SignatureDoesNotMatch", f"Signature {expired}: 20260101T000000Z is an hour off")
        if call != "GetCallerIdentity":
            said = ("RequestTimeTooSkewed", "The difference between the times is too large.")
        server.fail(call, said[0], message=said[1], status=403, times=None)
    elif fault == "ended already":
        server.tamper(call, ended, times=None)
    elif fault == "403 no grant":
        message = "You do not have READ permissions to the requested S3 Prefix: s3://data/x"
        server.fail(call, "AccessDenied", message=message, times=None)
    elif fault == "403 IAM":
        server.fail(call, "AccessDenied", message=IAM_SAYS_NO.format(call=call), times=None)
    elif fault == "404":
        server.fail(call, "AccessGrantsInstanceNotExistsError", times=None)
    elif fault == "404 elsewhere":
        server.answer(call, b"Nothing here.\n", status=404, times=None)
    else:
        raise LookupError(fault)
    try:
        yield
    finally:
        refusals.call = None
        server.heal()


def without(result: Any, field: str | None) -> Any:
    """Return a result without this field, at whatever depth."""
    if isinstance(result, dict):
        return {name: without(one, field) for name, one in result.items() if name != field}
    return [without(one, field) for one in result] if isinstance(result, list) else result


def ended(result: dict[str, Any]) -> dict[str, Any]:
    credentials = dict(result["Credentials"])
    credentials["Expiration"] = datetime.now(timezone.utc) - timedelta(hours=1)
    return {**result, "Credentials": credentials}
