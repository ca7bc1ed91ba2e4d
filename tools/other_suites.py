"""Runs the S3 tests of other projects with this package loaded into every client, and names the results that change.

``python -m tools.other_suites SUITE CHECKOUT``, where CHECKOUT is a checkout of the project whose requirements for
testing are installed. Nothing is fetched, and nothing is written into the checkout. The suite runs without the package,
then four times with it: one grant READWRITE on everything or no grant at all, and each test cold or warm. Cold: the
package remembers nothing. Warm: the test has run once before, in the same process. See ``other_suites_plugin.py``.

A changed result is explained in one of four ways; any other makes the exit code 1.

- The test counts the calls of its process: cold it saw the calls of one cold start, warm it sees none and has its old
  result. Where no second run is warm, the test is named in ``COUNTS_CALLS``.
- The test is about the caller's own key: its result changes in the same way in a run without this package in which
  another key signs (``resigned``).
- The test is not repeatable: its result changes without this package too, when it runs alone or for a second time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

TOOLS = Path(__file__).parent
# No suite takes this long; a test that hangs would.
SECONDS_PER_RUN = 3600


class Mode(NamedTuple):
    """How a suite runs. ``variant``: ``without``, ``granted``, ``denied``, or ``resigned`` with another key."""

    variant: str
    warm: bool = False

    def __str__(self) -> str:
        return f"{self.variant}, {'warm' if self.warm else 'cold'}"


MODES = {
    "granted": Mode("granted"),
    "granted-warm": Mode("granted", warm=True),
    "denied": Mode("denied"),
    "denied-warm": Mode("denied", warm=True),
}


class Suite(NamedTuple):
    """Which tests of a checkout are about S3.

    ``server``: its S3 is a server, and so is Access Grants. ``stubbed``: it has no S3, each test brings the responses.
    """

    paths: tuple[str, ...]
    server: bool = False
    stubbed: bool = False
    variables: tuple[tuple[str, str], ...] = ()


# Every file in which an S3 client is made, and those about retries, checksums and plugins; of the tests that are
# repeated for each service, S3's alone.
BOTOCORE = (
    *(
        f"tests/functional/{name}"
        for name in (
            "configured_endpoint_urls/test_configured_endpoint_url.py::test_resolve_configured_endpoint_url",
            "docs/test_s3.py",
            "leak/test_resource_leaks.py",
            "test_auth_config.py",
            "test_client.py",
            "test_client_class_names.py::test_client_has_correct_class_name[s3]",
            "test_client_metadata.py",
            "test_context_params.py",
            "test_credentials.py",
            "test_disable_s3_express_auth.py",
            "test_event_alias.py::test_event_alias_by_client_name[s3-s3]",
            "test_event_alias.py::test_event_alias_by_endpoint_prefix[s3-s3]",
            "test_event_alias.py::test_event_alias_by_service_id[s3-s3]",
            "test_history.py",
            "test_httpchecksum.py",
            "test_plugins.py",
            "test_regions.py",
            "test_retry.py",
            "test_s3.py",
            "test_s3_control.py",
            "test_s3_control_redirects.py",
            "test_s3express.py",
            "test_session.py",
            "test_stub.py",
            "test_useragent.py",
        )
    ),
    "tests/unit/test_s3_addressing.py",
    "tests/unit/test_signers.py",
)

SUITES = {
    "botocore": Suite(BOTOCORE, stubbed=True),
    # moto runs AWS Lambda in Docker; without it each of those tests waits for minutes.
    "moto": Suite(("tests/test_s3",), variables=(("TESTS_SKIP_REQUIRES_DOCKER", "true"),)),
    "s3fs": Suite(("s3fs/tests",), server=True),
    "s3transfer": Suite(("tests/functional", "tests/unit"), stubbed=True),
    "smart_open": Suite(("tests/test_s3.py", "tests/test_s3_version.py")),
}

# These count moto's S3 requests in buckets with a new name each time, so that no second run of them is warm. Denied,
# they see the HeadBucket that looks the bucket's region up.
COUNTS_CALLS = frozenset(
    {
        "tests/test_s3/test_s3_auth.py::test_delete_objects_without_access_throws_custom_error",
        "tests/test_s3/test_s3_logging.py::test_log_file_is_created",
    }
)

COUNTS = "counts calls"
OWN_KEY = "is about the caller's own key"
NOT_REPEATABLE = "changes without the package too"
UNEXPLAINED = "CHANGED"


@dataclass
class RunResult:
    """One run: each test's result, why it failed, the control calls it saw; who signed the S3 requests of all.

    ``loaded``: how many S3 clients had the package, or the other key, in them.
    """

    results: dict[str, str]
    reasons: dict[str, str]
    calls: dict[str, list[str]]
    signed: dict[str, int]
    loaded: int = 0
    load_errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """Say how many tests had which result."""
        return ", ".join(f"{count} {result}" for result, count in sorted(Counter(self.results.values()).items()))

    def outcome(self, test: str) -> tuple[str | None, str]:
        """Return a test's result and the kind of error it ended with."""
        return self.results.get(test), self.reasons.get(test, "").partition(":")[0]


