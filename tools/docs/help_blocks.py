"""The help texts in README.md and docs/commands.md, as the program prints them.

A block is marked by the line above it, ``<!-- help: exec -->``, or ``<!-- help -->`` for the command itself.
"""

from __future__ import annotations

import re
from typing import cast

import click
from click.testing import CliRunner

from access_grants_provider.cli import main

__all__ = ["BLOCK", "COLUMNS", "help_of", "render"]

BLOCK = re.compile(r"(<!-- help:? ?(?P<command>[a-z ]*) -->\n```text\n).*?(^```$)", re.MULTILINE | re.DOTALL)
COLUMNS = 100


def help_of(command: str) -> str:
    """Return what ``access-grants <command> --help`` prints on a terminal of 100 columns."""
    group = cast(click.Command, main)
    done = CliRunner().invoke(
        group, [*command.split(), "--help"], terminal_width=COLUMNS, max_content_width=COLUMNS, catch_exceptions=False
    )
    return done.stdout


def render(page: str) -> str:
    """Return a page with its help blocks as the program prints them now."""
    return BLOCK.sub(lambda block: block[1] + help_of(block["command"]) + block[3], page)
