"""What a fresh provider would be granted is granted whatever was asked for before, under both readings of the look-up.

Nobody outside AWS knows whether GetAccessGrantsInstanceForPrefix answers by the bucket's account, or by locations.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import permutations

import pytest
from botocore.exceptions import ClientError

OWNER = "222233334444"

pytestmark = pytest.mark.usefixtures("lookup")


@pytest.fixture(params=["account", "location"])
def lookup(request, grants):
    grants.find_instance_by = request.param


@pytest.fixture
def alice(grants):
    return grants.identity("alice")


@pytest.fixture
def client(grants, register, alice):
    """Return an S3 client of alice; ``client(fallback=…)``."""

    def covered(**options):
        session = grants.session(alice)
        register(session, **options)
        return session.client("s3")

    return covered


def signers(grants, key):
    """Return who signed the requests for a key that S3 answered with 200."""
    return [one.signer for one in grants.s3_requests() if one.key == key and one.status == 200]


def stray(s3, bucket):
    """Make requests that no grant and no location covers."""
    for request in (
        lambda: s3.list_objects_v2(Bucket=bucket),
        lambda: s3.head_object(Bucket=bucket, Key="README"),
        lambda: s3.list_objects_v2(Bucket=bucket, Prefix="te"),
    ):
        with pytest.raises(ClientError):
            request()


@pytest.mark.fast_cases(5)
@pytest.mark.parametrize("fallback", ["denied", "always", "never"])
@pytest.mark.parametrize("account_id", [None, OWNER], ids=["own instance", "owner's instance"])
def test_requests_outside_every_location_do_not_deny_a_granted_key(grants, alice, client, account_id, fallback):
    grants.bucket("lake", account_id=account_id)
    grants.location("s3://lake/team/*")
    grants.grant(alice, "s3://lake/team/*", "READ")
    grants.put("s3://lake/team/x", b"1")
    if account_id is not None:
        grants.share(alice.account_id, owner=account_id)
    s3 = client(fallback=fallback)
    stray(s3, "lake")
    assert s3.get_object(Bucket="lake", Key="team/x")["Body"].read() == b"1"
    assert signers(grants, "team/x") == ["grant"]


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("fallback", ["denied", "never"])
def test_a_list_of_the_callers_empty_instance_does_not_hide_a_grant_of_the_owners(grants, alice, client, fallback):
    grants.instance(alice.account_id)
    grants.bucket("theirs", account_id=OWNER)
    grants.location("s3://theirs/p/*")
    grants.share(alice.account_id, owner=OWNER)
    grants.grant(alice, "s3://theirs/p/*", "READ")
    grants.put("s3://theirs/p/x", b"1")
    s3 = client(fallback=fallback)
    # Refused by the caller's own instance; from its list it follows that no key of this bucket is granted there.
    stray(s3, "theirs")
    assert grants.calls("ListCallerAccessGrants") >= 1
    assert s3.get_object(Bucket="theirs", Key="p/x")["Body"].read() == b"1"
    assert signers(grants, "p/x") == ["grant"]


@pytest.mark.fast_cases(5)
@pytest.mark.parametrize("order", list(permutations(["mine/x", "theirs/x", "nobody/x"])), ids=" ".join)
def test_the_order_of_the_first_requests_does_not_decide_what_is_granted(grants, alice, client, order):
    # Two instances know the bucket: the caller's own, and that of the bucket's owner.
    grants.bucket("both", account_id=OWNER)
    for folder, account_id in (("mine", alice.account_id), ("theirs", OWNER)):
        grants.location(f"s3://both/{folder}/*", account_id=account_id)
        grants.grant(alice, f"s3://both/{folder}/*", "READ", account_id=account_id)
    grants.share(alice.account_id, owner=OWNER)
    s3 = client()
    # S3 answers 404 or 403; what counts is who signed the last attempt. S3 refuses the caller before the exact look-up.
    for key in (*order, *order):
        with suppress(ClientError):
            s3.get_object(Bucket="both", Key=key)
    signed = {one.key: one.signer for one in grants.s3_requests() if one.operation == "GetObject"}
    assert signed == {"mine/x": "grant", "theirs/x": "grant", "nobody/x": "alice"}


def test_what_is_presigned_is_asked_for_at_once_as_its_refusal_is_not_seen(edge, clock, register):
    with edge.local_service(clock) as grants:
        grants.find_instance_by = "location"
        alice = grants.identity("alice")
        grants.bucket("theirs", account_id="222233334444")
        grants.location("s3://theirs/team/*")
        grants.grant(alice, "s3://theirs/team/*", "READ")
        grants.share(alice.account_id, owner="222233334444")
        session = edge.session(alice)
        register(session)
        s3 = session.client("s3")
        with suppress(ClientError):
            s3.get_object(Bucket="theirs", Key="README")
        vended = grants.calls("GetDataAccess")
        s3.generate_presigned_url("get_object", Params={"Bucket": "theirs", "Key": "team/x"})
        assert grants.calls("GetDataAccess") == vended + 1
