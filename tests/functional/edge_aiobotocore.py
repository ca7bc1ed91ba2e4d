"""The edge for tasks: aiobotocore and aioboto3 behind a portal, and the local service over HTTP."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.loaders import Loader, create_loader

from access_grants_provider.core.io_requests import Pause
from access_grants_provider.sdk.aio_client import AioClientHook
from access_grants_provider.testing import AccessGrantsServer

from .edge_botocore import aim_at, frozen_of, keys_of
from .portal import Portal, ProviderView, SessionView, View


class Nothing:
    """An empty body, as aiohttp gives it."""

    async def read(self) -> bytes:
        return b""


class AiobotocoreEdge:
    """What a test of behaviour needs of aiobotocore and aioboto3: the same as :class:`BotocoreEdge`."""

    name = "aiobotocore"
    hook: type = AioClientHook
    # A task is not interrupted but cancelled; the portal hands that on as the cancellation of a future.
    interruption: type[BaseException] = asyncio.CancelledError
    interrupted: type[BaseException] = concurrent.futures.CancelledError

    def __init__(self, monkeypatch: pytest.MonkeyPatch, portal: Portal) -> None:
        self.monkeypatch = monkeypatch
        self.portal = portal
        self._providers: dict[int, ProviderView] = {}

    @contextmanager
    def local_service(self, clock: Callable[[], float], over_http: bool = True) -> Iterator[AccessGrantsServer]:
        """The local S3 Access Grants, always over HTTP; ``session()`` gives sessions of this edge."""
        with AccessGrantsServer(clock=clock) as server:
            aim_at(server.url, self.monkeypatch)
            self.monkeypatch.setattr(server, "session", self.session)
            yield server
            # Before the server hangs up on them.
            self.portal.close_all()

    def session(self, identity: Any = None, profile: str | None = None) -> SessionView:
        """A new session of aiobotocore: of this identity, else of whom environment and profile say."""
        session = AioSession(profile=profile)
        # Reading botocore's model files is most of the work of making a client.
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
        if identity is not None:
            session.set_credentials(identity.access_key_id, identity.secret_access_key, identity.session_token)
        return SessionView(self.portal, session)

    core_session = session

    def high_session(self, identity: Any) -> SessionView:
        """A new session of aioboto3, which has resources too; where there is none the test is skipped."""
        aioboto3 = pytest.importorskip(
            "aioboto3", reason="aioboto3 is not installed: it pins an aiobotocore of its own"
        )
        if not hasattr(aioboto3.session, "ResourceCreatorContext"):
            pytest.skip("this aioboto3 is older than asynchronous resources")
        return SessionView(self.portal, aioboto3.Session(**keys_of(identity)))

    def bare(self, target: Any) -> Any:
        """What is registered, and what the package keeps."""
        return target.bare if isinstance(target, (View, ProviderView)) else target

    def provider(self, provider: Any) -> ProviderView:
        """The provider, asked without ``await``; the same view each time."""
        return self._providers.setdefault(id(provider), ProviderView(self.portal, provider))

    def whoever(self, asking: Callable[[], Any]) -> Any:
        """Credentials that answer each time with the identity that ``asking`` returns."""

        class Whoever(AioCredentials):
            async def get_frozen_credentials(self) -> ReadOnlyCredentials:
                return frozen_of(asking())

        return Whoever("unset", "unset")

    def refreshable(self, refresh: Callable[[], dict[str, str]]) -> Any:
        """Credentials that are refreshed by a function."""

        async def refresh_later() -> dict[str, str]:
            return refresh()

        return AioRefreshableCredentials.create_from_metadata(refresh(), refresh_later, "test")

    def empty_answer(self, url: str) -> Any:
        """What a ``before-send`` handler returns to answer 200 with nothing."""
        return AioAWSResponse(url, 200, {}, Nothing())

    def skip_pauses(self, passed: Callable[[Any, float], None]) -> None:
        """Call ``passed`` with the provider's runtime and the seconds in place of each pause between two attempts."""
        perform = AioClientHook._perform

        async def skipped(hook: AioClientHook, step: Any, *rest: Any) -> Any:
            return passed(hook.runtime, step.seconds) if isinstance(step, Pause) else await perform(hook, step, *rest)

        self.monkeypatch.setattr(AioClientHook, "_perform", skipped)

    def before_each_step(self, look: Callable[[Any], object]) -> None:
        """Call ``look`` with each step before it is performed; it may wait, and it may raise the interruption."""
        perform = AioClientHook._perform

        async def looked(hook: AioClientHook, step: Any, *rest: Any) -> Any:
            # In a thread, or its waiting would stop the loop.
            await asyncio.to_thread(look, getattr(step, "call", step))
            return await perform(hook, step, *rest)

        self.monkeypatch.setattr(AioClientHook, "_perform", looked)


@cache
def _loader(data_path: str | None) -> Loader:
    return create_loader(data_path)
