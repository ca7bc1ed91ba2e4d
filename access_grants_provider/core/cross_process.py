"""What processes share under ``cache="disk"``: credentials that one of them was vended.

Memory is asked first, always; only a miss comes here. There is no lock among processes: several that miss at the same
moment are each vended the grant once, and none can wait for another that has stopped. One whose call is throttled looks
here again before it repeats the call.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .caller_state import CallerState
from .credential_cache import StoredCredentials
from .flow_context import FlowContext
from .folder_depth import learn_folder_depth
from .io_requests import GrantRequest, LoadShared, Step

__all__ = ["load_shared"]


def load_shared(
    state: CallerState, request: GrantRequest, context: FlowContext, stale: StoredCredentials | None
) -> Generator[Step, Any, StoredCredentials | None]:
    """Take over what other processes were vended in the bucket; return what serves the request and is fresh.

    ``stale`` are the credentials to be replaced, if any.
    """
    loaded: list[StoredCredentials] = yield LoadShared(request.target.bucket)
    now = context.clock.wall()
    for stored in loaded:
        known = state.credentials.exact(stored.permission, stored.scope)
        if now < stored.mandatory_refresh_at and (known is None or known.expires_at < stored.expires_at):
            state.credentials.add(stored)
            learn_folder_depth(state, stored.permission, stored.scope, context)
    found = state.credentials.find(request.permission, request.target, now)
    if found is None or found is stale or now >= found.advisory_refresh_at:
        return None
    return found if found.is_valid_for(request.min_lifetime, now) else None