class Runner:
    """Runs tests of one suite, each run in a process of its own."""

    def __init__(self, suite: Suite, checkout: Path, folder: Path) -> None:
        self._suite = suite
        self._checkout = checkout
        self._folder = folder
        self._runs = 0

    def run(self, mode: Mode, tests: Iterable[str]) -> RunResult:
        """Run tests and read the record that the plugin wrote."""
        self._runs += 1
        report, log = self._folder / f"{self._runs}.json", self._folder / f"{self._runs}.log"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "other_suites_plugin", "-p", "no:cacheprovider"]
        # The suites' own options ask for more plugins (xdist, reruns), and a test that is run again hides a change.
        command += ["-o", "addopts=", *tests]
        # Where a test hangs, the log says in which line.
        command += ["-o", f"faulthandler_timeout={SECONDS_PER_RUN // 2}"]
        begun = time.monotonic()
        with log.open("wb") as output:
            try:
                code = subprocess.run(
                    command,
                    cwd=self._checkout,
                    env=self._environment(mode, report),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=SECONDS_PER_RUN,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = None
        # 0 and 1: all tests were run. Anything else is a run that was cut short and must not be compared.
        if code not in (0, 1) or not report.exists():
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
            ending = f"pytest ended with {code}" if code is not None else f"pytest was killed after {SECONDS_PER_RUN} s"
            sys.exit(f"{tail}\n{mode}: {ending} and did not run the whole suite")
        result = RunResult(**json.loads(report.read_text(encoding="utf-8")), seconds=time.monotonic() - begun)
        if result.load_errors:
            sys.exit(f"{mode}: the package could not be loaded into a client: {result.load_errors[0]}")
        return result

    def _environment(self, mode: Mode, report: Path) -> dict[str, str]:
        """Return the child's environment, without the AWS settings of whoever runs this."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_ACCESS_GRANTS_"))}
        kept.pop("BOTOCORE_EXPERIMENTAL__PLUGINS", None)
        # The folder of this package too: it need not be installed.
        path = os.pathsep.join(filter(None, (str(TOOLS), str(TOOLS.parent), os.environ.get("PYTHONPATH"))))
        return kept | {
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "OTHER_SUITES_VARIANT": mode.variant,
            "OTHER_SUITES_WARM": "1" if mode.warm else "",
            "OTHER_SUITES_REPORT": str(report),
            "OTHER_SUITES_SERVER": "1" if self._suite.server else "",
            "OTHER_SUITES_STUBBED": "1" if self._suite.stubbed else "",
            **dict(self._suite.variables),
        }


def changed_tests(before: RunResult, after: RunResult) -> list[str]:
    """Return the tests that have another result, those included that only one of the runs has."""
    tests = {*before.results, *after.results}
    return sorted(test for test in tests if before.results.get(test) != after.results.get(test))


def is_one_cold_start(calls: list[str]) -> bool:
    """Tell whether control calls are those of a cold start: there are some, and none was made twice."""
    return bool(calls) and len(calls) == len(set(calls))


class Comparison:
    """The runs of one suite with the package, beside one without it, and why results changed."""

    def __init__(self, runner: Runner, before: RunResult) -> None:
        self._runner = runner
        self._before = before
        self._runs: dict[Mode, RunResult] = {}
        self._changed: dict[Mode, list[str]] = {}
        self._reruns: dict[Mode, RunResult] = {}

    def run(self, mode: Mode, tests: Iterable[str]) -> None:
        """Run the suite in a mode, and print how many results changed."""
        after = self._runs[mode] = self._runner.run(mode, tests)
        if not after.loaded:
            sys.exit(f"{mode}: no test made an S3 client that the package is in")
        changed = self._changed[mode] = changed_tests(self._before, after)
        # A warm run has the calls of each test's first run too, under another name.
        calls = [after.calls[test] for test in after.results if test in after.calls]
        print(
            f"{mode}: {after.summary()}; {len(changed)} changed; in {after.loaded} S3 clients; "
            f"S3 requests signed with a grant: {after.signed.get('a grant', 0)} of {sum(after.signed.values())}; "
            f"control calls: {sum(map(len, calls))} in {len(calls)} tests; {after.seconds:.0f} s",
        )
        for test in changed:
            print(f"  {test}: {self._before.results.get(test)} → {after.results.get(test)}", flush=True)

    def print_changes(self) -> int:
        """Print each test that changed, with the reason. Returns how many changes have none."""
        unexplained = 0
        for mode, changed in self._changed.items():
            changes = self._explain(mode, changed)
            unexplained += sum(kind == UNEXPLAINED for kind in changes.values())
            if changes:
                print(f"{mode}:")
            for test, kind in sorted(changes.items(), key=lambda change: (change[1], change[0])):
                self._print_change(mode, test, kind)
        print(f"{unexplained} changes without an explanation")
        return unexplained

    def _print_change(self, mode: Mode, test: str, kind: str) -> None:
        before, after = self._before, self._runs[mode]
        print(f"  {kind}: {test}: {before.results.get(test)} → {after.results.get(test)}")
        print(f"    {after.reasons.get(test) or before.reasons.get(test) or 'no reason given'}")
        print(f"    control calls: {'; '.join(after.calls.get(test, [])) or 'none'}", flush=True)

    def _explain(self, mode: Mode, changed: list[str]) -> dict[str, str]:
        before, after = self._before, self._runs[mode]
        alone = self._rerun(Mode("without", mode.warm))
        warm = self._runs.get(Mode(mode.variant, warm=True)) or self._rerun(Mode(mode.variant, warm=True))
        # What a signature depends on is the key, and that does not depend on what is remembered.
        resigned = self._rerun(Mode("resigned"))

        def explanation(test: str) -> str:
            if test not in after.results:
                return UNEXPLAINED
            if alone.results.get(test) != before.results.get(test):
                return NOT_REPEATABLE
            cold_start = not mode.warm and is_one_cold_start(after.calls.get(test, []))
            same_when_warm = warm.results.get(test) == before.results.get(test) and not warm.calls.get(test)
            if (cold_start and same_when_warm) or (mode.variant == "denied" and test in COUNTS_CALLS):
                return COUNTS
            if mode.variant == "granted" and resigned.outcome(test) == after.outcome(test):
                return OWN_KEY
            return UNEXPLAINED

        return {test: explanation(test) for test in changed}

    def _rerun(self, mode: Mode) -> RunResult:
        """Run all tests that changed in any mode, and no other; once."""
        if mode not in self._reruns:
            present = {
                test for other, tests in self._changed.items() for test in tests if test in self._runs[other].results
            }
            nothing = RunResult({}, {}, {}, {})
            self._reruns[mode] = self._runner.run(mode, sorted(present)) if present else nothing
        return self._reruns[mode]


def main() -> int:
    """Run a suite without the package and in each mode, and print what changed."""
    parser = argparse.ArgumentParser(description="Runs another project's S3 tests through S3 Access Grants.")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("checkout", type=Path, help="a checkout of that project")
    parser.add_argument("--only", nargs="+", metavar="TEST", help="these tests of it, instead of all about S3")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES), help="default: all")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    tests = options.only or suite.paths
    missing = [test for test in tests if not (options.checkout / test.partition("::")[0]).exists()]
    if missing:
        parser.error(f"{options.checkout} is no checkout of {options.suite}: it has no {missing[0]}")
    with tempfile.TemporaryDirectory() as name:
        runner = Runner(suite, options.checkout, Path(name))
        before = runner.run(Mode("without"), tests)
        print(
            f"{options.suite} without the package: {len(before.results)} tests, {before.summary()}; "
            f"S3 requests: {sum(before.signed.values())}; {before.seconds:.0f} s",
            flush=True,
        )
        comparison = Comparison(runner, before)
        for mode in map(MODES.__getitem__, options.modes):
            comparison.run(mode, tests)
        return 1 if comparison.print_changes() else 0


if __name__ == "__main__":
    sys.exit(main())
