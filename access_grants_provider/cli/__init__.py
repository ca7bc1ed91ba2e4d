"""The ``access-grants`` command.

``main`` is a click group; each of its commands is a module of this package, imported when it is used.
"""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["main"]

main: Callable[..., Any]

try:
    from .group import main
except ModuleNotFoundError as error:
    if error.name != "click":
        raise

    def _without_click(*_: object, **__: object) -> NoReturn:
        sys.exit("access-grants needs click, which is not installed: pip install 'access-grants-provider[demo]'")

    main = _without_click
