"""The botocore clients that make the control calls: made on the first need, shared by all callers, told of none.

Those of a process are shared by all its providers: a back end that registers a session for each of its users would
otherwise make two clients, and two TLS connections, for each.
"""

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import InvalidRetryConfigurationError, ProfileNotFound
from botocore.handlers import BUILTIN_HANDLERS, REGISTER_FIRST
from botocore.session import Session

from ..core.config import AccessGrantsConfig
from ..core.s3_hosts import is_s3_host
from ..core.single_flight import SingleFlight
from .api_calls import NOBODY, hook_internal_client, read_timestamp
from .legacy_signer import honour_request_credentials
from .service_models import ModelLoader

__all__ = [
    "ClientShape",
    "InternalClients",
    "internal_clients",
    "prepare_session",
    "profile_place",
    "profile_settings",
    "time_limit",
]

# By service, its name in events and the operations that are called; "*" is for all of the service.
EVENTS = {
    "s3": ("s3", "*", "HeadBucket"),
    "sts": ("sts", "*", "GetCallerIdentity"),
    "s3control": ("s3-control", "*", "GetDataAccess", "GetAccessGrantsInstanceForPrefix", "ListCallerAccessGrants"),
}

AnySession = TypeVar("AnySession", bound=Session)

USER_AGENT = "access-grants-provider"
# Those of the S3 client that its control calls are made with. Retries and time-outs are the core's business.
SHARED_OPTIONS = (
    "client_cert",
    "ignore_configured_endpoint_urls",
    "max_pool_connections",
    "proxies",
    "proxies_config",
    "s3",
    "tcp_keepalive",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
)
# Three a region of each way in which S3 clients are configured, and more only where calls run out of time.
MAX_CLIENTS = 64
# What botocore reads from the environment as it makes a client, by the beginning or the end of the name, but for the
# caller: the clients are told of none.
READ_FROM_ENVIRONMENT = ("AWS_", "REQUESTS_CA_BUNDLE")
PROXY = "_PROXY"
CALLER_IN_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
# How long a client that is being made by another thread is waited for; making one takes 5 to 30 ms.
WAIT_SECONDS = 2.0
# A client's time-outs are fixed. So there is one for the whole time of a decision, and, for what is left of it, others
# with half of that, a quarter, and so on. Within the first twentieth the whole one still serves.
FULL_SHARE = 0.95

try:
    from botocore.utils import create_nested_client
except ImportError:
    # AWS CLI v2: its botocore loads no plugins into clients, so there is nothing to keep out.
    def create_nested_client(session: Session, service_name: str, **kwargs: Any) -> BaseClient:  # type: ignore[misc]
        """Make a client."""
        client: BaseClient = session.create_client(service_name, **kwargs)
        return client


try:
    Config(retries={"total_max_attempts": 1})
    ATTEMPTS = "total_max_attempts"
except InvalidRetryConfigurationError:
    # AWS CLI v2: its botocore counts the first attempt under this name, and knows no other.
    ATTEMPTS = "max_attempts"


def time_limit(left: float, whole: float) -> float:
    """Return the time-out of the client to take when ``left`` seconds of ``whole`` are left: seldom more than that."""
    limit = whole
    while limit > left / FULL_SHARE and limit > whole / 64:
        limit /= 2
    return limit


def profile_settings(profile: str | None) -> dict[str, Any]:
    """Return the settings of an AWS profile (None: that of ``AWS_PROFILE``, else ``default``), {} if there is none."""
    try:
        settings: dict[str, Any] = Session(profile=profile, include_builtin_handlers=False).get_scoped_config()
    except ProfileNotFound:
        return {}
    return settings


