"""Runs the programs of one library, each in a process of its own that shares the library's imports: a child by fork.

``python run_programs.py JOB`` reads the job from a file. It writes one line on stdout for each program that has ended,
null or the error as JSON, and then waits for a line, so that its parent can read the server's record in between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    # What the programs print themselves goes to stderr.
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    namespace: dict[str, Any] = {"__name__": "programs"}
    if not job["shell"]:
        exec(job["imports"], namespace)
    for code, check in job["programs"]:
        error = of_shell(code) if job["shell"] else of_child(code, check, namespace)
        print(json.dumps(error), file=protocol, flush=True)
        sys.stdin.readline()


def of_shell(command: str) -> str | None:
    ended = subprocess.run(["sh", "-euc", command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return None if ended.returncode == 0 else f"exit code {ended.returncode}: {ended.stderr[-2000:]}"


def of_child(code: str, check: str, namespace: dict[str, Any]) -> str | None:
    """Run a program in a child, and return what it raised."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write, "w") as pipe:
            run(code, check, namespace, pipe)
        # Not through the interpreter's end, which would read the rest of the parent's stdin.
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return None if said == "done" and status == 0 else said or f"the program ended with status {status}"


def run(code: str, check: str, namespace: dict[str, Any], pipe: TextIO) -> None:
    try:
        exec(code, namespace)
        if not eval(check, namespace):
            raise AssertionError(f"it went through, but not {check}")
    except BaseException as error:  # noqa: BLE001  whatever it is, it is what the program ended with
        traceback.print_exc()
        pipe.write(f"{type(error).__name__}: {error}")
    else:
        pipe.write("done")


if __name__ == "__main__":
    main()
