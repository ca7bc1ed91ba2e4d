"""The clients that are compared: plain boto3, aws-s3-access-grants-boto3-plugin, access_grants_provider."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import botocore.session
from botocore.config import Config

import access_grants_provider

PEER = "aws-s3-access-grants-boto3-plugin"
HAS_PEER = find_spec("aws_s3_access_grants_boto3_plugin") is not None
HAS_AIO = find_spec("aiobotocore") is not None
HAS_SCOPED_S3FS = find_spec("s3fs_access_grants") is not None

MakeClient = Callable[..., Any]


def clean_environment() -> None:
    """Take from the environment what would change a measurement: whoever runs this may work on AWS."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_ACCESS_GRANTS_", "BOTOCORE_"))]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
    )
    # Fallbacks and crowded connection pools are meant here. DEBUG is off either way, so this changes no measurement.
    for logger in ("access_grants_provider", "urllib3"):
        logging.getLogger(logger).setLevel(logging.ERROR)


def session_of(identity: Any, account_id: str | None = None) -> botocore.session.Session:
    """Return a session that signs as an identity of the local service; its credentials may tell their account."""
    session = botocore.session.Session()
    session.set_credentials(
        identity.access_key_id, identity.secret_access_key, identity.session_token, account_id=account_id
    )
    session.set_config_variable("region", "us-east-1")
    return session


def _client(session: botocore.session.Session, connections: int) -> Any:
    # As many connections as there are threads: waiting for one is not what is measured.
    return session.create_client("s3", config=Config(max_pool_connections=connections))


def plain(identity: Any, *, connections: int = 64) -> Any:
    """Return a client without anything."""
    return _client(session_of(identity), connections)


def ours(identity: Any, *, known_account: str | None = None, connections: int = 64, **options: Any) -> Any:
    """Return a cold client with access_grants_provider; ``known_account`` is what its credentials tell."""
    session = session_of(identity, known_account)
    access_grants_provider.register(session, **options)
    return _client(session, connections)


def theirs(identity: Any, *, connections: int = 64, fallback: bool = True, is_cold: bool = True) -> Any:
    """Return a client with the official plugin, a cold one or with what the process's earlier ones were given."""
    session = session_of(identity)
    client = _client(session, connections)
    cover_with_theirs(client, session, fallback, is_cold)
    return client


def cover_with_theirs(client: Any, session: Any, fallback: bool, is_cold: bool = True) -> None:
    """Register the official plugin. Its caches belong to the process: for a cold client they are emptied first."""
    from aws_s3_access_grants_boto3_plugin.cache.access_denied_cache import AccessDeniedCache
    from aws_s3_access_grants_boto3_plugin.cache.access_grants_cache import AccessGrantsCache
    from aws_s3_access_grants_boto3_plugin.cache.account_id_resolver_cache import AccountIdResolverCache
    from aws_s3_access_grants_boto3_plugin.cache.bucket_region_resolver_cache import BucketRegionResolverCache
    from aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin import S3AccessGrantsPlugin

    if is_cold:
        AccessGrantsCache.account_id_resolver_cache = AccountIdResolverCache()
        S3AccessGrantsPlugin.access_denied_cache = AccessDeniedCache()
        S3AccessGrantsPlugin.access_grants_cache = AccessGrantsCache()
        S3AccessGrantsPlugin.bucket_region_cache = BucketRegionResolverCache()
        S3AccessGrantsPlugin.client_dict = {}
    S3AccessGrantsPlugin(client, fallback_enabled=fallback, customer_session=session).register()
