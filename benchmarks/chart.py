"""The figures as an SVG chart. matplotlib is imported when a chart is drawn, and needed for nothing else."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from .report import Section, conditions
from .rows import Row

PANELS = {
    "cpu": "CPU of a warm GetObject, µs",
    "calls": "Calls to S3 Control and STS",
    "waiting": "Waiting, ms",
}
COLOURS = {"plain": "#9aa5b1", "peer": "#e08a3c", "ours": "#2b6cb0"}
NAMES = {"plain": "plain boto3", "peer": "official plugin", "ours": "access_grants_provider"}


def draw(sections: list[Section], path: Path) -> None:
    """Draw the rows that are marked for the chart, a panel for each mark."""
    import matplotlib

    matplotlib.use("Agg")
    # The same figures give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "access_grants_provider"
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    rows = [row for section in sections for row in section.rows]
    panels = {mark: [row for row in rows if row.chart == mark] for mark in PANELS}
    heights = [max(1, len(panel)) for panel in panels.values()]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(10, 1.2 + sum(heights) * 0.75), gridspec_kw={"height_ratios": heights}
    )
    for one, (mark, panel) in zip(axes, panels.items(), strict=True):
        _panel(one, PANELS[mark], panel, mark == "calls")
    handles = [Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in COLOURS]
    figure.legend(handles, NAMES.values(), loc="upper center", ncols=3, frameon=False)
    figure.text(0.01, 0.004, "; ".join(conditions().split("; ")[:1]), fontsize=5.5, color="#666666")
    figure.tight_layout(rect=(0, 0.015, 1, 0.96))
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _panel(axes: Any, title: str, rows: list[Row], counts: bool) -> None:
    if counts:
        # Between none and a thousand; symlog, since zero calls are a figure too.
        axes.set_xscale("symlog", linthresh=1)
    top = 1.0
    for place, row in enumerate(rows):
        cells = [(name, getattr(row, name)) for name in COLOURS if getattr(row, name).value is not None]
        for offset, (name, cell) in enumerate(cells):
            y = place + (offset - (len(cells) - 1) / 2) * 0.26
            axes.barh(y, cell.value, height=0.24, color=COLOURS[name])
            axes.text(cell.value, y, f" {cell.value:,.0f}", va="center", fontsize=7)
            top = max(top, cell.value)
    axes.set_xlim(0, top * (4 if counts else 1.1))
    axes.set_yticks(range(len(rows)), [textwrap.fill(row.what, 48) for row in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(axis="x", labelsize=6)
    axes.spines[["top", "right"]].set_visible(False)
