"""What a caller's own grants tell whom they do not help: the near misses, and what there is."""

from __future__ import annotations

from collections.abc import Sequence

from .scopes import GrantScope, Permission, Target, common_prefix

__all__ = ["ListedGrant", "hint_from_grants", "nearest_grants"]

ListedGrant = tuple[Permission, GrantScope]

# More than these do not help a reader.
MAX_NAMED = 3


def hint_from_grants(grants: Sequence[ListedGrant], permission: Permission, target: Target) -> str:
    """Say in one sentence, without its full stop, what the caller's grants in the target's bucket do for a request.

    ``grants`` are all of them. Two near misses are named: a grant that covers the target with another permission, and
    one on the folder whose name was given without its slash.
    """
    if not grants:
        return "You have no grant in this bucket"
    covering = [grant for grant in grants if grant[1].covers(target)]
    if covering:
        return f"Your grants here do not give {permission}: {_named(covering, target)}"
    folder = f"{target.key}/"
    if any(scope.is_prefix and scope.key == folder for _, scope in grants):
        return f"Your grant is on {str(target._replace(key=folder, is_prefix=True))!r}: is a slash missing at the end?"
    return f"Your grants in this bucket: {_named(grants, target)}"


def nearest_grants(grants: Sequence[ListedGrant], target: Target, most: int = MAX_NAMED) -> tuple[str, ...]:
    """Return the grants that share most with the target, as texts: ``"READ on s3://sales/emea/*"``."""
    ordered = sorted(
        grants, key=lambda grant: (-len(common_prefix([grant[1].key, target.key])), grant[1].key, grant[0])
    )
    return tuple(f"{permission} on {scope}" for permission, scope in ordered[:most])


def _named(grants: Sequence[ListedGrant], target: Target) -> str:
    more = len(grants) - MAX_NAMED
    return ", ".join(nearest_grants(grants, target)) + (f" and {more} more" if more > 0 else "")
