"""The botocore clients that make the calls: made on the first need, shared by all requesters, told of none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.client import BaseClient
from botocore.exceptions import ProfileNotFound
from botocore.session import Session

from ..core.config import AccessGrantsConfig
from ..core.fork_safety import in_forked_children
from .api_calls import NOBODY, ClientShape, hook_internal_client, read_timestamp
from .legacy_signer import honour_request_credentials

__all__ = ["InternalClients", "prepare_session", "profile_settings"]

AnySession = TypeVar("AnySession", bound=Session)

try:
    from botocore.utils import create_nested_client
except ImportError:
    # AWS CLI v2: its botocore loads no plugins into clients, so there is nothing to keep out.
    def create_nested_client(session: Session, service_name: str, **kwargs: Any) -> BaseClient:  # type: ignore[misc]
        """Make a client."""
        client: BaseClient = session.create_client(service_name, **kwargs)
        return client


def profile_settings(profile: str | None) -> dict[str, Any]:
    """Return the settings of an AWS profile (None: that of ``AWS_PROFILE``, else ``default``), {} if there is none."""
    try:
        settings: dict[str, Any] = Session(profile=profile, include_builtin_handlers=False).get_scoped_config()
    except ProfileNotFound:
        return {}
    return settings


class _WithoutCredentials(logging.Filter):
    """Keeps the credentials in GetDataAccess's answer out of the DEBUG log of botocore's parser, which shows bodies."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, such an answer without its body."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        if any(isinstance(body, bytes) and b"GetDataAccessResult" in body for body in arguments):
            record.msg, record.args = "Response body of GetDataAccess: withheld, it holds credentials", ()
        return True


def prepare_session(session: AnySession, loader: object) -> AnySession:
    """Return a session of botocore or aiobotocore, made fit for the calls to S3 Access Grants.

    ``loader``: that of the user's client, with the models it has read already; None where it has none.
    """
    _withhold_credentials_from_logs()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_timestamp)
    if loader is not None:
        session.register_component("data_loader", loader)
    return session


def _withhold_credentials_from_logs() -> None:
    """Keep vended credentials out of botocore's DEBUG log, in this process and from now on."""
    parser_log = logging.getLogger("botocore.parsers")
    if not any(isinstance(one, _WithoutCredentials) for one in parser_log.filters):
        parser_log.addFilter(_WithoutCredentials())


class InternalClients:
    """Clients of S3 Control, STS and S3 by region and shape.

    They come from a session of their own, so no handler of the user's session sees their requests, ours least of all,
    and from ``create_nested_client``, so botocore loads no plugin into them. A forked process makes its own: two
    processes on one socket would read each other's answers.
    """

    def __init__(self, profile: str | None, loader: Callable[[], Any] = lambda: None) -> None:
        self._profile = profile
        # The loader of a client that exists has read most of the model files already: 34 ms instead of 91 for the
        # first request.
        self._loader = loader
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._clients: dict[tuple[Any, ...], BaseClient] = {}
        self._parameters: frozenset[str] | None = None
        in_forked_children(self, InternalClients._start_over)

    def get(self, service: str, region: str, shape: ClientShape, config: AccessGrantsConfig) -> BaseClient:
        """Return the client for a service (``"s3control"``, ``"sts"``, ``"s3"``) in a region."""
        endpoint_url = shape.endpoint_url(service, config)
        key = (service, region, endpoint_url, shape.digest())
        client = self._clients.get(key)
        if client is None:
            with self._lock:
                client = self._clients.get(key)
                if client is None:
                    client = create_nested_client(
                        self._own_session(),
                        service,
                        region_name=region,
                        endpoint_url=endpoint_url,
                        verify=shape.verify,
                        config=shape.config(),
                        **NOBODY,
                    )
                    hook_internal_client(client)
                    honour_request_credentials(client)
                    self._clients[key] = client
        return client

    def knows(self, parameter: str) -> bool:
        """Tell whether botocore's model of GetDataAccess has a parameter.

        1.39.9 has no ``AuditContext``, and ``InstanceScope`` came with 1.44.
        """
        if self._parameters is None:
            self.read_model()
        return parameter in (self._parameters or ())

    @property
    def has_read_model(self) -> bool:
        """Tell whether :meth:`knows` answers without reading the model of S3 Control, which takes some 13 ms."""
        return self._parameters is not None

    def read_model(self) -> None:
        """Read the model of S3 Control."""
        with self._lock:
            shape = self._own_session().get_service_model("s3control").operation_model("GetDataAccess").input_shape
            self._parameters = frozenset(shape.members if shape is not None else ())

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _own_session(self) -> Session:
        if self._session is None:
            self._session = prepare_session(Session(profile=self._profile), self._loader())
        return self._session

    def _start_over(self) -> None:
        # In a forked child: the lock may have been held at that moment, and the clients are in use in the parent.
        self._lock, self._clients, self._session = threading.Lock(), {}, None
