"""Faults that the package does not have: each signs one request in ``ONE_IN`` wrongly, and the oracle has to see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

from botocore.credentials import Credentials

from .scenario import STRANGER
from .service import Service

ONE_IN = 5
AGED_SECONDS = 5


def _replacing(choose: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Return what puts ``choose``'s credentials into a client's requests, after the package has chosen."""
    numbers = count(1)

    def sign(request: Any, **_: object) -> None:
        signing = request.context.get("signing", {})
        chosen = choose(signing.get("request_credentials"))
        if next(numbers) % ONE_IN == 0 and chosen is not None:
            request.context["signing"] = {**signing, "request_credentials": chosen}

    return lambda client: client.meta.events.register_last("before-sign.s3", sign)


def stranger(service: Service) -> Callable[[Any], None]:
    """Sign as somebody else."""
    identity = service.identities[STRANGER]
    return _replacing(lambda _: Credentials(identity.access_key_id, identity.secret_access_key))


def expired(service: Service) -> Callable[[Any], None]:
    """Sign with a credential that was vended once upon a time."""
    kept: list[tuple[float, Any]] = []

    def choose(now: Any) -> Any:
        if now is not None and not kept:
            kept.append((time.time(), now))
        return kept[0][1] if kept and time.time() > kept[0][0] + AGED_SECONDS else None

    return _replacing(choose)


MUTATIONS = {"stranger": stranger, "expired": expired}
