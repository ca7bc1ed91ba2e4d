"""The tables of docs/local-service.md: what the operations refuse, from the rows that the tests run one by one.

They stand behind the comment ``<!-- what is refused -->``, to the end of the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.unit.testing.setup_errors import ADMINISTRATORS, OPERATIONS, ROWS, Row

__all__ = ["render"]

MARK = "<!-- what is refused -->\n"
DOCUMENTED = {
    "model": "API model",
    "errors": "list of error codes",
    "operation": "the operation's page",
    "guide": "user guide",
    "-": "not documented",
}
# Cases of more operations than this are shown once, and not with each of them.
FEW = 4


def render(page: str) -> str:
    """Return the page with the tables as the rows are now."""
    head, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError(f"the page has no {MARK!r}")
    cases: dict[str, list[Row]] = {}
    for row in ROWS:
        cases.setdefault(row.case, []).append(row)
    shared = {case: rows for case, rows in cases.items() if len(rows) > FEW}
    own = [row for row in ROWS if row.case not in shared]
    return "\n".join([head + mark, *_shared(shared), "", *_own(own), ""])


def _shared(cases: dict[str, list[Row]]) -> Iterator[str]:
    yield "| case | operations | documented in | answer |"
    yield "|---|---|---|---|"
    for case, rows in cases.items():
        yield f"| {case} | {_named([row.operation for row in rows])} | {_source(rows[0])} | {_answer(rows[0])} |"


def _named(operations: Iterable[str]) -> str:
    """Name operations as all, all but a few, or one by one."""
    held = set(operations)
    for group, name in ((OPERATIONS, "all"), (ADMINISTRATORS, "all that administer")):
        rest = [operation for operation in group if operation not in held]
        if held <= set(group) and len(rest) < FEW:
            return f"{name} but {_listed(rest)}" if rest else name
    return _listed(sorted(held))


def _listed(operations: Iterable[str]) -> str:
    return ", ".join(f"`{operation}`" for operation in operations)


def _own(rows: list[Row]) -> Iterator[str]:
    yield "| operation | parameter, or case | documented in | answer |"
    yield "|---|---|---|---|"
    for operation in OPERATIONS:
        name = f"`{operation}`"
        for row in sorted(
            (row for row in rows if row.operation == operation), key=lambda row: row.case.partition(":")[0]
        ):
            yield f"| {name} | {row.case} | {_source(row)} | {_answer(row)} |"
            name = ""


def _source(row: Row) -> str:
    return DOCUMENTED[row.documented]


def _answer(row: Row) -> str:
    return f"{row.status} `{row.code}`"
