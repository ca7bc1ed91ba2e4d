"""How deep a bucket's grants lie, and so which requests that miss wait for each other."""

from __future__ import annotations

from collections.abc import Set

from .caller_state import CallerState
from .credential_cache import StoredCredentials
from .flow_context import FlowContext
from .io_requests import GrantRequest
from .scopes import GrantScope, Permission
from .single_flight import CallKey

__all__ = ["call_key", "depth_of", "learn_folder_depth", "single_key"]


def call_key(
    state: CallerState,
    request: GrantRequest,
    held: StoredCredentials | None,
    disappointed: Set[CallKey],
    context: FlowContext,
) -> CallKey:
    """Choose what a miss waits for: the coarsest call that may serve it and has not disappointed it yet.

    Which grant will match is not known before the answer. So the first miss in a bucket goes alone (one grant in
    64 folders: one call). Its answer shows how deep the bucket's grants lie, and from then on misses are grouped
    by that many folders and go side by side (64 grants: two rounds). What a group's answer does not cover goes
    by itself.
    """
    alone = single_key(request, context)
    coarse = alone
    target = request.target
    if held is not None:
        coarse = (context.event_loop, request.permission, held.scope)
    elif context.config.privilege == "Default":
        depths = state.bucket(target.bucket).folder_depths
        if request.permission not in depths:
            coarse = (context.event_loop, request.permission, target.bucket)
        elif (depth := depths[request.permission]) is not None:
            folders = target.key.split("/", depth)[:depth]
            coarse = (context.event_loop, request.permission, target.bucket, *folders)
    return alone if coarse in disappointed else coarse


def single_key(request: GrantRequest, context: FlowContext) -> CallKey:
    """Return the key of the call that is about this target alone."""
    return (context.event_loop, request.permission, request.target)


def learn_folder_depth(state: CallerState, permission: Permission, scope: GrantScope, context: FlowContext) -> None:
    """Note how deep a bucket's grants lie, as one of them shows."""
    if context.config.privilege == "Default":
        depths, depth = state.bucket(scope.bucket).folder_depths, depth_of(scope)
        # One object's grant among folders tells nothing of the others.
        if depth is not None or permission not in depths:
            depths[permission] = depth


def depth_of(scope: GrantScope) -> int | None:
    """Return how many folders deep a grant lies; None where its scope is not a folder and tells nothing of others."""
    if not scope.is_prefix or (scope.key and not scope.key.endswith("/")):
        return None
    return scope.key.count("/")
