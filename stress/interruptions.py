"""Interrupts a program at every line of the package, and checks that it neither hangs nor gets a wrong result.

A signal handler, the ``__del__`` of a collected object, a logging handler or a forked child may make a covered
request while the same thread is in the middle of one. ``python -m stress.interruptions`` brings each of them in at
each line of the package that a cold GetObject, a warm one and a presigned URL pass: the first and the last time that
the line runs, or each time with ``--each-time``. A forked process runs the points of one kind one after the other, each
with a provider that knows nothing yet. It is killed if a point takes longer than ``--bound`` seconds; another process
goes on with the next point. The local service runs in a process of its own, so that a blocked thread here can't block
it. The exit code is 1 where a process hung or a request went wrong.

All points take hours. ``--share 1/4`` to ``--share 4/4`` divide them among processes that run at once.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import gc
import itertools
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Listener
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import botocore.hooks

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
NO_INTERRUPTION = -1
BATCH = 100  # points for one process
# The waits of a decision are bounded by its time: a circle of waits must end well before a process counts as hung. On a
# busy machine an interruption may take longer than that. A point that runs out of time is run again with more.
SECONDS, MORE_SECONDS = 2, 20


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
    seconds: float = 0
    stacks: str | None = None

    @property
    def ran_out_of_time(self) -> bool:
        """Whether a decision had no time left for its calls, or one of them took too long."""
        return any("got no answer" in problem for problem in self.problems)

    @property
    def failure(self) -> str:
        """What is wrong, in words; nothing if all is well."""
        where = f"{self.point} at {self.place} after {self.seconds:.1f} s"
        if self.stacks is not None:
            return f"hang: {where}\n{self.stacks}"
        return f"wrong: {where}: {'; '.join(self.problems)}" if self.problems else ""


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
        self.s3 = session.client("s3")
        self.s3.meta.events.register("before-send.s3", self._check_signature)
        self._caller: str = service.environment["AWS_ACCESS_KEY_ID"]
        self.note: Callable[[str], object] = print
        self.file = ""
        self.company: threading.Thread | None = None
        self._register = functools.partial(access_grants_provider.register, self.s3, fallback="never")
        self.provider = self._register()

    def forget(self, seconds: float) -> None:
        """Begin anew, in a process that knows nothing and has made no client, and give the calls so many seconds."""
        from access_grants_provider.sdk import internal_clients
        from access_grants_provider.sdk.known_accounts import known_accounts

        self.provider.unregister()
        # The sessions of a process share these.
        internal_clients._by_profile.clear()
        known_accounts._accounts.clear()
        self.provider = self._register(timeout_seconds=seconds)
        self.company = None

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

    def handle(*_: object) -> None:
        if point.kind == "thread":
            in_a_thread()
        elif point.kind == "upload":
            program.upload()
        else:
            program.all_requests()

    signal.signal(signal.SIGUSR1, handle)


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

    def __init__(self, number: int | None, interrupt: Callable[[str], None]) -> None:
        super().__init__(logging.DEBUG)
        self.places: list[str] = []
        self._number, self._interrupt = number, interrupt
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
        self.places.append(f"{record.name}: {record.msg}")
        if self._number in (EVERY_RECORD, len(self.places)):
            self._own.busy = True
            self._interrupt(self.places[-1])
            self._own.busy = False


class LineTracer:
    """Notes the line events of this thread in the package, and interrupts at one of them."""

    def __init__(self, number: int | None, interrupt: Callable[[str], None]) -> None:
        import access_grants_provider

        self._package = os.path.dirname(access_grants_provider.__file__) + os.sep
        self._foreign = tuple(self._package + part + os.sep for part in ("testing", "cli"))
        self._number, self._interrupt = number, interrupt
        self.places: list[str] = []

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
            self.places.append(f"{frame.f_code.co_filename.removeprefix(self._package)}:{frame.f_lineno}")
            if len(self.places) == self._number:
                # The rest would be traced for nothing, and so would the interruption's own requests.
                sys.settrace(None)
                self._interrupt(self.places[-1])
        return self._line


# Points of one kind: a forked process


def run_batch(program: Program, points: Sequence[Point], bound: float, seconds: float = SECONDS) -> list[Outcome]:
    """Run points in a forked process, until one hangs. The outcomes are those of the points that were begun."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as stacks:
        child = os.fork()
        if child == 0:
            os.close(reading)
            _live(program, points, seconds, writing, stacks.fileno())
        os.close(writing)
        report = Report(points)
        ended = report.read(reading, bound)
        os.close(reading)
        if not ended:
            report.outcomes[-1].stacks = _stacks_of(child, stacks)
        _, status = os.waitpid(child, 0)
        if ended and status:
            report.outcomes[-1].problems.append(f"the process ended with status {status}")
    return report.outcomes


