"""An engine in processes of its own, started once for a module's tests, and the local service that its workers call.

The engine's own process gets no setting, so its workers inherit none: as on a cluster, a program brings what our pages
name, or the cluster does (dask). A mark in the environment finds every process, so that none outlives the module.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from uuid import uuid4

from access_grants_provider.testing import AccessGrantsServer

__all__ = ["AUTOLOAD", "BUCKET", "Ended", "Engine", "running"]

AUTOLOAD = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}
BUCKET = "sales"
MARK = "ACCESS_GRANTS_TESTS_ENGINE"
# Limits for a machine that is busy with other things. A program takes 5 to 20 s, an end 1 to 3.
PROGRAM_SECONDS = 300
END_SECONDS = 60
FORBIDDEN = 403

# Each process says in its user agent which it is, so that the server's record tells them apart. Spark forks workers.
NAMED = """
import os

def name():
    os.environ["AWS_SDK_UA_APP_ID"] = f"process-{os.getpid()}"

name()
os.register_at_fork(after_in_child=name)
"""
PROCESS = re.compile(r"app/process-(\d+)")


class Ended(NamedTuple):
    """A program that has ended well, and what the local service was asked by it and by its workers.

    ``signed``: the requests that S3 carried out, by the one who signed them, "grant" or the name of an identity.
    ``refused``: those that it refused, in the same way. ``vends``: the calls of GetDataAccess that vended, by process
    and permission. Where the caller has one grant, no process needs a permission twice.
    """

    printed: str
    signed: Counter[str | None]
    refused: Counter[str | None]
    vends: Counter[tuple[str, str]]

    @property
    def processes(self) -> int:
        """How many processes asked for credentials and got some."""
        return len({process for process, _ in self.vends})

    def row(self, name: str) -> str:
        """Return the program's row of the table that is shown at the end of the test run."""
        signed = ", ".join(f"{number} by {signer}" for signer, number in self.signed.items()) or "none"
        refused = f"; {self.refused.total()} refused" if self.refused else ""
        return (
            f"{name}: {self.processes} processes, {self.vends.total()} vends, "
            f"{self.signed.total() + self.refused.total()} S3 requests, signed: {signed}{refused}"
        )