def profile_place(profile: str | None) -> str:
    """Name an AWS profile and the file it stands in, for errors: ``"the AWS profile 'work' (~/.aws/config)"``."""
    name = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    return f"the AWS profile {name!r} ({os.environ.get('AWS_CONFIG_FILE') or '~/.aws/config'})"


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

    ``loader``: that of the user's client, with what it has read already; None where it has none.
    """
    _withhold_credentials_from_logs()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_timestamp)
    session.register_component("data_loader", ModelLoader(loader or session.get_component("data_loader")))
    return session


def _withhold_credentials_from_logs() -> None:
    """Keep vended credentials out of botocore's DEBUG log, in this process and from now on."""
    parser_log = logging.getLogger("botocore.parsers")
    if not any(isinstance(known, _WithoutCredentials) for known in parser_log.filters):
        parser_log.addFilter(_WithoutCredentials())


class ClientShape(NamedTuple):
    """How the clients for the calls are made: like the S3 client they serve.

    ``options`` are those of ``botocore.config.Config``. ``foreign_url`` is the S3 client's endpoint where that is not
    S3's own; ``vpc_url`` where it is a VPC endpoint: there a closed network may not reach public S3.
    """

    options: tuple[tuple[str, Any], ...]
    verify: Any
    foreign_url: str | None
    vpc_url: str | None

    def __repr__(self) -> str:
        # A proxy's address may hold a password.
        return f"<ClientShape of {len(self.options)} options>"

    def digest(self) -> bytes:
        """Return what stands for the shape as a key."""
        return hashlib.sha256(repr(tuple(self)).encode()).digest()

    @classmethod
    def of(cls, client: BaseClient) -> "ClientShape":
        """Read the shape off an S3 client: proxies, FIPS, dual-stack, certificates, endpoint."""
        config = client.meta.config
        dual_stack = bool((getattr(config, "s3", None) or {}).get("use_dualstack_endpoint"))
        options = {name: getattr(config, name, None) for name in SHARED_OPTIONS}
        if dual_stack:
            options["use_dualstack_endpoint"] = True
        # botocore keeps what create_client(verify=…) or the profile's ca_bundle said in the HTTP session alone.
        private: Any = client
        verify = getattr(private._endpoint.http_session, "_verify", None)
        url = client.meta.endpoint_url
        host = urlsplit(url).hostname or ""
        return cls(
            tuple((name, value) for name, value in options.items() if value is not None),
            verify,
            foreign_url=None if is_s3_host(host) else url,
            vpc_url=url if is_s3_host(host) and ".vpce." in host else None,
        )

    def config(self, make: Callable[..., Config] = Config, **more: Any) -> Config:
        """Return the configuration of a client for the calls, made by a class of configurations."""
        no_retries = {ATTEMPTS: 1, "mode": "standard"}
        return make(user_agent_extra=USER_AGENT, retries=no_retries, **dict(self.options), **more)

    def endpoint_url(self, service: str, config: AccessGrantsConfig) -> str | None:
        """Return where a service is called; None leaves it to botocore and its ``AWS_ENDPOINT_URL_*``.

        Where S3 itself is a local service, STS is asked at ``endpoint_url`` too: AWS does not know those credentials.
        """
        if service == "s3":
            return self.foreign_url or self.vpc_url
        if service == "s3control" or self.foreign_url is not None:
            return config.endpoint_url
        return None


