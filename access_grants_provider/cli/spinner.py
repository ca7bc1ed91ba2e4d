"""Showing that long work lives: a line on stderr, if a person looks at it and has waited for a second."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

__all__ = ["Working"]

# A step that is shorter leaves no trace.
PATIENCE_SECONDS = 1.0
FRAME_SECONDS = 0.1
FRAMES = "|/-\\"


class Working:
    """One step of the work, as a context manager: ``with Working("asking S3 Access Grants") as step: …``.

    Nothing is ever written where ``stream`` (stderr, unless given) is no terminal, and nothing is left on the line
    when the step ends. ``clock`` gives seconds. ``tick()`` draws; a thread calls it, unless ``animated`` is False.
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
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._animated = animated and _is_terminal(self._stream)
        self._seen = _is_terminal(self._stream)
        self._begun = clock()

    def update(self, text: str) -> None:
        """Say how far the step has come, from the next frame on."""
        self._text = text

    def tick(self) -> None:
        """Draw the line, if it is time to."""
        waited = self._clock() - self._begun
        if not self._seen or waited < PATIENCE_SECONDS:
            return
        line = f"{next(self._frames)} {self._text} ({int(waited)} s)"[: _width(self._stream) - 1]
        self._write(f"\r{line}{' ' * (self._shown - len(line))}")
        self._shown = len(line)

    def __enter__(self) -> Working:
        if self._animated:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._shown:
            self._write(f"\r{' ' * self._shown}\r")
            self._shown = 0

    def _run(self) -> None:
        # The first frame comes when patience ends, not at every tenth of the second before.
        pause = PATIENCE_SECONDS
        while not self._over.wait(pause):
            self.tick()
            pause = FRAME_SECONDS

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # The terminal is gone. The work is not.
            self._seen = False


def _is_terminal(stream: TextIO | None) -> bool:
    if stream is None or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:
        return False


def _width(stream: TextIO) -> int:
    try:
        # A terminal that does not tell its size says 0.
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
