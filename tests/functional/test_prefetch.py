"""What is vended in the background, before a request needs it."""

from __future__ import annotations

import logging
import threading

import pytest
from botocore.exceptions import ClientError

from access_grants_provider import AccessGrantsConfig
from access_grants_provider.exceptions import ConfigurationError
from access_grants_provider.registration import provider_for

OPTION = "s3://data/in/ WRITE s3://data/out/"

pytestmark = pytest.mark.alice("READ s3://data/in/*", "WRITE s3://data/out/*", objects=["s3://data/in/x"])
threads_only = pytest.mark.only("botocore", reason="there is no prefetch for asynchronous clients")


def finished() -> None:
    """Wait until nothing is being prefetched."""
    for thread in threading.enumerate():
        if thread.name == "access-grants-prefetch":
            thread.join(30)
            assert not thread.is_alive()


@threads_only
def test_the_first_requests_find_what_was_prefetched(grants, register, alice):
    session = grants.session(alice)
    provider = register(session, fallback="never")
    provider.prefetch(["s3://data/in/"])
    provider.prefetch(["s3://data/out/"], permission="WRITE")
    # There is no client yet, and none is made for this.
    assert grants.requests == []
    s3 = session.client("s3")
    finished()
    assert sorted(one.operation for one in grants.requests) == ["GetCallerIdentity", "GetDataAccess", "GetDataAccess"]
    s3.get_object(Bucket="data", Key="in/x")
    s3.put_object(Bucket="data", Key="out/x", Body=b"1")
    assert (grants.calls("GetDataAccess"), provider.stats().cache_hits) == (2, 2)


@threads_only
def test_with_a_client_at_hand_it_begins_at_once(grants, register, alice):
    session = grants.session(alice)
    provider = register(session)
    client = session.client("s3")
    provider.prefetch(["s3://data/in/"])
    finished()
    assert grants.calls("GetDataAccess") == 1
    assert client.meta.service_model.service_name == "s3"


@threads_only
def test_the_option_names_targets_and_permissions(grants, register, alice, monkeypatch):
    monkeypatch.setenv("S3_ACCESS_GRANTS_PREFETCH", OPTION)
    session = grants.session(alice)
    register(session)
    clients = [session.client("s3"), session.client("s3")]
    finished()
    vends = [one.parameters for one in grants.requests if one.operation == "GetDataAccess"]
    assert [(one["Permission"], one["Target"]) for one in vends] == [
        ("READ", "s3://data/in/*"),
        ("WRITE", "s3://data/out/*"),
    ]
    assert len(clients) == 2


@threads_only
def test_registering_again_prefetches_what_the_new_options_name(grants, register, alice):
    session = grants.session(alice)
    register(session, prefetch="s3://data/in/")
    client = session.client("s3")
    finished()
    register(session, prefetch="WRITE s3://data/out/")
    finished()
    vends = [one.parameters["Target"] for one in grants.requests if one.operation == "GetDataAccess"]
    assert vends == ["s3://data/in/*", "s3://data/out/*"]
    assert client.meta.service_model.service_name == "s3"


@threads_only
def test_a_request_waits_for_the_prefetch_rather_than_call_itself(grants, register, alice):
    session = grants.session(alice)
    provider = register(session)
    s3 = session.client("s3")
    with grants.hold("GetDataAccess") as held:
        provider.prefetch(["s3://data/in/"])
        held.wait_for(1)
        reader = threading.Thread(target=s3.get_object, kwargs={"Bucket": "data", "Key": "in/x"})
        reader.start()
    reader.join(30)
    assert grants.calls("GetDataAccess") == 1


@threads_only
def test_what_is_not_granted_is_a_warning_and_denies_nothing_else(grants, register, alice, caplog):
    session = grants.session(alice)
    register(session, prefetch="s3://data/ s3://data/in/")
    with caplog.at_level(logging.WARNING, "access_grants_provider"):
        s3 = session.client("s3")
        finished()
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("S3 Access Grants: READ on 's3://data/*' was not prefetched: ")
    s3.get_object(Bucket="data", Key="in/x")
    assert grants.s3_requests()[-1].signer == "grant"


