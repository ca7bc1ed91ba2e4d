"""Environment variables as statements of a shell. What a value holds never ends its quotes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

__all__ = ["SHELLS", "script"]


class Shell(NamedTuple):
    """How a shell sets a variable for its children, and how it forgets one."""

    set: Callable[[str, str], str]
    unset: Callable[[str], str]


def _fish_quoted(text: str) -> str:
    # Between single quotes fish knows two escapes, these: https://fishshell.com/docs/current/language.html#quotes
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def _powershell_quoted(text: str) -> str:
    # PowerShell takes typographic single quotes for plain ones; doubled, each stands for itself (about_Quoting_Rules).
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
    """Return the lines which set ``variables`` in a shell of :data:`SHELLS`, and forget those named in ``unset``."""
    how = SHELLS[shell]
    return "\n".join([*map(how.unset, unset), *(how.set(name, value) for name, value in variables.items())])
