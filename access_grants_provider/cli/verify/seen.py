"""What a service answered, and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["Expected", "Seen", "see", "seen_in"]


class Seen(NamedTuple):
    """An answer: the code (``OK`` for a success), the HTTP status, the message or what else tells, and after how long.

    ``status`` is None where no answer came. ``seconds`` is None where the time was not measured.
    """

    code: str
    status: int | None
    message: str = ""
    seconds: float | None = None

    def __str__(self) -> str:
        head = self.code if self.status is None or self.code == str(self.status) else f"{self.code} {self.status}"
        took = "" if self.seconds is None else f" after {self.seconds:.0f} s"
        return f"{head}{took}: {self.message}" if self.message else f"{head}{took}"


class Expected(NamedTuple):
    """The answer that is assumed: one of these codes, each with its status, and these words in the message."""

    answers: tuple[tuple[str, int], ...]
    words: str = ""

    def __str__(self) -> str:
        answers = " or ".join(str(Seen(code, status)) for code, status in self.answers)
        return f"{answers}: … {self.words} …" if self.words else answers

    def fits(self, seen: Seen) -> bool:
        """Tell whether the answer is as assumed."""
        return (seen.code, seen.status) in self.answers and self.words in seen.message


def seen_in(error: ClientError | BotoCoreError) -> Seen:
    """Return what came with an error."""
    if isinstance(error, BotoCoreError):
        return Seen(type(error).__name__, None, str(error))
    details = error.response.get("Error", {})
    metadata = error.response["ResponseMetadata"]
    code, message = str(details.get("Code")), str(details.get("Message", ""))
    region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region")
    # The answer to a HEAD has no body, so its headers are all that it says.
    told = f" (x-amz-bucket-region: {region})" if region and code.isdigit() else ""
    return Seen(code, metadata.get("HTTPStatusCode"), message + told)


def see(call: Callable[..., Any], show: Callable[[dict[str, Any]], str] | None = None, **given: Any) -> Seen:
    """Make a call and return what came. ``show`` says what matters in a success."""
    try:
        answer = call(**given)
    except (ClientError, BotoCoreError) as error:
        return seen_in(error)
    return Seen("OK", answer["ResponseMetadata"]["HTTPStatusCode"], show(answer) if show is not None else "")