def list_places(program: Program, model: Point, bound: float) -> tuple[list[str], Outcome]:
    """Return where each line event, or log record, of a program is that nothing interrupts, and how that run ended."""
    places: list[str] = []
    outcome = run_batch(program, [model._replace(number=NO_INTERRUPTION)], bound, MORE_SECONDS)[0]
    if outcome.place is not None:
        places, outcome.place = json.loads(outcome.place), None
    return places, outcome


def _live(program: Program, points: Sequence[Point], seconds: float, writing: int, stacks: int) -> NoReturn:
    # A group of its own, so that the parent reaches its forked child as well.
    os.setpgid(0, 0)
    faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)

    def say(what: str, value: object) -> None:
        os.write(writing, (json.dumps({what: value}) + "\n").encode())

    status = 1
    try:
        for point in points:
            say("begun", True)
            program.forget(seconds)
            _report(program, point, say)
        status = 0
    except BaseException as error:  # noqa: BLE001  the parent is told; a forked process has nobody else to tell
        say("problem", f"the process raised {error!r}")
    finally:
        os._exit(status)


def _report(program: Program, point: Point, say: Callable[[str, object], None]) -> None:
    def come_in(place: str) -> None:
        say("place", place)
        interrupt(program, point)

    program.note = lambda problem: say("problem", problem)
    install_handlers(program, point)
    make = RequestingHandler if point.kind == "log" else LineTracer
    watcher = make(point.number, come_in)
    run_program(program, point, watcher.run)
    if point.number == NO_INTERRUPTION:
        say("place", json.dumps(watcher.places))


