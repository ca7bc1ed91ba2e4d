"""The line that shows that a command still works."""

from __future__ import annotations

import io
import os

import pytest

from access_grants_provider.cli import spinner as spinner_module
from access_grants_provider.cli.spinner import Spinner

from .conftest import COMMAND
from .terminal import on_a_terminal


class Terminal(io.StringIO):
    """A terminal that remembers all it was sent."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _a_terminal_that_can_move_its_cursor(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")


def test_a_step_of_less_than_a_second_leaves_no_trace(clock):
    terminal = Terminal()
    with Spinner("asking", stream=terminal, clock=clock, animated=False) as spinner:
        spinner.tick()
        clock.now += 0.99
        spinner.tick()
    assert terminal.getvalue() == ""


def test_a_longer_one_is_shown_and_the_line_left_clean(clock):
    terminal = Terminal()
    with Spinner("asking", stream=terminal, clock=clock, animated=False) as spinner:
        clock.now += 1
        spinner.tick()
        assert terminal.getvalue() == "\r| asking (1 s)"
        clock.now += 11.5
        spinner.update("ask")
        spinner.tick()
        # The longer line before is written over.
        assert terminal.getvalue().endswith("\r" + "/ ask (12 s)".ljust(len("| asking (1 s)")))
    assert terminal.getvalue().endswith(f"\r{' ' * len('/ ask (12 s)')}\r")


def test_it_is_cleaned_up_after_a_failure_too(clock):
    terminal = Terminal()

    def work() -> None:
        with Spinner("asking", stream=terminal, clock=clock, animated=False) as spinner:
            clock.now += 2
            spinner.tick()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert terminal.getvalue().endswith(" \r")


@pytest.mark.parametrize("dumb", [True, False])
def test_nothing_is_written_where_nobody_looks(clock, dumb, monkeypatch):
    stream = io.StringIO()
    if dumb:
        monkeypatch.setenv("TERM", "dumb")
        stream = Terminal()
    with Spinner("asking", stream=stream, clock=clock) as spinner:
        clock.now += 5
        spinner.tick()
    assert stream.getvalue() == ""


def test_no_line_is_wider_than_the_terminal(clock, monkeypatch):
    monkeypatch.setattr(spinner_module, "_width", lambda stream: 20)
    terminal = Terminal()
    with Spinner("asking for something long", stream=terminal, clock=clock, animated=False) as spinner:
        clock.now += 1
        spinner.tick()
        assert terminal.getvalue() == "\r| asking for someth"
    assert len(terminal.getvalue().strip("\r").partition("\r")[0]) < 20


def test_a_terminal_that_went_away_does_not_end_the_work(clock):
    terminal = Terminal()
    with Spinner("asking", stream=terminal, clock=clock, animated=False) as spinner:
        clock.now += 1
        terminal.close()
        spinner.tick()
        spinner.tick()


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
def test_a_command_that_waits_shows_it_on_the_terminal_of_stderr(server, alice, surroundings):
    server.delay("ListCallerAccessGrants", 1.5, times=1)
    shown = on_a_terminal([*COMMAND, "grants"], surroundings(TERM="xterm", COLUMNS="80"), "stderr")
    assert shown.code == 0
    assert "listing your grants" in shown.raw
    assert shown.raw.endswith(" \r")
