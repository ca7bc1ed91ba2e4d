"""The HTTP side: requests are read from sockets, exactly as they were written, and answered."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from .http_messages import Request, Response

Handle = Callable[[Request, bool], Response]


class HttpServer(ThreadingHTTPServer):
    """A threaded HTTP/1.1 server around `handle(request, proxied)`.

    `proxied` says that the client named a whole address (`GET http://host/path`), as to a proxy.
    """

    # Threads are joined on closing, so that none outlives the server.
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handle: Handle) -> None:
        self.handle_message = handle
        self._lock = Lock()
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then serve it on a thread."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def serve(self) -> None:
        """Accept connections on a thread of their own until `close()`."""
        self._thread.start()

    def close(self) -> None:
        """Refuse connections from now on, and hang up those there are.

        Threads that still answer a request are left; `server_close()` waits for them.
        """
        self.shutdown()
        self._thread.join()
        self.socket.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections, also those that a client keeps open for later."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            # The client may have been quicker.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error; anything else is one in here, and is reported."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: HttpServer

    def __getattr__(self, name: str) -> Any:
        # The base class looks for do_GET, do_PUT and so on; all are the same here.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def handle_expect_100(self) -> bool:
        """Say "100 Continue" at once: a client waits for it a second before it sends its body."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        # `path` has been tidied by the base class; the signature is about what was sent.
        target = self.requestline.split()[1]
        proxied = target.startswith(("http://", "https://"))
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            lowered = name.lower()
            headers[lowered] = f"{headers[lowered]},{value}" if lowered in headers else value
        host = headers.get("host", "")
        if proxied:
            parts = urlsplit(target)
            host = host or parts.netloc
            target = target.partition("://")[2]
            target = target[len(parts.netloc) :]
        path, _, query = target.partition("?")
        try:
            body = self._body(headers)
        except ValueError:
            # Where the body ends is not known, so neither is where another request would begin.
            self.close_connection = True
            self._send(Response(400, {"Content-Type": "text/plain"}, b"The length of the body is no number.\n"))
            return
        request = Request(self.command, "http", host, path or "/", query, headers, body)
        self._send(self.server.handle_message(request, proxied))

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunked_body()
        length = int(headers.get("content-length") or 0)
        if length < 0:
            raise ValueError(length)
        return self.rfile.read(length)

    def _chunked_body(self) -> bytes:
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _send(self, response: Response) -> None:
        if response.broken is None:
            self._write(response)
            return
        self.close_connection = True
        if response.broken == "silent":
            # Returns when the client or the server hangs up; what the client sends meanwhile is not read as a request.
            while self.rfile.read(1024):
                pass
            return
        if response.broken != "refused":
            self._write_half(response)
        if response.broken != "cut off":
            # Lingering for no time turns the close into a reset. Detached, for the base class would shut it down first.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.close(self.connection.detach())

    def _write_half(self, response: Response) -> None:
        connected, self.wfile = self.wfile, io.BytesIO()
        self._write(response)
        whole, self.wfile = self.wfile.getvalue(), connected
        self.wfile.write(whole[: len(whole) // 2])
        self.wfile.flush()

    def _write(self, response: Response) -> None:
        headers = {name.lower(): value for name, value in response.headers.items()}
        headers.pop("transfer-encoding", None)
        headers.pop("connection", None)
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        if response.status != 204 and not (bodiless and "content-length" in headers):
            headers["content-length"] = str(len(response.body))
        headers.setdefault("date", self.date_time_string())
        self.send_response_only(response.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not bodiless:
            self.wfile.write(response.body)
        self.wfile.flush()
