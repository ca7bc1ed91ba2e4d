"""What the demo prints: an introduction, the table of requests, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .checks import Difference, Line
from .story import ALLOWED, BUCKET, CALLER, GRANTS

__all__ = ["Report"]

COLUMNS = ("", "#", "Request", "Permission", "Target asked", "Grant matched", "Source", "Signed by", "Answer")
# On a narrow terminal some cells share a column, one below the other.
NARROW_COLUMNS = ("", "#", "Request", "Asked", "Grant, source", "Signer", "Answer")
GAP = 2


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
            f"A local S3 Access Grants serves the bucket s3://{BUCKET} at {url}. "
            f"{CALLER.title()} holds two grants, {grants}; without any grant she may {permission} {scope}. "
            "Her program is plain boto3 code, after one line: access_grants_provider.register(session)"
        )

    def tabulate(self, lines: Sequence[Line]) -> None:
        """Show one row for each line, under the headings of the chapters."""
        rows, widths = self._cells(lines, wide=True)
        if sum(widths) + GAP * (len(widths) - 1) > self._console.width:
            rows, widths = self._cells(lines, wide=False)
        self._console.print()
        self._print_rows(widths, rows[:1], "bold")
        numbered = zip(lines, rows[1:], strict=True)
        for chapter, members in groupby(numbered, key=lambda pair: pair[0].step.chapter):
            pairs = list(members)
            calls = sum(len(line.control_calls) for line, _ in pairs)
            requests = sum(len(line.records) for line, _ in pairs)
            self._console.print()
            self._say(f"{chapter} ({_count(requests, 'S3 request')}, {_count(calls, 'control call')})", "italic")
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

    def _complain(self, where: str, wrong: Sequence[Difference]) -> None:
        self._say(where, "bold red")
        for difference in wrong:
            self._say(f"  {difference}", "red")
        self._console.print()

    def _print_rows(self, widths: Sequence[int], rows: Sequence[Sequence[Text]], style: str = "") -> None:
        # Each chapter is a table of its own; with the same widths they stand as one.
        roomy = sum(widths) + GAP * (len(widths) - 1) <= self._console.width
        table = Table(box=None, show_header=False, padding=(0, GAP if roomy else 1, 0, 0), pad_edge=False)
        for width in widths:
            table.add_column(width=width, overflow="fold", style=style)
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def _cells(self, lines: Sequence[Line], wide: bool) -> tuple[list[list[Text]], list[int]]:
        """Return the rows, the first with the columns' names, and how wide each column has to be."""
        rows = [[Text(name) for name in (COLUMNS if wide else NARROW_COLUMNS)]]
        rows += [self._row(number, line, wide) for number, line in enumerate(lines, start=1)]
        return rows, [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]

    def _row(self, number: int, line: Line, wide: bool) -> list[Text]:
        mark = Text(self._wrong, "bold red") if line.wrong else Text(self._right, "green")
        request = [Text(line.step.title, "bold red" if line.wrong else "bold")]
        if len(line.decisions) > 1:
            request.append(Text(f"x{len(line.decisions)}" if wide else f"{len(line.decisions)} requests", "dim"))
        asked = [
            Text(_each(one.permission for one in line.decisions)),
            Text(_each(one.target for one in line.decisions)),
        ]
        grant = [Text("none", "yellow"), Text()]
        if any(one.outcome == "granted" for one in line.decisions):
            scopes, sources = (_each(one.scope for one in line.decisions), _each(one.source for one in line.decisions))
            grant = [Text(scopes, "cyan"), Text(sources, "dim")]
        signer, answer = _answered(line)
        between = Text(" " if wide else "\n")
        columns = [*asked, *grant] if wide else [Text("\n").join(asked), Text("\n").join(grant)]
        return [mark, Text(f"{number:2}", "dim"), between.join(request), *columns, signer, between.join(answer)]

    def _say(self, text: str, style: str = "") -> None:
        encoding = self._console.encoding
        self._console.print(Text(text.encode(encoding, "backslashreplace").decode(encoding), style))


def _answered(line: Line) -> tuple[Text, list[Text]]:
    """Return who signed and what S3 answered, by the server's record."""
    if not line.records:
        return Text("nobody", "yellow"), [Text("not sent", "yellow")]
    signer = _each(one.signer for one in line.records)
    errors = [one.error_code for one in line.records if one.error_code is not None]
    style = "yellow" if errors else "green"
    answer = [Text(_each(one.status for one in line.records), style)]
    if errors:
        answer.append(Text(_each(errors), style))
    return Text(signer, "cyan" if signer == "grant" else "yellow"), answer


def _each(values: Iterable[object]) -> str:
    """Return the different values, in order."""
    return ", ".join(dict.fromkeys("-" if value is None else str(value) for value in values)) or "-"


def _width(cell: Text) -> int:
    return max(cell_len(line) for line in cell.plain.split("\n"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