class Report:
    """What a process says of its points while it runs them: one JSON object a line."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = iter(points)
        self._begun = 0.0
        self.outcomes: list[Outcome] = []

    def read(self, reading: int, bound: float) -> bool:
        """Read until the process ends; tell whether it did, and no point took longer than so many seconds."""
        self._begin()
        buffer = b""
        while True:
            ready, _, _ = select.select([reading], [], [], max(0.0, self._begun + bound - time.monotonic()))
            chunk = os.read(reading, 65536) if ready else b""
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                for what, value in json.loads(line).items():
                    self._take(what, value)
            if not chunk:
                self._end()
                return bool(ready)

    def _begin(self) -> None:
        self._begun = time.monotonic()

    def _end(self) -> None:
        if self.outcomes:
            self.outcomes[-1].seconds = time.monotonic() - self._begun

    def _take(self, what: str, value: Any) -> None:
        if what == "begun":
            self._end()
            self._begin()
            self.outcomes.append(Outcome(next(self._points)))
        elif what == "place":
            self.outcomes[-1].place = value
        else:
            self.outcomes[-1].problems.append(value)


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
    """All the points, and what came of them."""

    def __init__(self, program: Program, bound: float, give_up_after: int) -> None:
        self._program, self._bound, self._give_up_after = program, bound, give_up_after
        self.points: Counter[str] = Counter()
        self.not_reached: Counter[str] = Counter()
        self.again: Counter[str] = Counter()
        self.passed: dict[str, set[str]] = defaultdict(set)
        self.interrupted: dict[str, set[str]] = defaultdict(set)
        self.hangs: list[Outcome] = []
        self.wrong: list[Outcome] = []
        self.slowest: list[Outcome] = []
        self._hung: Counter[str] = Counter()
        self._places: dict[tuple[str, str, bool], list[str]] = {}

    def points_of(self, model: Point, each_time: bool) -> list[Point]:
        """Return the points of a program, kind and company."""
        key = (model.program, model.company, model.kind == "log")
        if key not in self._places:
            self._places[key], outcome = list_places(self._program, model, self._bound)
            self._keep(outcome)
        places = self._places[key]
        self.passed[model.kind].update(places)
        numbers = range(1, len(places) + 1) if each_time else first_and_last(places)
        points = [model._replace(number=number) for number in numbers]
        return [*points, model._replace(number=EVERY_RECORD)] if model.kind == "log" else points

    def run(self, points: Sequence[Point]) -> None:
        """Run points of one program, kind and company, unless enough of that kind hung; print what came of them."""
        started, before = time.monotonic(), (len(self.hangs), len(self.wrong))
        done = 0
        while done < len(points) and self._hung[points[0].kind] < self._give_up_after:
            outcomes = run_batch(self._program, points[done : done + BATCH], self._bound)
            done += len(outcomes)
            for outcome in outcomes:
                self._count(self._run_again(outcome) if outcome.ran_out_of_time else outcome)
        hangs, wrong = len(self.hangs) - before[0], len(self.wrong) - before[1]
        name = str(points[0]).partition(" #")[0]
        seconds = time.monotonic() - started
        print(f"{name}: {done} points in {seconds:.0f} s: {hangs} hangs, {wrong} wrong results", flush=True)

    def _run_again(self, outcome: Outcome) -> Outcome:
        self.again[outcome.point.kind] += 1
        return run_batch(self._program, [outcome.point], self._bound + MORE_SECONDS, MORE_SECONDS)[0]

    def _count(self, outcome: Outcome) -> None:
        kind = outcome.point.kind
        self.points[kind] += 1
        if outcome.place is not None:
            self.interrupted[kind].add(outcome.place)
        elif outcome.stacks is None:
            self.not_reached[kind] += 1
        self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        if outcome.stacks is not None:
            # It may have been killed before the service was told to release.
            self._program.service.tell("heal")
            self.hangs.append(outcome)
            self._hung[outcome.point.kind] += 1
        elif outcome.problems:
            self.wrong.append(outcome)
        if outcome.failure:
            print(outcome.failure, flush=True)
        self.slowest = sorted([*self.slowest, outcome], key=lambda kept: -kept.seconds)[:3]

    def report(self, seconds: float) -> str:
        """Return the table, and the slowest points."""
        lines = [
            f"{kind:<10} {self.points[kind]:>6} points, {self.not_reached[kind]} not reached, "
            f"{self.again[kind]} run again with more time, "
            f"at {len(self.interrupted[kind])} places of {len(self.passed[kind])}, "
            f"{sum(outcome.point.kind == kind for outcome in self.hangs)} hangs, "
            f"{sum(outcome.point.kind == kind for outcome in self.wrong)} wrong results"
            for kind in KINDS
            if self.points[kind]
        ]
        given_up = [kind for kind in KINDS if self._hung[kind] >= self._give_up_after]
        if given_up:
            lines.append(f"given up after {self._give_up_after} hangs: {', '.join(given_up)}")
        lines += [f"slow: {outcome.seconds:.2f} s: {outcome.point} at {outcome.place}" for outcome in self.slowest]
        total = sum(self.points.values())
        lines.append(f"{total} points in {seconds:.0f} s: {len(self.hangs)} hangs, {len(self.wrong)} wrong results")
        return "\n".join(lines)


def first_and_last(places: Sequence[str]) -> list[int]:
    """Return the numbers of the events at which each place comes for the first and the last time, counted from 1."""
    first = {place: number for number, place in reversed(list(enumerate(places, 1)))}
    last = {place: number for number, place in enumerate(places, 1)}
    return sorted({*first.values(), *last.values()})


def spread(points: Sequence[Point], wanted: int) -> Sequence[Point]:
    """Return about as many of the points as wanted, evenly spread."""
    return [points[index * len(points) // wanted] for index in range(wanted)] if len(points) > wanted else points


def remember_signatures() -> None:
    """Have botocore look at each handler and event name once: that is a quarter of the time a point takes."""
    hooks: Any = botocore.hooks
    hooks.accepts_kwargs = functools.cache(hooks.accepts_kwargs)
    # All aliasers of this process have the same aliases.
    aliased: Callable[[Any, str], str] = hooks.EventAliaser._alias_event_name
    aliases: dict[str, str] = {}

    def alias(aliaser: Any, name: str) -> str:
        if name not in aliases:
            aliases[name] = aliased(aliaser, name)
        return aliases[name]

    hooks.EventAliaser._alias_event_name = alias


def run_all(given: argparse.Namespace) -> int:
    """Run what the command line asks for."""
    from botocore.loaders import create_loader

    remember_signatures()
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
        part, parts = given.share
        for points in _chosen(run, given):
            run.run(points[part - 1 :: parts])
        print(run.report(time.monotonic() - started))
    return 1 if run.hangs or run.wrong else 0


def _chosen(run: Run, given: argparse.Namespace) -> Iterator[Sequence[Point]]:
    """Yield the points of each program, kind and company, those of a program that is alone first."""
    models = [
        model
        for model in combinations()
        if model.kind in given.kinds and model.program in given.programs and model.company in given.companies
    ]
    chosen: list[Point] = []
    for kind in KINDS:
        points = [point for model in models if model.kind == kind for point in run.points_of(model, given.each_time)]
        chosen += spread(points[:: given.every], given.points or len(points))
    chosen.sort(key=lambda point: COMPANIES.index(point.company))
    for _, group in itertools.groupby(chosen, lambda point: point._replace(number=0)):
        yield list(group)


def share(text: str) -> tuple[int, int]:
    """Parse a share, such as ``2/3``."""
    part, parts = map(int, text.split("/"))
    if not 1 <= part <= parts:
        raise ValueError(text)
    return part, parts


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m stress.interruptions", description=__doc__.splitlines()[0])
    each_time = "interrupt a line each time it runs, not its first and its last time alone"
    parser.add_argument("--each-time", action="store_true", help=each_time)
    parser.add_argument("--every", type=int, default=1, help="only every so many of the points (default: 1)")
    parser.add_argument("--share", type=share, default=(1, 1), help="the first of three shares of the points: 1/3")
    parser.add_argument("--points", type=int, help="about how many points of each kind, evenly spread (default: all)")
    for name, choices in (("kinds", KINDS), ("programs", PROGRAMS), ("companies", COMPANIES)):
        parser.add_argument(f"--{name}", nargs="+", choices=choices, default=choices, help=f"only these {name}")
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
