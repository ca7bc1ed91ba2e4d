"""The local S3 Access Grants over HTTP, for other processes, other languages and asynchronous clients."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .dispatch import claim_of, internal_error, service_of
from .errors import error_response
from .grants_api import InstanceLookup
from .http_messages import AWS_DOMAINS, LOCAL_DOMAIN, Request, Response
from .http_server import HttpServer
from .identities import Identity
from .moto_backend import MotoBackend
from .service import DEFAULT_ACCOUNT, LocalAccessGrants

if TYPE_CHECKING:
    from typing_extensions import Self


class AccessGrantsServer(LocalAccessGrants):
    """S3, S3 Access Grants and STS at one HTTP address. A context manager.

    `port` 0 takes a free one; the address is in `url`. Each server has buckets of its own, which are emptied when it
    starts and when it stops. Clients of a `session()` need `endpoint_url=server.url`; `client()` passes it.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        account_id: str = DEFAULT_ACCOUNT,
        region: str = "us-east-1",
        clock: Callable[[], float] = time.time,
        *,
        find_instance_by: InstanceLookup = "account",
    ) -> None:
        super().__init__(account_id, region, clock, find_instance_by=find_instance_by)
        self._address = (host, port)
        self._server: HttpServer | None = None
        self._closed: list[HttpServer] = []

    @property
    def url(self) -> str:
        """`http://host:port`. Raises RuntimeError while the server isn't running."""
        if self._server is None:
            raise RuntimeError("The server is not running: call start() or use it in a with statement")
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def s3control_url(self) -> str:
        """The endpoint of S3 Control for programs in other processes: `http://account@localhost:port`.

        SDKs write the account's id and a dot before what they are given, and `123456789012.127.0.0.1` does not resolve.
        Here botocore writes them into the user part, which is no part of the host. An SDK that drops the user part has
        to look `123456789012.localhost` up as this machine, which some systems do by themselves. In the process of the
        server, botocore takes `url` for S3 Control too.
        """
        host, port = urlsplit(self.url).hostname, urlsplit(self.url).port
        return f"http://account@{'localhost' if host == '127.0.0.1' else host}:{port}"

    def start(self) -> Self:
        """Begin to serve."""
        if self._server is not None:
            raise RuntimeError("The server is running already")
        self._moto.reset()
        self._listen(self._address)
        return self

    def stop(self) -> None:
        """Let held requests go, hang up, and forget all buckets."""
        if self._server is None:
            return
        self.heal()
        self._server.close()
        for server in {self._server, *self._closed}:
            server.server_close()
        self._server = None
        self._closed.clear()
        self._moto.reset()

    @contextmanager
    def refuse_connections(self) -> Iterator[None]:
        """Hang up and refuse every connection in the `with` statement, as a server that is down does.

        Buckets, grants and `url` stay.
        """
        if self._server is None:
            raise RuntimeError("The server is not running")
        closed = self._server
        # A thread of it may hold a request until `heal()`, so `stop()` waits for its threads, and nothing here does.
        self._closed.append(closed)
        closed.close()
        try:
            yield
        finally:
            if self._server is closed:
                host, port = closed.server_address[:2]
                self._listen((str(host), port))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def environment(self, identity: Identity | None = None) -> dict[str, str]:
        """The environment variables with which an unmodified process finds this server and signs as this identity.

        They are to be added to the process's environment; a session token that is in there already has to go
        unless the identity has one itself.
        """
        identity = identity or self.admin
        variables = {
            "AWS_ACCESS_KEY_ID": identity.access_key_id,
            "AWS_SECRET_ACCESS_KEY": identity.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ENDPOINT_URL_IAM": self.url,
            "S3_ACCESS_GRANTS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3_CONTROL": self.s3control_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        if identity.session_token is not None:
            variables["AWS_SESSION_TOKEN"] = identity.session_token
        return variables

    def _endpoint_url(self) -> str | None:
        return self.url

    def _make_backend(self) -> MotoBackend:
        return MotoBackend(private=True)

    def _listen(self, address: tuple[str, int]) -> None:
        self._server = HttpServer(address, self._handle_http)
        self._server.serve()

    def _handle_http(self, request: Request, proxied: bool) -> Response:
        if proxied and not self._is_ours(request.hostname):
            text = f"The local S3 Access Grants are no proxy for {request.hostname}.\n"
            return Response(502, {"Content-Type": "text/plain"}, text.encode())
        return self.handle(request) or self._other_service(request)

    def _other_service(self, request: Request) -> Response:
        service = service_of(request)
        try:
            return self._from_moto(request, service)
        except Exception as error:  # noqa: BLE001
            # Whatever moto raises: a client gets an answer, never a dropped connection.
            traceback.print_exc()
            return error_response(internal_error(error), service, request.method)

    def _is_ours(self, hostname: str) -> bool:
        own = (self._address[0], "127.0.0.1", "localhost", LOCAL_DOMAIN)
        return hostname in own or hostname.endswith((f".{LOCAL_DOMAIN}", ".localhost", ".127.0.0.1", *AWS_DOMAINS))

    def _from_moto(self, request: Request, service: str) -> Response:
        """moto's answer, where it has one: for the rest of S3 Control and STS, and for its other services."""
        claim = claim_of(request)
        region = (claim.region if claim else None) or "us-east-1"
        host = f"{service}.{region}.amazonaws.com"
        if "x-amz-account-id" in request.headers:
            host = f"{request.header('x-amz-account-id')}.s3-control.{region}.amazonaws.com"
        query = f"?{request.query}" if request.query else ""
        headers = {name: value for name, value in request.headers.items() if name != "transfer-encoding"}
        headers.update({"host": host, "content-length": str(len(request.body))})
        account_id = self.account_of(request)
        if account_id is not None:
            headers["x-moto-account-id"] = account_id
        answer = self._moto.send(request.method, f"https://{host}{request.path}{query}", headers, request.body)
        return answer or Response(404, {"Content-Type": "text/plain"}, b"Nothing here knows this address.\n")
