"""Runs the tests of moto, s3fs or smart_open with this package autoloaded, and says which of them notice.

``python tools/other_suites.py moto PATH``, where PATH is a checkout of the project whose requirements for testing
are installed. Nothing is fetched, and nothing is written into the checkout. The suite runs three times: without the
package, then with ``BOTOCORE_EXPERIMENTAL__PLUGINS`` set and one grant READWRITE on everything, then with every grant
denied. Each test starts cold, in its own S3 and with its own keys; see ``other_suites_plugin.py``.

A test that changes its result is run again, warm: it is right for it to change if it counts the calls of the process,
its calls are those of one cold start, and its old result is back once there are none. Exits with 1 if any other does,
but for those named in ``ABOUT_THE_CALLER`` and ``COUNTING``.
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

SCRIPTS = Path(__file__).parent
MODES = ("granted", "denied")


@dataclass(frozen=True)
class Suite:
    """Which tests of a checkout are about S3. ``endpoint``: its S3 is a server, so Access Grants has to be one too."""

    paths: tuple[str, ...]
    endpoint: bool = False
    variables: tuple[tuple[str, str], ...] = ()


SUITES = {
    # moto runs AWS Lambda in Docker; without it each of those tests waits for minutes.
    "moto": Suite(("tests/test_s3",), variables=(("TESTS_SKIP_REQUIRES_DOCKER", "true"),)),
    "s3fs": Suite(("s3fs/tests",), endpoint=True),
    "smart_open": Suite(("tests/test_s3.py", "tests/test_s3_version.py")),
}

# These have moto's IAM accept or refuse the caller's own key. Under a grant S3 is asked by the grant's session instead,
# which moto's IAM does not know; so they change in that run, whoever puts a grant's credentials there.
ABOUT_THE_CALLER = frozenset(
    f"tests/test_s3/test_s3_auth.py::{name}"
    for name in (
        "test_delete_objects_without_access_throws_custom_error",
        "test_head_bucket_with_correct_credentials",
        "test_head_bucket_with_incorrect_credentials",
    )
)

# These count moto's S3 requests in buckets with a new name each time, so that no second run of them is warm. Denied,
# they see the HeadBucket that looks the bucket's region up.
COUNTING = frozenset(
    {
        "tests/test_s3/test_s3_auth.py::test_delete_objects_without_access_throws_custom_error",
        "tests/test_s3/test_s3_logging.py::test_log_file_is_created",
    }
)


@dataclass
class Ran:
    """One run: each test's result, why it failed, the control calls it saw; who signed the S3 requests of all."""

    results: dict[str, str]
    reasons: dict[str, str]
    calls: dict[str, list[str]]
    signed: dict[str, int]
    seconds: float = 0.0

    def counted(self) -> str:
        """Say how many tests had which result."""
        return ", ".join(f"{count} {result}" for result, count in sorted(Counter(self.results.values()).items()))


@dataclass
class Compared:
    """What a run with the package changed: tests that count calls, those about the caller's own key, and others."""

    counting: list[str] = field(default_factory=list)
    about_the_caller: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def run(suite: Suite, checkout: Path, mode: str, tests: Iterable[str], folder: Path) -> Ran:
    """Run tests of a suite in a process of their own and read its record."""
    report, log = folder / f"{mode}.json", folder / f"{mode}.log"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "other_suites_plugin", "-p", "no:cacheprovider"]
    # Their own options ask for more plugins (xdist, reruns), and a test that is run again must not hide a change.
    command += ["-o", "addopts=", *tests]
    begun = time.monotonic()
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            cwd=checkout,
            env=environment(suite, mode, report),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    # 0 and 1: all tests were run. Anything else is a run that was cut short and must not be compared.
    if done.returncode not in (0, 1) or not report.exists():
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
        sys.exit(f"{tail}\n{mode}: pytest ended with {done.returncode} and did not run the whole suite")
    return Ran(**json.loads(report.read_text(encoding="utf-8")), seconds=time.monotonic() - begun)


