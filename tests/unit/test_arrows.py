"""The direction of the imports, and what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import access_grants_provider

PACKAGE = Path(access_grants_provider.__file__).parent
# Each may import what stands before it, the standard library and botocore.exceptions. Nothing else.
CORE = ["exceptions", "scopes", "operations", "decision", "config", "cache", "forks", "memory", "failures", "steps",
        "outages", "flights", "sharing", "vending", "asking", "flow", "listing"]  # fmt: skip
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))
PUBLIC = {
    "AccessGrantsConfig",
    "AccessGrantsProvider",
    "Decision",
    "exceptions",
    "initialize_client_plugin",
    "register",
}
OPTIONAL = ["aioboto3", "aiobotocore", "aiohttp", "boto3", "click", "duckdb", "filelock", "flask", "moto", "obstore",
            "opentelemetry", "polars", "pyarrow", "rich", "s3transfer"]  # fmt: skip


def parsed(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())


def imported(module: str) -> set[str]:
    """Every module that is imported anywhere in it, its own package's as ``.name``."""
    found = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level and not node.module:
            found |= {f".{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def exported(module: str) -> list[str]:
    # Read, not imported: some need a library that is not there.
    for node in parsed(module).body:
        if isinstance(node, ast.Assign) and [getattr(one, "id", None) for one in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise AssertionError(f"{module} has no __all__")


def bound(module: str) -> set[str]:
    """Every name that the module's own lines bind."""
    names = set()
    for node in parsed(module).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def natural(name: str) -> tuple[int, str]:
    """As ruff sorts ``__all__``: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_the_standard_library_botocore_exceptions_and_what_stands_before(module: str) -> None:
    before = {f".{name}" for name in CORE[: CORE.index(module)]}
    foreign = {name for name in imported(module) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign <= before | {"botocore.exceptions"}


@pytest.mark.parametrize("module", CORE)
def test_the_core_does_no_io_of_its_own(module: str) -> None:
    assert not imported(module) & {"asyncio", "http", "http.client", "socket", "subprocess", "urllib.request", "time"}


@pytest.mark.parametrize("module", [name for name in MODULES if name not in CORE])
def test_the_core_does_not_know_the_edges(module: str) -> None:
    assert not any(f".{module}" in imported(core) for core in CORE)


@pytest.mark.parametrize("module", MODULES)
def test_each_module_says_what_it_exports_in_order(module: str) -> None:
    names = exported(module)
    assert names == sorted(names, key=natural)
    assert len(set(names)) == len(names)
    assert set(names) <= bound(module)


@pytest.mark.parametrize("module", MODULES)
def test_each_module_is_introduced(module: str) -> None:
    assert ast.get_docstring(parsed(module))


def test_the_public_names_are_those_of_the_design() -> None:
    assert access_grants_provider.__all__ == sorted(access_grants_provider.__all__)
    assert set(access_grants_provider.__all__) - {"testing"} == PUBLIC
    assert all(hasattr(access_grants_provider, name) for name in PUBLIC)


def test_importing_it_loads_no_optional_package_and_nothing_of_the_edges_that_need_one() -> None:
    program = "import sys, access_grants_provider; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "access_grants_provider.flow" in loaded
    assert not loaded & set(OPTIONAL)
    assert not loaded & {"access_grants_provider.testing", "access_grants_provider.cli"}
