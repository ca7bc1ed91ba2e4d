"""A herd: how many workers start at once, under which limit; what came of it; and whether that is good enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["BUCKET", "GRANT", "KEY", "MAX_RATIO", "UNLIMITED", "Ended", "Herd", "Outcome"]

BUCKET, KEY, GRANT = "data", "in/x", "s3://data/in/*"
# The last first byte comes within so many times the time that the service needs to admit all calls.
MAX_RATIO = 1.5
# More than a machine can ask for: a herd at this rate shows what the machine itself takes.
UNLIMITED = 1e9
# How long throttling is put up with, where the option `timeout_seconds` is not longer.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Herd:
    """So many ``workers`` read one object each, all for the first time; ``rate`` calls a second are admitted.

    That is the limit of GetDataAccess, and another one of GetCallerIdentity. ``account_known``: the credentials name
    the caller's account, so STS is not called. ``per_host``: so many workers share a cache on disk; 0 is no such cache.
    """

    workers: int
    rate: float
    account_known: bool = True
    per_host: int = 0
    timeout_seconds: float = 20.0

    @property
    def patience(self) -> float:
        """How long a worker puts up with throttling."""
        return max(PATIENCE_SECONDS, self.timeout_seconds)

    @property
    def needed_seconds(self) -> float:
        """Calls ÷ rate: the time in which the service admits them all."""
        return self.workers / self.rate

    def __str__(self) -> str:
        rate = "no limit" if self.rate == UNLIMITED else f"{self.rate:g}/s"
        return f"{self.workers:,} at {rate}"


@dataclass(frozen=True)
class Ended:
    """What came of one worker: ``"grant"`` or ``"caller"``, who signed its request, or the name of an error.

    ``seconds``: when its first byte came, after the start.
    """

    how: str
    seconds: float


@dataclass
class Outcome:
    """What came of a herd: of each worker, and how many calls the service got, those that it refused too."""

    herd: Herd
    ended: list[Ended] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    vends: int = 0

    @property
    def failures(self) -> int:
        """How many workers got an error."""
        return sum(ended.how not in ("grant", "caller") for ended in self.ended)

    @property
    def as_caller(self) -> int:
        """How many workers' requests were signed as the caller."""
        return sum(ended.how == "caller" for ended in self.ended)

    @property
    def seconds(self) -> float:
        """The time to the last first byte."""
        return max((ended.seconds for ended in self.ended if ended.how == "grant"), default=0.0)

    @property
    def ratio(self) -> float:
        """The time to the last first byte by calls ÷ rate."""
        return self.seconds / self.herd.needed_seconds

    def faults(self, machine_seconds: float = 0.0) -> list[str]:
        """Say what is not good enough. ``machine_seconds``: what the same herd takes without a limit."""
        herd = self.herd
        faults = [f"{self.as_caller} workers signed as the caller"] if self.as_caller else []
        if herd.needed_seconds > herd.patience:
            # Some must fail. Those that were admitted came in time, or they would have failed too.
            return faults
        if self.failures:
            faults.append(f"{self.failures} workers failed")
        if self.seconds - machine_seconds > MAX_RATIO * herd.needed_seconds:
            faults.append(f"the last first byte after x{self.ratio:.2f} of calls / rate")
        return faults
