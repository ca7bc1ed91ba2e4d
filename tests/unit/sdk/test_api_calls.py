"""The steps as calls of botocore clients, and how their answers read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.hooks import HierarchicalEmitter

from access_grants_provider.core.caller_state import Flight
from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.io_requests import (
    Answer,
    BucketRegion,
    CallerAccount,
    FindInstance,
    ListGrants,
    Page,
    Step,
    Vend,
    Wait,
)
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.core.service_errors import UnreadableAnswer
from access_grants_provider.sdk.api_calls import (
    SIGNED_AS,
    Call,
    answer_of,
    answer_of_error,
    call_for,
    hook_internal_client,
    is_aws_host,
)

ME = Credentials("AKIAANN", "secret", "token")
ACCOUNT, REGION = "444455556666", "eu-west-1"
OBJECT, PREFIX = GrantScope("sales", "emea/q3.csv", False), GrantScope("sales", "emea/", True)
UNTIL = datetime(2027, 1, 15, tzinfo=timezone.utc)
VEND = Vend(ACCOUNT, REGION, "READ", OBJECT, False)
ON_OBJECT = {
    "AccountId": ACCOUNT,
    "Target": "s3://sales/emea/q3.csv",
    "TargetType": "Object",
    "Permission": "READ",
    "Privilege": "Default",
}
ON_PREFIX = {"AccountId": ACCOUNT, "Target": "s3://sales/emea/*", "Permission": "WRITE", "Privilege": "Default"}
LIST = {"AccountId": ACCOUNT, "GrantScope": "s3://sales"}


OF_AWS = {"ResponseMetadata": {"HTTPHeaders": {"x-amz-request-id": "1"}}}


@pytest.mark.parametrize(
    ("step", "service", "method", "parameters"),
    [
        (CallerAccount(REGION), "sts", "get_caller_identity", {}),
        (BucketRegion("sales", REGION), "s3", "head_bucket", {"Bucket": "sales"}),
        (
            FindInstance("111122223333", REGION, OBJECT),
            "s3control",
            "get_access_grants_instance_for_prefix",
            {"AccountId": "111122223333", "S3Prefix": f"s3://sales/{OBJECT.key}"},
        ),
        (ListGrants(ACCOUNT, REGION, "sales", False), "s3control", "list_caller_access_grants", LIST),
        (
            ListGrants(ACCOUNT, REGION, "sales", True, "next"),
            "s3control",
            "list_caller_access_grants",
            {**LIST, "InstanceScope": "ALL", "NextToken": "next"},
        ),
        (VEND, "s3control", "get_data_access", ON_OBJECT),
        (
            Vend(ACCOUNT, REGION, "WRITE", PREFIX, True),
            "s3control",
            "get_data_access",
            {**ON_PREFIX, "InstanceScope": "ALL"},
        ),
    ],
)
def test_each_step_is_one_call_signed_as_the_requester(
    step: Step, service: str, method: str, parameters: dict[str, Any]
) -> None:
    call = call_for(step, AccessGrantsConfig(), ME)
    assert call == Call(service, REGION, method, {**parameters, SIGNED_AS: ME})


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, {}),
        ({"duration_seconds": 900}, {"DurationSeconds": 900}),
        ({"privilege": "Minimal"}, {"Privilege": "Minimal"}),
        ({"audit_context": "nightly job"}, {"AuditContext": "nightly job"}),
        ({"endpoint_url": "http://127.0.0.1:5000", "fallback": "never"}, {}),
    ],
)
def test_the_options_are_parameters_of_get_data_access(options: dict[str, Any], parameters: dict[str, Any]) -> None:
    call = call_for(VEND, AccessGrantsConfig(**options), ME)
    assert call.parameters == {**ON_OBJECT, **parameters, SIGNED_AS: ME}


@pytest.mark.parametrize("key", ["q*", "*", "a/"])
def test_an_object_is_asked_for_as_an_object_whatever_its_name(key: str) -> None:
    call = call_for(VEND._replace(target=GrantScope("sales", key, False)), AccessGrantsConfig(), ME)
    assert (call.parameters["Target"], call.parameters["TargetType"]) == (f"s3://sales/{key}", "Object")


def test_to_wait_is_no_call() -> None:
    with pytest.raises(TypeError):
        call_for(Wait(Flight("leader")), AccessGrantsConfig(), ME)


@pytest.mark.parametrize(
    ("step", "response", "answer"),
    [
        (CallerAccount(REGION), {"Account": "111122223333", "Arn": "…"}, "111122223333"),
        (CallerAccount(REGION), {}, None),
        (FindInstance(ACCOUNT, REGION, OBJECT), {"AccessGrantsInstanceArn": "arn:…"}, "arn:…"),
        (FindInstance(ACCOUNT, REGION, OBJECT), {}, None),
        (
            BucketRegion("sales", REGION),
            {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "us-east-2"}}},
            "us-east-2",
        ),
        (BucketRegion("sales", REGION), {"ResponseMetadata": {"HTTPHeaders": {}}}, None),
        (BucketRegion("sales", REGION), {}, None),
        (
            ListGrants(ACCOUNT, REGION, "sales", False),
            {
                "CallerAccessGrantsList": [
                    {"Permission": "READ", "GrantScope": "s3://sales/*", "ApplicationArn": "NA"},
                    {},
                ],
                "NextToken": "next",
            },
            Page([("READ", "s3://sales/*", "NA"), (None, None, None)], "next"),  # type: ignore[list-item]
        ),
        (ListGrants(ACCOUNT, REGION, "sales", False), {"CallerAccessGrantsList": []}, Page([], None)),
        (ListGrants(ACCOUNT, REGION, "sales", False), OF_AWS, Page([], None)),
    ],
)
def test_an_answer_reads_as_its_step_wants_it_and_what_is_missing_as_none(
    step: Step, response: dict[str, Any], answer: object
) -> None:
    assert answer_of(step, response) == answer


def test_no_list_of_grants_at_all_from_somebody_who_is_not_aws_is_no_empty_list() -> None:
    with pytest.raises(UnreadableAnswer):
        answer_of(ListGrants(ACCOUNT, REGION, "sales", False), {"ResponseMetadata": {"HTTPHeaders": {}}})


GIVEN = {"AccessKeyId": "ASIAVENDED", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": UNTIL}


def test_vended_credentials_become_a_signer() -> None:
    response = {"Credentials": GIVEN, "MatchedGrantTarget": "s3://sales/*", "MatchedInstanceArn": "arn:…"}
    answer = answer_of(VEND, response)
    assert isinstance(answer, Answer)
    assert isinstance(answer.signer, Credentials)
    assert (answer.signer.access_key, answer.signer.secret_key, answer.signer.token) == ("ASIAVENDED", "s", "t")
    assert (answer.expiration, answer.matched, answer.instance_arn) == (UNTIL, "s3://sales/*", "arn:…")


@pytest.mark.parametrize("missing", ["AccessKeyId", "SecretAccessKey", "SessionToken"])
@pytest.mark.parametrize("empty", [True, False])
def test_incomplete_credentials_make_no_signer(missing: str, empty: bool) -> None:
    given = {**GIVEN, missing: ""} if empty else {name: value for name, value in GIVEN.items() if name != missing}
    assert answer_of(VEND, {"Credentials": given}).signer is None


@pytest.mark.parametrize("expiration", [None, "2027-01-15T00:00:00Z", 1_800_000_000])
def test_an_expiration_that_is_no_time_reads_as_none(expiration: object) -> None:
    answer = answer_of(VEND, {"Credentials": {**GIVEN, "Expiration": expiration}})
    assert answer.expiration is None


@pytest.mark.parametrize("response", [{}, {"Credentials": {}}, {"Credentials": None}])
def test_an_empty_answer_of_get_data_access_reads_as_nothing(response: dict[str, Any]) -> None:
    assert answer_of(VEND, response) == Answer(None, None, None, None)


@pytest.mark.parametrize("status", [301, 400, 403, 404])
def test_a_refused_head_bucket_names_the_region_all_the_same(
    aws_error: Callable[..., ClientError], status: int
) -> None:
    error = aws_error(str(status), status=status, operation="HeadBucket")
    assert answer_of_error(BucketRegion("sales", REGION), error) is None
    error.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] = "us-east-2"
    assert answer_of_error(BucketRegion("sales", REGION), error) == "us-east-2"


@pytest.mark.parametrize(
    "step",
    [CallerAccount(REGION), FindInstance(ACCOUNT, REGION, OBJECT), ListGrants(ACCOUNT, REGION, "sales", False), VEND],
)
def test_every_other_error_is_the_flow_s_to_judge(aws_error: Callable[..., ClientError], step: Step) -> None:
    error = aws_error("AccessDenied")
    with pytest.raises(ClientError) as raised:
        answer_of_error(step, error)
    assert raised.value is error


def suffixes_of_aws() -> list[str]:
    partitions = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
    outputs = [partition["outputs"] for partition in partitions]
    return sorted({output[name] for output in outputs for name in ("dnsSuffix", "dualStackDnsSuffix")})


@pytest.mark.parametrize("suffix", suffixes_of_aws())
def test_every_partition_botocore_knows_is_aws(suffix: str) -> None:
    assert is_aws_host(f"s3.eu-west-1.{suffix}")
    assert is_aws_host(f"bucket.vpce-1a2b-3c4d.s3.eu-west-1.vpce.{suffix}")
    assert not is_aws_host(f"s3.{suffix}.example.com")


@pytest.mark.parametrize(
    "host", ["", "localhost", "127.0.0.1", "::1", "minio.example.com", "amazonaws.com.example.com", "myamazonaws.com"]
)
def test_anybody_else_is_not(host: str) -> None:
    assert not is_aws_host(host)


class InternalClient:
    """As much of a botocore client as is hooked."""

    def __init__(self, service_id: str) -> None:
        self.meta = self
        self.events = HierarchicalEmitter()
        self.service_model = self
        self.service_id = self
        self._name = service_id

    def hyphenize(self) -> str:
        return self._name


@pytest.mark.parametrize(
    ("sent_to", "arrives_at"),
    [
        ("http://123456789012.127.0.0.1:5000/v1?a=b", "http://127.0.0.1:5000/v1?a=b"),
        ("http://123456789012.localhost:5000/v1", "http://localhost:5000/v1"),
        ("https://123456789012.grants.example.com/v1", "https://grants.example.com/v1"),
        (
            "https://123456789012.s3-control.eu-west-1.amazonaws.com/v1",
            "https://123456789012.s3-control.eu-west-1.amazonaws.com/v1",
        ),
        (
            "https://123456789012.vpce-1.s3-control.eu-west-1.vpce.amazonaws.com/v1",
            "https://123456789012.vpce-1.s3-control.eu-west-1.vpce.amazonaws.com/v1",
        ),
        ("http://grants.example.com/v1", "http://grants.example.com/v1"),
        ("http://1234.example.com/v1", "http://1234.example.com/v1"),
        ("http://127.0.0.1:5000/v1", "http://127.0.0.1:5000/v1"),
    ],
)
def test_the_account_is_taken_off_a_host_where_it_leads_nowhere(sent_to: str, arrives_at: str) -> None:
    client: Any = InternalClient("s3-control")
    hook_internal_client(client)
    request = AWSRequest("GET", sent_to)
    client.events.emit("before-sign.s3-control.GetDataAccess", request=request)
    assert request.url == arrives_at


@pytest.mark.parametrize("service", ["s3-control", "sts", "s3"])
def test_a_call_is_signed_as_whoever_is_passed_along(service: str) -> None:
    client: Any = InternalClient(service)
    hook_internal_client(client)
    params, context = {"AccountId": ACCOUNT, SIGNED_AS: ME}, {}
    client.events.emit(f"provide-client-params.{service}.Operation", params=params, context=context)
    assert params == {"AccountId": ACCOUNT}
    assert context["signing"]["request_credentials"] is ME
