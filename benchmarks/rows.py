"""One measurement as a row of the table, and whether it keeps its bar."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

# What a judged number is. Times of a machine are shown against the design's bar and never fail a run.
Kind = Literal["count", "bytes", "ratio", "ms"]


class Cell(NamedTuple):
    """What is shown for one contestant; ``value`` draws its bar in the chart."""

    text: str
    value: float | None = None


NOTHING = Cell("–")
NOT_HERE = Cell("not measured here")


class Effort(NamedTuple):
    """How much to run: everything, or in a CI job of a minute what has a CI bar, without the ``peer``."""

    quick: bool
    peer: bool

    def of(self, full: int, quick: int) -> int:
        """Return the number that belongs to this effort."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``judged`` is the number of ours that the bars are about, a count, bytes, a ratio or milliseconds as ``kind`` says.
    ``bar`` is the design's; ``ci_bar`` the one that fails ``--quick``, the same unless the figure is noisy.
    """

    what: str
    ours: Cell
    plain: Cell = NOTHING
    peer: Cell = NOTHING
    judged: float | None = None
    kind: Kind = "count"
    bar: float | None = None
    ci_bar: float | None = None
    chart: str | None = None

    def __post_init__(self) -> None:
        if self.kind == "ms" and self.ci_bar is not None:
            raise ValueError(f"{self.what}: a time in milliseconds depends on the machine and fails no run")

    @property
    def missed(self) -> bool:
        """Whether the figure is over the design's bar."""
        return self.judged is not None and self.bar is not None and self.judged > self.bar

    @property
    def fails(self) -> bool:
        """Whether the figure fails a quick run."""
        return self.judged is not None and self.ci_bar is not None and self.judged > self.ci_bar

    def number(self, value: float | None) -> str:
        """Return a number of this row's kind as it is shown."""
        if value is None:
            return "–"
        forms = {"count": "{:.0f}", "bytes": "{:,.0f} B", "ratio": "×{:.3g}", "ms": "{:.3g} ms"}
        return ("×{:.3f}" if self.kind == "ratio" and value < 2 else forms[self.kind]).format(value)

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as texts, in the order of :data:`HEADINGS`."""
        mark = "–" if self.judged is None or self.bar is None else "missed" if self.missed else "kept"
        limits = ["–" if limit is None else f"≤ {self.number(limit)}" for limit in (self.bar, self.ci_bar)]
        return (
            self.what,
            self.plain.text,
            self.peer.text,
            self.ours.text,
            self.number(self.judged),
            limits[0],
            mark,
            limits[1],
        )


HEADINGS = ("what", "plain", "official plugin", "ours", "ratio or count", "bar", "", "CI bar")


def count(row: str, ours: int, bar: int | None, *, plain: object = None, peer: object = None, chart: str = "") -> Row:
    """Return a row about a number that the local service counted. A count has no noise: CI holds the design's bar."""
    return Row(row, counted(ours), counted(plain), counted(peer), ours, "count", bar, bar, chart or None)


def counted(number: object) -> Cell:
    """Return a cell for a count; one that is a cell already stays."""
    if isinstance(number, Cell):
        return number
    return NOTHING if number is None else Cell(f"{number:,}", float(str(number)))


def spread(samples: Sequence[float], unit: str, scale: float = 1.0) -> Cell:
    """Return a cell with the median of samples (in seconds), and their quartiles where there are four or more."""
    taken = sorted(sample * scale for sample in samples)
    middle = statistics.median(taken)
    low, high = (taken[0], taken[-1]) if len(taken) < 4 else statistics.quantiles(taken, n=4)[::2]
    shown = f"{_short(middle)} {unit}"
    return Cell(shown if len(taken) == 1 else f"{shown} ({_short(low)} to {_short(high)})", middle)


def over(samples: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of the ratios round by round: what slows a whole round down cancels out."""
    return statistics.median(one / other for one, other in zip(samples, base, strict=True))


def with_ratio(cell: Cell, ratio: float) -> Cell:
    """Return the cell with a ratio shown beside."""
    return Cell(f"{cell.text} ×{ratio:.3g}", cell.value)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
