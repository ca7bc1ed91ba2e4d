"""Where Ctrl-C may interrupt a command, and how; which signals a command passes on to a program it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = [
    "INTERRUPTED",
    "deferred_interrupt",
    "exit_on_interrupt",
    "forwarded_signals",
    "leave_signals_to_main_thread",
]

# The exit code a shell reports for a program that SIGINT ended.
INTERRUPTED = 130

# Not all of them exist on Windows. Those of job control (Ctrl-Z, fg, bg) are left: they stop and continue a whole
# process group, and the program is in this process's group.
FORWARDED = [
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


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


@contextmanager
def forwarded_signals() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Pass signals on to a program instead of acting on them, from when the caller names its process.

    Those that come earlier are passed on then. What is ignored here is ignored by the program too, and stays so.
    """
    programs: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if not programs:
            early.append(number)
        elif not _terminal_sent(number):
            programs[0].send_signal(number)

    def forward_to(program: subprocess.Popen[bytes]) -> None:
        programs.append(program)
        for number in early:
            program.send_signal(number)

    before = {number: signal.getsignal(number) for number in FORWARDED}
    changed = [number for number, action in before.items() if action not in (signal.SIG_IGN, None)]
    for number in changed:
        signal.signal(number, forward)
    try:
        yield forward_to
    finally:
        for number in changed:
            signal.signal(number, before[number])


def leave_signals_to_main_thread() -> None:
    """Have the system deliver no signal that is forwarded to the calling thread, nor to the threads it starts.

    Python runs handlers in the main thread, which does not wake up for a signal that another thread was given. After
    Ctrl-Z and fg the system gives pending signals to any thread.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)


def _terminal_sent(number: int) -> bool:
    """Tell whether a signal most likely comes from the keyboard, and so has reached the program as well.

    A terminal sends it to its whole foreground process group. Python's handlers are not told who sent it.
    """
    if os.name != "posix":
        # A console sends Ctrl-C to all of its processes, and there are no other signals to pass on.
        return True
    if number not in (signal.SIGINT, signal.SIGQUIT):
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _handles_interrupts() -> bool:
    """Tell whether Ctrl-C raises KeyboardInterrupt here: in the main thread, unless SIGINT is ignored or handled."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _exit_at_once(*_: object) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)