def environment_digest() -> bytes:
    """Return what stands for all that botocore reads from outside as it makes a client."""
    # By name: another thread may take a variable away meanwhile.
    read: list[object] = [
        (name, os.environ.get(name))
        for name in sorted(os.environ)
        if name.startswith(READ_FROM_ENVIRONMENT) or name.upper().endswith(PROXY)
        if name not in CALLER_IN_ENVIRONMENT
    ]
    with suppress(OSError):
        # A later session may find the file under the same name with other endpoints in it.
        file = os.stat(os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"))
        read += (file.st_ino, file.st_mtime_ns, file.st_size)
    # moto, imported later, adds its own: clients made before it would go on to AWS.
    read.append(len(BUILTIN_HANDLERS))
    return hashlib.sha256(repr(read).encode()).digest()


class InternalClients:
    """Clients of S3 Control, STS and S3 by region, endpoint, shape, time-out, environment and paths of models.

    Each comes from a session of its own, so no handler of the user's session sees its requests, ours least of all, and
    no two threads make clients from one session. botocore's ``create_nested_client`` loads no plugin into it. A forked
    process makes its own clients: two processes on one socket would read each other's answers.
    """

    def __init__(self, profile: str | None) -> None:
        self._profile = profile
        self._process = os.getpid()
        self._making = SingleFlight()
        self._clients: OrderedDict[tuple[Any, ...], BaseClient] = OrderedDict()

    def get(
        self,
        service: str,
        region: str,
        shape: ClientShape,
        endpoint_url: str | None,
        seconds: float,
        may_wait: bool,
        loader: object = None,
    ) -> BaseClient:
        """Return the client for a service (``"s3control"``, ``"sts"``, ``"s3"``) in a region.

        ``seconds`` is its time-out. ``may_wait``: whether this thread may wait for another that makes the same client.
        ``loader``: the S3 client's, which has read most of the files already (S3's model, the endpoints).
        """
        if self._process != os.getpid():
            self._process, self._clients = os.getpid(), OrderedDict()
        # Sessions of boto3 on one session of botocore add the same folder again and again.
        paths = tuple(dict.fromkeys(getattr(loader, "search_paths", ())))
        key = (service, region, endpoint_url, shape.digest(), seconds, environment_digest(), paths)
        client = self._clients.get(key)
        if client is not None:
            # Another thread may drop it meanwhile.
            with suppress(KeyError):
                self._clients.move_to_end(key)
            return client
        with self._making.own_call() as mine:
            other = self._making.join_or_start(key, mine) if may_wait else mine
            if other is not mine:
                other.wait(WAIT_SECONDS)
            client = self._clients.get(key)
            if client is None:
                # The dropped client's connections close when its last call ends.
                while len(self._clients) >= MAX_CLIENTS:
                    with suppress(KeyError):
                        self._clients.popitem(last=False)
                client = self._clients.setdefault(
                    key, self._make(service, region, shape, endpoint_url, seconds, loader)
                )
        return client

    def _make(
        self, service: str, region: str, shape: ClientShape, endpoint_url: str | None, seconds: float, loader: object
    ) -> BaseClient:
        client = create_nested_client(
            self._session(service, loader),
            service,
            region_name=region,
            endpoint_url=endpoint_url,
            verify=shape.verify,
            config=shape.config(connect_timeout=seconds, read_timeout=seconds),
            **NOBODY,
        )
        hook_internal_client(client)
        honour_request_credentials(client)
        return client

    def _session(self, service: str, loader: object) -> Session:
        session = Session(profile=self._profile, include_builtin_handlers=False)
        _register_handlers(session, service)
        return prepare_session(session, loader)


# By the profile that the settings are read from.
_by_profile: dict[str | None, InternalClients] = {}


def internal_clients(profile: str | None) -> InternalClients:
    """Return the clients of this process that are configured by a profile."""
    return _by_profile.get(profile) or _by_profile.setdefault(profile, InternalClients(profile))


def _register_handlers(session: Session, service: str) -> None:
    """Register those of botocore's own handlers that concern a call made here: 19 of 127 for S3, 10 for S3 Control.

    All of them would take a third more CPU time for the first request.
    """
    emitter = session.get_component("event_emitter")
    name, *operations = EVENTS[service]
    concerned = {"*": ["*"], name: operations}
    for event, handler, *order in BUILTIN_HANDLERS:
        _, subject, operation = [*event.split("."), "*", "*"][:3]
        if operation in concerned.get(subject, ()):
            register = emitter.register
            if order:
                register = emitter.register_first if order[0] is REGISTER_FIRST else emitter.register_last
            register(event, handler)
