"""What a request that misses waits for: which calls under way may serve it."""

from __future__ import annotations

from collections.abc import Set

from .caller_state import FlightKey, Memory
from .credential_cache import Vended
from .io_requests import Ask, Rules
from .scopes import GrantScope, Permission

__all__ = ["depth_of", "flight_key", "learn_depth", "single"]


def flight_key(memory: Memory, ask: Ask, held: Vended | None, waited_for: Set[FlightKey], rules: Rules) -> FlightKey:
    """Choose what a miss waits for: the coarsest flight that may serve it and has not disappointed it yet.

    Which grant will match is not known before the answer. So the first miss in a bucket goes alone (one grant in
    64 folders: one call). Its answer shows how deep the bucket's grants lie, and from then on misses are grouped
    by that many folders and fly side by side (64 grants: two rounds). What a group's answer does not cover flies
    by itself.
    """
    alone = single(ask, rules)
    coarse = alone
    if held is not None:
        coarse = (rules.lane, ask.permission, held.scope)
    elif rules.config.privilege == "Default":
        depths = memory.bucket(ask.target.bucket).depths
        if ask.permission not in depths:
            coarse = (rules.lane, ask.permission, ask.target.bucket)
        elif (depth := depths[ask.permission]) is not None:
            coarse = (rules.lane, ask.permission, ask.target.bucket, *ask.target.key.split("/", depth)[:depth])
    return alone if coarse in waited_for else coarse


def single(ask: Ask, rules: Rules) -> FlightKey:
    """Return the key of the flight that is about this target alone."""
    return (rules.lane, ask.permission, ask.target)


def learn_depth(memory: Memory, permission: Permission, scope: GrantScope, rules: Rules) -> None:
    """Note how deep a bucket's grants lie, as one of them shows. Called with the memory's lock held."""
    if rules.config.privilege == "Default":
        depths, depth = memory.bucket(scope.bucket).depths, depth_of(scope)
        # One object's grant among folders tells nothing of the others.
        if depth is not None or permission not in depths:
            depths[permission] = depth


def depth_of(scope: GrantScope) -> int | None:
    """Return how many folders deep a grant lies; None where its scope is not a folder and tells nothing of others."""
    if not scope.is_prefix or (scope.key and not scope.key.endswith("/")):
        return None
    return scope.key.count("/")
