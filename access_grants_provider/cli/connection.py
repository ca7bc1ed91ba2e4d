"""Turns the options of the command line into a session and the provider that answers for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.credentials import Credentials
from botocore.session import Session

import access_grants_provider.core.caller_grants
import access_grants_provider.sdk.queries  # noqa: F401  both are loaded on demand, where a Ctrl-C could be lost
from access_grants_provider import AccessGrantsProvider
from access_grants_provider.core.config import ENVIRONMENT_PREFIX, PROFILE_SECTION
from access_grants_provider.registration import provider_for

from .environment import FETCHING_PROFILES
from .error_text import NO_CREDENTIALS, NO_REGION
from .settings import Failure, Settings

__all__ = ["Connection", "connect", "open_session", "place_of"]

# The region for calls that are made before a region is known: S3 answers there for every bucket.
ANY_REGION = "us-east-1"
# For how long a person, or an SDK that runs credential_process, waits for one decision.
TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Connection:
    """The caller's session, the provider that answers for it, and the region.

    ``region`` is None only where :func:`connect` was told that none is needed.
    """

    session: Session
    provider: AccessGrantsProvider
    region: str | None

    @property
    def some_region(self) -> str:
        """The region, or one where any bucket can be asked about."""
        return self.region or ANY_REGION

    def own_credentials(self) -> Credentials:
        """Return the caller's own credentials, frozen. Raises :class:`Failure` where there are none."""
        with _no_recursion(self.session):
            credentials = self.session.get_credentials()
        if credentials is None:
            raise Failure(*NO_CREDENTIALS)
        # The stubs allow half a key here; botocore raises before that.
        frozen: Any = credentials.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def open_session(settings: Settings) -> tuple[Session, str | None]:
    """Return a session for the options, and its region if one is set.

    The region is that of ``--region``, ``AWS_REGION`` (which botocore does not read), ``AWS_DEFAULT_REGION``, the
    profile, in this order, as in the AWS CLI v2. Raises ``ProfileNotFound``.
    """
    session = Session(profile=settings.profile)
    # Raises where the profile does not exist. The provider would only find no options in it.
    profile = session.get_scoped_config()
    inherited = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    region = settings.region or inherited or profile.get("region")
    session.set_config_variable("region", region or ANY_REGION)
    return session, region


def connect(settings: Settings, *, needs_region: bool = True, on_disk: bool = False, **options: Any) -> Connection:
    """Open a session and its provider; ``options`` are those of ``AccessGrantsConfig``, None where not given.

    ``on_disk``: share credentials with other processes, unless environment or profile set ``cache``. Raises
    :class:`Failure` where there is no region, ``ProfileNotFound``, and ``ConfigurationError``.
    """
    session, region = open_session(settings)
    if region is None and needs_region:
        raise Failure(*NO_REGION)
    options["endpoint_url"] = settings.endpoint_url
    if on_disk and place_of("cache", session) is None:
        options["cache"] = "disk"
    if place_of("timeout_seconds", session) is None:
        options["timeout_seconds"] = TIMEOUT_SECONDS
    given = {name: value for name, value in options.items() if value is not None}
    return Connection(session, provider_for(session, **given), region)


def place_of(option: str, session: Session) -> str | None:
    """Return where an option of ``AccessGrantsConfig`` is set, the environment or the profile; None if in neither."""
    variable = ENVIRONMENT_PREFIX + option.upper()
    if os.environ.get(variable):
        return variable
    section = session.get_scoped_config().get(PROFILE_SECTION) or {}
    return f"{option} of the profile's {PROFILE_SECTION}" if option in section else None


@contextmanager
def _no_recursion(session: Session) -> Iterator[None]:
    """Stop a profile whose ``credential_process`` runs this command with that same profile.

    Each process would start the next, without end. An environment variable tells the programs that are started here
    which profiles are being fetched.
    """
    profile = session.get_config_variable("profile") or "default"
    before = os.environ.get(FETCHING_PROFILES, "")
    if profile in before.split("\n"):
        raise Failure(
            f"Profile {profile!r} gets its credentials from this command, which reads that same profile",
            "Add --profile with another profile to its credential_process",
        )
    os.environ[FETCHING_PROFILES] = f"{before}\n{profile}" if before else profile
    try:
        yield
    finally:
        if before:
            os.environ[FETCHING_PROFILES] = before
        else:
            del os.environ[FETCHING_PROFILES]
