"""The checks of this repository, each in an environment of its own: ``nox -l`` lists them, ``.ci/run`` runs them all.

``nox`` alone runs what a change needs at least: lint, types, and the fast lane on the newest Python. uv installs where
there is one. A session whose Python is missing on this machine is skipped; where ``CI`` is set it fails.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|venv"
nox.options.sessions = ["lint", "types", "tests-3.13"]

ROOT = Path(__file__).parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# The lowest botocore, with the aiobotocore and the AWS CLI that go with it; and the lowest moto.
LOWEST = ("botocore==1.39.9", "boto3==1.39.9", "aiobotocore==2.24.0", "awscli==1.41.9", "moto==5.2.5")
STUBS = ("boto3-stubs[s3,s3control,sts]", "botocore-stubs", "opentelemetry-api>=1.27")
# What the tests use where it is installed, beside the extras.
OPTIONAL = ("awscrt>=0.23.8", "httpx2>=2.0", "opentelemetry-sdk>=1.27", "trio>=0.27")
DUCKDB = ("duckdb==1.5.5", "duckdb-extension-aws==1.5.5", "duckdb-extension-httpfs==1.5.5")
ADAPTERS = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/ecosystem/test_adapters_*.py"))]
SHOWN = ("aio", "awscli", "awscrt", "boto", "moto", "pytest==", "s3fs")


def install(session: nox.Session, extras: str, *requirements: str, compiled: bool = True) -> None:
    """Install this checkout with its extras, and print which versions of AWS's libraries came.

    uv compiles nothing unless told to; then the processes that tests start at once each compile botocore. To compile
    all of other people's libraries takes 40 s of a core, and most of them is never imported.
    """
    session.install("-e", f".[{extras}]", *requirements, env={"UV_COMPILE_BYTECODE": str(int(compiled))})
    pip = ("uv", "pip") if session.venv_backend == "uv" else ("python", "-m", "pip")
    listed = str(session.run(*pip, "freeze", silent=True, external=True))
    session.log(" ".join(line for line in listed.splitlines() if line.startswith(SHOWN)))


def readme_command(name: str) -> str:
    """Return the command below the mark ``command: name`` in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition(f"<!-- command: {name} -->\n```sh\n")[2].partition("\n```")[0]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format, and look for insecure code."""
    session.install("ruff>=0.12", "bandit[toml]>=1.8")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("bandit", "-q", "-c", "pyproject.toml", "-r", "access_grants_provider")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: strictly in the package, less so in tests and examples."""
    install(session, "test", "mypy>=1.15", "nox", *STUBS)
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, and check that generated pages are what their programs write."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", "--quiet", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "-m", "tools.docs", "--check")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the fast lane, or what is named: ``nox -s tests-3.12 -- tests/unit``."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session(python="3.10")
def lowest(session: nox.Session) -> None:
    """Run the fast lane, and what else depends on versions, on the lowest ones, over both edges, with the AWS CLI."""
    install(session, "test-cli", *LOWEST)
    session.run("pytest", "-m", "not ecosystem and (not exhaustive or versions)", *session.posargs)


@nox.session(python="3.13")
def newest(session: nox.Session) -> None:
    """Take the coverage of the fast lane and the adapters on the newest versions, over both edges, with the AWS CLI.

    The botocore is the newest that aiobotocore goes with. Python 3.12 and later report lines by `sys.monitoring`, which
    costs 8 % of the time of the tests; a trace function, which measures branches too, costs 60 %. The other lanes would
    raise the coverage by nothing. The adapters run in processes of their own, because the libraries behind them leave
    native threads behind.
    """
    install(session, "test-matrix", "coverage>=7.10", *DUCKDB, compiled=False)
    session.run("coverage", "erase")
    for lane in (["not exhaustive and not ecosystem"], ["ecosystem", *ADAPTERS]):
        command = ("coverage", "run", "-m", "pytest", "-m", *lane, *session.posargs)
        session.run(*command, env={"COVERAGE_CORE": "sysmon"})
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python="3.12")
def exhaustive(session: nox.Session) -> None:
    """Run the exhaustive lane on the newest versions that aiobotocore goes with, over both edges, with the AWS CLI."""
    install(session, "test-cli", "aiobotocore", *OPTIONAL)
    session.run("pytest", "-m", "exhaustive and not ecosystem", *session.posargs, env=javascript(session))


