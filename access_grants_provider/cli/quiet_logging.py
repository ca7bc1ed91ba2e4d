"""Keeps warnings off stderr where a command tells the same itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_logging"]


@contextmanager
def quiet_logging(name: str) -> Iterator[None]:
    """Keep a logger's warnings off stderr where the program has configured no logging."""
    logger, handler = logging.getLogger(name), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
