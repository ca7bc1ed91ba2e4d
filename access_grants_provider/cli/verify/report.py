"""The results of a run, as a table and as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple

import click

from .account import Account
from .seen import Seen

__all__ = ["Report", "Result", "Verdict"]

Verdict = Literal["as assumed", "differs", "skipped"]

COLORS: dict[Verdict, str] = {"as assumed": "green", "differs": "red", "skipped": "bright_black"}
# How wide the table is in a pipe or a file.
WIDTH = 160


class Result(NamedTuple):
    """What one check has shown. ``seen`` is None where it was skipped, ``reason`` says why."""

    id: str
    assumption: str
    expected: str
    seen: Seen | None
    verdict: Verdict
    reason: str = ""

    def fields(self) -> dict[str, Any]:
        """Return the result for JSON."""
        head = {name: getattr(self, name) for name in ("id", "assumption", "expected", "verdict")}
        return {**head, "reason": self.reason} if self.seen is None else {**head, **self.seen._asdict()}


class Report:
    """The results of all checks, with where and when they ran."""

    def __init__(self, account: Account, results: list[Result]) -> None:
        """Take the results as the run ends."""
        self._source = "a local service" if account.is_local else "AWS"
        self._region = account.region
        self._date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        self.results = results

    @property
    def is_as_assumed(self) -> bool:
        """Tell whether no check differs."""
        return all(result.verdict != "differs" for result in self.results)

    def as_json(self) -> str:
        """Return the recording."""
        from botocore import __version__

        document = {
            "source": self._source,
            "date": self._date,
            "region": self._region,
            "botocore": __version__,
            "checks": [result.fields() for result in self.results],
        }
        return json.dumps(document, indent=2)

    def show(self, as_json: bool, *, colored: bool) -> None:
        """Print the recording, or the table with a sentence below it."""
        if as_json:
            click.echo(self.as_json())
            return
        self._show_table(colored)
        click.echo(self._sentence())

    def _sentence(self) -> str:
        counted = Counter(result.verdict for result in self.results)
        numbers = ", ".join(f"{counted[verdict]} {verdict}" for verdict in COLORS if counted[verdict])
        remark = " It says nothing of AWS." if self._source != "AWS" else ""
        return f"Checked against {self._source} in {self._region}: {numbers}.{remark}"

    def _show_table(self, colored: bool) -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
        table.add_column("CHECK", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("ASSUMPTION", ratio=3)
        table.add_column("EXPECTED", ratio=2, overflow="fold")
        table.add_column("CAME", ratio=3, overflow="fold")
        for result in self.results:
            came = result.reason if result.seen is None else str(result.seen)
            verdict = Text(result.verdict, COLORS[result.verdict])
            table.add_row(result.id, verdict, result.assumption, result.expected, Text(came))
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        width = None if is_terminal or os.environ.get("COLUMNS") else WIDTH
        Console(
            color_system="auto" if colored else None, width=width, markup=False, emoji=False, highlight=False
        ).print(table)
