"""Where Ctrl-C may interrupt a command, and how."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["INTERRUPTED", "deferred_interrupt", "exit_on_interrupt"]

# The exit code a shell reports for a program that SIGINT ended.
INTERRUPTED = 130


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the process at once, with one line, while the block imports modules.

    The import system runs callbacks of weak references. A KeyboardInterrupt raised in one of them is printed and lost:
    one in 300 Ctrl-C within the import of botocore. The block must not hold anything that needs a clean-up.
    """
    handles = _handles_interrupts()
    if handles:
        signal.signal(signal.SIGINT, _exit_at_once)
    try:
        yield
    finally:
        if handles:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Hold a first Ctrl-C back until the caller calls the function that this yields, which raises KeyboardInterrupt.

    A KeyboardInterrupt raised elsewhere could be lost in a destructor, or keep a ``finally`` from ending. A second
    Ctrl-C interrupts at once. Does nothing outside the main thread, and where SIGINT is ignored or handled already.
    """
    pressed = threading.Event()

    def remember(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed.set()

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    handles = _handles_interrupts()
    if handles:
        signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        if handles:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _handles_interrupts() -> bool:
    """Tell whether Ctrl-C raises KeyboardInterrupt here: in the main thread, unless SIGINT is ignored or handled."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _exit_at_once(*_: object) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)
