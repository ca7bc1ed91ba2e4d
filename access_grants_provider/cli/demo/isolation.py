"""Keeping the user's settings and the user's Ctrl-C from getting into the middle of things."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["deferred_interrupt", "isolated_environment", "quiet_logging"]

# Settings of botocore, this package and moto, and of everything that speaks HTTP.
PREFIXES = ("AWS_", "BOTO_", "BOTOCORE_", "S3_ACCESS_GRANTS_", "MOTO_")
SUFFIX = "_PROXY"

OWN = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Where no proxy is named, urllib asks the system (macOS, Windows) unless it is told this.
    "NO_PROXY": "*",
}


@contextmanager
def isolated_environment() -> Iterator[None]:
    """Take the user's AWS, S3 Access Grants and proxy settings out of the environment, and put them back after."""
    saved = {
        name: value
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIXES) or name.upper().endswith(SUFFIX)
    }
    for name in saved:
        del os.environ[name]
    os.environ.update(OWN)
    try:
        yield
    finally:
        for name in OWN:
            os.environ.pop(name, None)
        os.environ.update(saved)


@contextmanager
def quiet_logging(name: str) -> Iterator[None]:
    """Keep a logger's warnings off stderr where no logging is configured."""
    logger, handler = logging.getLogger(name), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Hold a first Ctrl-C back until the function that this gives is called: it raises KeyboardInterrupt then.

    A KeyboardInterrupt anywhere could be swallowed by a destructor, or keep a ``finally`` from ending. A second
    Ctrl-C interrupts at once. Does nothing outside the main thread, and where SIGINT is ignored or handled already.
    """
    pressed = threading.Event()

    def remember(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed.set()

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
