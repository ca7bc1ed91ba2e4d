"""Registration: which clients a provider covers, and how it is told of them.

Rests on the documented event ``creating-client-class.s3`` and on botocore's autoload contract,
``BOTOCORE_EXPERIMENTAL__PLUGINS`` and ``initialize_client_plugin`` (botocore 1.39.9).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from botocore.client import BaseClient
from botocore.hooks import BaseEventHooks
from botocore.session import Session

from .core.config import AccessGrantsConfig, load
from .core.fork_safety import in_forked_children
from .exceptions import ConfigurationError
from .provider import AccessGrantsProvider
from .sdk.client_hook import ClientHook
from .sdk.crt_transfers import ClassicTransfers
from .sdk.internal_clients import profile_settings
from .sdk.sync_client import ThreadsHook

__all__ = ["initialize_client_plugin", "provider_for", "register"]

logger = logging.getLogger(__name__)

TAKES = (
    "a session, an S3 client or an S3 resource of boto3, botocore, aioboto3 or aiobotocore, "
    "or nothing for boto3's default session"
)


class _Place(NamedTuple):
    """Where a provider is registered: a session, known by its emitter, or a single client."""

    events: BaseEventHooks
    client: BaseClient | None
    profile: str | None
    make_client: Callable[[], Any] | None
    asynchronous: bool


class _Registry:
    """Who covers what, in this process. Holds nothing alive: a provider lives as long as a client or a session."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.providers: weakref.WeakKeyDictionary[BaseEventHooks, weakref.ref[AccessGrantsProvider]]
        self.providers = weakref.WeakKeyDictionary()
        self.hooks: weakref.WeakKeyDictionary[BaseEventHooks, weakref.ref[ClientHook]]
        self.hooks = weakref.WeakKeyDictionary()
        self.autoloaded: dict[AccessGrantsConfig, AccessGrantsProvider] = {}
        self.kept: weakref.WeakKeyDictionary[BaseEventHooks, weakref.ref[_Kept]] = weakref.WeakKeyDictionary()
        in_forked_children(self, _Registry._unlock)

    def _unlock(self) -> None:
        self.lock = threading.RLock()


_registry = _Registry()


def register(target: Any = None, *, config: AccessGrantsConfig | None = None, **options: Any) -> AccessGrantsProvider:
    """Have the S3 requests of ``target`` signed with S3 Access Grants credentials.

    ``target``: a session of boto3, botocore, aioboto3 or aiobotocore (every S3 client and resource made from it
    afterwards), an S3 client or resource, or None for boto3's default session, and so for plain
    ``boto3.client("s3")``. ``options`` are
    the fields of :class:`AccessGrantsConfig`; where one is not given, the environment (``S3_ACCESS_GRANTS_…``) and the
    AWS profile are asked. ``config`` replaces both of these. Registering again leaves one provider, and the later
    options hold. Raises :class:`ConfigurationError`.
    """
    place = _place_of(target)
    merged = load(options, config=config, environ=os.environ, profile=profile_settings(place.profile))
    with _registry.lock:
        known = _registry.providers.get(place.events)
        provider = known() if known is not None else None
        if provider is not None:
            provider.configure(merged)
            return provider
        provider = AccessGrantsProvider(merged, profile=place.profile)
        if place.client is not None:
            _take_over(provider, place.client)
        else:
            _watch(provider, place)
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
    place = _place_of(session)
    if place.make_client is None or place.asynchronous:
        raise ConfigurationError(f"credentials are asked for with a session of boto3 or botocore, not {session!r}")
    with _registry.lock:
        known = _registry.providers.get(place.events)
        covering = known() if known is not None else None
        if covering is not None and config is None and not options:
            return covering
        merged = load(options, config=config, environ=os.environ, profile=profile_settings(place.profile))
        kept = _kept_by(place.events)
        if merged not in kept.providers:
            kept.providers[merged] = _unattached(merged, place.profile, place.make_client)
        return kept.providers[merged]


class _Kept:
    """The providers a session keeps, by their options. As a handler that does nothing it lives with the emitter."""

    def __init__(self) -> None:
        self.providers: dict[AccessGrantsConfig, AccessGrantsProvider] = {}

    def __call__(self, **_: object) -> None:
        """Do nothing."""