def environment(suite: Suite, mode: str, report: Path) -> dict[str, str]:
    """Return the child's environment: nothing of the person's own AWS settings, and the package where it is wanted."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_ACCESS_GRANTS_"))}
    # The folder of this package too: it need not be installed.
    path = os.pathsep.join(filter(None, (str(SCRIPTS), str(SCRIPTS.parent), os.environ.get("PYTHONPATH"))))
    kept |= {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "OTHER_SUITES_MODE": mode,
        "OTHER_SUITES_REPORT": str(report),
        "OTHER_SUITES_ENDPOINT": "1" if suite.endpoint else "",
        **dict(suite.variables),
    }
    kept.pop("BOTOCORE_EXPERIMENTAL__PLUGINS", None)
    if mode != "without":
        kept["BOTOCORE_EXPERIMENTAL__PLUGINS"] = "access-grants=access_grants_provider"
    return kept


def differing(before: Ran, after: Ran) -> list[str]:
    """Return the tests that have another result, those included that only one of the runs has."""
    tests = {*before.results, *after.results}
    return sorted(test for test in tests if before.results.get(test) != after.results.get(test))


def is_one_cold_start(calls: list[str]) -> bool:
    """Tell whether control calls are those of a cold start: there are some, and none was made twice."""
    return bool(calls) and len(calls) == len(set(calls))


def compare(suite: Suite, checkout: Path, mode: str, before: Ran, after: Ran, folder: Path) -> Compared:
    """Sort the tests that changed."""
    changed, found = differing(before, after), Compared()
    if not changed:
        return found
    warm = run(suite, checkout, f"{mode}-warm", [test for test in changed if test in after.results], folder)
    for test in changed:
        same_when_warm = warm.results.get(test) == before.results.get(test)
        counts = same_when_warm and not warm.calls.get(test) and is_one_cold_start(after.calls.get(test, []))
        if counts or (mode == "denied" and test in COUNTING and is_one_cold_start(after.calls.get(test, []))):
            found.counting.append(test)
        elif mode == "granted" and test in ABOUT_THE_CALLER:
            found.about_the_caller.append(test)
        else:
            found.others.append(test)
    return found


def main() -> int:
    """Run a suite three times and print what changed."""
    parser = argparse.ArgumentParser(description="Runs another project's S3 tests through S3 Access Grants.")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("checkout", type=Path, help="a checkout of that project")
    parser.add_argument("--only", nargs="+", metavar="TEST", help="these tests of it, instead of all about S3")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    tests = options.only or suite.paths
    missing = [test for test in tests if not (options.checkout / test.partition("::")[0]).exists()]
    if missing:
        parser.error(f"{options.checkout} is no checkout of {options.suite}: it has no {missing[0]}")
    unexplained = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = run(suite, options.checkout, "without", tests, folder)
        print(f"{options.suite} without us: {len(before.results)} tests, {before.counted()}; {before.seconds:.0f} s")
        for mode in MODES:
            after = run(suite, options.checkout, mode, tests, folder)
            found = compare(suite, options.checkout, mode, before, after, folder)
            unexplained += len(found.others)
            print_run(mode, before, after, found)
    return 1 if unexplained else 0


def print_run(mode: str, before: Ran, after: Ran, found: Compared) -> None:
    """Print one run with the package, and each test that changed."""
    kinds = (
        ("counts calls", found.counting),
        ("is about the caller's own key", found.about_the_caller),
        ("CHANGED", found.others),
    )
    changed = sum(len(tests) for _, tests in kinds)
    total, calls = sum(after.signed.values()), sum(len(made) for made in after.calls.values())
    print(
        f"{mode}: {after.counted()}; {changed} changed, {len(found.others)} unexplained; "
        f"S3 requests signed with a grant: {after.signed.get('a grant', 0)} of {total}; "
        f"control calls: {calls} in {len(after.calls)} tests; {after.seconds:.0f} s"
    )
    for kind, tests in kinds:
        for test in tests:
            print(f"  {kind}: {test}: {before.results.get(test)} → {after.results.get(test)}")
            print(f"    {after.reasons.get(test) or before.reasons.get(test) or 'no reason given'}")
            print(f"    control calls: {'; '.join(after.calls.get(test, [])) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
