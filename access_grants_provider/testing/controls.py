"""What tests do with a running local service: look at its requests, and make it fail."""

from __future__ import annotations

from collections.abc import Callable

from .errors import Refusal
from .faults import Broken, Faults, Hold, Tamper
from .http_messages import Response
from .rate_limits import RateLimit
from .records import RecordedRequest, Recorder


class Controls:
    """The records and the faults of a local service, in plain words."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._faults = Faults()
        self._recorder = Recorder()

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request that was answered, in order."""
        return self._recorder.all()

    def calls(self, operation: str) -> int:
        """How many requests of this operation were answered."""
        return sum(record.operation == operation for record in self.requests)

    def control_calls(self) -> int:
        """How many requests were about permissions and not data: S3 Control, STS, the provider's region look-ups."""
        return sum(record.is_control_call for record in self.requests)

    def s3_requests(self) -> list[RecordedRequest]:
        """The requests that were about data."""
        return [record for record in self.requests if not record.is_control_call]

    def forget_requests(self) -> None:
        """Start the record anew."""
        self._recorder.clear()

    def fail(
        self,
        operation: str,
        code: str,
        *,
        status: int | None = None,
        message: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer the next `times` requests of an operation (any service) with this error; None: until `heal()`.

        The status is the one AWS sends with this code unless given.
        """
        self._faults.add(operation, Refusal(code, message or f"{code}, on demand", status=status), times)

    def delay(self, operation: str, seconds: float, times: int | None = None) -> None:
        """Let requests of an operation take this much longer."""
        self._faults.add(operation, float(seconds), times)

    def tamper(self, operation: str, function: Tamper, times: int | None = 1) -> None:
        """Send `function(result)` instead of the result of an Access Grants operation or GetCallerIdentity."""
        self._faults.add(operation, function, times)

    def answer(self, operation: str, body: bytes, status: int = 200, times: int | None = 1) -> None:
        """Answer with exactly these bytes."""
        self._faults.add(operation, Response(status, {"Content-Type": "application/xml"}, body), times)

    def reset_connection(self, operation: str, times: int | None = 1) -> None:
        """Send half of the answer, then reset the connection (TCP RST). In process: botocore's error for that."""
        self._faults.add(operation, Broken("reset"), times)

    def cut_off(self, operation: str, times: int | None = 1) -> None:
        """Send half of the answer, then close the connection as if that were all. In process: half of the body."""
        self._faults.add(operation, Broken("cut off"), times)

    def silence(self, operation: str, times: int | None = None) -> None:
        """Leave requests without an answer and the connection open, as a black hole does; they are not carried out.

        Over HTTP the client waits until its own time-out. A request that is waiting stays unanswered after `heal()`.
        In process botocore's ReadTimeoutError is raised at once. The record has status 0.
        """
        self._faults.add(operation, Broken("silent"), times)

    def refuse_connection(self, operation: str, times: int | None = None) -> None:
        """Reset the connection without an answer; the request is not carried out, and its record has status 0.

        In process: botocore's EndpointConnectionError. Over HTTP the operation is known only once the connection is
        made, so the client sees a reset; `AccessGrantsServer.refuse_connections()` refuses the connection itself.
        """
        self._faults.add(operation, Broken("refused"), times)

    def hold(self, operation: str) -> Hold:
        """Hold the requests of an operation until released: `with grants.hold("GetDataAccess") as held: …`."""
        return self._faults.hold(operation)

    def rate_limit(self, operation: str, per_second: float) -> None:
        """Answer at most so many requests of an operation in a second, by the service's clock, until `heal()`.

        A request over the limit gets SlowDown, and from STS Throttling. As many as a second admits may come at once.
        """
        self._faults.limit(operation, RateLimit(per_second, self._clock))

    def heal(self, operation: str | None = None) -> None:
        """End the faults, the holds and the limit of one operation, or all."""
        self._faults.heal(operation)
