"""The README and the pages of the site: each block of code runs, each link leads somewhere, each table is complete."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import botocore.configloader
import pytest

import access_grants_provider
from access_grants_provider.adapters.libraries import NATIVE_LIBRARIES
from access_grants_provider.core import config, operations, service_errors
from access_grants_provider.registration import _registry

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
ALL_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
AUTOLOAD = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}
SECONDS = 120


class Block(NamedTuple):
    """A block of code on a page; ``mark`` is the comment above it."""

    page: Path
    line: int
    mark: str
    language: str
    code: str

    @property
    def place(self) -> str:
        """Where it is, as a test's name."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def needs(self) -> list[str]:
        """The libraries without which it does not run."""
        return self.mark.removeprefix("needs: ").split(", ") if self.mark.startswith("needs: ") else []

    @property
    def is_test(self) -> bool:
        """Whether it holds tests, and not a program."""
        return "def test_" in self.code


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    fences = re.finditer(r"^(?:<!-- (.*?) -->\n)?```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(page, text.count("\n", 0, fence.start()) + 1, fence[1] or "", fence[2], fence[3]) for fence in fences]


def written_in(*languages: str) -> list[Block]:
    """Return the blocks in these languages."""
    return [block for block in BLOCKS if block.language in languages]


def each(blocks: list[Block]) -> pytest.MarkDecorator:
    """Run a test for each of some blocks; what starts processes runs in the exhaustive lane."""
    slow = [pytest.mark.exhaustive]
    cases = [
        pytest.param(block, id=block.place, marks=slow if "import subprocess" in block.code else []) for block in blocks
    ]
    return pytest.mark.parametrize("block", cases)


# tests/ecosystem/test_matrix.py runs what is on that page.
BLOCKS = [block for page in PAGES if page.name != "libraries.md" for block in blocks_of(page)]
EXCERPTS = [block for block in written_in("python") if block.mark.startswith("examples/")]
FOREIGN = [block for block in written_in("python") if block.needs]
TESTS = [block for block in written_in("python") if block.is_test]
PROGRAMS = [block for block in written_in("python") if not block.mark and not block.is_test]
SHELL = [block for block in written_in("sh") if not block.mark.startswith("command: ")]
LOGGER = re.compile(r"(?:getLogger\(|_LOGGER = )\"(access_grants_provider\.[\w.]+)\"")
LIBRARIES = re.compile(r"^(?:import|from) (aiobotocore)\b", re.MULTILINE)
# Made by programs that run what they show; `python -m tools.docs --check` compares them.
GENERATED = ("aws-cli.md", "commands.md")


def test_each_block_is_of_a_kind_that_is_run_or_compared():
    kinds = [EXCERPTS, FOREIGN, TESTS, PROGRAMS, SHELL, written_in("ini")]
    assert all(kinds)
    known = {id(block) for kind in kinds for block in kind}
    others = [block for block in BLOCKS if id(block) not in known and block.page.name not in GENERATED]
    assert {block.language for block in others} <= {"text", "sh", "yaml"}, [block.place for block in others]
    assert [block.mark for block in others if block.language == "sh"] == ["command: demo", "command: test"]


# Python


def set_up(grants, region=None):
    """Give alice a grant, and something to read under it."""
    grants.bucket("sales", region)
    alice = grants.identity("alice")
    grants.grant(alice, "s3://sales/emea/*", "READ")
    grants.put("s3://sales/emea/2026/q3.csv", b"1")
    return alice


def run_here(block, request, monkeypatch):
    """Run a program. What calls AWS in it calls the local service instead, as a caller with a grant."""
    for library in LIBRARIES.findall(block.code):
        pytest.importorskip(library, reason=f"{library} is not installed; the ecosystem's environment has it")
    if "aiobotocore" in block.code:
        server = request.getfixturevalue("access_grants_server")
        for name, value in server.environment(set_up(server)).items():
            monkeypatch.setenv(name, value)
    elif "access_grants_provider.testing" not in block.code:
        alice = set_up(request.getfixturevalue("access_grants"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", alice.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", alice.secret_access_key)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    exec(compile(block.code, str(block.page), "exec"), {})


@each(PROGRAMS)
def test_a_program_runs_and_prints_what_its_comments_say(block, request, monkeypatch, capsys):
    run_here(block, request, monkeypatch)
    printed = capsys.readouterr().out
    said = re.findall(r"print\(.*\)  # (.*)$", block.code, re.MULTILINE)
    for text in said:
        parts = [part.strip() for part in text.replace("(AKIA…1234)", "...").split("...")]
        assert all(part in printed for part in parts), (text, printed)


@each(EXCERPTS)
def test_an_excerpt_is_what_its_example_says_which_runs_with_its_libraries(block):
    lines = iter((ROOT / block.mark).read_text(encoding="utf-8").splitlines())
    assert [line for line in block.code.splitlines() if line and line not in lines] == []


@each(FOREIGN)
def test_a_program_of_another_library_is_python_and_names_what_there_is(block):
    compile(block.code, str(block.page), "exec")
    for module in re.findall(r"from access_grants_provider\.adapters import (\w+) as grants", block.code):
        text = (ROOT / "access_grants_provider" / "adapters" / f"{module}.py").read_text(encoding="utf-8")
        (public,) = re.findall(r"^__all__ = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        for function in re.findall(r"grants\.(\w+)\(", block.code):
            assert f'"{function}"' in public


@pytest.mark.ecosystem
@each(FOREIGN)
def test_a_program_of_another_library_runs_under_grants_alone(block, access_grants_server, tmp_path):
    """In a process of its own, since these libraries leave native threads behind."""
    for library in block.needs:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed; the ecosystem's environment has it")
    server = access_grants_server
    alice = set_up(server, "eu-west-1")
    server.grant(alice, "s3://sales/reports/*", "READWRITE")
    if "parquet" in block.code or "dataset" in block.code:
        server.put("s3://sales/emea/2026/part.0.parquet", parquet())
    # A dataset reads all of its folder. The file of text is for the others.
    if "ds.dataset(" in block.code:
        server.client("s3").delete_object(Bucket="sales", Key="emea/2026/q3.csv")
        server.forget_requests()
    if "duckdb" in block.needs:
        run([sys.executable, "-c", INSTALL_HTTPFS], tmp_path, {})
    program = tmp_path / "program.py"
    program.write_text(block.code, encoding="utf-8")
    run([sys.executable, "-c", RUN_AND_LEAVE], tmp_path, server.environment(alice) | native_settings(server))
    assert {one.signer for one in server.s3_requests()} <= {"grant"}
    assert server.s3_requests() or "opentelemetry" in block.needs


# Not through the interpreter's end: a thread of pyarrow that still calls Python then aborts the process, in 1 of 10 of
# such short programs. https://github.com/apache/arrow/issues/36980
RUN_AND_LEAVE = """
import os, runpy, sys

runpy.run_path("program.py", run_name="__main__")
sys.stdout.flush()
os._exit(0)
"""
# DuckDB's S3 is an extension, which it downloads. The package duckdb-extension-httpfs brings it for some versions.
INSTALL_HTTPFS = """
import importlib.util, pathlib, shutil
import duckdb

platform = duckdb.sql("PRAGMA platform").fetchone()[0]
folder = pathlib.Path.home() / ".duckdb" / "extensions" / f"v{duckdb.__version__}" / platform
package = importlib.util.find_spec("duckdb_extension_httpfs")
if package is not None:
    folder.mkdir(parents=True)
    name = f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
    shutil.copy(pathlib.Path(package.origin).parent / name, folder)
"""


def native_settings(server):
    """Return what points the libraries that sign in C++ and Rust to the local service."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-west-1",
    }


def parquet() -> bytes:
    """Return a file with one column."""
    pyarrow = pytest.importorskip("pyarrow", reason="makes the Parquet file of this test")
    from pyarrow import parquet

    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"amount": [1, 2]}), sink)
    return bytes(sink.getvalue())


@pytest.mark.exhaustive
@each(TESTS)
def test_a_test_passes_in_a_project_of_its_own(block, tmp_path):
    (tmp_path / "test_block.py").write_text(block.code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    assert "1 passed" in run(command, tmp_path, {})


def test_the_programs_left_nothing_registered_for_later_tests():
    assert not _registry.autoloaded


# The shell and configuration files


def run(command: list[str], folder: Path, variables: dict[str, str]) -> str:
    """Run a command in a folder, which is its home too, and return what it prints. It has to end well."""
    tools = str(Path(sys.executable).parent)
    kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH") if name in os.environ}
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), **kept, **variables}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.exhaustive
@each([block for block in SHELL if not block.code.startswith("pip install")])
def test_the_lines_for_a_shell_run(block, access_grants_server, tmp_path):
    for tool in re.findall(r"(?:^|-- )(aws) ", block.code, re.MULTILINE):
        if shutil.which(tool, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") is None:
            pytest.skip(f"there is no {tool} here: install the extra test-cli")
    server = access_grants_server
    alice = set_up(server)
    server.grant(alice, "s3://sales/emea/*", "WRITE")
    program = "import boto3\nprint(boto3.client('s3').list_objects_v2(Bucket='sales', Prefix='emea/')['KeyCount'])\n"
    if "WRITE" in block.code:
        program = program.replace("list_objects_v2(Bucket='sales', Prefix='emea/')['KeyCount']", "meta.region_name")
    if "serve" in block.code:
        # The bucket of that service is empty, and its grant is for all of it.
        program = "import boto3\nprint(boto3.client('s3').meta.endpoint_url)\n"
    (tmp_path / "your_program.py").write_text(program, encoding="utf-8")
    run(["bash", "-eu", "-c", block.code], tmp_path, server.environment(alice))
    assert {one.signer for one in server.s3_requests()} <= {"grant"}


def test_what_is_installed_are_extras_that_there_are():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    there = set(settings["options.extras_require"])
    named = {
        extra
        for page in ALL_PAGES
        for extras in re.findall(r"pip install[^`\n]*\[([\w,-]+)\]'", page.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert named
    assert named <= there


@each([block for block in written_in("ini") if block.page.name != "commands.md"])
def test_a_configuration_file_can_be_read_and_its_options_are_ours(block, tmp_path):
    file = tmp_path / "config"
    file.write_text(block.code, encoding="utf-8")
    profiles = botocore.configloader.load_config(str(file))["profiles"]
    for profile in profiles.values():
        config.load({}, config=None, environ={}, profile=profile)
        assert config.misspelt_settings({}, profile) == []


# Tables


def test_the_readme_fits_into_200_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("name", ["README.md", "docs/options.md"])
def test_the_options_table_is_complete(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (anywhere|`register\(\)`) \|$", text, re.MULTILINE)
    assert [option for option, _ in rows] == list(access_grants_provider.AccessGrantsConfig.__dataclass_fields__)
    assert tuple(option for option, where in rows if where == "anywhere") == config.TEXT_NAMES


def test_the_table_of_requests_is_complete():
    text = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]\w+(?:, \w+)*)(?: within a bucket)? \| (READ|WRITE|READWRITE)\b", text, re.MULTILINE)
    named = {operation: permission for some, permission in rows for operation in some.split(", ")}
    assert named == {operation: row.permission for operation, row in operations.OPERATIONS.items()}
    conditional = {one for one, row in operations.OPERATIONS.items() if row.if_match}
    (with_if_match,) = re.findall(r"^\| (.*) \| WRITE; with `IfMatch`", text, re.MULTILINE)
    assert set(with_if_match.split(", ")) == conditional


@pytest.mark.parametrize("name", ["README.md", "docs/howto/index.md"])
def test_every_library_that_signs_by_itself_is_in_the_table_of_libraries(name):
    text = re.sub(r"\]\(.*?\)", "]", (ROOT / name).read_text(encoding="utf-8"))
    rows = re.findall(r"^\| .*(?:\*\*no\*\*|FsspecFileIO).*", text, re.MULTILINE)
    for library in NATIVE_LIBRARIES:
        (row,) = [row for row in rows if re.search(rf"\b{library.name}\b", row.partition(" | ")[0])]
        assert f".{library.adapter}`" in row


def test_the_readme_counts_programs_as_the_page_does():
    texts = [path.read_text(encoding="utf-8") for path in (README, ROOT / "docs" / "libraries.md")]
    counts = [re.search(r"(\d+) (?:everyday )?programs.*?\n\n", text, re.DOTALL) for text in texts]
    numbers = [set(re.findall(r"\d+", found[0].replace("S3", ""))) for found in counts if found]
    assert len(numbers) == 2
    assert numbers[0] == numbers[1]


def test_every_code_of_an_error_is_in_the_table_of_errors_with_an_anchor():
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r'^\| <a id="([\w-]+)"></a>`([\w-]+)`<br>`(\w+)` \|', text, re.MULTILINE)
    assert all(anchor == code for anchor, code, _ in rows)
    assert "none<br>`ConfigurationError` |" in text
    errors = access_grants_provider.exceptions
    named = {getattr(errors, name).code: name for name in errors.__all__ if name != "AccessGrantsError"}
    denials = {kind.replace(" ", "-"): error.__name__ for kind, error in service_errors.ERRORS.items()}
    del named[None]
    assert {code: error for _, code, error in rows} == {**named, **denials}


def test_every_logger_of_the_package_is_in_the_table_of_loggers():
    text = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(access_grants_provider\.\w+)` \|", text, re.MULTILINE)
    used = set()
    for path in (ROOT / "access_grants_provider").rglob("*.py"):
        used.update(LOGGER.findall(path.read_text(encoding="utf-8")))
    assert set(named) == used


def test_the_decision_table_is_that_of_the_resolver():
    path = ROOT / "tools" / "docs" / "decision_table.py"
    spec = importlib.util.spec_from_file_location("decision_table", path)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    text = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    assert generator.render(text) == text, "run python -m tools.docs"
    assert "1. fresh credentials" in text


# Links


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as mkdocs and GitHub name them both, and those that are set."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"\{ ?#([\w-]+) ?\}|<a id=\"([\w-]+)\"", text))
    headings = re.findall(r"^#+ (.*?)(?: \{.*\})?$", text, re.MULTILINE)
    slugs = {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}
    return slugs | {name for pair in named for name in pair if name}


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        there = page.parent / link if link else page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), f"{link}#{anchor}"


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_modules_that_a_page_names_exist(page):
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text(encoding="utf-8"))
    folders = (ROOT, ROOT / "access_grants_provider", ROOT / "tests")
    assert [name for name in named if not any((folder / name).exists() for folder in folders)] == []


def test_each_page_is_in_the_menu_of_the_site():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"([\w/-]+\.md)$", text, re.MULTILINE))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in PAGES if page != README}