@pytest.mark.parametrize("wrong", [["data/in"], "s3://data/in/", ["s3://data/in/", 7], None])
def test_what_is_no_list_of_uris_is_refused(grants, register, alice, wrong):
    provider = register(grants.session(alice))
    with pytest.raises(ConfigurationError, match="not allowed"):
        provider.prefetch(wrong)


@pytest.mark.only("aiobotocore", reason="there is a prefetch for the others")
def test_an_asynchronous_session_is_told_what_to_await(grants, register, alice):
    provider = register(grants.session(alice))
    with pytest.raises(ConfigurationError, match=r"Await credentials_async\(\)"):
        provider.prefetch(["s3://data/in/"])


@threads_only
def test_a_client_that_can_not_ask_leaves_the_prefetch_to_the_next(grants, register, alice):
    session = grants.session(alice)
    register(session, prefetch="s3://data/in/")
    clients = [session.client("s3", endpoint_url="http://127.0.0.1:9"), session.client("s3")]
    finished()
    assert (grants.calls("GetDataAccess"), len(clients)) == (1, 2)


ENDED_BY = {
    "unregister": lambda provider: provider.unregister(),
    "other options": lambda provider: provider.configure(AccessGrantsConfig(fallback="never")),
    "clear": lambda provider: provider.clear(),
}


@threads_only
@pytest.mark.parametrize("end", ENDED_BY.values(), ids=ENDED_BY)
def test_a_prefetch_under_way_ends_with_the_registration_its_options_or_what_is_remembered(
    grants, register, alice, end
):
    session = grants.session(alice)
    # Two grants: what is denied after the first would be known without a call.
    provider = register(session, prefetch=OPTION)
    with grants.hold("GetDataAccess") as held:
        client = session.client("s3")
        held.wait_for(1)
        end(provider)
    finished()
    assert grants.calls("GetDataAccess") == 1
    assert client.meta.service_model.service_name == "s3"


@threads_only
def test_an_ended_provider_prefetches_nothing(grants, register, alice):
    provider = register(grants.session(alice))
    provider.unregister()
    with pytest.raises(ConfigurationError, match="was unregistered"):
        provider.prefetch(["s3://data/in/"])


@threads_only
def test_a_caller_whose_credentials_are_not_to_be_had_is_a_warning_for_each_target(
    grants, register, alice, caplog, monkeypatch
):
    session = grants.session(alice)
    provider = register(session)
    client = session.client("s3")
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    def refused():
        raise error

    monkeypatch.setattr(client._request_signer._credentials, "get_frozen_credentials", refused)
    with caplog.at_level(logging.WARNING, "access_grants_provider"):
        provider.prefetch(["s3://data/in/", "s3://data/out/"])
        finished()
    assert len(caplog.records) == 2


@threads_only
def test_a_provider_that_only_answers_questions_prefetches_nothing(grants, alice, monkeypatch):
    monkeypatch.setenv("S3_ACCESS_GRANTS_PREFETCH", OPTION)
    session = grants.session(alice)
    provider = provider_for(session)
    assert provider.explain("get_object", Bucket="data", Key="in/x").outcome == "granted"
    finished()
    assert grants.calls("GetDataAccess") == 1


@threads_only
def test_the_callers_credentials_are_read_before_the_thread_begins(grants, register, alice, monkeypatch):
    # botocore refreshes them under a lock. A process that is forked meanwhile would wait for it for ever.
    session = grants.session(alice)
    provider = register(session)
    credentials = session.client("s3")._request_signer._credentials
    readers = set()
    frozen = credentials.get_frozen_credentials()

    def read():
        readers.add(threading.current_thread())
        return frozen

    monkeypatch.setattr(credentials, "get_frozen_credentials", read)
    provider.prefetch(["s3://data/in/", "s3://data/nothing/"])
    finished()
    assert readers == {threading.current_thread()}
