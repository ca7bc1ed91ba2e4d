"""From the options of the command line to a session that is asked with, and to the provider that answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.credentials import Credentials
from botocore.session import Session

from access_grants_provider import AccessGrantsProvider
from access_grants_provider.core.config import ENVIRONMENT_PREFIX, PROFILE_SECTION
from access_grants_provider.exceptions import AccessDenied
from access_grants_provider.registration import provider_for
from access_grants_provider.sdk.answers import VendedCredentials, target_of

from .error_text import NO_CREDENTIALS, NO_REGION
from .settings import Failure, Settings
from .spinner import Working

__all__ = ["ASKING_AS", "Connection", "connect", "locate", "open_session", "vended"]

# Names the profiles whose credentials are just being fetched, to the programs that are started for it.
ASKING_AS = "ACCESS_GRANTS_ASKING_AS"
# For calls that have to be made somewhere when no region is set: the one that knows all buckets.
ANY_REGION = "us-east-1"
CACHE_VARIABLE = ENVIRONMENT_PREFIX + "CACHE"


@dataclass(frozen=True)
class Connection:
    """Who asks, where, and who answers. ``region`` is None only if it was allowed to be."""

    session: Session
    provider: AccessGrantsProvider
    region: str | None

    @property
    def some_region(self) -> str:
        """The region, or one where any bucket can be asked about."""
        return self.region or ANY_REGION

    def signer(self) -> Credentials:
        """Return the caller's own credentials, frozen. Raises :class:`Failure` where there are none."""
        with _no_circle(self.session):
            credentials = self.session.get_credentials()
        if credentials is None:
            raise Failure(NO_CREDENTIALS)
        # The stubs hold half a key for possible; botocore raises before that.
        frozen: Any = credentials.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def open_session(settings: Settings) -> tuple[Session, str | None]:
    """Return a session for the options, and its region if one is set.

    The region is that of ``--region``, ``AWS_REGION`` (which botocore does not read), ``AWS_DEFAULT_REGION``, the
    profile, in this order, as in the AWS CLI v2. Raises ``ProfileNotFound``.
    """
    session = Session(profile=settings.profile)
    # Where the profile is missing, this says so; the provider would merely find no options in it.
    profile = session.get_scoped_config()
    inherited = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    region = settings.region or inherited or profile.get("region")
    session.set_config_variable("region", region or ANY_REGION)
    return session, region


def connect(settings: Settings, *, needs_region: bool = True, on_disk: bool = False, **options: Any) -> Connection:
    """Open a session and its provider; ``options`` are those of ``AccessGrantsConfig``, None where not given.

    ``on_disk``: share with other processes, unless environment or profile say otherwise. Raises :class:`Failure` where
    there is no region, ``ProfileNotFound``, and ``ConfigurationError``.
    """
    session, region = open_session(settings)
    if region is None and needs_region:
        raise Failure(NO_REGION)
    options["endpoint_url"] = settings.endpoint_url
    said_in_profile = session.get_scoped_config().get(PROFILE_SECTION) or {}
    if on_disk and CACHE_VARIABLE not in os.environ and "cache" not in said_in_profile:
        options["cache"] = "disk"
    given = {name: value for name, value in options.items() if value is not None}
    return Connection(session, provider_for(session, **given), region)


def vended(settings: Settings, uri: str, permission: Any, **options: Any) -> tuple[VendedCredentials, Connection]:
    """Ask for the credentials of one grant, and show that it goes on.

    Raises what ``AccessGrantsProvider.credentials`` raises, and :class:`Failure`.
    """
    with Working("asking S3 Access Grants"):
        connection = connect(settings, on_disk=True, **options)
        connection.signer()
        try:
            return connection.provider.credentials(uri, permission), connection
        except AccessDenied:
            locate(connection, uri)
            raise


def locate(connection: Connection, uri: str) -> str:
    """Return the region of a target's bucket, or the connection's where S3 does not tell.

    Raises :class:`Failure` where there is no such bucket, which is the plainer word for why nothing was granted there.
    """
    from .service_calls import Control

    name = target_of(uri).bucket
    bucket = Control(connection).find_bucket(name)
    if bucket.is_missing:
        raise Failure(f"there is no bucket {name!r}; check its name")
    return bucket.region or connection.some_region


@contextmanager
def _no_circle(session: Session) -> Iterator[None]:
    """Stop a profile whose ``credential_process`` is this command asking with that same profile.

    Each would start the next, without an end. The environment tells the programs that are started here who is asking.
    """
    profile = session.get_config_variable("profile") or "default"
    before = os.environ.get(ASKING_AS, "")
    if profile in before.split("\n"):
        raise Failure(
            f"profile {profile!r} gets its credentials from this command, which is asking with that very profile; "
            "put --profile with another one into its credential_process"
        )
    os.environ[ASKING_AS] = f"{before}\n{profile}" if before else profile
    try:
        yield
    finally:
        if before:
            os.environ[ASKING_AS] = before
        else:
            del os.environ[ASKING_AS]
