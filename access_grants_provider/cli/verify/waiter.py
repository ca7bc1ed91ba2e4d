"""Waiting for AWS: IAM and S3 Access Grants count a change only some seconds after they have confirmed it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

from botocore.exceptions import ClientError

from ..settings import Failure

__all__ = ["Waiter"]

T = TypeVar("T")
PAUSE_SECONDS = 1.0
PROGRESS_SECONDS = 5.0


class Waiter:
    """Tries again for a bounded time, and says so every few seconds. Between two tries, Ctrl-C counts."""

    def __init__(self, say: Callable[[str], None], check_interrupt: Callable[[], None]) -> None:
        """Take what shows a line to the person, and what raises KeyboardInterrupt after Ctrl-C."""
        self.say = say
        self.check_interrupt = check_interrupt

    def now(self) -> float:
        """Return the seconds of the monotonic clock."""
        return monotonic()

    def step(self, line: str) -> None:
        """Begin a step of the run."""
        self.check_interrupt()
        self.say(line)

    def pause(self, seconds: float = PAUSE_SECONDS) -> None:
        """Wait."""
        self.check_interrupt()
        sleep(seconds)

    def wait(self, what: str, seconds: float) -> None:
        """Wait for longer, and say so every few seconds."""
        started = shown = monotonic()
        while (now := monotonic()) < started + seconds:
            if now - shown >= PROGRESS_SECONDS:
                shown = now
                self.say(f"{what}: {started + seconds - now:.0f} s more")
            self.pause()

    def until(self, what: str, attempt: Callable[[], T | None], codes: frozenset[str], seconds: float) -> T:
        """Return the first result that ``attempt`` has. It has none while it returns None or fails with ``codes``."""
        started = shown = monotonic()
        while True:
            self.check_interrupt()
            reason = ""
            try:
                result = attempt()
                if result is not None:
                    return result
            except ClientError as error:
                reason = str(error.response.get("Error", {}).get("Code"))
                if reason not in codes:
                    raise
            now = monotonic()
            if now - started >= seconds:
                raise Failure(f"{what}: not within {seconds:.0f} s {reason}".rstrip())
            if now - shown >= PROGRESS_SECONDS:
                shown = now
                self.say(f"{what}: waiting for {now - started:.0f} s {reason}".rstrip())
            sleep(PAUSE_SECONDS)
