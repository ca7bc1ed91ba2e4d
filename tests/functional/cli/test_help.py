"""The help texts in the documents are those of the program."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from access_grants_provider.cli.group import COMMANDS

from .conftest import ROOT


@pytest.fixture
def blocks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("help_blocks", ROOT / "tools" / "docs" / "help_blocks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_help_block_is_what_the_program_prints(blocks):
    for document in (ROOT / "README.md", ROOT / "docs" / "commands.md"):
        text = document.read_text(encoding="utf-8")
        assert blocks.render(text) == text, f"{document.name}: run python -m tools.docs"


def test_each_command_has_a_block(blocks):
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    shown = {block["command"] for block in blocks.BLOCK.finditer(text)}
    assert shown == {"", "cache show", "cache clear", *COMMANDS}


def test_no_line_of_an_example_is_too_long_to_be_shown(blocks):
    for command in COMMANDS:
        assert max(len(line) for line in blocks.help_of(command).splitlines()) <= blocks.COLUMNS
