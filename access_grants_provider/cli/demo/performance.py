"""Runs the demo: starts the server, creates buckets and grants, runs the steps, and reports."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.console import Console

from access_grants_provider import AccessGrantsConfig, Decision, register
from access_grants_provider.testing import AccessGrantsServer

from . import story
from .checks import Difference, Line, run
from .report import Report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from access_grants_provider import AccessGrantsProvider

__all__ = ["perform"]


def perform(no_color: bool, check_interrupt: Callable[[], None]) -> bool:
    """Run the demo and tell whether each step went as expected.

    ``check_interrupt`` is called between the steps and may raise. The server is stopped in any case.
    """
    console = Console(color_system=None if no_color else "auto", markup=False, emoji=False, highlight=False)
    report = Report(console)
    with AccessGrantsServer() as server, ExitStack() as closing:
        caller = story.set_up(server)
        report.introduce(server.url)
        decisions: list[Decision] = []
        steps = story.steps()
        providers: list[AccessGrantsProvider] = []
        clients: dict[str | None, S3Client] = {}
        for fallback in dict.fromkeys(step.fallback for step in steps):
            session = server.session(caller)
            if fallback is not None:
                config = AccessGrantsConfig(fallback=fallback, endpoint_url=server.url, on_decision=decisions.append)
                provider = register(session, config=config)
                closing.callback(provider.unregister)
                providers.append(provider)
            clients[fallback] = session.client("s3", endpoint_url=server.url)
            closing.callback(clients[fallback].close)
        lines: list[Line] = []
        with console.status("", spinner="line") as status:
            for step in steps:
                check_interrupt()
                status.update(f"{step.title} ...")
                lines.append(run(step, clients[step.fallback], server, decisions, story.CALLER))
        check_interrupt()
        wrong: list[Difference] = []
        counted = sum(provider.stats().control_calls for provider in providers)
        if counted != server.control_calls():
            wrong.append(Difference("control calls that the package counts", server.control_calls(), counted))
        report.tabulate(lines)
        report.conclude(lines, wrong)
        right = not wrong and not any(line.wrong for line in lines)
        if right:
            report.explain()
    return right
