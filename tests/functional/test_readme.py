"""Every Python block of the README runs, and its commands are those that CI runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import access_grants_provider
from access_grants_provider.core.config import TEXT_NAMES
from access_grants_provider.registration import _registry

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
PAGES = [README, README.parent / "CONTRIBUTING.md", README.parent / "SECURITY.md"]
EXCERPTS = re.findall(r"^<!-- (examples/\w+\.py) -->\n```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
# These call AWS from C++ and Rust. tests/ecosystem runs the adapters, with the libraries.
ADAPTERS = re.findall(r"^<!-- adapter -->\n```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"(?<! -->\n)^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PROGRAMS = [block for block in BLOCKS if "def test_" not in block]
TESTS = [block for block in BLOCKS if "def test_" in block]

LOGGER = re.compile(r"(?:getLogger\(|_LOGGER = )\"(access_grants_provider\.[\w.]+)\"")
LIBRARIES = re.compile(r"^(?:import|from) (aiobotocore)\b", re.MULTILINE)


def on_a_server(server, monkeypatch):
    """Have what calls AWS call the local service over HTTP instead, as a caller with a grant."""
    server.bucket("sales")
    alice = server.identity("alice")
    server.grant(alice, "s3://sales/emea/*", "READ")
    server.put("s3://sales/emea/2026/q3.csv", b"1")
    for name, value in server.environment(alice).items():
        monkeypatch.setenv(name, value)


def test_there_are_blocks_of_both_kinds():
    assert len(PROGRAMS) >= 5
    assert TESTS


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_runs(program, monkeypatch, request):
    for library in LIBRARIES.findall(program):
        pytest.importorskip(library, reason=f"{library} is not installed; the ecosystem's environment has it")
    code = compile(program, "README.md", "exec")
    if "testing" in program:
        exec(code, {})
        return
    if "aiobotocore" in program:
        on_a_server(request.getfixturevalue("access_grants_server"), monkeypatch)
        exec(code, {})
        return
    # The same lines call the local service here instead of AWS, as a caller with a grant.
    grants = request.getfixturevalue("access_grants")
    alice = grants.identity("alice")
    grants.bucket("sales")
    grants.grant(alice, "s3://sales/emea/*", "READ")
    grants.put("s3://sales/emea/2026/q3.csv", b"1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", alice.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", alice.secret_access_key)
    exec(code, {})


def test_the_comments_of_a_program_are_true(access_grants, monkeypatch, capsys):
    grants = access_grants
    alice = grants.identity("alice")
    grants.bucket("sales")
    grants.grant(alice, "s3://sales/emea/*", "READ")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", alice.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", alice.secret_access_key)
    (explaining,) = [one for one in PROGRAMS if "explain(" in one]
    exec(compile(explaining, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] in explaining
    assert printed.startswith("granted READ s3://sales/emea/*")
    (refused,) = [one for one in PROGRAMS if "print(error)" in one]
    exec(compile(refused, "README.md", "exec"), {})
    assert "READ on 's3://sales/apac/2026/q3.csv'. Ask the owner" in capsys.readouterr().out


def test_an_excerpt_is_what_its_example_says_which_runs_with_its_libraries():
    assert EXCERPTS
    for name, excerpt in EXCERPTS:
        lines = iter((README.parent / name).read_text(encoding="utf-8").splitlines())
        missing = [line for line in excerpt.splitlines() if line and line not in lines]
        assert not missing, name


@pytest.mark.parametrize("program", ADAPTERS, ids=range(len(ADAPTERS)))
def test_the_block_of_an_adapter_is_python_and_names_what_there_is(program):
    compile(program, "README.md", "exec")
    (module,) = re.findall(r"from access_grants_provider\.adapters import (\w+) as grants", program)
    text = (README.parent / "access_grants_provider" / "adapters" / f"{module}.py").read_text(encoding="utf-8")
    for function in re.findall(r"grants\.(\w+)\(", program):
        assert f"def {function}(" in text


@pytest.mark.exhaustive
@pytest.mark.parametrize("program", TESTS, ids=range(len(TESTS)))
def test_a_test_passes_in_a_project_of_its_own(program, tmp_path):
    (tmp_path / "test_block.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_options_table_is_complete():
    options = re.search(r"^## Options\n.*?^```ini", TEXT, re.MULTILINE | re.DOTALL)
    assert options is not None
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", options[0], re.MULTILINE)
    assert [name for name, _ in rows] == list(access_grants_provider.AccessGrantsConfig.__dataclass_fields__)
    assert tuple(name for name, where in rows if where == "anywhere") == TEXT_NAMES


def test_every_logger_of_the_package_is_in_the_table_of_loggers():
    package = README.parent / "access_grants_provider"
    named = re.findall(r"^\| `(access_grants_provider\.\w+)` \|", TEXT, re.MULTILINE)
    used = set()
    for path in package.rglob("*.py"):
        used.update(LOGGER.findall(path.read_text(encoding="utf-8")))
    assert set(named) == used


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_modules_that_a_page_names_exist(page):
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text(encoding="utf-8"))
    folders = (README.parent, README.parent / "access_grants_provider", README.parent / "tests")
    assert [name for name in named if not any((folder / name).exists() for folder in folders)] == []


def test_the_programs_left_nothing_registered_for_later_tests():
    assert not _registry.autoloaded


def test_the_relative_links_lead_somewhere():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT):
        assert (README.parent / link).exists(), link
