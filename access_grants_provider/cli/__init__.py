"""The ``access-grants`` command.

``main`` is a click group. Each of its commands is a module of this package, imported on use.
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
        # `demo` and `serve` need moto as well.
        extra = "demo" if {"demo", "serve"}.intersection(sys.argv) else "cli"
        sys.exit(f"access-grants needs click, which is not installed: pip install 'access-grants-provider[{extra}]'")

    main = _without_click