@nox.session(python="3.12")
def ecosystem(session: nox.Session) -> None:
    """Run the libraries that read S3 for people, except the adapters, which the session `newest` runs."""
    install(session, "test-matrix", *DUCKDB, compiled=False)
    session.run(
        "pytest", "-m", "ecosystem and not engines", *(f"--ignore={file}" for file in ADAPTERS), *session.posargs
    )


@nox.session(python="3.12")
def engines(session: nox.Session) -> None:
    """Run programs on Ray, Spark and a dask cluster. Spark needs Java, and its tests are skipped without."""
    install(session, "test-engines")
    # Files, and not a folder: they run in one process, so that each starts its engine once.
    files = sorted(Path("tests/ecosystem").glob("test_engines_*.py"))
    session.run("pytest", "-m", "engines", *map(str, files), *session.posargs)


def javascript(session: nox.Session) -> dict[str, str]:
    """Install the SDK for JavaScript, if there is npm; one test has it read through ``credential_process``."""
    folder = folder_of(session, "javascript")
    command = [
        "npm",
        "install",
        "--silent",
        "--prefix",
        str(folder),
        "@aws-sdk/client-s3",
        "@aws-sdk/client-s3-control",
    ]
    try:
        subprocess.run(command, capture_output=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        session.warn(f"no SDK for JavaScript ({type(error).__name__}): the test with it is skipped")
        return {}
    return {"SDK_FOR_JAVASCRIPT": str(folder)}


@nox.session(python="3.12")
def aioboto3(session: nox.Session) -> None:
    """Run the tests that concern aioboto3, with the one older aiobotocore that it wants."""
    install(session, "test-aioboto3", "s3fs")
    files = ("tests/ecosystem/test_boto_family.py", "tests/functional/test_registration.py")
    session.run("pytest", "-m", "", *files, *session.posargs)


@nox.session(python="3.12")
def stress(session: nox.Session) -> None:
    """Run the soak for a minute, with threads and tasks, and the fuzzer for 20 seconds."""
    install(session, "fuzz", "aiobotocore>=2.24")
    session.run("python", "-m", "stress.soak", "--minutes", "1")
    session.run("python", "-m", "stress.fuzz", "--seconds", "20")
    session.run(
        "python", "-m", "stress.cold_workers", "--processes", "50", "--simulated", "1000", "--rates", "10", "50"
    )


@nox.session(python="3.11")
def benchmarks(session: nox.Session) -> None:
    """Fail when a ratio or a count leaves its bar. Times are shown and not judged."""
    install(session, "bench-aio")
    session.run("python", "-m", "benchmarks", "--quick", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the source distribution and the wheel into ``dist/``."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.install("build>=1.2")
    session.run("python", "-m", "build", "--outdir", "dist", silent=True)


@nox.session(requires=["build"])
def wheel(session: nox.Session) -> None:
    """Install the wheel with botocore alone: the package can be imported, the command says what it needs."""
    session.install(built_wheel(session))
    # Elsewhere, or the checkout would be imported.
    session.chdir(folder_of(session, "elsewhere"))
    program = "import access_grants_provider as package; package.register; print(package.__version__, package.__file__)"
    session.run("python", "-W", "error", "-c", program)
    session.run("access-grants", "demo", success_codes=[1])


@nox.session(python=PYTHONS)
def installed(session: nox.Session) -> None:
    """Run the fast lane against the wheel in ``dist/``: ``nox -s build installed-3.12``."""
    session.install(f"{built_wheel(session)}[test]")
    # A copy of the checkout without the package, so that the tests can import only what is installed.
    folder = folder_of(session, "checkout")
    copy_checkout(folder)
    shutil.rmtree(folder / "access_grants_provider")
    session.chdir(folder)
    session.run("pytest", *session.posargs)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Run the README's demo command as it stands, in a copy of the committed tree."""
    folder = folder_of(session, "checkout")
    copy_checkout(folder)
    session.chdir(folder)
    session.run("bash", "-euo", "pipefail", "-c", readme_command("demo"), external=True)


def folder_of(session: nox.Session, name: str) -> Path:
    """Make an empty folder. Not ``session.create_tmp()``, which moves the temporary folder of the tests as well."""
    folder = ROOT / ".nox" / f"{session.name}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def built_wheel(session: nox.Session) -> str:
    """Return the wheel in ``dist/``."""
    wheels = list((ROOT / "dist").glob("*.whl"))
    if len(wheels) != 1:
        session.error(f"dist/ holds {len(wheels)} wheels instead of one: run `nox -s build`")
    return str(wheels[0])


def copy_checkout(folder: Path) -> None:
    """Copy the committed tree into a folder."""
    tree = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=tree, check=True)
