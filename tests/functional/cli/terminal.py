"""Running a program on a pseudo-terminal."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Shown(NamedTuple):
    """What a terminal was sent, its exit code, and what a person reads of it."""

    raw: str
    code: int

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.raw).replace("\r\n", "\n")


def on_a_terminal(command: Sequence[str], environment: Mapping[str, str], stream: str = "stdout") -> Shown:
    """Run a command that has a terminal for its stdout or its stderr alone, and return what was written there."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=theirs if stream == "stdout" else subprocess.DEVNULL,
        stderr=theirs if stream == "stderr" else subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        chunks = []
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                # Linux says EIO when the last writer is gone.
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(ours)
    return Shown(b"".join(chunks).decode(), process.returncode)
