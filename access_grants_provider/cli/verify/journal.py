"""What a run has created or was about to create, in a file that outlives the process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..settings import Failure
from .plan import PREFIX

__all__ = ["Entry", "Journal"]

Entry = dict[str, Any]
# By kind, the fields that name what is removed. Each holds a name of a run, or removal would touch what is not its own.
NAMED_BY = {
    "role": ("name",),
    "bucket": ("name", "region"),
    "instance": ("run",),
    "location": ("scope", "grantee"),
    "grant": ("scope", "grantee"),
}


class Journal:
    """A file of JSON lines: first the run, then a line for each creation, written before it.

    The lines hold names only, which are known beforehand: ids are looked up by name when something is removed.
    """

    def __init__(self, path: Path, head: Entry, entries: list[Entry]) -> None:
        """Take the file, its first line and the others."""
        self.path = path
        self.account = str(head["account"])
        self.region = str(head["region"])
        self.run = str(head["run"])
        self.entries = entries

    @classmethod
    def create(cls, path: Path, **head: str) -> Journal:
        """Create the file, which only its owner can read. Raises ``FileExistsError``: another run may need it."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        journal = cls(path, head, [])
        journal._append({"kind": "run", **head})
        return journal

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read the file of an earlier run."""
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        # Nothing was created for a last line that is not complete.
        complete = [line for line in lines if line.endswith("\n")]
        try:
            head, *entries = [json.loads(line) for line in complete]
            valid = head["kind"] == "run" and all(map(_is_valid, entries))
            if valid:
                return cls(path, head, entries)
        except (ValueError, KeyError, TypeError):
            pass
        raise Failure(f"{path} is not a journal of access-grants verify", "Nothing was removed")

    def note(self, kind: str, **names: str) -> None:
        """Write down that something is about to be created."""
        entry = {"kind": kind, **names}
        self.entries.append(entry)
        self._append(entry)

    def delete(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _append(self, entry: Entry) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _is_valid(entry: Entry) -> bool:
    values = [entry[field] for field in NAMED_BY[entry["kind"]]]
    return all(isinstance(value, str) for value in values) and values[0].removeprefix("s3://").startswith(PREFIX)
