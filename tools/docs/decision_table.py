"""The decision table in docs/how-it-works.md, from the head of ``core/resolver.py``.

The tables stand between the comments ``<!-- decision table -->`` and ``<!-- end of the decision table -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from access_grants_provider.core import resolver

__all__ = ["render", "tables"]

BLOCK = re.compile(r"(<!-- decision table -->\n).*?(<!-- end of the decision table -->)", re.DOTALL)
TABLE = re.compile(r"^(=+(?: +=+)+)\n(.*?)\n\1\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield each simple table of reStructuredText as rows of cells."""
    for border, head, body in TABLE.findall(text):
        spans = [match.span() for match in re.finditer(r"=+", border)]
        rows: list[list[str]] = []
        for line in [*head.splitlines(), *body.splitlines()]:
            cells = [line[start:end].strip() for start, end in spans]
            # A line that fills its first cell alone, or is indented by more than a number is, goes on with a row.
            if any(cells[1:]) and re.match(r" \d|\S", line):
                rows.append(cells)
            else:
                rows[-1] = [f"{before} {more}".strip() for before, more in zip(rows[-1], cells, strict=True)]
        yield rows


def render(page: str) -> str:
    """Return the page with the tables as they are in the module now."""
    blocks = []
    for head, *rows in tables(resolver.__doc__ or ""):
        numbered = [[re.sub(r"^(\d) ", r"\1. ", row[0]), *row[1:]] for row in rows]
        lines = [head, ["---"] * len(head), *numbered]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        blocks.append(text.replace("``", "`"))
    return BLOCK.sub(lambda block: f"{block[1]}\n" + "\n\n".join(blocks) + f"\n\n{block[2]}", page)
