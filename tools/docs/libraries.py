"""docs/libraries.md, from the table of programs that ``tests/ecosystem/test_matrix.py`` runs line by line."""

from __future__ import annotations

from collections.abc import Iterator

from tests.ecosystem.programs import LIBRARIES, Library, Program

__all__ = ["render"]

HEAD = """\
# Libraries and programs

Each program on this page is run by a test (`tests/ecosystem/test_matrix.py`) as it stands here, against the local S3
Access Grants of `access_grants_provider.testing`. The caller has two grants, READWRITE on `s3://sales/emea/*` and READ
on `s3://sales/apac/*`, and no right on the bucket. A program *works* if it ends well and every request that S3 carried
out was signed with a grant's credentials.

Of {total} programs {by_variable} work without a change, by the variable alone. {natively} sign outside of botocore, in
C++ or Rust, with the caller's own credentials, whatever `fallback` says. Of these {by_adapter} work with an adapter,
and {by_exec} under `exec`. {no_way}

- **variable**: unchanged, with `BOTOCORE_EXPERIMENTAL__PLUGINS=access-grants=access_grants_provider` set.
- **adapter**: a module of `access_grants_provider.adapters`; the code is below the table.
- **exec**: unchanged, under `access-grants exec s3://sales/emea/ --permission READWRITE -- python …`. It gives the
  program the credentials of one grant.
"""


def render(_page: str) -> str:
    """Return the whole page."""
    programs = [(library, program) for library in LIBRARIES for program in library.programs]
    native = [program for _, program in programs if not program.variable]
    lost = [program for program in native if program.adapter is None and not program.exec]
    head = HEAD.format(
        total=len(programs),
        by_variable=len(programs) - len(native),
        natively=len(native),
        by_adapter=sum(program.adapter is not None for program in native),
        by_exec=sum(program.exec is True for program in native),
        no_way=f"{len(lost)} work in no way." if lost else "None is left over.",
    )
    return "\n".join([head, *(section(library) for library in LIBRARIES)])


def section(library: Library) -> str:
    """Return the part about a library."""
    lines = [f"## {library.name}\n", "| program | works by |", "|---|---|"]
    lines += [f"| {cell(program.code)} | {ways(program)} |" for program in library.programs]
    if library.remark:
        lines += ["", library.remark]
    if any(program.adapter for program in library.programs):
        lines += ["", "```python", *adapter_code(library), "```"]
    return "\n".join([*lines, ""])


def cell(code: str) -> str:
    """Return code as a table's cell: a code span for each line, which keeps its indent."""
    lines = [line.replace("|", "\\|").replace("    ", "\N{NO-BREAK SPACE}" * 4) for line in code.splitlines()]
    return "<br>".join(f"`{line}`" for line in lines)


def ways(program: Program) -> str:
    """Say how a program is covered, and what there is to know of it."""
    found = {
        "variable": program.variable,
        "adapter": program.adapter is not None,
        "`exec`": program.exec is True,
    }
    text = ", ".join(name for name, works in found.items() if works) or "–"
    return f"{text} ({program.remark})" if program.remark else text


def adapter_code(library: Library) -> Iterator[str]:
    """Yield the lines of the programs as they are with the adapter."""
    if library.adapter_imports:
        yield from (library.adapter_imports, "")
    for number, program in enumerate(one for one in library.programs if one.adapter):
        if number:
            yield ""
        yield program.adapter or ""
