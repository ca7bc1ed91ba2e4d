"""The table of docs/not-verified.md: the checks of ``access-grants verify``, and what the local service answers.

It stands between the comments ``<!-- checks -->`` and ``<!-- end of the checks -->``. The answers are those of
``tests/functional/cli/verified.json``, with which the tests compare the local service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from access_grants_provider.cli.verify.checks import CHECKS

__all__ = ["render"]

RECORDING = Path(__file__).parents[2] / "tests" / "functional" / "cli" / "verified.json"
BLOCK = re.compile(r"(<!-- checks -->\n).*?(<!-- end of the checks -->)", re.DOTALL)


def render(page: str) -> str:
    """Return the page with the table as the checks are now."""
    table = "\n".join(_lines(json.loads(RECORDING.read_text(encoding="utf-8"))))
    return BLOCK.sub(lambda block: f"{block[1]}\n{table}\n\n{block[2]}", page)


def _lines(recording: dict[str, Any]) -> Iterator[str]:
    recorded = {entry["id"]: entry for entry in recording["checks"]}
    column = "local service" if recording["date"] is None else f"AWS, {recording['date']}, and the local service"
    yield f"| check | assumption | expected | {column} |"
    yield "|---|---|---|---|"
    for check in CHECKS:
        entry = recorded[check.id]
        came = str(entry["status"]) if entry["code"] == str(entry["status"]) else f"{entry['code']} {entry['status']}"
        yield f"| `{check.id}` | {check.assumption} | {check.expected} | {came} |"
