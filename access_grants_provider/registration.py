"""Registration: which clients a provider covers, and how it is told of them.

Rests on the documented event ``creating-client-class.s3``.

Whatever is new is complete before it takes the place of what was there, and takes it in one step. So a registration
that fails, or is interrupted, leaves the one before it in force.
"""

import gc
import logging
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.client import BaseClient
from botocore.hooks import BaseEventHooks
from botocore.session import Session

from .core.clock import Clock
from .core.config import AccessGrantsConfig, load, misspelt_settings
from .core.flow_context import OPTIONS_LOGGER
from .core.s3_hosts import is_s3_host
from .exceptions import ConfigurationError
from .provider import AccessGrantsProvider
from .sdk.api_calls import NOBODY
from .sdk.client_hook import ClientHook
from .sdk.crt_transfers import ClassicTransfers
from .sdk.internal_clients import profile_place, profile_settings
from .sdk.runtime import Runtime
from .sdk.sync_client import SyncClientHook

__all__ = ["autoload", "provider_for", "register"]

logger = logging.getLogger(OPTIONS_LOGGER)

# The providers that are kept between two clients with the same options: a worker may set others for each of its jobs.
MAX_AUTOLOADED = 16

TAKES = (
    "a session, an S3 client or an S3 resource of boto3, botocore, aioboto3 or aiobotocore, "
    "or nothing for boto3's default session"
)


TOO_LATE = (
    "The session has made an S3 client before register(), and that client goes on without grants. Register first, or "
    "pass the client to register()"
)


class _Covered(NamedTuple):
    """Where a provider is registered: a session, known by its emitter, or a single client."""

    events: BaseEventHooks
    client: BaseClient | None
    profile: str | None
    make_client: Callable[[], Any] | None
    asynchronous: bool


class _Registry:
    """Who covers what, in this process. It keeps the latest autoloaded providers alive, and no other.

    Each access is one step on a dictionary, so it has no lock.
    """

    def __init__(self) -> None:
        self.providers: weakref.WeakKeyDictionary[BaseEventHooks, weakref.ref[AccessGrantsProvider]]
        self.providers = weakref.WeakKeyDictionary()
        self.hooks: weakref.WeakKeyDictionary[BaseEventHooks, weakref.ref[ClientHook]]
        self.hooks = weakref.WeakKeyDictionary()
        self.autoloaded: dict[AccessGrantsConfig, AccessGrantsProvider] = {}
        self.kept: weakref.WeakKeyDictionary[BaseEventHooks, weakref.ref[_SessionProviders]] = (
            weakref.WeakKeyDictionary()
        )
        self.warned: dict[str, object] = {}

    def provider(self, events: BaseEventHooks) -> AccessGrantsProvider | None:
        """Return the provider registered on a session or client."""
        reference = self.providers.get(events)
        return reference() if reference is not None else None

    def hook(self, events: BaseEventHooks) -> ClientHook | None:
        """Return the hook in a client."""
        reference = self.hooks.get(events)
        return reference() if reference is not None else None


_registry = _Registry()


def register(
    target: Any = None,
    *,
    config: AccessGrantsConfig | None = None,
    clock: Clock | None = None,
    **options: Any,
) -> AccessGrantsProvider:
    """Have the S3 requests of ``target`` signed with S3 Access Grants credentials.

    ``target``: a session of boto3, botocore, aioboto3 or aiobotocore (every S3 client and resource made from it
    afterwards), an S3 client or resource, or None for boto3's default session, and so for plain
    ``boto3.client("s3")``. ``options`` are the fields of :class:`AccessGrantsConfig`; where one is not given, the
    environment (``S3_ACCESS_GRANTS_…``) and the AWS profile are asked. ``config`` replaces both of these. ``clock`` is
    for tests: where the time comes from. Registering again leaves one provider, and the later options hold. Raises
    :class:`ConfigurationError`; then nothing has changed.

    Register before other threads use a client: botocore may go on calling the handlers that it had looked up for an
    operation.
    """
    place = _covered_by(target)
    merged = _load(options, config, place.profile)
    provider = _registry.provider(place.events)
    if provider is not None:
        if clock is not None and clock != provider.runtime.clock:
            provider.runtime.clock = clock
            # What is remembered has its times by the old one.
            provider.runtime.start_over()
        provider.configure(merged)
        return provider
    provider = AccessGrantsProvider(Runtime(merged, profile=place.profile, clock=clock))
    provider.prefetch_as_configured()
    if place.client is not None:
        _take_over(provider, place.client)
    else:
        _watch(provider, place)
        if _has_uncovered_client(target):
            logger.warning("S3 Access Grants: %s", TOO_LATE)
    _registry.providers[place.events] = weakref.ref(provider)
    provider.on_unregister(lambda: _registry.providers.pop(place.events, None))
    return provider


