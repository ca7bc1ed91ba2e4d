"""The click group: imports its commands on use, and ends each expected failure with one line on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.exceptions import Exit

from access_grants_provider import __version__
from access_grants_provider.exceptions import AccessGrantsError

from .error_text import KNOWN, in_one_line
from .interrupts import INTERRUPTED, exit_on_interrupt
from .settings import Failure, aws_options
from .suggestions import SuggestingGroup

__all__ = ["COMMANDS", "main"]

NAME = "access-grants"


class Lazy(NamedTuple):
    """The module of a command, which holds it under the module's own name, and the extra that the command needs.

    The module imports only click and the standard library at its top, so that --help works without the extra.
    """

    module: str
    extra: str


COMMANDS = {
    "cache": Lazy("cache", "cli"),
    "credentials": Lazy("credentials", "cli"),
    "demo": Lazy("demo", "demo"),
    "doctor": Lazy("doctor", "cli"),
    "exec": Lazy("execute", "cli"),
    "explain": Lazy("explain", "cli"),
    "grants": Lazy("grants", "cli"),
    "serve": Lazy("serve", "demo"),
    "verify": Lazy("verify", "cli"),
}

# The exit code a shell reports for a program that lost the reader of its output (SIGPIPE).
UNREAD = 141


class LazyGroup(SuggestingGroup):
    """A group whose commands are modules, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names for the help."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name].module
        with exit_on_interrupt():
            command: click.Command = getattr(import_module(f".{module}", __package__), module)
        return command

    def main(  # type: ignore[override]  # click's overloads distinguish two results; no caller here uses them
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        """Run under the installed command's name, which help and completion use, however the command was started."""
        return super().main(args, prog_name or NAME, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line."""
        with _interruptible():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Expected failures end with one line on stderr."""
        try:
            with _interruptible():
                return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            name = ctx.invoked_subcommand
            if name not in COMMANDS or package in ("", __name__.partition(".")[0]):
                raise
            raise Failure(
                f"access-grants {name} needs {package}, which is not installed: "
                f"pip install 'access-grants-provider[{COMMANDS[name].extra}]'"
            ) from None
        except BrokenPipeError:
            _abandon_stdout()
            raise Exit(UNREAD) from None
        except (AccessGrantsError, *KNOWN) as error:
            if isinstance(error, OSError):
                _abandon_stdout()
            raise Failure(in_one_line(error)) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        raise Exit(INTERRUPTED) from None


def _abandon_stdout() -> None:
    """Discard what is still buffered. Otherwise Python would fail again when it closes stdout."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@click.group(name=NAME, cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@aws_options
@click.version_option(__version__, prog_name=NAME)
def main() -> None:
    """Get credentials from Amazon S3 Access Grants for any program, and see why a request is granted or denied.

    Results are on stdout, messages on stderr. Exit codes: 0 success, 1 denied or failed, 2 wrong command line,
    130 Ctrl-C. The options below can also follow the command's name.

    \b
    Examples:
      access-grants grants --profile analysis
      access-grants doctor s3://sales/emea/
      access-grants exec s3://sales/emea/ -- aws s3 ls s3://sales/emea/

    Completion: add the line for your shell to its startup file.

    \b
      bash  eval "$(_ACCESS_GRANTS_COMPLETE=bash_source access-grants)"
      zsh   eval "$(_ACCESS_GRANTS_COMPLETE=zsh_source access-grants)"
      fish  _ACCESS_GRANTS_COMPLETE=fish_source access-grants | source
    """
