"""Interrupts a program at every line of the package, and checks that it neither hangs nor gets a wrong result.

A signal handler, the ``__del__`` of a collected object, a logging handler or a forked child may make a covered
request while the same thread is in the middle of one. ``python -m stress.interruptions --every 1`` brings each of them
in at each line event of the package during a cold GetObject, a warm one and a presigned URL. Each point is a forked
process of its own, which is killed after ``--bound`` seconds. The local service runs in another process, so that a
blocked thread here can't block it. The exit code is 1 where a process hung or a request went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Listener
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

BUCKET, KEY, OTHER_KEY, UPLOADED_KEY = "data", "in/x", "other/x", "in/uploaded"
CONTENT = b"1"

PROGRAMS = ("cold", "warm", "presign")
KINDS = ("signal", "thread", "upload", "finaliser", "fork", "log")
# What a second thread does meanwhile: nothing, a cold request for the same key or for another one (the service holds
# it), or a write that begins when the interruption comes: it may wait for what the interrupted request asks.
COMPANIES = ("alone", "same", "other", "late")

HELD_SECONDS = 0.1  # for how long the service holds the second thread, from the program's first line on
HEAD_START_SECONDS = 0.05  # for how long an interruption lets a late second thread run before it goes on
EVERY_RECORD = 0


class Point(NamedTuple):
    """One interruption: what the program does, what comes in, beside whom, and at which line event (or log record)."""

    program: str
    kind: str
    company: str
    number: int

    def __str__(self) -> str:
        return f"{self.program} {self.kind} {self.company} #{self.number}"


@dataclass
class Outcome:
    """What came of one point: where it was, what went wrong, and the stacks of all threads if the process hung."""

    point: Point
    place: str | None = None
    problems: list[str] = field(default_factory=list)
    events: int = 0
    records: int = 0
    seconds: float = 0
    stacks: str | None = None


# The service, in a process of its own


def serve() -> None:
    """Run the local service, print where it is and who may use it, and end when standard input does."""
    from access_grants_provider.testing import AccessGrantsServer

    with AccessGrantsServer() as server, Listener(("127.0.0.1", 0)) as listener:
        server.bucket(BUCKET)
        alice = server.identity("alice")
        for key in (KEY, OTHER_KEY):
            server.put(f"s3://{BUCKET}/{key}", CONTENT)
            server.grant(alice, f"s3://{BUCKET}/{key.partition('/')[0]}/*", "READWRITE")
        # As the caller each request would succeed too: what shows a wrong signature is the request itself.
        server.allow(alice, f"s3://{BUCKET}/*", "READWRITE")
        environment = server.environment(alice)
        print(json.dumps({"environment": environment, "commands": listener.address, "url": server.url}), flush=True)
        threading.Thread(target=_obey, args=(server, listener), daemon=True).start()
        sys.stdin.read()


def _obey(server: Any, listener: Listener) -> None:
    held: Any = None
    while True:
        with listener.accept() as connection:
            command, answer = connection.recv(), None
            if command == "hold":
                held = server.hold("GetDataAccess")
            elif command == "wait":
                try:
                    held.wait_for(1)
                except TimeoutError as error:
                    answer = str(error)
            elif command == "release soon":
                threading.Timer(HELD_SECONDS, held.release).start()
            elif command == "heal":
                server.heal()
            connection.send(answer)


class Service(NamedTuple):
    """The running service, as its users see it."""

    url: str
    commands: tuple[str, int]
    environment: dict[str, str]

    def tell(self, command: str) -> str | None:
        """Have it done, and return when it is, with what went wrong."""
        with Client(self.commands) as connection:
            connection.send(command)
            answer: str | None = connection.recv()
        return answer


@contextlib.contextmanager
def running_service() -> Iterator[Service]:
    """Start the service in another process, and end it afterwards."""
    command = [sys.executable, "-m", "stress.interruptions", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            yield Service(told["url"], tuple(told["commands"]), told["environment"])
        finally:
            assert process.stdin is not None
            process.stdin.close()


# The program that is interrupted


class Program:
    """A covered S3 client, and the requests that are made with it. It notes what goes wrong."""

    def __init__(self, service: Service, loader: object) -> None:
        import boto3
        import botocore.session

        import access_grants_provider

        core = botocore.session.get_session()
        core.register_component("data_loader", loader)
        session = boto3.Session(botocore_session=core)
        self.service = service
        # Each wait is bounded by it: a circle of waits must end well before a process counts as hung.
        self.provider = access_grants_provider.register(session, fallback="never", timeout_seconds=2)
        self.s3 = session.client("s3")
        self.s3.meta.events.register("before-send.s3", self._check_signature)
        self._caller: str = service.environment["AWS_ACCESS_KEY_ID"]
        self.note: Callable[[str], object] = print
        self.file = ""
        self.company: threading.Thread | None = None

    def _check_signature(self, request: Any, **_: object) -> None:
        if self._caller in str(request.headers.get("Authorization")):
            self.note(f"{request.method} {request.url} is signed as the caller")

    def get(self, key: str = KEY) -> None:
        """Read an object."""
        with self._noting(f"GetObject {key}"):
            content = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            if content != CONTENT:
                self.note(f"GetObject {key} returned {content!r}")

    def put(self) -> None:
        """Write an object."""
        with self._noting("PutObject"):
            # moto fails where two threads write to one key at once.
            self.s3.put_object(Bucket=BUCKET, Key=f"in/{threading.current_thread().name}", Body=CONTENT)

    def upload(self) -> None:
        """Write an object with boto3's transfer manager, which uses threads of its own."""
        with self._noting("upload_file"):
            self.s3.upload_file(self.file, BUCKET, UPLOADED_KEY)

    def presign(self) -> None:
        """Sign a URL."""
        with self._noting("generate_presigned_url"):
            url = self.s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY})
            if self._caller in url:
                self.note("the presigned URL is signed as the caller")

    def all_requests(self) -> None:
        """Make the requests of an interruption: the same as the program's, one that writes, and another key's."""
        self.get()
        self.put()
        self.get(OTHER_KEY)

    @contextlib.contextmanager
    def _noting(self, request: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever is raised here is what this program looks for
            self.note(f"{request} raised {type(error).__name__}: {error}")

    def start_company(self, request: Callable[[], object]) -> None:
        """Make a request in a second thread."""
        self.company = threading.Thread(target=request, name="company", daemon=True)
        self.company.start()


def run_program(program: Program, point: Point, watch: Callable[[Callable[[], None]], None]) -> None:
    """Do what the point's program does; ``watch`` runs the part that is interrupted."""
    if point.program == "warm":
        program.get()
    if point.company in ("same", "other"):
        # A warm program's second thread writes: to read it would have nothing to wait for.
        same: Callable[[], object] = program.put if point.program == "warm" else program.get
        program.service.tell("hold")
        program.start_company(same if point.company == "same" else lambda: program.get(OTHER_KEY))
        problem = program.service.tell("wait")
        if problem is not None:
            program.note(f"the second thread: {problem}")
        program.service.tell("release soon")
    watch(program.presign if point.program == "presign" else program.get)
    # What an interruption leaves behind shows in the next requests.
    program.all_requests()
    if program.company is not None:
        program.company.join()


# The interruptions


def interrupt(program: Program, point: Point) -> None:
    """Have the interruption come in, here and now."""
    if point.company == "late" and program.company is None:
        program.start_company(program.put)
        assert program.company is not None
        program.company.join(HEAD_START_SECONDS)
    if point.kind == "finaliser":
        _leave_garbage(program.all_requests)
        gc.collect()
    elif point.kind == "fork":
        _fork(program)
    else:
        signal.raise_signal(signal.SIGUSR1)


def install_handlers(program: Program, point: Point) -> None:
    """Install the signal handler of this kind of interruption."""

    def in_a_thread() -> None:
        thread = threading.Thread(target=program.all_requests, name="handler", daemon=True)
        thread.start()
        thread.join()

    handlers = {"thread": in_a_thread, "upload": program.upload}
    handle = handlers.get(point.kind, program.all_requests)
    signal.signal(signal.SIGUSR1, lambda *_: handle())


class _Garbage:
    def __init__(self, finalise: Callable[[], None]) -> None:
        self.finalise, self.cycle = finalise, self

    def __del__(self) -> None:
        self.finalise()


def _leave_garbage(finalise: Callable[[], None]) -> None:
    _Garbage(finalise)


def _fork(program: Program) -> None:
    child = os.fork()
    if child == 0:
        # As with plain boto3: two processes on one connection would read each other's answers.
        program.s3.close()
        program.all_requests()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        program.note(f"the forked child ended with status {status}")


class RequestingHandler(logging.Handler):
    """Makes covered requests for the package's log records: one of them by its number, or each of them.

    As handlers that send to S3 do, it leaves alone what its own requests log.
    """

    def __init__(self, program: Program, number: int | None, interrupt: Callable[[str], None]) -> None:
        super().__init__(logging.DEBUG)
        self.records = 0
        self._program, self._number, self._interrupt = program, number, interrupt
        self._own = threading.local()

    def run(self, logged: Callable[[], None]) -> None:
        """Run something with this handler."""
        root = logging.getLogger()
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        try:
            logged()
        finally:
            root.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Handle one record."""
        if not record.name.startswith("access_grants_provider") or getattr(self._own, "busy", False):
            return
        self.records += 1
        if self._number in (EVERY_RECORD, self.records):
            self._own.busy = True
            self._interrupt(f"{record.name}: {record.msg}")
            self._own.busy = False


class LineTracer:
    """Counts the line events of this thread in the package, and interrupts at one of them."""

    def __init__(self, number: int | None, interrupt: Callable[[str], None]) -> None:
        import access_grants_provider

        self._package = os.path.dirname(access_grants_provider.__file__) + os.sep
        self._foreign = tuple(self._package + part + os.sep for part in ("testing", "cli"))
        self._number, self._interrupt = number, interrupt
        self.events = 0

    def run(self, traced: Callable[[], None]) -> None:
        """Run something with this tracer."""
        sys.settrace(self._called)
        try:
            traced()
        finally:
            sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: object) -> Any:
        name = frame.f_code.co_filename
        return self._line if name.startswith(self._package) and not name.startswith(self._foreign) else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.events += 1
            if self.events == self._number:
                # Nothing is traced while a trace function runs, the interruption's own requests included.
                self._interrupt(f"{frame.f_code.co_filename.removeprefix(self._package)}:{frame.f_lineno}")
        return self._line


# One point: a forked process


def run_point(program: Program, point: Point | None, model: Point, bound: float) -> Outcome:
    """Run one point in a forked process. With None for it, count the events that ``model`` has."""
    reading, writing = os.pipe()
    started = time.monotonic()
    with tempfile.TemporaryFile() as stacks:
        child = os.fork()
        if child == 0:
            os.close(reading)
            _live(program, point, model, writing, stacks.fileno())
        os.close(writing)
        outcome = Outcome(point or model)
        ended = _read_report(reading, outcome, started + bound)
        os.close(reading)
        if not ended:
            outcome.stacks = _stacks_of(child, stacks)
        _, status = os.waitpid(child, 0)
        if ended and status:
            outcome.problems.append(f"the process ended with status {status}")
    outcome.seconds = time.monotonic() - started
    return outcome


def _live(program: Program, point: Point | None, model: Point, writing: int, stacks: int) -> NoReturn:
    # A group of its own, so that the parent reaches its forked child as well.
    os.setpgid(0, 0)
    faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)

    def say(what: str, value: object) -> None:
        os.write(writing, (json.dumps({what: value}) + "\n").encode())

    status = 1
    try:
        _report(program, point, model, say)
        status = 0
    except BaseException as error:  # noqa: BLE001  the parent is told; a forked process has nobody else to tell
        say("problem", f"the process raised {error!r}")
    finally:
        os._exit(status)


def _report(program: Program, point: Point | None, model: Point, say: Callable[[str, object], None]) -> None:
    def come_in(place: str) -> None:
        say("place", place)
        interrupt(program, model)

    number = None if point is None else point.number
    by_record = model.kind == "log"
    program.note = lambda problem: say("problem", problem)
    install_handlers(program, model)
    tracer = LineTracer(None if by_record else number, come_in)
    handler = RequestingHandler(program, number if by_record else None, come_in)
    run_program(program, model, handler.run if by_record else tracer.run)
    say("events", tracer.events)
    say("records", handler.records)


def _read_report(reading: int, outcome: Outcome, deadline: float) -> bool:
    """Read what the process reports; return whether it ended in time."""
    report = b""
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(reading, 65536) if ready else b""
        report += chunk
        if not chunk:
            break
    for line in report.splitlines():
        for what, value in json.loads(line).items():
            if what == "problem":
                outcome.problems.append(value)
            else:
                setattr(outcome, what, value)
    return bool(ready)


def _stacks_of(child: int, stacks: Any) -> str:
    """Have a process that hangs, and its forked child, write down what their threads do; then kill them."""
    os.killpg(child, signal.SIGUSR2)
    time.sleep(0.2)
    os.killpg(child, signal.SIGKILL)
    stacks.seek(0)
    return _shortened(stacks.read().decode(errors="replace"))


def _shortened(stacks: str) -> str:
    """Leave out the frames of botocore and of this module, but for the two innermost of each thread."""
    kept, depth = [], 0
    for line in stacks.splitlines():
        depth = depth + 1 if line.startswith("  File") else 0
        if depth <= 2 or not any(part in line for part in ("/botocore/", "/interruptions.py", "<frozen runpy>")):
            kept.append(line)
    return "\n".join(kept)


# All points


def combinations() -> Iterator[Point]:
    """Yield each program, kind and company that go together, numbered 0."""
    for kind in KINDS:
        for program in PROGRAMS:
            for company in COMPANIES:
                # A fork beside a thread that runs copies whatever locks urllib3 holds at that moment: plain boto3 can
                # hang there. A thread that the service holds has none.
                if (kind, company) != ("fork", "late"):
                    yield Point(program, kind, company, 0)


class Run:
    """All the points, one after the other, and what came of them."""

    def __init__(self, program: Program, bound: float, give_up_after: int) -> None:
        self._program, self._bound, self._give_up_after = program, bound, give_up_after
        self.points: Counter[str] = Counter()
        self.not_reached: Counter[str] = Counter()
        self.hangs: list[Outcome] = []
        self.wrong: list[Outcome] = []
        self.slowest: list[Outcome] = []
        self._hung: Counter[str] = Counter()

    def count(self, model: Point) -> int:
        """Return how many line events, or log records, a program has that nothing interrupts."""
        outcome = run_point(self._program, None, model, self._bound)
        if outcome.problems or outcome.stacks is not None:
            self._keep(outcome)
        return outcome.records if model.kind == "log" else outcome.events

    def run(self, point: Point) -> None:
        """Run one point, unless enough of its kind hung."""
        if self._hung[point.kind] >= self._give_up_after:
            return
        outcome = run_point(self._program, point, point, self._bound)
        self.points[point.kind] += 1
        if outcome.place is None and outcome.stacks is None:
            self.not_reached[point.kind] += 1
        self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        if outcome.stacks is not None:
            # It may have been killed before the service was told to release.
            self._program.service.tell("heal")
            self.hangs.append(outcome)
            self._hung[outcome.point.kind] += 1
        elif outcome.problems:
            self.wrong.append(outcome)
        self.slowest = sorted([*self.slowest, outcome], key=lambda kept: -kept.seconds)[:3]

    def report(self, seconds: float) -> str:
        """Return the table, and what is known of each failure."""
        lines = [
            f"{kind:<10} {self.points[kind]:>6} points, {self.not_reached[kind]} not reached, "
            f"{sum(outcome.point.kind == kind for outcome in self.hangs)} hangs, "
            f"{sum(outcome.point.kind == kind for outcome in self.wrong)} wrong results"
            for kind in KINDS
            if self.points[kind]
        ]
        given_up = [kind for kind in KINDS if self._hung[kind] >= self._give_up_after]
        if given_up:
            lines.append(f"given up after {self._give_up_after} hangs: {', '.join(given_up)}")
        lines += [f"wrong: {outcome.point} at {outcome.place}: {'; '.join(outcome.problems)}" for outcome in self.wrong]
        lines += [f"hang: {outcome.point} at {outcome.place}\n{outcome.stacks}" for outcome in self.hangs]
        lines += [f"slow: {outcome.seconds:.2f} s: {outcome.point} at {outcome.place}" for outcome in self.slowest]
        total = sum(self.points.values())
        lines.append(f"{total} points in {seconds:.0f} s: {len(self.hangs)} hangs, {len(self.wrong)} wrong results")
        return "\n".join(lines)


def numbers(count: int, every: int) -> range:
    """Return the numbers of the line events to interrupt."""
    return range(1, count + 1, every)


def spread(points: Sequence[Point], wanted: int) -> Sequence[Point]:
    """Return about as many of the points as wanted, evenly spread."""
    return [points[index * len(points) // wanted] for index in range(wanted)] if len(points) > wanted else points


def run_all(given: argparse.Namespace) -> int:
    """Run what the command line asks for."""
    from botocore.loaders import create_loader

    with running_service() as service, tempfile.TemporaryDirectory() as folder:
        os.environ.update(service.environment, S3_ACCESS_GRANTS_CACHE_FOLDER=folder)
        loader = create_loader()
        # Models are read and modules imported once, here, and not again in each forked process.
        rehearsal = Program(service, loader)
        rehearsal.all_requests()
        rehearsal.provider.unregister()
        program = Program(service, loader)
        program.file = str(Path(folder, "upload"))
        Path(program.file).write_bytes(CONTENT)
        rehearsal.s3.close()
        gc.collect()
        gc.freeze()
        started = time.monotonic()
        run = Run(program, given.bound, given.give_up_after)
        counts: dict[tuple[str, str, bool], int] = {}
        for kind in given.kinds or KINDS:
            points: list[Point] = []
            for model in combinations():
                if model.kind == kind and (not given.programs or model.program in given.programs):
                    key = (model.program, model.company, kind == "log")
                    if key not in counts:
                        counts[key] = run.count(model)
                    points += [model._replace(number=number) for number in numbers(counts[key], given.every)]
                    if kind == "log":
                        points.append(model._replace(number=EVERY_RECORD))
            for point in spread(points, given.points or len(points)):
                run.run(point)
        print(run.report(time.monotonic() - started))
    return 1 if run.hangs or run.wrong else 0


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m stress.interruptions", description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="every how many line events (default: 1)")
    parser.add_argument("--points", type=int, help="about how many points of each kind, evenly spread (default: all)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="only these kinds of interruption")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, help="only these programs")
    parser.add_argument("--bound", type=float, default=20, help="seconds until a process counts as hung (default: 20)")
    parser.add_argument("--give-up-after", type=int, default=10, help="leave a kind after so many hangs (default: 10)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return 0
    return run_all(given)


if __name__ == "__main__":
    sys.exit(main())
