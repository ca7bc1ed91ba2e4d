"""A group of commands that answers a misspelt command with the nearest ones."""

from __future__ import annotations

from difflib import get_close_matches

import click

__all__ = ["SuggestingGroup"]


class SuggestingGroup(click.Group):
    """A click group whose error for an unknown command names the nearest commands, as click does for options."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is the first argument. Raises a usage error."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            nearest = get_close_matches(args[0].lower(), known)
            hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"The commands are {', '.join(known)}."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)
