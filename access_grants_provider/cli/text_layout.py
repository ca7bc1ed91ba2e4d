"""Lines for a person: wrapped with a hanging indent, and coloured the same way by every command."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap

import click

__all__ = ["STYLES", "echo_wrapped"]

# Green: it works. Yellow: it does not, and nothing is broken. Red: something has to be repaired.
STYLES = {
    "ok": "green",
    "granted": "green",
    "implied": "green",
    "on": "green",
    "no": "yellow",
    "off": "yellow",
    "note": "yellow",
    "fallback": "yellow",
    "unsupported": "yellow",
    "failed": "red",
    "denied": "red",
    "skipped": "bright_black",
}
# Where less is left for the text, it is not indented: a column of single words can't be read.
MIN_COLUMNS = 20


def echo_wrapped(text: str, lead: str = "", *, status: str | None = None) -> None:
    """Print ``lead`` and ``text``. Lines after the first begin below the text.

    ``status``: a word of :data:`STYLES` at which the line begins or the text does; it gets its colour. Text for a pipe
    or a file is not wrapped, unless ``COLUMNS`` says how wide it is. No line breaks inside a word, so a long URI may be
    wider than the terminal.
    """
    line = _filled(lead, text)
    if status is not None:
        line = re.sub(rf"\b{status}\b", lambda found: click.style(found[0], STYLES[status]), line, count=1)
    click.echo(line)


def _filled(lead: str, text: str) -> str:
    columns = _columns()
    if columns is None:
        return f"{lead}{text}".rstrip()
    indent = " " * len(lead) if columns - len(lead) >= MIN_COLUMNS else "  "
    return textwrap.fill(
        text,
        columns,
        initial_indent=lead,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns() -> int | None:
    """Return how wide the terminal is; None where there is no terminal."""
    if os.environ.get("COLUMNS", "").isdecimal() or (sys.stdout is not None and sys.stdout.isatty()):
        # A terminal whose size was never set has 0 columns, and Python 3.10 returns that.
        return shutil.get_terminal_size().columns or 80
    return None
