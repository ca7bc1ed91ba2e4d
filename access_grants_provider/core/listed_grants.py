"""The caller's grants in one bucket as one instance lists them, and what they tell a caller whom they do not help."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from .prefix_index import PrefixIndex
from .scopes import GrantScope, Permission, Target, common_prefix, one_line, permits

__all__ = ["ListedGrant", "ListedGrants", "hint_from_grants", "nearest_grants"]

ListedGrant = tuple[Permission, GrantScope]

NOTHING: frozenset[Permission] = frozenset()
# More than these do not help a reader.
MAX_NAMED = 3


class ListedGrants:
    """The caller's grants in one bucket, of one instance, by key; None where they could not be listed.

    ``until`` is monotonic. Whatever is asked of 10,000 grants takes as long as of ten.
    """

    __slots__ = ("_keys", "_objects", "_prefixes", "grants", "until")

    def __init__(self, grants: Sequence[ListedGrant] | None, until: float) -> None:
        self.grants = None if grants is None else tuple(sorted(grants, key=lambda grant: (grant[1].key, grant[0])))
        self.until = until
        self._keys = [scope.key for _, scope in self.grants or ()]
        self._objects: dict[str, frozenset[Permission]] = {}
        # With each prefix what the shorter ones give too.
        self._prefixes: PrefixIndex[frozenset[Permission]] = PrefixIndex()
        for permission, scope in self.grants or ():
            if scope.is_prefix:
                self._prefixes.put(scope.key, (self._prefixes.longest(scope.key) or NOTHING) | {permission})
            else:
                self._objects[scope.key] = self._objects.get(scope.key, NOTHING) | {permission}

    def permissions_on(self, target: Target) -> frozenset[Permission]:
        """Return what the grants that cover the target give together."""
        held = self._prefixes.longest(target.key) or NOTHING
        return held if target.is_prefix else held | self._objects.get(target.key, NOTHING)

    def excludes(self, permission: Permission, target: Target) -> bool:
        """Tell whether none of the grants gives ``permission`` on ``target``.

        Whether a READ grant and a WRITE grant together answer a READWRITE request is not documented, so both together
        exclude nothing.
        """
        if self.grants is None:
            return False
        held = self.permissions_on(target)
        if permission == "READWRITE":
            return "READWRITE" not in held and not {"READ", "WRITE"} <= held
        return not any(permits(one, permission) for one in held)

    def within(self, folder: Target) -> ListedGrant | None:
        """Return a grant on something that lies wholly within a prefix; None where there is none."""
        at = bisect_left(self._keys, folder.key)
        if at < len(self._keys) and self._keys[at].startswith(folder.key):
            return (self.grants or ())[at]
        return None

    def nearest(self, target: Target) -> Iterator[ListedGrant]:
        """Yield the few grants whose keys stand beside the target's: among them are those that share most with it."""
        at = bisect_left(self._keys, target.key)
        yield from (self.grants or ())[max(0, at - MAX_NAMED) : at + MAX_NAMED]


def nearest_grants(lists: Sequence[ListedGrants], target: Target) -> tuple[str, ...]:
    """Return the three grants that share most with the target, as texts: ``"READ on s3://sales/emea/*"``."""

    def distance(grant: ListedGrant) -> tuple[int, str, str]:
        permission, scope = grant
        return -len(common_prefix([scope.key, target.key])), scope.key, permission

    found = sorted((grant for listed in lists for grant in listed.nearest(target)), key=distance)
    return tuple(f"{permission} on {one_line(scope)}" for permission, scope in found[:MAX_NAMED])


def hint_from_grants(lists: Sequence[ListedGrants], permission: Permission, target: Target) -> str:
    """Say in one sentence, without its full stop, what the caller's grants in the bucket do for a request.

    Two near misses are named: grants that cover the target without the permission, and one on the folder whose name was
    given without its slash.
    """
    number = sum(len(listed.grants or ()) for listed in lists)
    if not number:
        return "You have no grant in this bucket"
    held = frozenset[Permission]().union(*(listed.permissions_on(target) for listed in lists))
    if held:
        given = " and ".join(sorted(held))
        return f"Your grants here give {given}, not {permission}: {', '.join(nearest_grants(lists, target))}"
    folder = GrantScope(target.bucket, f"{target.key}/", True)
    if any(scope == folder for listed in lists for _, scope in listed.nearest(folder)):
        return f"Your grant is on {str(folder)!r}. If you meant that folder, write the slash after its name"
    names = nearest_grants(lists, target)
    more = f" and {number - len(names)} more" if number > len(names) else ""
    return f"Your grants in this bucket: {', '.join(names)}{more}"
