"""What stays the same while one decision is made: options, clocks, what runs, and what there is to say."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from .clock import Clock
from .config import AccessGrantsConfig

__all__ = [
    "CALLS_LOGGER",
    "DECISIONS_LOGGER",
    "FALLBACKS_LOGGER",
    "OPTIONS_LOGGER",
    "REFUSED",
    "FlowContext",
    "PendingLog",
]

# Names that users put into their logging configuration: an interface, whatever the modules are called.
CALLS_LOGGER = "access_grants_provider.calls"
DECISIONS_LOGGER = "access_grants_provider.decisions"
FALLBACKS_LOGGER = "access_grants_provider.fallbacks"
OPTIONS_LOGGER = "access_grants_provider.options"
# The warning of a refusal under fallback="never": the operation, and the error that is raised.
REFUSED = "S3 Access Grants: %s was refused, as fallback is 'never'. %s"

_calls = logging.getLogger(CALLS_LOGGER)


class PendingLog:
    """What a decision has to say, kept until nobody waits for the decision.

    A handler of the logging module holds a lock of its own while it works, and may make an S3 request: a thread that
    logged while others wait for it would close a circle.
    """

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: list[tuple[int, str, tuple[object, ...]]] = []

    def note(self, level: int, text: str, *arguments: object) -> None:
        """Keep a message in the form of the ``logging`` module."""
        self._lines.append((level, text, arguments))

    def flush(self) -> None:
        """Log what was kept, under ``access_grants_provider.calls``."""
        while self._lines:
            level, text, arguments = self._lines.pop(0)
            _calls.log(level, f"S3 Access Grants: {text}", *arguments)


class FlowContext(NamedTuple):
    """What a decision is made with.

    ``jitter`` returns a random time between 0 and the given seconds. ``event_loop`` is the loop that the deciding task
    runs in, None for a thread: nobody waits for a call of another loop, which may stand still for as long as it likes
    (while its thread waits for ours, say). ``may_wait`` is False for a thread that is in the middle of another decision
    already: whatever it interrupted may be what it would wait for.
    """

    config: AccessGrantsConfig
    clock: Clock
    jitter: Callable[[float], float]
    log: PendingLog
    event_loop: object = None
    may_wait: bool = True
