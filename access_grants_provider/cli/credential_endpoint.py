"""An HTTP endpoint on loopback from which the SDKs of one program fetch a grant's credentials."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any

from access_grants_provider import VendedCredentials
from access_grants_provider.adapters.source import ask_again_at
from access_grants_provider.exceptions import AccessGrantsError

from .environment import LOOPBACK
from .error_text import KNOWN, in_one_line
from .interrupts import leave_signals_to_main_thread

__all__ = ["CredentialEndpoint"]

PATH = "/credentials"
# How long after a failed renewal the next is tried. Shorter where the credentials end earlier.
RETRY_SECONDS = 30.0
# A connection that sends no request is closed after this time, so that it does not keep a thread.
READ_SECONDS = 10.0


class CredentialEndpoint:
    """Serves a grant's credentials to the programs that know its token, and renews them ahead of their end.

    ``held`` are the first credentials. ``vend`` returns credentials that live for at least so many seconds where such
    can be had; it raises what :meth:`AccessGrantsProvider.credentials` raises. ``folder`` is one that only this user
    can read; the token's file is written there. ``report`` is called with one line for the user when renewals begin
    to fail. ``clock`` gives seconds since the epoch.

    Use it as a context manager. :attr:`variables` tell the SDKs of a program where to ask.
    """

    def __init__(
        self,
        held: VendedCredentials,
        vend: Callable[[float], VendedCredentials],
        folder: Path,
        report: Callable[[str], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._vend, self._report, self._clock = vend, report, clock
        self._held, self._renew_at = held, ask_again_at(held)
        self._failing = False
        self._lock = threading.Lock()
        self._token = secrets.token_urlsafe(32)
        self._token_file = folder / "token"
        self._ended = threading.Event()
        self._server = _Server(self)
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._accept_connections, self._renew_ahead)
        ]

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        port: int = self._server.server_address[1]
        return port

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables in which the AWS SDKs look for a credential endpoint.

        Where both name a token, the SDKs take the file's. Those from before November 2023 know only the other variable,
        and the Rust library object_store knows only the file.
        """
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{LOOPBACK}:{self.port}{PATH}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._token,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self._token_file),
        }

    def __enter__(self) -> CredentialEndpoint:
        descriptor = os.open(self._token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            # Without a line end: botocore refuses a token that has one.
            file.write(self._token)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # Wakes the thread that waits for a connection.
        socket.create_connection((LOOPBACK, self.port)).close()
        self._threads[0].join()
        self._server.server_close()
        self._token_file.unlink()

    def is_authorized(self, token: str) -> bool:
        """Tell whether a request brings the token. The time this takes says nothing about the token."""
        return secrets.compare_digest(token.encode(), self._token.encode())

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Return the status and the document for a request that may have credentials.

        Credentials are served until they end, also while renewals fail. The renewing thread is late where the machine
        has slept: then the request renews.
        """
        if self._clock() >= self._held.expiration.timestamp():
            error = self.renew()
            if error is not None:
                return 503, {"code": type(error).__name__, "message": in_one_line(error)}
        held = self._held
        # The format of https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
        return 200, {
            "AccessKeyId": held.access_key,
            "SecretAccessKey": held.secret_key,
            "Token": held.token,
            "Expiration": _time(held),
        }

    def renew(self) -> Exception | None:
        """Replace the credentials. Return why that failed, after the first failure has been reported.

        Asked for more than the rest of their life, the provider renews them or raises, and does not return the same.
        """
        rest = self._held.expiration.timestamp() - self._clock()
        try:
            held = self._vend(max(0.0, rest) + 1)
        except (AccessGrantsError, *KNOWN) as error:
            # After the end the requests renew, and this is only for those that do not come.
            pause = min(RETRY_SECONDS, max(1.0, rest / 4)) if rest > 0 else RETRY_SECONDS
            self._renew_at = self._clock() + pause
            self._report_once(error)
            return error
        self._failing = False
        self._held, self._renew_at = held, ask_again_at(held)
        return None

    def _report_once(self, error: Exception) -> None:
        with self._lock:
            reported, self._failing = self._failing, True
        if not reported:
            self._report(f"The credentials that end at {_time(self._held)} can't be renewed: {in_one_line(error)}")

    def _renew_ahead(self) -> None:
        leave_signals_to_main_thread()
        # In short steps, because the wall clock goes on while the machine sleeps and this wait does not.
        while not self._ended.wait(max(0.1, min(RETRY_SECONDS, self._renew_at - self._clock()))):
            if self._clock() >= self._renew_at:
                self.renew()

    def _accept_connections(self) -> None:
        leave_signals_to_main_thread()
        while not self._ended.is_set():
            self._server.handle_request()


def _time(vended: VendedCredentials) -> str:
    return vended.expiration.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Server(ThreadingTCPServer):
    """A thread for each connection. Not an HTTPServer, which looks its address up in the DNS."""

    daemon_threads = True

    def __init__(self, endpoint: CredentialEndpoint) -> None:
        self.endpoint = endpoint
        super().__init__((LOOPBACK, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One request. Each refusal is a document with ``code`` and ``message``, which the SDKs show."""

    server: _Server
    timeout = READ_SECONDS

    def do_GET(self) -> None:
        """Serve the credentials, unless the request comes from a web page, has no token or names another path."""
        endpoint = self.server.endpoint
        # A web page can send requests here under a host name of its own (DNS rebinding), and names its origin. An SDK
        # does neither.
        if self.headers.get_all("Host") != [f"{LOOPBACK}:{endpoint.port}"]:
            self._send_refusal(403, "Forbidden", "The Host header is not this endpoint's address")
        elif "Origin" in self.headers:
            self._send_refusal(403, "Forbidden", "Web pages get no credentials")
        elif self.path != PATH:
            self._send_refusal(404, "NotFound", "There is nothing at this path")
        elif not endpoint.is_authorized(self.headers.get("Authorization", "")):
            self._send_refusal(401, "Unauthorized", "The Authorization header does not hold the token")
        else:
            self._send(*endpoint.answer())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send a document instead of http.server's page. It calls a method that has no ``do_…`` here a 501."""
        self.close_connection = True
        if code == 501:
            self._send_refusal(405, "MethodNotAllowed", "Only GET is answered")
        else:
            self._send_refusal(code, "BadRequest", message or "The request can't be read")

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: stderr belongs to the program."""

    def _send_refusal(self, status: int, code: str, message: str) -> None:
        self._send(status, {"code": code, "message": message})

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == 405:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
