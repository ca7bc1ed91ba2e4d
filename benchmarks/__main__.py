"""``python -m benchmarks``: measure what the design promises, beside plain boto3 and the official plugin."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from .contestants import HAS_PEER, clean_environment
from .report import Section, markdown, print_table
from .rows import Effort

SECTIONS = {
    "cold_process": "A fresh process",
    "waiting": "Waiting, in a running process",
    "warm_get": "A warm request",
    "control_calls": "Calls, counted by the local S3 Access Grants",
    "scale": "Many scopes, long keys, memory",
    "imports": "Import",
    "event_loop": "Event loops",
}
DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    """Measure, print the table, and say by the exit code whether every ratio and count is within its CI bar."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"what to measure: {', '.join(SECTIONS)} (all)")
    parser.add_argument("--quick", action="store_true", help="what has a CI bar, in under a minute, without the peer")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and docs/benchmarks.svg too")
    options = parser.parse_args()
    unknown = sorted(set(options.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if options.write and (options.quick or options.sections):
        parser.error("--write is for the figures of a whole run: not with --quick, and without sections")
    clean_environment()
    effort = Effort(options.quick, HAS_PEER and not options.quick)
    sections = []
    for name in options.sections or SECTIONS:
        begin = time.monotonic()
        section = Section(SECTIONS[name], list(importlib.import_module(f"benchmarks.{name}").rows(effort)))
        sections.append(section)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    print_table(sections)
    if options.write:
        from .chart import draw

        (DOCS / "benchmarks.md").write_text(markdown(sections), encoding="utf-8")
        draw(sections, DOCS / "benchmarks.svg")
    failed = [row.what for section in sections for row in section.rows if row.fails]
    for what in failed:
        print(f"over its CI bar: {what}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
