"""The two clocks that a decision reads."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Clock"]


class Clock(NamedTuple):
    """``wall``: seconds since the epoch, only for what AWS dates (``Expiration``). ``monotonic``: for all else.

    What is counted from now on (a denial, an outage, a wait) must not end early or late because somebody sets the
    machine's clock.
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]
