"""What a service answered, and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["Expected", "Seen", "see"]


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
    """The answer that is assumed: one of these codes, its status, and these words in its message."""

    codes: tuple[str, ...]
    status: int
    words: str = ""

    def __str__(self) -> str:
        codes = " or ".join(code for code in self.codes if code != str(self.status))
        words = f": … {self.words} …" if self.words else ""
        return f"{codes} {self.status}".strip() + words

    def fits(self, seen: Seen) -> bool:
        """Tell whether the answer is as assumed."""
        return seen.code in self.codes and seen.status == self.status and self.words in seen.message


def see(call: Callable[..., Any], show: Callable[[dict[str, Any]], str] | None = None, **given: Any) -> Seen:
    """Make a call and return what came. ``show`` says what matters in a success."""
    try:
        answer = call(**given)
    except ClientError as error:
        details = error.response.get("Error", {})
        headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
        region = headers.get("x-amz-bucket-region")
        told = f" (x-amz-bucket-region: {region})" if region else ""
        status = error.response["ResponseMetadata"].get("HTTPStatusCode")
        return Seen(str(details.get("Code")), status, str(details.get("Message", "")) + told)
    except BotoCoreError as error:
        return Seen(type(error).__name__, None, str(error))
    return Seen("OK", answer["ResponseMetadata"]["HTTPStatusCode"], show(answer) if show is not None else "")
