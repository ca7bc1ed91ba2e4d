"""boto3's CRT transfers: a covered client keeps to boto3's classic transfer client.

With ``boto3[crt]`` and ``preferred_transfer_client="crt"``, or ``"auto"`` on instances that the CRT is optimised for,
``upload_file`` and its like make a client of their own that signs in C, with the caller's own credentials. No event of
botocore is fired for its requests, so no grant can reach them.

Rests on the parameter ``Config`` of the transfer methods (``boto3.s3.transfer.TransferConfig``), and on botocore making
a class for each client. Neither boto3 nor awscrt is imported here: whoever has these methods has loaded them.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient

__all__ = ["ClassicTransfers"]

# ``copy`` is not among them: the CRT can't copy, and boto3 does that with its classic transfer client always.
TRANSFERS = ("upload_file", "download_file", "upload_fileobj", "download_fileobj")
ASKED_FOR_THE_CRT = "_get_credentials"

NOTICE = (
    "boto3 would transfer with its CRT client, which grants can't reach; covered clients use the classic one "
    "(preferred_transfer_client='classic')"
)


class ClassicTransfers:
    """The transfers of one S3 client, and of the Buckets and Objects that use it, which end in the same four methods.

    ``say`` is given a notice whenever boto3 would have taken the CRT.
    """

    def __init__(self, client: BaseClient, say: Callable[[str], object]) -> None:
        # On its class, not on the client: there, methods that know the client would keep it alive.
        self._class = type(client)
        self._say = say
        self._before: dict[str, Any] = {}

    def attach(self) -> None:
        """Have the client's transfers go the classic way. A client made by botocore alone has no such methods."""
        had = vars(self._class)
        ours: dict[str, Any] = {name: self._in_the_classic_way(had[name]) for name in TRANSFERS if name in had}
        ours[ASKED_FOR_THE_CRT] = self._no_credentials()
        for name, method in ours.items():
            self._before[name] = had.get(name)
            setattr(self._class, name, method)

    def detach(self) -> None:
        """Let boto3 choose again. A second time does nothing, for by then somebody else may be attached."""
        methods, self._before = self._before, {}
        for name, method in methods.items():
            if method is None:
                delattr(self._class, name)
            else:
                setattr(self._class, name, method)

    def _in_the_classic_way(self, transfer: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(transfer)
        def with_classic_config(*args: Any, **kwargs: Any) -> Any:
            call = inspect.signature(transfer).bind(*args, **kwargs)
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

    def _no_credentials(self) -> Callable[[BaseClient], None]:
        """For ``S3Transfer(client, config)``, which goes round the methods and where no parameter can be reached.

        boto3 asks this of a client before it transfers with the CRT, and takes the classic client where the answer is
        None. Should that change, the CRT has nothing to sign with rather than the caller's own credentials. A process
        has one CRT client; if it is not made yet, it is made now, on nobody's credentials, and then serves nobody: the
        transfers of all clients in this process go the classic way.
        """
        say = self._say

        def credentials_for_the_crt(_: BaseClient) -> None:
            say(NOTICE)

        return credentials_for_the_crt


def _means_the_crt(preferred: str) -> bool:
    """Say whether boto3 would take its CRT client, as ``boto3.s3.transfer`` decides it."""
    if preferred != "auto":
        return preferred == "crt"
    optimized = getattr(sys.modules.get("awscrt.s3"), "is_optimized_for_system", None)
    return optimized is not None and bool(optimized())
