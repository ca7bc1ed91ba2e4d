"""Work that a thread waits for only so long, whatever it waits for itself."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from ..core.service_errors import OutOfTime

__all__ = ["within"]

Returned = TypeVar("Returned")


def within(seconds: float, work: Callable[[], Returned]) -> Returned:
    """Do ``work`` in a thread of its own and return its result. Raises :class:`OutOfTime` where it takes longer.

    A client's time-outs hold for each read of a socket, and not for looking up a host name: an endpoint that sends a
    byte now and then, or a name server that does not answer, would keep the caller for ever. Work that is late is left
    to end by itself. The thread costs 0.1 ms.
    """
    results: list[tuple[Returned | None, BaseException | None]] = []
    # A bare lock, for the reason that single_flight.py gives.
    done = threading.Lock()
    done.acquire()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            results.append((context.run(work), None))
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits
            results.append((None, error))
        finally:
            done.release()

    thread = threading.Thread(target=run, name="access-grants", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # At the end of the interpreter, or where the system gives no more threads.
        return work()
    if not done.acquire(timeout=seconds):
        raise OutOfTime(seconds=seconds)
    # It has nothing left to do. A fork right after it would find a second thread.
    thread.join(1)
    returned, error = results.pop()
    if error is not None:
        raise error
    return returned  # type: ignore[return-value]
