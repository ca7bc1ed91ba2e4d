"""Writes the pages whose content comes from the program: ``python -m tools.docs [--check] [PAGE …]``.

``--check`` writes nothing; it names each page that would change, and exits with 1 where there is one. A test of each
page does the same. ``docs/benchmarks.md`` is written by ``python -m benchmarks``, which measures for half an hour.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Page(NamedTuple):
    """A page and the modules that write it, one after the other.

    A module has ``render(page)``. It may have ``comparable(page)``, the lines of a page that do not change from run to
    run, and ``missing()``, which says what has to be installed.
    """

    path: str
    modules: tuple[str, ...]

    @property
    def generators(self) -> list[ModuleType]:
        """The modules, imported only now: each needs extras of its own."""
        return [importlib.import_module(f"tools.docs.{module}") for module in self.modules]

    def missing(self) -> str | None:
        """Say why the page can't be written here; None where it can."""
        reasons = (getattr(generator, "missing", lambda: None)() for generator in self.generators)
        return next((reason for reason in reasons if reason is not None), None)


PAGES = {
    path: Page(path, modules)
    for path, modules in {
        "docs/aws-cli.md": ("aws_cli",),
        "docs/commands.md": ("help_blocks", "samples"),
        "docs/demo.svg": ("demo_picture",),
        "docs/faults.md": ("faults",),
        "docs/how-it-works.md": ("decision_table",),
        "docs/libraries.md": ("libraries",),
        "docs/local-service.md": ("setup_errors",),
        "docs/not-verified.md": ("verify_checks",),
    }.items()
}


def renew(page: Page, check: bool) -> bool:
    """Write a page, or compare it. Returns whether the page was as the program says."""
    file = ROOT / page.path
    before = now = file.read_text(encoding="utf-8")
    comparable: Callable[[str], list[str]] = str.splitlines
    for generator in page.generators:
        now = generator.render(now)
        comparable = getattr(generator, "comparable", comparable)
    difference = list(difflib.unified_diff(comparable(before), comparable(now), page.path, "now", lineterm=""))
    if check:
        print(*difference or [f"{page.path} is up to date"], sep="\n")
    elif difference:
        file.write_text(now, encoding="utf-8")
        print(f"{page.path} written")
    return not difference


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description="Writes the generated pages.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(PAGES)}")
    parser.add_argument("--check", action="store_true", help="compare the pages instead")
    options = parser.parse_args()
    unknown = [path for path in options.pages if path not in PAGES]
    if unknown:
        parser.error(f"{unknown[0]} is not generated; these pages are: {', '.join(PAGES)}")
    up_to_date = True
    for page in [PAGES[path] for path in options.pages or PAGES]:
        missing = page.missing()
        if missing is None:
            up_to_date = renew(page, options.check) and up_to_date
        elif options.pages:
            parser.error(f"{page.path}: {missing}")
        else:
            print(f"{page.path} left out: {missing}")
    return 1 if options.check and not up_to_date else 0


if __name__ == "__main__":
    sys.exit(main())
