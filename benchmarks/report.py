"""The table, on a terminal and as Markdown, with the versions and the date of what was measured."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import access_grants_provider

from .contestants import PEER
from .rows import HEADINGS, Row

PACKAGES = ("botocore", "boto3", "aiobotocore", "moto", PEER, "s3fs-access-grants")


class Section(NamedTuple):
    """Rows that belong together."""

    title: str
    rows: list[Row]


def conditions() -> str:
    """Say what was measured, on what and when."""
    found = ", ".join(map(_installed, PACKAGES))
    return (
        f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, access_grants_provider "
        f"{access_grants_provider.__version__}, Python {platform.python_version()}, {found}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load average {_load()}"
    )


def _load() -> str:
    # A busy machine shows in every time below, and in some ratios.
    return f"{os.getloadavg()[1]:.0f}" if hasattr(os, "getloadavg") else "not known"


def _installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed"


def verdict(sections: list[Section]) -> str:
    """Count the bars kept and missed, and name the missed."""
    judged = [row for section in sections for row in section.rows if row.bar is not None and row.judged is not None]
    missed = [row for row in judged if row.missed]
    closing = "".join(f"; missed: {row.what}, {row.number(row.judged)} (≤ {row.number(row.bar)})" for row in missed)
    return f"{len(judged) - len(missed)} of {len(judged)} bars kept{closing}."


def print_table(sections: list[Section]) -> None:
    """Print all rows with aligned columns."""
    shown = [HEADINGS, *(row.cells for section in sections for row in section.rows)]
    widths = [max(len(cells[column]) for cells in shown) for column in range(len(HEADINGS))]

    def line(cells: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    print(conditions())
    print(line(HEADINGS))
    for section in sections:
        print(f"\n{section.title}")
        for row in section.rows:
            print(line(row.cells))
    print(f"\n{verdict(sections)}")


def markdown(sections: list[Section]) -> str:
    """Return docs/benchmarks.md."""
    parts = [PREFACE.format(conditions=conditions(), verdict=verdict(sections))]
    for section in sections:
        parts.append(f"\n## {section.title}\n\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}\n")
        for row in section.rows:
            cells = [f"**{cell}**" if cell == "missed" else cell.replace("|", "\\|") for cell in row.cells]
            parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


PREFACE = """\
# Benchmarks

Written by `python -m benchmarks --write` (extras `bench`, or `bench-aio` for the rows about event loops). Measured:
{conditions}.

{verdict}

![The figures as bars](benchmarks.svg)

How to read it. All contestants take turns in one process, so that what else the machine does meets all of them. A time
is the median over the rounds, in brackets the quartiles (of fewer than four rounds: the ends). A ratio is ours over
plain, or over what the row names, taken round by round, its median. Calls are counted by the local S3 Access Grants or
by whatever answers in process, never inferred. "bar" is the promise; "CI bar" is where `python -m benchmarks --quick`
fails: the same for counts; for ratios with a margin, since CI's machines are noisy (the margin measured is told where
the bar stands, in `benchmarks/`); none for times.

The official plugin is aws-s3-access-grants-boto3-plugin. Soak is a program of its own (`stress/soak/`), which has
a record and not a figure.
"""