class Engine:
    """Runs programs as a caller whose only permissions are grants. A context manager.

    ``host``: a program that starts the engine, prints a line of JSON (the variables by which programs find the engine),
    and ends the engine when its stdin ends.
    """

    def __init__(self, server: AccessGrantsServer, folder: Path, host: str, variables: dict[str, str]) -> None:
        self.server, self.caller = server, server.identity("caller")
        self._folder, self._host_program = folder, host
        self._granted: set[tuple[str, str]] = set()
        self._mark = f"{MARK}={uuid4().hex}"
        self._environment = {
            **{name: os.environ[name] for name in ("JAVA_HOME", "LANG") if name in os.environ},
            # Spark's workers are whatever `python3` is, as in a virtual environment that is active.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(folder / "site"),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            **dict([self._mark.split("=")]),
            **server.environment(self.caller),
            **variables,
        }

    def __enter__(self) -> Engine:
        (self._folder / "site").mkdir()
        (self._folder / "site" / "sitecustomize.py").write_text(NAMED, encoding="utf-8")
        self._host = self._start(self._host_program, self._environment)
        try:
            self._environment |= self._answer()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def grant(self, folder: str, permission: str = "READ") -> None:
        """Give the caller a grant on a folder of the bucket, unless another test has."""
        if (folder, permission) not in self._granted:
            self.server.grant(self.caller, f"s3://{BUCKET}/{folder}/*", permission)
            self._granted.add((folder, permission))

    def put(self, folder: str, number: int, content: bytes = b"12345", suffix: str = "") -> None:
        """Store so many equal objects in a folder, past all permissions: ``part.0``, ``part.1``, …"""
        for index in range(number):
            self.server.put(f"s3://{BUCKET}/{folder}/part.{index}{suffix}", content)

    def put_parquet(self, folder: str, files: int, **columns: list[object]) -> None:
        """Store so many equal Parquet files of these columns in a folder, past all permissions."""
        import pandas

        content = io.BytesIO()
        pandas.DataFrame(columns).to_parquet(content)
        self.put(folder, files, content.getvalue(), ".parquet")

    def run(self, program: str | Path, meanwhile: Callable[[], object] | None = None, **variables: str) -> Ended:
        """Run a program, a text or a file, in a process of its own."""
        self.server.forget_requests()
        with self._start(program, {**self._environment, **variables}) as process:
            try:
                if meanwhile is not None:
                    meanwhile()
                printed, _ = process.communicate(timeout=PROGRAM_SECONDS)
            except (TimeoutError, subprocess.TimeoutExpired) as error:
                raise AssertionError(self._messages()) from error
            finally:
                kill_group(process)
        assert process.returncode == 0, self._messages()
        return self._ended(printed)

    def run_in_host(self, program: str | Path, meanwhile: Callable[[], object] | None = None) -> Ended:
        """Let the host run a program. It gets the path in a line, and answers with a line of JSON."""
        self.server.forget_requests()
        assert self._host.stdin is not None
        self._host.stdin.write(f"{self._file(program)}\n")
        self._host.stdin.flush()
        if meanwhile is not None:
            meanwhile()
        answer = self._answer()
        assert answer["error"] is None, f"{answer['error']}\n{self._messages()}"
        return self._ended(answer["printed"])

    def _ended(self, printed: str) -> Ended:
        requests = self.server.s3_requests()
        vends = [one for one in self.server.requests if one.operation == "GetDataAccess" and one.status == 200]
        return Ended(
            printed,
            Counter(one.signer for one in requests if one.status != FORBIDDEN),
            Counter(one.signer for one in requests if one.status == FORBIDDEN),
            Counter((PROCESS.findall(one.user_agent)[0], one.parameters["Permission"]) for one in vends),
        )

    def _file(self, program: str | Path) -> Path:
        """Return the program's file. A text is put into one, since Python's own `-c` can't be read by workers."""
        if isinstance(program, Path):
            return program
        file = self._folder / f"program_{uuid4().hex[:8]}.py"
        file.write_text(textwrap.dedent(program), encoding="utf-8")
        return file

    def _start(self, program: str | Path, environment: dict[str, str]) -> subprocess.Popen[str]:
        with (self._folder / "stderr").open("a") as stderr:
            return subprocess.Popen(
                [sys.executable, str(self._file(program))],
                env=environment,
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    def _messages(self) -> str:
        return (self._folder / "stderr").read_text(encoding="utf-8", errors="replace")[-6000:]

    def _answer(self) -> dict[str, str]:
        """Return the next line of the host, waiting for a bounded time."""
        assert self._host.stdout is not None
        ready, _, _ = select.select([self._host.stdout], [], [], PROGRAM_SECONDS)
        line = self._host.stdout.readline() if ready else ""
        assert line, f"the engine did not answer: {self._messages()}"
        answer: dict[str, str] = json.loads(line)
        return answer

    def _end(self) -> None:
        """Let the engine end, then end what is left of it. That something was left is an error."""
        assert self._host.stdin is not None
        assert self._host.stdout is not None
        with self._host:
            self._host.stdin.close()
            try:
                self._host.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:
                kill_group(self._host)
        left = end_marked(self._mark)
        assert not left, f"the engine had ended, and these processes had not: {left}"


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a process that leads a group, and the group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def end_marked(mark: str) -> list[str]:
    """Wait for the processes with a mark in their environment, kill those that stay, and return their commands."""
    until = time.monotonic() + END_SECONDS
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if f"\0{mark}\0".encode() in b"\0" + (process / "environ").read_bytes():
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                descriptor = os.pidfd_open(int(process.name))
                ended, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
                if not ended:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    left.append(command)
                os.close(descriptor)
    return left


@contextmanager
def running(host: str, **variables: str) -> Iterator[Engine]:
    """Start the local service with the bucket ``sales``, and an engine."""
    # A short path, since Ray puts sockets below it.
    with AccessGrantsServer() as server, tempfile.TemporaryDirectory(prefix="engine-") as folder:
        server.bucket(BUCKET)
        with Engine(server, Path(folder), host, variables) as engine:
            yield engine