def provider_for(
    session: Any = None, *, config: AccessGrantsConfig | None = None, **options: Any
) -> AccessGrantsProvider:
    """Return a provider that answers for a session without covering its clients: for the adapters and the commands.

    ``session`` and ``options`` are as for :func:`register`. Where the session is registered and no options are given,
    it is that provider; else one that the session keeps for these options, so that what it remembers is found again.
    """
    place = _covered_by(session)
    if place.make_client is None or place.asynchronous:
        raise ConfigurationError(f"Credentials are asked for with a session of boto3 or botocore, not {session!r}")
    covering = _registry.provider(place.events)
    if covering is not None and config is None and not options:
        return covering
    merged = _load(options, config, place.profile)
    kept = _providers_of(place.events)
    provider = kept.providers.get(merged)
    if provider is None:
        provider = kept.providers.setdefault(merged, _unattached(merged, place.profile, place.make_client))
    return provider


def _load(options: Mapping[str, Any], config: AccessGrantsConfig | None, profile: str | None) -> AccessGrantsConfig:
    """Merge the options, and warn once in this process of each setting that has no effect."""
    settings, place = profile_settings(profile), profile_place(profile)
    merged = load(options, config=config, environ=os.environ, profile=settings, profile_place=place)
    for sentence in misspelt_settings(os.environ, settings, place) if config is None else ():
        mine = object()
        if _registry.warned.setdefault(sentence, mine) is mine:
            logger.warning("S3 Access Grants: %s", sentence)
    return merged


class _SessionProviders:
    """The providers a session keeps, by their options. As a handler that does nothing it lives with the emitter."""

    def __init__(self) -> None:
        self.providers: dict[AccessGrantsConfig, AccessGrantsProvider] = {}

    def __call__(self, **_: object) -> None:
        """Do nothing."""


def _providers_of(events: BaseEventHooks) -> _SessionProviders:
    known = _registry.kept.get(events)
    kept = known() if known is not None else None
    if kept is None:
        kept = _SessionProviders()
        events.register("access-grants-provider.kept", kept)
        _registry.kept[events] = weakref.ref(kept)
    return kept


def _unattached(
    config: AccessGrantsConfig, profile: str | None, make: Callable[[], BaseClient]
) -> AccessGrantsProvider:
    provider = AccessGrantsProvider(Runtime(config, profile=profile))

    def make_client() -> BaseClient:
        client = make()
        _attach(provider, client)
        return client

    provider.set_client_factory(make_client)
    return provider


def autoload(client: BaseClient) -> None:
    """Cover an S3 client for :func:`~.autoload.initialize_client_plugin`, which says how."""
    hook = _registry.hook(client.meta.events)
    if hook is not None:
        # Its session is registered. Should that end, the environment's options hold.
        reference = weakref.ref(client)
        hook.give_back = lambda current: _autoload_again(reference, current)
    else:
        _autoload_or_refuse(client)


def _autoload_or_refuse(client: BaseClient) -> None:
    try:
        _autoload(client)
    except Exception as error:  # noqa: BLE001  an unexpected error, too, must not let the client sign as the caller
        _refuse(client, error)


def _autoload_again(reference: weakref.ref[BaseClient], current: ClientHook) -> None:
    """Cover a client whose session is not registered any more, unless another provider has taken it over."""
    client = reference()
    if client is not None and _registry.hook(client.meta.events) is current:
        _autoload_or_refuse(client)


def _autoload(client: BaseClient) -> None:
    config = _load({}, None, None)
    provider = _registry.autoloaded.get(config)
    if provider is None:
        for oldest in list(_registry.autoloaded)[: 1 - MAX_AUTOLOADED]:
            # Its clients keep it.
            _registry.autoloaded.pop(oldest, None)
        provider = _registry.autoloaded.setdefault(config, AccessGrantsProvider(Runtime(config)))
        provider.prefetch_as_configured()
        provider.on_unregister(lambda: _registry.autoloaded.pop(config, None))
    _attach(provider, client)


def _refuse(client: BaseClient, error: Exception) -> None:
    """Have a client refuse S3 requests with what was wrong when it was made."""
    known = isinstance(error, ConfigurationError)
    message = str(error) if known else f"S3 Access Grants could not be set up: {type(error).__name__}: {error}"
    client.meta.events.register_first("before-sign.s3", _Refusal(message))
    if not _is_asynchronous(client):
        # The CRT would not meet the refusal and use the client's own credentials.
        ClassicTransfers(client, logger.debug).attach()
    until = "the option is fixed" if known else "that is fixed"
    logger.error(
        "S3 Access Grants: %s. S3 requests of this client will fail until %s",
        message,
        until,
        exc_info=None if known else error,
    )


