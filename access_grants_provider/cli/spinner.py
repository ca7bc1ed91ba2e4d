"""A line on stderr that shows a person at a terminal that the command still works, once a step takes a second."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

__all__ = ["Spinner"]

# A shorter step writes nothing.
PATIENCE_SECONDS = 1.0
FRAME_SECONDS = 0.1
FRAMES = "|/-\\"


class Spinner:
    """Shows one step of a command: ``with Spinner("asking S3 Access Grants") as spinner: …``.

    It writes only to a terminal (``stream``, by default stderr), and erases its line when the step ends. ``clock``
    gives seconds. ``tick()`` draws; a thread calls it, unless ``animated`` is False.
    """

    def __init__(
        self,
        text: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        animated: bool = True,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._text = text
        self._clock = clock
        self._frames = itertools.cycle(FRAMES)
        self._shown = 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._visible = _is_terminal(self._stream)
        self._animated = animated and self._visible
        self._started = clock()

    def update(self, text: str) -> None:
        """Show another text from the next frame on."""
        self._text = text

    def tick(self) -> None:
        """Draw the next frame if the step has taken a second."""
        waited = self._clock() - self._started
        if not self._visible or waited < PATIENCE_SECONDS:
            return
        line = f"{next(self._frames)} {self._text} ({int(waited)} s)"[: _width(self._stream) - 1]
        self._write(f"\r{line}{' ' * (self._shown - len(line))}")
        self._shown = len(line)

    def __enter__(self) -> Spinner:
        if self._animated:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        if self._shown:
            self._write(f"\r{' ' * self._shown}\r")
            self._shown = 0

    def _run(self) -> None:
        # Waking up before the first frame is due would do nothing.
        pause = PATIENCE_SECONDS
        while not self._done.wait(pause):
            self.tick()
            pause = FRAME_SECONDS

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # The terminal is gone; the command goes on without it.
            self._visible = False


def _is_terminal(stream: TextIO | None) -> bool:
    if stream is None or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:
        return False


def _width(stream: TextIO) -> int:
    try:
        # A terminal of unknown size reports 0.
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
