"""Makes Markdown of the reStructuredText in docstrings, for the pages of the public API (mkdocs.yml).

The docstrings use three forms that Markdown does not have: roles (``:class:`Decision```), ``::`` before an indented
block, and a table or a tree in such a block.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

__all__ = ["DocstringRoles", "markdown"]

ROLE = re.compile(r":\w+:`~?\.*(?:[\w.]+\.)?(\w+)`")


def markdown(docstring: str) -> str:
    """Return a docstring with its roles as plain code, and without the colons of a literal block."""
    text = ROLE.sub(r"`\1`", docstring)
    text = re.sub(r"^::\n\n", "", text, flags=re.MULTILINE)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE)


class DocstringRoles(Extension):
    """Hands :func:`markdown` every docstring that griffe has read."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
