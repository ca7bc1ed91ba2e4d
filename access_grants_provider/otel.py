"""OpenTelemetry metrics of a provider. Needs the extra ``otel``.

No bucket, key, scope or identity is an attribute: their number has no bound, and what people name their keys is nobody
else's business. A request costs nothing more: the counts are read off ``stats()`` when they are collected.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from .provider import AccessGrantsProvider

__all__ = ["instrument"]

NAME = "access_grants_provider"


def instrument(provider: AccessGrantsProvider, meter_provider: MeterProvider | None = None) -> None:
    """Have a provider's counts and the duration of its control calls measured, from now on.

    ``provider`` is what ``register()`` returned; ``meter_provider`` is the application's unless given. Instruments:

    ``access_grants.requests``: counter of S3 requests, by ``outcome`` (``granted``, ``fallback``, ``unsupported``,
    ``denied``, ``failed``) and, if granted, ``source`` (``cache``, ``vended``).
    ``access_grants.recovered``: counter of requests sent once more after S3 refused a vended credential.
    ``access_grants.implied``: counter of probes answered from a grant.
    ``access_grants.control_call.duration``: histogram in seconds of the calls to S3 Control, STS and S3, by
    ``operation`` (``get_data_access``, …) and, if it failed, ``error.type``, the exception's class.
    """
    meter = get_meter(NAME, meter_provider=meter_provider)
    of = weakref.ref(provider)

    def requests(_: CallbackOptions) -> Iterator[Observation]:
        known = of()
        if known is None:
            return
        stats = known.stats()
        yield Observation(stats.cache_hits, {"outcome": "granted", "source": "cache"})
        yield Observation(stats.granted - stats.cache_hits, {"outcome": "granted", "source": "vended"})
        for outcome in ("fallback", "unsupported", "denied", "failed"):
            yield Observation(getattr(stats, outcome), {"outcome": outcome})

    def count_of(field: str) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observed(_: CallbackOptions) -> Iterator[Observation]:
            known = of()
            if known is not None:
                yield Observation(getattr(known.stats(), field))

        return observed

    meter.create_observable_counter("access_grants.requests", [requests], "{request}", "S3 requests by decision")
    for field, what in (("recovered", "S3 requests sent once more"), ("implied", "Probes answered from a grant")):
        meter.create_observable_counter(f"access_grants.{field}", [count_of(field)], "{request}", what)
    duration = meter.create_histogram("access_grants.control_call.duration", "s", "Calls to S3 Control, STS and S3")
    before = provider.observer

    def observe(call: Any, api_call: Any, seconds: float, error: Exception | None) -> None:
        attributes: dict[str, Any] = {"operation": api_call.method}
        if error is not None:
            attributes["error.type"] = type(error).__name__
        duration.record(seconds, attributes)
        if before is not None:
            before(call, api_call, seconds, error)

    provider.observer = observe
