"""What the demo prints: an introduction, the table of requests, and a summary."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from .checks import Difference, Line
from .story import ALLOWED, BUCKET, CALLER, GRANTS

__all__ = ["Report"]

COLUMNS = ("", "#", "Request", "Target", "Needs", "Signed by", "Source", "Answer")
NEXT = (
    ("access-grants serve --bucket sales > local.env", "for your own program"),
    ("access-grants doctor s3://BUCKET/PREFIX/", "on AWS: may you read there?"),
)


class Report:
    """Prints to a console, using only characters that the console's encoding has."""

    def __init__(self, console: Console) -> None:
        self._console = console
        ascii_only = console.options.ascii_only
        self._right, self._wrong = ("ok", "!!") if ascii_only else ("\N{CHECK MARK}", "\N{BALLOT X}")

    def introduce(self, url: str) -> None:
        """Say in plain words who may do what, and where."""
        grants = " and ".join(f"{permission} on {scope}" for permission, scope in GRANTS)
        permission, scope = ALLOWED
        self._say(
            f"A local S3 Access Grants serves s3://{BUCKET} at {url}. {CALLER.title()}'s own policy allows "
            f"{permission} on {scope} and no more. She holds two grants: {grants}."
        )

    def tabulate(self, lines: Sequence[Line]) -> None:
        """Show one row for each line, under the headings of the chapters."""
        rows, widths = self._cells(lines)
        self._console.print()
        self._print_rows(widths, rows[:1], "bold")
        numbered = zip(lines, rows[1:], strict=True)
        for chapter, members in groupby(numbered, key=lambda pair: pair[0].step.chapter):
            pairs = list(members)
            calls = sum(len(line.control_calls) for line, _ in pairs)
            requests = sum(len(line.records) for line, _ in pairs)
            self._console.print()
            self._say(f"{chapter} ({_count(requests, 'request')}, {_count(calls, 'control call')})", "italic")
            self._print_rows(widths, [row for _, row in pairs])

    def conclude(self, lines: Sequence[Line], wrong: Sequence[Difference]) -> None:
        """Say how it went: what is wrong, ``wrong`` in sum or in a line, or that nothing is; and what it took."""
        self._console.print()
        for number, line in enumerate(lines, start=1):
            if line.wrong:
                self._complain(f"Line {number}, {line.step.title}", line.wrong)
        if wrong:
            self._complain("In sum", wrong)
        count = sum(bool(line.wrong) for line in lines)
        if count:
            self._say(f"{self._wrong} {count} of {_count(len(lines), 'line')} came out wrong.", "bold red")
        elif wrong:
            self._say(f"{self._wrong} All {_count(len(lines), 'line')} came out right, but not the sum.", "bold red")
        else:
            self._say(
                f"{self._right} All {_count(len(lines), 'line')} came out as they should, by the package's decisions "
                "and by the server's record.",
                "bold green",
            )
        requests = sum(len(line.records) for line in lines)
        calls = Counter(call.operation for line in lines for call in line.control_calls)
        kinds = ", ".join(f"{times} {operation}" for operation, times in calls.most_common())
        self._say(f"{_count(requests, 'S3 request')}, {_count(calls.total(), 'control call')}{kinds and f': {kinds}'}.")

    def explain(self) -> None:
        """Say why the same call fails before the registration and works after it, and what to run next."""
        self._console.print()
        self._say(
            f"Line 1 fails because no policy lets {CALLER} list s3://{BUCKET}/raw/. Line 2 is the same call, and works "
            f"because a grant does: after register() the request is signed with the grant's credentials."
        )
        self._console.print()
        self._say("Next:")
        width = max(len(command) for command, _ in NEXT)
        for command, purpose in NEXT:
            self._say(f"  {command:{width}}  # {purpose}")

    def _complain(self, where: str, wrong: Sequence[Difference]) -> None:
        self._say(where, "bold red")
        for difference in wrong:
            self._say(f"  {difference}", "red")
        self._console.print()

    def _print_rows(self, widths: Sequence[int], rows: Sequence[Sequence[Text]], style: str = "") -> None:
        # Each chapter is printed by itself; with the same widths they stand as one table.
        for row in rows:
            line = Text(style=style)
            for cell, width in zip(row, widths, strict=True):
                line.append(cell)
                line.append(" " * (width - cell_len(cell.plain) + 1))
            line.rstrip()
            # A terminal narrower than the row wraps it, and nothing is cut.
            self._console.print(line, soft_wrap=True)

    def _cells(self, lines: Sequence[Line]) -> tuple[list[list[Text]], list[int]]:
        """Return the rows, the first with the columns' names, and how wide each column has to be."""
        rows = [[Text(name) for name in COLUMNS]]
        rows += [self._row(number, line) for number, line in enumerate(lines, start=1)]
        return rows, [max(cell_len(cell.plain) for cell in column) for column in zip(*rows, strict=True)]

    def _row(self, number: int, line: Line) -> list[Text]:
        mark = Text(self._wrong, "bold red") if line.wrong else Text(self._right, "green")
        # Without a registration nothing is decided, and what the request would need is what the step expects.
        needs = line.decisions or line.step.requests
        granted = [decision for decision in line.decisions if decision.outcome == "granted"]
        scope = _short(_each(decision.scope for decision in granted)) if granted else None
        return [
            mark,
            Text(f"{number:2}", "dim"),
            Text(line.step.title, "bold red" if line.wrong else "bold"),
            Text(_short(_each(need.target for need in needs))),
            Text(_each(need.permission for need in needs)),
            _signer(line, scope),
            Text(_each(decision.source for decision in granted) if granted else "", "dim"),
            _answer(line),
        ]

    def _say(self, text: str, style: str = "") -> None:
        encoding = self._console.encoding
        encodable = text.encode(encoding, "backslashreplace").decode(encoding)
        # rich would leave a blank at the end of each line that it wraps.
        lines = textwrap.wrap(encodable, self._console.width, break_long_words=False, break_on_hyphens=False)
        for line in lines:
            self._console.print(Text(line, style), soft_wrap=True)


def _signer(line: Line, scope: str | None) -> Text:
    """Return who signed, by the server's record, and for a grant its scope."""
    if not line.records:
        return Text("nobody", "yellow")
    signer = _each(record.signer for record in line.records)
    return Text(f"grant {scope}", "cyan") if signer == "grant" and scope else Text(signer, "yellow")


def _answer(line: Line) -> Text:
    """Return what S3 answered, by the server's record: the error codes, else the statuses."""
    if not line.records:
        return Text("not sent", "yellow")
    errors = [record.error_code for record in line.records if record.error_code is not None]
    if errors:
        return Text(_each(errors), "yellow")
    times = f"{len(line.records)} x " if len(line.records) > 1 else ""
    return Text(f"{times}{_each(record.status for record in line.records)}", "green")


def _short(uri: str) -> str:
    """Return the key or the prefix of a URI of the demo's bucket, which the introduction names."""
    return uri.removeprefix(f"s3://{BUCKET}/")


def _each(values: Iterable[object]) -> str:
    """Return the different values, in order."""
    return ", ".join(dict.fromkeys("-" if value is None else str(value) for value in values)) or "-"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
