"""What the adapters share: which provider is asked for what, in a form that other processes may be handed.

And where S3 is: the libraries do not read AWS's profile, and some of them not the environment either.
"""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from access_grants_provider.core.credential_cache import ADVISORY_SECONDS, ADVISORY_SHARE
from access_grants_provider.core.s3_hosts import is_s3_host
from access_grants_provider.core.scopes import Permission, permission_of, target_of
from access_grants_provider.core.vended_credentials import VendedCredentials
from access_grants_provider.registration import provider_for

__all__ = ["GrantSource", "ask_again_at", "s3_endpoint"]


class GrantSource:
    """Credentials for one URI and permission, from the provider of a session.

    The session None is boto3's default session as it is now: a later default session is another identity. A pickle
    holds the URI, the permission and the options, and becomes the default session's in the process that loads it;
    made with a session it can't be pickled, since whoever loads it could not be that identity.
    """

    def __init__(
        self, uri: str, permission: Permission, session: Any, options: dict[str, Any], mark: str | None = None
    ) -> None:
        self.target = target_of(uri)
        self.uri, self.permission = uri, permission_of(permission)
        self._options, self._has_session = options, session is not None
        # polars takes providers whose pickles are equal for the same one. Two default sessions may be two identities.
        self._mark = mark or secrets.token_hex(8)
        self._provider = provider_for(session, **options)
        self.endpoint_url = s3_endpoint(session)

    def credentials(self) -> VendedCredentials:
        """Return what the provider remembers or vends; raises as ``AccessGrantsProvider.credentials()``."""
        return self._provider.credentials(self.uri, self.permission)

    def credentials_for(self, uri: str, permission: Permission) -> VendedCredentials:
        """Do the same for something else than the source's own URI."""
        return self._provider.credentials(uri, permission)

    def storage_options(self) -> dict[str, str]:
        """Return the keys, region and endpoint under the names that Rust's object_store has for them."""
        vended = self.credentials()
        found = {
            "aws_access_key_id": vended.access_key,
            "aws_secret_access_key": vended.secret_key,
            "aws_session_token": vended.token,
            "aws_region": vended.region,
        }
        if self.endpoint_url is not None:
            found["aws_endpoint"] = self.endpoint_url
            found["aws_allow_http"] = str(self.endpoint_url.startswith("http:")).lower()
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GrantSource) and self._mark == other._mark

    def __hash__(self) -> int:
        return hash(self._mark)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.permission} on {self.uri!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._has_session:
            raise TypeError(
                f"{self!r} belongs to the session it was made with, and that can't be pickled. Make it without "
                "session=, and it asks as boto3's default session in each process"
            )
        return type(self), (self.uri, self.permission, None, self._options, self._mark)


def s3_endpoint(session: Any) -> str | None:
    """Return the S3 endpoint that a session is configured with; None where that is AWS's public one.

    botocore decides, by ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, the profile's ``endpoint_url`` and ``services``,
    and ``AWS_IGNORE_CONFIGURED_ENDPOINT_URLS``. The endpoint of a VPC is one that is configured.
    """
    if session is None:
        import boto3

        session = boto3
    client = session.client("s3") if hasattr(session, "client") else session.create_client("s3")
    try:
        url: str = client.meta.endpoint_url
    finally:
        client.close()
    host = urlsplit(url).hostname or ""
    return None if is_s3_host(host) and ".vpce." not in host else url


def ask_again_at(vended: VendedCredentials) -> float:
    """Return from when on (epoch seconds) a library shall ask for new credentials in place of these.

    Libraries use what they are given to its last second, and asking earlier costs nothing: the provider answers from
    its cache. So this is the time from which the provider renews ahead, or a little later.
    """
    expires_at = vended.expiration.timestamp()
    return expires_at - min(ADVISORY_SECONDS, max(0.0, expires_at - time.time()) * ADVISORY_SHARE)
