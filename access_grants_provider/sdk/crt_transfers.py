"""boto3's CRT transfers: a covered client keeps to boto3's classic transfer client.

With ``boto3[crt]`` and ``preferred_transfer_client="crt"``, or ``"auto"`` on instances that the CRT is optimised for,
``upload_file`` and its like make a client of their own that signs in C, with the caller's own credentials. No event of
botocore is fired for its requests, so no grant can reach them.

Rests on the parameter ``Config`` of the transfer methods (``boto3.s3.transfer.TransferConfig``), and on ``boto3.crt``
comparing a client's credentials with its own before it transfers for it. Neither boto3 nor awscrt is imported here:
whoever has these methods has loaded them.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient

from .wrapped_method import WrappedMethod

__all__ = ["ClassicTransfers"]

# ``copy`` is not among them: the CRT can't copy, and boto3 does that with its classic transfer client always.
TRANSFERS = ("upload_file", "download_file", "upload_fileobj", "download_fileobj")
GET_CREDENTIALS, ASKED_BY = "_get_credentials", "is_crt_compatible_request"

NOTICE = (
    "boto3 would transfer with its CRT client, which grants can't reach; covered clients use the classic one "
    "(preferred_transfer_client='classic')"
)


class ClassicTransfers:
    """The transfers of one S3 client, and of the Buckets and Objects that use it, which end in the same four methods.

    ``say`` is given a notice whenever boto3 would have taken the CRT.
    """

    def __init__(self, client: BaseClient, say: Callable[[str], object]) -> None:
        self._say = say
        owner = type(client)
        self._methods = [WrappedMethod(owner, name, self._in_the_classic_way) for name in TRANSFERS]
        self._methods.append(WrappedMethod(owner, GET_CREDENTIALS, self._none_for_the_crt))

    def attach(self) -> None:
        """Have the client's transfers go the classic way. A client made by botocore alone has no such methods."""
        for method in self._methods:
            method.attach()

    def detach(self) -> None:
        """Let boto3 choose again. A second time does nothing."""
        for method in self._methods:
            method.detach()

    def _in_the_classic_way(self, transfer: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(transfer)

        @functools.wraps(transfer)
        def with_classic_config(*args: Any, **kwargs: Any) -> Any:
            call = signature.bind(*args, **kwargs)
            call.arguments["Config"] = self._classic(call.arguments.get("Config"))
            return transfer(*call.args, **call.kwargs)

        return with_classic_config

    def _classic(self, config: Any) -> Any:
        """Return the transfer configuration, which stays as it is, with the classic client in it."""
        config = sys.modules["boto3.s3.transfer"].TransferConfig() if config is None else copy.copy(config)
        if _means_the_crt(config.preferred_transfer_client.lower()):
            self._say(NOTICE)
        config.preferred_transfer_client = "classic"
        return config

    def _none_for_the_crt(self, get: Callable[..., Any]) -> Callable[..., Any]:
        """For ``S3Transfer(client, config)``, which goes round the methods and where no parameter can be reached.

        ``boto3.crt`` compares a client's credentials with those of the process's CRT client, and takes the classic
        client where there are none. For this question there are none; whoever else asks gets the client's credentials.
        """

        @functools.wraps(get)
        def credentials(client: BaseClient) -> Any:
            # Frame 1 is that of the wrapper on the class.
            if sys._getframe(2).f_code.co_name == ASKED_BY:
                self._say(NOTICE)
                return None
            return get(client)

        return credentials


def _means_the_crt(preferred: str) -> bool:
    """Say whether boto3 would take its CRT client, as ``boto3.s3.transfer`` decides it."""
    if preferred != "auto":
        return preferred == "crt"
    optimized = getattr(sys.modules.get("awscrt.s3"), "is_optimized_for_system", None)
    return optimized is not None and bool(optimized())
