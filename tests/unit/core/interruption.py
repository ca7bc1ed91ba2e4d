"""Races made certain: something else runs between two steps of the interpreter, at each of them in turn."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

Work = Callable[[], object]

# The core alone: the test's own steps are not interrupted.
CORE = f"{os.sep}access_grants_provider{os.sep}core{os.sep}"


def interrupted_at_every_step(begin: Callable[[], tuple[Work, Work, Work]], *, swapped: bool = False) -> int:
    """Run some work once for each of its steps, with an interruption just before that step; return how many there were.

    ``begin`` makes a new scene: the work, what comes in between, and a check of what is there afterwards. ``swapped``
    has the second interrupted by the first. An interruption does what another thread would do if the interpreter
    switched to it there and back after it is done; a signal handler and a ``__del__`` do just that.
    """
    number = 0
    while True:
        work, interruption, check = begin()
        if swapped:
            work, interruption = interruption, work
        if not _run(work, interruption, number):
            return number
        check()
        number += 1


def steps_of(work: Work) -> int:
    """Return how many steps of the interpreter some work takes in the core."""
    number = 0

    def count() -> None:
        nonlocal number
        number += 1

    _trace(work, count)
    return number


def _run(work: Work, interruption: Work, number: int) -> bool:
    """Run ``work`` and, before its step ``number``, ``interruption``; tell whether there was such a step."""
    left, happened = number, False

    def interrupt() -> None:
        nonlocal left, happened
        if not happened:
            if left == 0:
                happened = True
                interruption()
            left -= 1

    _trace(work, interrupt)
    return happened


def _trace(work: Work, before_step: Work) -> None:
    """Run ``work``, and ``before_step`` before each of its steps in the core."""

    def step(frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode":
            before_step()
        return step

    def enter(frame: FrameType, *_: object) -> Any:
        return step(frame, "call", None) if CORE in frame.f_code.co_filename else None

    before = sys.gettrace()
    # CPython 3.12 has opcode events only if a frame wants them when the trace function is set.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(before)
