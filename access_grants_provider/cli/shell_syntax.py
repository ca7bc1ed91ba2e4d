"""Environment variables as shell statements. No character in a value can end its quotes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

__all__ = ["SHELLS", "script"]


class Shell(NamedTuple):
    """How a shell exports a variable to its children, and how it removes one."""

    set: Callable[[str, str], str]
    unset: Callable[[str], str]


def _fish_quoted(text: str) -> str:
    # Between single quotes fish has these two escapes: https://fishshell.com/docs/current/language.html#quotes
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def _powershell_quoted(text: str) -> str:
    # PowerShell treats typographic single quotes as plain ones. Each is escaped by doubling it (about_Quoting_Rules).
    return "'" + re.sub("(['\u2018-\u201b])", r"\1\1", text) + "'"


SHELLS: Mapping[str, Shell] = {
    "env": Shell(lambda name, value: f"export {name}={shlex.quote(value)}", lambda name: f"unset {name}"),
    "powershell": Shell(
        lambda name, value: f"$Env:{name} = {_powershell_quoted(value)}",
        lambda name: f"Remove-Item Env:{name} -ErrorAction SilentlyContinue",
    ),
    "fish": Shell(lambda name, value: f"set -gx {name} {_fish_quoted(value)}", lambda name: f"set -e {name}"),
}


def script(shell: str, variables: Mapping[str, str], unset: Iterable[str] = ()) -> str:
    """Return the lines that remove the variables in ``unset`` and set ``variables`` in a shell of :data:`SHELLS`."""
    syntax = SHELLS[shell]
    return "\n".join([*map(syntax.unset, unset), *(syntax.set(name, value) for name, value in variables.items())])