class _Refusal:
    """Raises what was wrong when the client was made, anew on each request."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __call__(self, **_: object) -> NoReturn:
        raise ConfigurationError(self._message)


def _take_over(provider: AccessGrantsProvider, client: BaseClient) -> None:
    """Attach a provider to one client; when it is unregistered, the client's session covers the client again."""
    hook = _registry.hook(client.meta.events)
    covering = hook.owner if hook is not None else None
    autoload = hook.give_back if hook is not None else None
    mine = _attach(provider, client)

    def give_back() -> None:
        if covering is not None and not covering.closed:
            _attach(covering, client).give_back = autoload
        elif autoload is not None:
            autoload(mine)

    provider.on_unregister(give_back)


def _attach(provider: AccessGrantsProvider, client: BaseClient) -> ClientHook:
    """Put a provider's hook into a client, in place of another provider's, and return it."""
    hook = _hook_for(provider, client)
    hook.owner = provider
    old = _registry.hook(client.meta.events)
    # The new one first: between the two steps the client is covered twice rather than not at all.
    hook.attach()
    _registry.hooks[client.meta.events] = weakref.ref(hook)
    if old is not None:
        old.detach()
    provider.add_client(hook)
    return hook


def _hook_for(provider: AccessGrantsProvider, client: BaseClient) -> ClientHook:
    if not _is_asynchronous(client):
        return SyncClientHook(provider.runtime, client)
    from .sdk.aio_client import AioClientHook

    return AioClientHook(provider.runtime, client)


def _watch(provider: AccessGrantsProvider, place: _Covered) -> None:
    """Attach the provider to every S3 client that will be made from a session."""

    def add_base_class(base_classes: list[type], **_: object) -> None:
        class Registered:
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                _attach(provider, self)  # type: ignore[arg-type]

        base_classes.insert(0, Registered)

    place.events.register("creating-client-class.s3", add_base_class)
    provider.on_unregister(lambda: place.events.unregister("creating-client-class.s3", add_base_class))
    if place.make_client is not None:
        provider.set_client_factory(place.make_client, place.asynchronous)


def _has_uncovered_client(session: Any) -> bool:
    """Tell whether a session has made an S3 client that is still alive and that nothing covers.

    A session does not know its clients, but they hold its loader. The search takes 20 ms, so it is made only where the
    session has made a client of any service.
    """
    core = getattr(session or _default_session(), "_session", session)
    if getattr(core, "_last_client_region_used", None) is None:
        return False
    loader = core.get_component("data_loader")
    for referrer in gc.get_referrers(loader):
        # The client, or with Python 3.10 its dictionary.
        attributes = referrer if isinstance(referrer, dict) else getattr(referrer, "__dict__", {})
        meta = attributes.get("meta")
        if attributes.get("_loader") is not loader or meta is None or meta.service_model.service_name != "s3":
            continue
        signer = attributes["_request_signer"]
        # The clients that ask for a bucket's region are the provider's own, and bring credentials with each call.
        is_users = signer._credentials is not None and signer._credentials.access_key != NOBODY["aws_access_key_id"]
        is_signed = signer.signature_version is not UNSIGNED
        is_s3 = is_s3_host(urlsplit(meta.endpoint_url).hostname or "")
        if is_users and is_signed and is_s3 and _registry.hook(meta.events) is None:
            return True
    return False


def _covered_by(target: Any) -> _Covered:
    if target is None:
        target = _default_session()
    # Whoever passes an object of boto3 has imported it; without a target, the line above has.
    boto3 = sys.modules.get("boto3")
    if boto3 is not None and isinstance(target, boto3.resources.base.ServiceResource):
        target = target.meta.client
    if _is_s3_client(target):
        return _Covered(target.meta.events, target, None, None, _is_asynchronous(target))
    if isinstance(target, Session):
        events = target.get_component("event_emitter")
        profile = target.get_config_variable("profile")
        return _Covered(events, None, profile, lambda: target.create_client("s3"), _is_asynchronous(target))
    if boto3 is not None and isinstance(target, boto3.session.Session):
        profile = target.profile_name if target.profile_name in target.available_profiles else None
        return _Covered(target.events, None, profile, lambda: target.client("s3"), _is_asynchronous(target))
    raise ConfigurationError(f"register() can't cover {target!r}; it takes {TAKES}")


def _default_session() -> Any:
    try:
        import boto3
    except ImportError:
        message = "register() without a target means boto3's default session, and boto3 is not installed"
        raise ConfigurationError(message) from None
    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    return boto3.DEFAULT_SESSION


def _is_s3_client(candidate: object) -> bool:
    return isinstance(candidate, BaseClient) and candidate.meta.service_model.service_name == "s3"


def _is_asynchronous(candidate: object) -> bool:
    """Tell whether something comes from aiobotocore, whose classes derive from botocore's, or from aioboto3."""
    names = {base.__module__.partition(".")[0] for base in type(candidate).__mro__}
    return not names.isdisjoint(("aiobotocore", "aioboto3"))
