"""boto3 sessions and clients that speak to the local service."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import boto3
import botocore.session
from botocore.awsrequest import AWSPreparedRequest
from botocore.loaders import Loader, create_loader

from .identities import Identity


def make_session(identity: Identity, region: str) -> boto3.Session:
    """A boto3 session that signs as this identity."""
    core = botocore.session.get_session()
    # Reading botocore's model files is most of the work of making a client: all sessions share what was read.
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return boto3.Session(
        botocore_session=core,
        aws_access_key_id=identity.access_key_id,
        aws_secret_access_key=identity.secret_access_key,
        aws_session_token=identity.session_token,
        region_name=region,
    )


def make_client(session: boto3.Session, service: str, endpoint_url: str | None, **kwargs: Any) -> Any:
    """A client of this session; with `endpoint_url`, of the server there."""
    if endpoint_url is not None:
        kwargs.setdefault("endpoint_url", endpoint_url)
    create: Callable[..., Any] = session.client
    client = create(service, **kwargs)
    if endpoint_url is not None and service == "s3control":
        client.meta.events.register("before-send.s3-control", _Readdress(endpoint_url))
    return client


@cache
def _loader(data_path: str | None) -> Loader:
    return create_loader(data_path)


class _Readdress:
    """Sends a request to the server, keeping the Host it was signed for.

    botocore puts the account id before the host, and `123456789012.127.0.0.1` does not resolve.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._netloc = urlsplit(endpoint_url).netloc

    def __call__(self, request: AWSPreparedRequest, **kwargs: Any) -> None:
        parts = urlsplit(request.url)
        if "Host" not in request.headers:
            request.headers["Host"] = parts.netloc
        request.url = urlunsplit(parts._replace(netloc=self._netloc))
