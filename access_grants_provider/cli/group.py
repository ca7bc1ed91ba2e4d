"""The click group: finds its commands when they are used, and ends in one line where a package is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from access_grants_provider import __version__

__all__ = ["COMMANDS", "main"]

# Each command's name, which is its module's and its function's too, and the extra that brings what it needs. The
# module itself imports nothing but click, so that the help works without the extra.
COMMANDS = {"demo": "demo"}

# What a shell reports of a program that SIGINT ended.
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are modules, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names for the help."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f".{cmd_name}", __package__), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say a missing package and Ctrl-C in one line."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            name = ctx.invoked_subcommand
            if name not in COMMANDS or package in ("", __name__.partition(".")[0]):
                raise
            raise click.ClickException(
                f"access-grants {name} needs {package}, which is not installed: "
                f"pip install 'access-grants-provider[{COMMANDS[name]}]'"
            ) from None
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(name="access-grants", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="access-grants")
def main() -> None:
    """Amazon S3 Access Grants for every Python program that talks to S3."""
