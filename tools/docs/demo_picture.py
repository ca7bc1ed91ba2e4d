"""docs/demo.svg: what ``access-grants demo`` prints, as a picture of a terminal."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

__all__ = ["render"]

COLUMNS = 80
# The port is a free one, another in each run.
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")
# The picture asks no other host for a font.
FONTS = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


def output() -> str:
    """Return what the demo prints on a terminal with colours, without its spinner."""
    terminal = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color", "TTY_INTERACTIVE": "0"}
    environment = {**os.environ, **terminal, "PYTHONIOENCODING": "utf-8"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "access_grants_provider", "demo"]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
    return PORT.sub("9000", done.stdout)


def render(_page: str) -> str:
    """Return the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text("$ access-grants demo\n", "bold"), Text.from_ansi(output()), sep="")
    picture = console.export_svg(title="access-grants demo", theme=DIMMED_MONOKAI, unique_id="demo")
    return FONTS.sub("\n", picture)
