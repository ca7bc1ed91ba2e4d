"""What all unit tests share: a clock that a test moves, and the errors that botocore raises for answers of AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.core import clock as core_clock

START = 1_800_000_000.0


@dataclass
class Clock:
    """The two clocks of a decision, which stand still until a test moves them; called, it tells the wall's time."""

    now: float = START
    monotonic: float = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.monotonic += seconds

    def set_back(self, seconds: float) -> None:
        """Have somebody set the machine's clock back. No time passes."""
        self.now -= seconds

    def time(self, seconds: float = 0.0) -> datetime:
        """The time in so many seconds, as AWS writes it."""
        return datetime.fromtimestamp(self.now + seconds, timezone.utc)

    @property
    def both(self) -> core_clock.Clock:
        """The clocks as the core takes them."""
        return core_clock.Clock(self, lambda: self.monotonic)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aws_error() -> Callable[..., ClientError]:
    """The error that botocore raises for an answer of AWS with this code."""

    def made(code: str, message: str = "", status: int = 403, operation: str = "GetDataAccess") -> ClientError:
        response: Any = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
        }
        return ClientError(response, operation)

    return made
