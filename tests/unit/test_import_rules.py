"""The direction of the imports between folders, and what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import access_grants_provider

PACKAGE = Path(access_grants_provider.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Which rooms each room may import from, besides itself. `exceptions`, `provider`, … are files beside the folders.
MAY_IMPORT = {
    "exceptions": set(),
    "core": {"exceptions"},
    "disk": {"core", "exceptions"},
    "sdk": {"core", "disk", "exceptions"},
    "provider": {"core", "exceptions", "sdk"},
    "registration": {"core", "exceptions", "provider", "sdk"},
    "autoload": {"exceptions", "registration"},
    "awscli": {"core", "exceptions", "registration"},
    "otel": {"core", "exceptions", "provider"},
    "adapters": {"core", "exceptions", "provider", "registration"},
    "cli": {"adapters", "core", "disk", "exceptions", "provider", "registration", "sdk", "testing", ""},
    "testing": {""},
    "__main__": {"cli"},
}
CORE = [path for path in FILES if path.parent.name == "core"]
PUBLIC = {
    "AccessGrantsConfig",
    "AccessGrantsProvider",
    "CallerGrant",
    "Decision",
    "Stats",
    "VendedCredentials",
    "exceptions",
    "initialize_client_plugin",
    "register",
}
OPTIONAL = ["aioboto3", "aiobotocore", "aiohttp", "boto3", "click", "duckdb", "filelock", "flask", "moto", "obstore",
            "opentelemetry", "polars", "pyarrow", "rich", "s3transfer"]  # fmt: skip


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that is imported anywhere in a file, those under ``if TYPE_CHECKING`` too, by its full name."""
    here = ["access_grants_provider", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module.split(".") if node.module else [])])
            files = {f"{module}.{alias.name}" for alias in node.names}
            known = {one for one in files if one in MODULES}
            found |= known or {module}
    return found


MODULES = {f"access_grants_provider.{name_of(path)}" for path in FILES if name_of(path)}


def own_imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, without the package's name; ``""`` is its façade."""
    own = {name for name in imports(path) if name.partition(".")[0] == "access_grants_provider"}
    return {name.removeprefix("access_grants_provider").removeprefix(".") for name in own}


def room(module: str) -> str:
    return module.partition(".")[0]


def exported(path: Path) -> list[str]:
    # Read, not imported: some need a library that is not there.
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and [getattr(one, "id", None) for one in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def natural(name: str) -> tuple[int, str]:
    """As ruff sorts ``__all__``: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("path", [one for one in FILES if name_of(one)], ids=name_of)
def test_a_room_imports_only_from_the_rooms_below_it(path: Path) -> None:
    here = room(name_of(path))
    reached = {room(name) for name in own_imports(path)} - {here}
    assert reached <= MAY_IMPORT[here]


def test_no_two_modules_import_each_other() -> None:
    graph = {name_of(path): own_imports(path) for path in FILES}
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        assert name not in trail, " → ".join([*trail[trail.index(name) :], name])
        if name in done or name not in graph:
            return
        for other in graph[name]:
            if other != name:
                visit(other, [*trail, name])
        done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_the_standard_library_and_botocore_exceptions(path: Path) -> None:
    foreign = {name for name in imports(path) if room(name) not in sys.stdlib_module_names}
    assert {name for name in foreign if room(name) != "access_grants_provider"} <= {"botocore.exceptions"}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_does_no_io_and_reads_no_clock(path: Path) -> None:
    assert not imports(path) & {"asyncio", "http", "http.client", "socket", "subprocess", "urllib.request", "time"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_module_says_what_it_exports_in_order(path: Path) -> None:
    names = exported(path)
    assert names == sorted(set(names), key=natural)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_module_is_introduced(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_public_names_are_those_of_the_design() -> None:
    assert access_grants_provider.__all__ == sorted(access_grants_provider.__all__)
    assert set(access_grants_provider.__all__) - {"testing"} == PUBLIC
    assert all(hasattr(access_grants_provider, name) for name in PUBLIC)


def test_importing_it_loads_no_optional_package_and_nothing_of_the_edges_that_need_one() -> None:
    program = "import sys, access_grants_provider as package; package.register; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "access_grants_provider.core.resolver" in loaded
    assert not loaded & set(OPTIONAL)
    assert not loaded & {"access_grants_provider.testing", "access_grants_provider.cli"}


def test_a_program_without_an_s3_client_loads_almost_nothing() -> None:
    program = (
        "import os, sys, botocore.session\n"
        "os.environ['BOTOCORE_EXPERIMENTAL__PLUGINS'] = 'access-grants=access_grants_provider'\n"
        "botocore.session.Session().create_client('sqs', region_name='eu-west-1')\n"
        "print(*(name for name in sys.modules if name.startswith('access_grants_provider.')))"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["access_grants_provider.autoload"]


@pytest.mark.parametrize("path", [one for one in FILES if room(name_of(one)) in ("core", "sdk", "registration")])
def test_no_named_tuple_has_annotations_that_are_texts(path: Path) -> None:
    # To compile them takes a third of the time that a named tuple takes to make: 0.7 ms of the import.
    text = path.read_text()
    assert "(NamedTuple)" not in text or "from __future__ import annotations" not in text
