"""Probes of a caller who has a grant and no other right: who is asked what, and what the program gets."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.exceptions import AccessDenied, ServiceFailure

pytestmark = pytest.mark.alice("READWRITE s3://data/emea/*", objects=["s3://data/emea/x"])

FALLBACKS = ("denied", "always", "never")


@pytest.fixture
def covered(grants, register, alice):
    """``covered(**options)``: a provider, and a client of alice."""

    def make(**options):
        s3 = grants.session(alice).client("s3")
        return register(s3, **options), s3

    return make


def s3_requests(grants):
    return [(one.operation, one.signer, one.status) for one in grants.s3_requests()]


def code_of(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_a_granted_folder_is_no_object(grants, covered, fallback):
    _, s3 = covered(fallback=fallback)
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("404", 404)
    # Where the caller may not be sent, S3 is not asked.
    assert s3_requests(grants) == ([] if fallback == "never" else [("HeadObject", "alice", 403)])
    assert s3.list_objects_v2(Bucket="data", Prefix="emea/")["KeyCount"] == 1


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_the_bucket_of_a_grant_is_in_a_region(grants, covered, fallback):
    _, s3 = covered(fallback=fallback)
    assert s3.head_bucket(Bucket="data")["BucketRegion"] == "us-east-1"
    assert s3_requests(grants) == ([] if fallback == "never" else [("HeadBucket", "alice", 403)])


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_get_bucket_location_is_asked_of_s3_first(grants, covered, fallback):
    _, s3 = covered(fallback=fallback)
    answer = s3.get_bucket_location(Bucket="data")
    assert answer["LocationConstraint"] is None
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3_requests(grants) == [("GetBucketLocation", "alice", 403)]


def test_the_region_is_that_of_the_instance(grants, covered, alice):
    grants.bucket("north", region="eu-north-1")
    grants.grant(alice, "s3://north/in/*", "READ")
    _, s3 = covered()
    assert s3.get_bucket_location(Bucket="north")["LocationConstraint"] == "eu-north-1"


@pytest.mark.parametrize("fallback", ["denied", "never"])
@pytest.mark.parametrize("key", ["em", "emea2", "apac", "emea/x/y"])
def test_what_lies_beside_the_grant_is_refused_or_s3s_to_answer(grants, covered, fallback, key):
    _, s3 = covered(fallback=fallback)
    if key == "emea/x/y":
        # Within the grant: S3 answers, to the grant.
        assert code_of(s3.head_object, Bucket="data", Key=key) == ("404", 404)
        assert s3_requests(grants) == [("HeadObject", "grant", 404)]
    elif fallback == "never":
        with pytest.raises(AccessDenied):
            s3.head_object(Bucket="data", Key=key)
        assert s3_requests(grants) == []
    else:
        assert code_of(s3.head_object, Bucket="data", Key=key) == ("403", 403)


@pytest.mark.parametrize("key", ["a", "a/b"])
def test_a_folder_above_the_grant_is_no_object_either(grants, covered, alice, key):
    grants.grant(alice, "s3://data/a/b/c/*", "READ")
    _, s3 = covered()
    assert code_of(s3.head_object, Bucket="data", Key=key) == ("404", 404)


def test_probes_s3_leaves_the_answer_to_s3(grants, covered):
    _, s3 = covered(probes="s3")
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("403", 403)
    assert code_of(s3.head_bucket, Bucket="data") == ("403", 403)
    assert code_of(s3.get_bucket_location, Bucket="data") == ("AccessDenied", 403)


@pytest.mark.alice(
    "READWRITE s3://data/emea/*", own=["READ s3://data/*"], objects={"s3://data/emea": b"four", "s3://data/emea/x": b""}
)
def test_a_caller_with_rights_gets_s3s_own_answers(grants, covered):
    provider, s3 = covered()
    assert s3.head_object(Bucket="data", Key="emea")["ContentLength"] == 4
    assert code_of(s3.head_object, Bucket="data", Key="emea2") == ("404", 404)
    s3.head_bucket(Bucket="data")
    assert {signer for _, signer, _ in s3_requests(grants)} == {"alice"}
    assert provider.stats().implied == 0


@pytest.mark.alice("READWRITE s3://data/emea/*", objects=["s3://data/emea", "s3://data/emea/x"])
def test_a_folder_that_is_an_object_too_stays_out_of_reach(covered):
    # S3 would not tell this caller of it either.
    _, s3 = covered()
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("404", 404)
    assert code_of(s3.get_object, Bucket="data", Key="emea") == ("AccessDenied", 403)


def test_nothing_that_writes_or_lists_is_answered(covered):
    _, s3 = covered()
    assert code_of(s3.put_object, Bucket="data", Key="emea", Body=b"") == ("AccessDenied", 403)
    assert code_of(s3.delete_object, Bucket="data", Key="emea") == ("AccessDenied", 403)
    assert code_of(s3.list_objects_v2, Bucket="data") == ("AccessDenied", 403)
    assert code_of(s3.get_object, Bucket="data", Key="emea") == ("AccessDenied", 403)


def test_a_version_asked_for_by_name_is_no_probe(covered):
    _, s3 = covered()
    assert code_of(s3.head_object, Bucket="data", Key="emea", VersionId="1")[1] == 403


def test_what_is_implied_costs_no_call_more(grants, covered, control):
    _, s3 = covered()
    s3.list_objects_v2(Bucket="data", Prefix="emea/")
    control()
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("404", 404)
    # Those of any request without a grant.
    assert control() == [
        "GetDataAccess", "HeadBucket", "GetAccessGrantsInstanceForPrefix", "ListCallerAccessGrants"
    ]  # fmt: skip
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("404", 404)
    s3.get_bucket_location(Bucket="data")
    assert control() == []


def test_a_caller_who_may_not_list_grants_is_vended_for_the_folder(grants, covered, alice, control):
    grants.forbid(alice, "s3:ListCallerAccessGrants")
    _, s3 = covered()
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("404", 404)
    control()
    s3.list_objects_v2(Bucket="data", Prefix="emea/")
    assert control() == []


def test_decisions_counts_and_log_tell_of_it(covered, caplog):
    decisions = []
    provider, s3 = covered(on_decision=decisions.append)
    with caplog.at_level(logging.WARNING):
        code_of(s3.head_object, Bucket="data", Key="emea")
    assert [one.outcome for one in decisions] == ["fallback", "implied"]
    assert decisions[1].scope == "s3://data/emea/*"
    assert "there is no object 'emea'" in decisions[1].reason
    assert "READWRITE on 's3://data/emea/*'" in decisions[1].reason
    assert provider.stats().implied == 1
    assert caplog.records == []
    # A fallback that stays one is warned of.
    code_of(s3.head_object, Bucket="data", Key="apac")
    (warning,) = caplog.records
    assert "signed with the caller's own credentials" in warning.getMessage()


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_explain_says_the_same(grants, covered, fallback):
    provider, _ = covered(fallback=fallback)
    for operation, params in [("head_object", {"Key": "emea"}), ("head_bucket", {}), ("get_bucket_location", {})]:
        decision = provider.explain(operation, Bucket="data", **params)
        assert (decision.outcome, decision.scope) == ("implied", "s3://data/emea/*"), operation
    assert provider.explain("head_object", Bucket="data", Key="apac").outcome != "implied"
    assert grants.s3_requests() == []


@pytest.mark.parametrize(
    ("fallback", "head"), [("denied", ServiceFailure), ("always", ClientError), ("never", ServiceFailure)]
)
def test_while_access_grants_is_down_s3s_refusal_stays(grants, covered, caplog, fallback, head):
    grants.fail("GetDataAccess", "InternalFailure", status=400, times=None)
    _, s3 = covered(fallback=fallback)
    with pytest.raises(head):
        s3.head_object(Bucket="data", Key="emea")
    assert code_of(s3.get_bucket_location, Bucket="data") == ("AccessDenied", 403)


def test_a_presigned_head_is_no_probe(grants, covered):
    provider, s3 = covered()
    assert "emea" in s3.generate_presigned_url("head_object", Params={"Bucket": "data", "Key": "emea"})
    assert provider.stats().implied == 0


def test_after_unregister_s3_answers(covered):
    provider, s3 = covered()
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("404", 404)
    provider.unregister()
    assert code_of(s3.head_object, Bucket="data", Key="emea") == ("403", 403)


@pytest.mark.alice("WRITE s3://data/in/*", objects={"s3://data/in/x": b"precious"})
@pytest.mark.parametrize("fallback", FALLBACKS)
def test_a_key_that_a_grant_covers_is_never_said_to_be_missing(covered, fallback):
    # A program may write it anew: "put where HEAD says 404".
    _, s3 = covered(fallback=fallback)
    assert code_of(s3.head_object, Bucket="data", Key="in/x")[1] == 403


@pytest.mark.alice("WRITE s3://data/in/*", "READ s3://data/in/x/*", objects={"s3://data/in/x": b"precious"})
def test_nor_where_a_grant_lies_within_it_too(covered):
    _, s3 = covered()
    assert code_of(s3.head_object, Bucket="data", Key="in/x") == ("403", 403)


def test_nor_after_one_failed_vend(grants, covered):
    grants.fail("GetDataAccess", "InternalFailure", status=400, times=1)
    _, s3 = covered(fallback="always")
    assert code_of(s3.head_object, Bucket="data", Key="emea/x") == ("403", 403)
    assert s3.head_object(Bucket="data", Key="emea/x")["ContentLength"] == 1


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_who_names_the_buckets_owner_gets_s3s_own_check(covered, fallback):
    _, s3 = covered(fallback=fallback)
    owner = {"Bucket": "data", "ExpectedBucketOwner": "999999999999"}
    assert code_of(s3.head_bucket, **owner)[1] == 403
    assert code_of(s3.get_bucket_location, **owner)[1] == 403


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "RequestTimeTooSkewed"])
def test_a_refusal_for_another_reason_stays(grants, covered, code):
    grants.fail("GetBucketLocation", code, status=403, times=None)
    _, s3 = covered()
    assert code_of(s3.get_bucket_location, Bucket="data") == (code, 403)


def test_a_silent_service_holds_up_one_probe_of_a_bucket(grants, covered, control):
    grants.fail("GetDataAccess", "InternalFailure", status=400, times=None)
    _, s3 = covered()
    for _ in range(3):
        assert code_of(s3.get_bucket_location, Bucket="data") == ("AccessDenied", 403)
    assert control().count("GetDataAccess") == 1


def test_folders_of_a_caller_who_may_not_list_are_asked_for_sixteen_times(grants, covered, alice, control):
    grants.forbid(alice, "s3:ListCallerAccessGrants")
    _, s3 = covered()
    for number in range(20):
        code_of(s3.head_object, Bucket="data", Key=f"apac{number}")
    assert control().count("GetDataAccess") == 20 + 16


def test_what_is_answered_without_s3_reads_like_an_answer_of_s3(covered):
    _, s3 = covered(fallback="never")
    seen = []
    s3.meta.events.register("after-call.s3.HeadBucket", lambda http_response, **_: seen.append(http_response))
    headers = s3.head_bucket(Bucket="data")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-bucket-region"] == "us-east-1"
    assert seen[0].headers["x-amz-bucket-region"] == "us-east-1"


@pytest.mark.only("botocore", reason="aiobotocore's content is awaited")
def test_a_handler_may_read_the_body_that_nobody_sent(covered):
    _, s3 = covered(fallback="never")
    seen = []
    s3.meta.events.register("after-call.s3.HeadBucket", lambda http_response, **_: seen.append(http_response.content))
    s3.head_bucket(Bucket="data")
    assert seen == [b""]


def test_a_granted_head_is_counted_as_vended_under_never_too(covered):
    decisions = []
    provider, s3 = covered(fallback="never", on_decision=decisions.append)
    s3.head_object(Bucket="data", Key="emea/x")
    s3.head_object(Bucket="data", Key="emea/x")
    assert [one.source for one in decisions] == ["vended", "cache"]
    stats = provider.stats()
    assert (stats.granted, stats.vended, stats.cache_hits) == (2, 1, 1)


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_explain_of_a_location_needs_no_answer_of_access_grants(grants, covered, fallback):
    grants.fail("GetDataAccess", "InternalFailure", status=400, times=None)
    provider, _ = covered(fallback=fallback)
    assert provider.explain("get_bucket_location", Bucket="data").outcome == "unsupported"


@pytest.mark.only("botocore", reason="a second thread makes the request")
@pytest.mark.alice("READ s3://data/other/*", objects=["s3://data/emea/x"])
@pytest.mark.parametrize("fallback", FALLBACKS)
def test_an_object_that_a_new_grant_covers_is_not_said_to_be_missing(grants, covered, alice, fallback):
    _, s3 = covered(fallback=fallback)
    listing = grants.hold("ListCallerAccessGrants")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(s3.head_object, Bucket="data", Key="emea/x")
        listing.wait_for(1)
        # GetDataAccess has been refused, and the list will have the grant.
        grants.grant(alice, "s3://data/emea/*", "READ")
        listing.release()
    assert code_of(answer.result)[1] == 403