def _kept_by(events: BaseEventHooks) -> _Kept:
    known = _registry.kept.get(events)
    kept = known() if known is not None else None
    if kept is None:
        kept = _Kept()
        events.register("access-grants-provider.kept", kept)
        _registry.kept[events] = weakref.ref(kept)
    return kept


def _unattached(
    config: AccessGrantsConfig, profile: str | None, make: Callable[[], BaseClient]
) -> AccessGrantsProvider:
    provider = AccessGrantsProvider(config, profile=profile)

    def make_client() -> BaseClient:
        client = make()
        with _registry.lock:
            _attach(provider, client)
        return client

    provider.answer_with(make_client)
    return provider


def initialize_client_plugin(client: Any) -> None:
    """Cover one client as botocore's autoload asks for it, with the options of environment and profile.

    All clients with the same options share one provider. botocore hides what a plugin raises; so a wrong option is
    logged at ERROR here, and the client then refuses S3 requests rather than use its own credentials unasked.
    """
    if not _is_s3_client(client):
        return
    with _registry.lock:
        if client.meta.events in _registry.hooks:
            return
        try:
            config = load({}, config=None, environ=os.environ, profile=profile_settings(None))
        except ConfigurationError as error:
            logger.error("S3 Access Grants: %s. The client will refuse S3 requests until this is mended", error)
            client.meta.events.register_first("before-sign.s3", _Refusal(str(error)))
            if not _is_asynchronous(client):
                # The CRT would not meet the refusal and use the client's own credentials.
                ClassicTransfers(client, logger.debug).attach()
            return
        provider = _registry.autoloaded.get(config)
        if provider is None:
            provider = _registry.autoloaded[config] = AccessGrantsProvider(config)
            provider.on_unregister(lambda: _registry.autoloaded.pop(config, None))
        _attach(provider, client)


class _Refusal:
    """Raises what was wrong when the client was made, anew on each request."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __call__(self, **_: object) -> NoReturn:
        raise ConfigurationError(self._message)


def _take_over(provider: AccessGrantsProvider, client: BaseClient) -> None:
    """Attach a provider to one client; when it is unregistered, the client's session covers the client again."""
    known = _registry.hooks.get(client.meta.events)
    hook = known() if known is not None else None
    before = hook.provider if hook is not None else None
    _attach(provider, client)
    if before is None:
        return
    covering = before

    def give_back() -> None:
        if not covering.closed:
            _attach(covering, client)

    provider.on_unregister(give_back)


def _attach(provider: AccessGrantsProvider, client: BaseClient) -> None:
    """Put a provider's hook into a client, in place of another provider's."""
    with _registry.lock:
        known = _registry.hooks.pop(client.meta.events, None)
        old = known() if known is not None else None
        if old is not None:
            old.detach()
        hook = _hook_for(provider, client)
        hook.attach()
        provider.adopt(hook)
        _registry.hooks[client.meta.events] = weakref.ref(hook)


def _hook_for(provider: AccessGrantsProvider, client: BaseClient) -> ClientHook:
    if not _is_asynchronous(client):
        return ThreadsHook(provider, client)
    from .sdk.aio_client import TasksHook

    return TasksHook(provider, client)


def _watch(provider: AccessGrantsProvider, place: _Place) -> None:
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
        provider.answer_with(place.make_client, place.asynchronous)


def _place_of(target: Any) -> _Place:
    if target is None:
        target = _default_session()
    # Whose target is boto3's has imported it, at the latest in the line above.
    boto3 = sys.modules.get("boto3")
    if boto3 is not None and isinstance(target, boto3.resources.base.ServiceResource):
        target = target.meta.client
    if _is_s3_client(target):
        return _Place(target.meta.events, target, None, None, _is_asynchronous(target))
    if isinstance(target, Session):
        events = target.get_component("event_emitter")
        profile = target.get_config_variable("profile")
        return _Place(events, None, profile, lambda: target.create_client("s3"), _is_asynchronous(target))
    if boto3 is not None and isinstance(target, boto3.session.Session):
        profile = target.profile_name if target.profile_name in target.available_profiles else None
        return _Place(target.events, None, profile, lambda: target.client("s3"), _is_asynchronous(target))
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
