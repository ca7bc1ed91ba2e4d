"""The edge for threads: botocore, boto3, and the local service in process."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

from access_grants_provider.core.io_requests import Pause
from access_grants_provider.sdk.sync_client import SyncClientHook
from access_grants_provider.testing import AccessGrantsServer, LocalAccessGrants, mock_access_grants


class Nothing(io.BytesIO):
    """An empty body, as urllib3 gives it."""

    def stream(self, *_: object) -> Iterator[bytes]:
        return iter(())


class BotocoreEdge:
    """What a test of behaviour needs of botocore and boto3."""

    name = "botocore"
    hook: type = SyncClientHook
    # What ends a request in the middle, and what its caller sees of it.
    interruption: type[BaseException] = KeyboardInterrupt
    interrupted: type[BaseException] = KeyboardInterrupt

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    @contextmanager
    def local_service(self, clock: Callable[[], float], over_http: bool = False) -> Iterator[LocalAccessGrants]:
        """The local S3 Access Grants, where every client of this edge finds them."""
        if over_http:
            with AccessGrantsServer(clock=clock) as server:
                aim_at(server.url, self.monkeypatch)
                yield server
        else:
            with mock_access_grants(clock=clock) as running:
                yield running

    def session(self, identity: Any = None, profile: str | None = None) -> Any:
        """A new session of boto3: of this identity, else of whom environment and profile say."""
        return boto3.Session(**keys_of(identity) if identity is not None else {}, profile_name=profile)

    def core_session(self) -> Any:
        """A new session of botocore."""
        return botocore.session.Session()

    def high_session(self, identity: Any) -> Any:
        """A new session of boto3, which has resources too."""
        return self.session(identity)

    def bare(self, target: Any) -> Any:
        """What is registered, and what the package keeps."""
        return target

    def provider(self, provider: Any) -> Any:
        """The provider, asked without ``await``."""
        return provider

    def whoever(self, asking: Callable[[], Any]) -> Any:
        """Credentials that answer each time with the identity that ``asking`` returns."""

        class Whoever(Credentials):
            def get_frozen_credentials(self) -> ReadOnlyCredentials:
                return frozen_of(asking())

        return Whoever("unset", "unset")

    def refreshable(self, refresh: Callable[[], dict[str, str]]) -> Any:
        """Credentials that are refreshed by a function."""
        return RefreshableCredentials.create_from_metadata(refresh(), refresh, "test")

    def empty_answer(self, url: str) -> Any:
        """What a ``before-send`` handler returns to answer 200 with nothing."""
        return AWSResponse(url, 200, HTTPHeaders(), Nothing())

    def skip_pauses(self, passed: Callable[[Any, float], None]) -> None:
        """Call ``passed`` with the provider's runtime and the seconds in place of each pause between two attempts."""
        perform = SyncClientHook._perform

        def skipped(hook: SyncClientHook, step: Any, *rest: Any) -> Any:
            return passed(hook.runtime, step.seconds) if isinstance(step, Pause) else perform(hook, step, *rest)

        self.monkeypatch.setattr(SyncClientHook, "_perform", skipped)

    def before_each_step(self, look: Callable[[Any], object]) -> None:
        """Call ``look`` with each step before it is performed; it may wait, and it may raise the interruption."""
        perform = SyncClientHook._perform

        def looked(hook: SyncClientHook, step: Any, *rest: Any) -> Any:
            look(getattr(step, "call", step))
            return perform(hook, step, *rest)

        self.monkeypatch.setattr(SyncClientHook, "_perform", looked)


def aim_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every client of this process reach S3, STS and S3 Control at this address."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "S3_ACCESS_GRANTS_ENDPOINT_URL"):
        monkeypatch.setenv(name, url)


def keys_of(identity: Any) -> dict[str, Any]:
    """The keyword arguments by which a client or a session signs as this identity."""
    return {
        "aws_access_key_id": identity.access_key_id,
        "aws_secret_access_key": identity.secret_access_key,
        "aws_session_token": identity.session_token,
    }


def frozen_of(identity: Any) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(identity.access_key_id, identity.secret_access_key, identity.session_token)
