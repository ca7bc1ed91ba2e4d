"""That the tests of behaviour run over both edges."""

from __future__ import annotations

from access_grants_provider.sdk.sync_client import SyncClientHook


def test_a_test_without_a_mark_runs_over_each_edge(request, edge, grants, register):
    session = grants.session(grants.identity("alice"))
    provider = edge.bare(register(session))
    session.client("s3")
    (hook,) = provider._living_hooks()
    assert type(hook) is edge.hook
    assert (edge.hook is SyncClientHook) == (edge.name == "botocore") == ("[botocore]" in request.node.nodeid)
