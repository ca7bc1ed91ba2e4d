"""Keeps the help texts in the documents those of the program: ``python docs/help_blocks.py`` writes them anew.

A block is marked by the line above it, ``<!-- help: exec -->``, or ``<!-- help -->`` for the command itself. Needs the
extra ``cli``. A test compares the blocks with the program.
"""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from access_grants_provider.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "commands.md")
BLOCK = re.compile(r"(<!-- help:? ?(?P<command>[a-z ]*) -->\n```text\n).*?(^```$)", re.MULTILINE | re.DOTALL)
COLUMNS = 100


def help_of(command: str) -> str:
    """Return what ``access-grants <command> --help`` prints on a terminal of 100 columns."""
    done = CliRunner().invoke(
        main, [*command.split(), "--help"], terminal_width=COLUMNS, max_content_width=COLUMNS, catch_exceptions=False
    )
    return done.stdout


def renewed(text: str) -> str:
    """Return a document with its help blocks as the program prints them now."""
    return BLOCK.sub(lambda block: block[1] + help_of(block["command"]) + block[3], text)


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(renewed(document.read_text(encoding="utf-8")), encoding="utf-8")
