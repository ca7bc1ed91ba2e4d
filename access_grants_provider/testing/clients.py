"""boto3 sessions and clients that speak to the local service."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import boto3
import botocore.session
from botocore.awsrequest import AWSPreparedRequest
from botocore.handlers import BUILTIN_HANDLERS
from botocore.loaders import Loader, create_loader

from .identities import Identity

_ACCOUNT_AND_ADDRESS = re.compile(r"\d{12}\.(?:account@)?((?:\d+\.\d+\.\d+\.\d+|localhost)(:\d+)?)")


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
    return create(service, **kwargs)


@cache
def _loader(data_path: str | None) -> Loader:
    return create_loader(data_path)


def _readdress(request: AWSPreparedRequest, **kwargs: Any) -> None:
    """Send what is for `{AccountId}.127.0.0.1` to 127.0.0.1, with the Host it was signed for.

    botocore puts the account's id before every S3 Control host. No address has a fifth number, and `*.localhost` is
    this machine, so this takes no request away from another service.
    """
    parts = urlsplit(request.url)
    found = _ACCOUNT_AND_ADDRESS.fullmatch(parts.netloc)
    if found is not None:
        if "Host" not in request.headers:
            request.headers["Host"] = parts.netloc.rpartition("@")[2]
        request.url = urlunsplit(parts._replace(netloc=found[1]))


# For every session of this process that is made from now on: so moto installs its own handler too.
BUILTIN_HANDLERS.append(("before-send.s3-control", _readdress))
