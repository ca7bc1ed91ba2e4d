"""The control calls as calls of botocore clients, and how their answers read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EndpointConnectionError, InvalidRegionError, ParamValidationError
from botocore.hooks import HierarchicalEmitter
from botocore.parsers import ResponseParserError

from access_grants_provider.core.config import AccessGrantsConfig
from access_grants_provider.core.io_requests import (
    NO_BUCKET,
    BucketRegion,
    CallerAccount,
    ControlCall,
    DataAccessReply,
    FindInstance,
    GetDataAccess,
    GrantPage,
    ListGrants,
)
from access_grants_provider.core.scopes import GrantScope
from access_grants_provider.core.service_errors import UnreadableAnswer
from access_grants_provider.sdk.api_calls import (
    SIGNED_AS,
    ApiCall,
    api_call_for,
    hook_internal_client,
    read_timestamp,
    reply_of,
    reply_of_error,
    response_of,
)

ME = Credentials("AKIAANN", "secret", "token")
ACCOUNT, REGION = "444455556666", "eu-west-1"
OBJECT, PREFIX = GrantScope("sales", "emea/q3.csv", False), GrantScope("sales", "emea/", True)
UNTIL = datetime(2027, 1, 15, tzinfo=timezone.utc)
VEND = GetDataAccess(ACCOUNT, REGION, "READ", OBJECT, False)
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
    ("call", "service", "method", "parameters"),
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
            GetDataAccess(ACCOUNT, REGION, "WRITE", PREFIX, True),
            "s3control",
            "get_data_access",
            {**ON_PREFIX, "InstanceScope": "ALL"},
        ),
    ],
)
def test_each_is_one_call_signed_as_the_caller(
    call: ControlCall, service: str, method: str, parameters: dict[str, Any]
) -> None:
    api_call = api_call_for(call, AccessGrantsConfig(), ME)
    assert api_call == ApiCall(service, REGION, method, {**parameters, SIGNED_AS: ME})


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
    api_call = api_call_for(VEND, AccessGrantsConfig(**options), ME)
    assert api_call.parameters == {**ON_OBJECT, **parameters, SIGNED_AS: ME}


@pytest.mark.parametrize("key", ["q*", "*", "a/"])
def test_an_object_is_asked_for_as_an_object_whatever_its_name(key: str) -> None:
    api_call = api_call_for(VEND._replace(target=GrantScope("sales", key, False)), AccessGrantsConfig(), ME)
    assert (api_call.parameters["Target"], api_call.parameters["TargetType"]) == (f"s3://sales/{key}", "Object")


@pytest.mark.parametrize(
    ("call", "response", "answer"),
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
            GrantPage([("READ", "s3://sales/*", "NA"), (None, None, None)], "next"),  # type: ignore[list-item]
        ),
        (ListGrants(ACCOUNT, REGION, "sales", False), {"CallerAccessGrantsList": []}, GrantPage([], None)),
        (ListGrants(ACCOUNT, REGION, "sales", False), OF_AWS, GrantPage([], None)),
    ],
)
def test_a_response_reads_as_its_call_wants_it_and_what_is_missing_as_none(
    call: ControlCall, response: dict[str, Any], answer: object
) -> None:
    assert reply_of(call, response) == answer


def test_no_list_of_grants_at_all_from_somebody_who_is_not_aws_is_no_empty_list() -> None:
    with pytest.raises(UnreadableAnswer):
        reply_of(ListGrants(ACCOUNT, REGION, "sales", False), {"ResponseMetadata": {"HTTPHeaders": {}}})


GIVEN = {"AccessKeyId": "ASIAVENDED", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": UNTIL}


def test_vended_credentials_become_credentials_of_botocore() -> None:
    response = {"Credentials": GIVEN, "MatchedGrantTarget": "s3://sales/*", "MatchedInstanceArn": "arn:…"}
    reply = reply_of(VEND, response)
    assert isinstance(reply, DataAccessReply)
    assert isinstance(reply.credentials, Credentials)
    assert (reply.credentials.access_key, reply.credentials.secret_key, reply.credentials.token) == (
        "ASIAVENDED",
        "s",
        "t",
    )
    assert (reply.expiration, reply.matched, reply.instance_arn) == (UNTIL, "s3://sales/*", "arn:…")


@pytest.mark.parametrize("missing", ["AccessKeyId", "SecretAccessKey", "SessionToken"])
@pytest.mark.parametrize("empty", [True, False])
def test_incomplete_credentials_are_none(missing: str, empty: bool) -> None:
    given = {**GIVEN, missing: ""} if empty else {name: value for name, value in GIVEN.items() if name != missing}
    assert reply_of(VEND, {"Credentials": given}).credentials is None


@pytest.mark.parametrize("expiration", [None, "2027-01-15T00:00:00Z", 1_800_000_000])
def test_an_expiration_that_is_no_time_reads_as_none(expiration: object) -> None:
    reply = reply_of(VEND, {"Credentials": {**GIVEN, "Expiration": expiration}})
    assert reply.expiration is None


@pytest.mark.parametrize("response", [{}, {"Credentials": {}}, {"Credentials": None}])
def test_an_empty_answer_of_get_data_access_reads_as_nothing(response: dict[str, Any]) -> None:
    assert reply_of(VEND, response) == DataAccessReply(None, None, None, None)


@pytest.mark.parametrize("status", [301, 400, 403, 404])
def test_a_refused_head_bucket_names_the_region_all_the_same(
    aws_error: Callable[..., ClientError], status: int
) -> None:
    error = aws_error(str(status), status=status, operation="HeadBucket")
    assert reply_of_error(BucketRegion("sales", REGION), error) == (NO_BUCKET if status == 404 else None)
    error.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] = "us-east-2"
    assert reply_of_error(BucketRegion("sales", REGION), error) == "us-east-2"


@pytest.mark.parametrize(
    "call",
    [CallerAccount(REGION), FindInstance(ACCOUNT, REGION, OBJECT), ListGrants(ACCOUNT, REGION, "sales", False), VEND],
)
def test_every_other_error_is_the_core_s_to_judge(aws_error: Callable[..., ClientError], call: ControlCall) -> None:
    error = aws_error("AccessDenied")
    with pytest.raises(ClientError) as raised:
        reply_of_error(call, error)
    assert raised.value is error


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
            "https://123456789012.control.vpce-1a2b-3c4d.s3.eu-west-1.vpce.amazonaws.com/v1",
            "https://123456789012.control.vpce-1a2b-3c4d.s3.eu-west-1.vpce.amazonaws.com/v1",
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
    params: dict[str, Any] = {"AccountId": ACCOUNT, SIGNED_AS: ME}
    context: dict[str, Any] = {}
    client.events.emit(f"provide-client-params.{service}.Operation", params=params, context=context)
    assert params == {"AccountId": ACCOUNT}
    assert context["signing"]["request_credentials"] is ME


@pytest.mark.parametrize("unsafe", ["a\nb", "a\r\nX-Evil: 1", "a\x00", "tokén", " "[:0], 7, None])
@pytest.mark.parametrize("name", ["AccessKeyId", "SecretAccessKey", "SessionToken"])
def test_credentials_that_fit_no_header_are_none(name: str, unsafe: object) -> None:
    # The HTTP library would refuse them in an error that quotes the token.
    assert reply_of(VEND, {"Credentials": {**GIVEN, name: unsafe}}).credentials is None


def test_head_bucket_follows_no_redirect_of_its_own() -> None:
    client: Any = InternalClient("s3")
    hook_internal_client(client)
    context: dict[str, Any] = {"s3_redirect": {"redirected": False}}
    client.events.emit("before-parameter-build.s3.HeadBucket", context=context)
    assert context["s3_redirect"]["redirected"] is True


class Answers:
    """A client whose one method returns or raises."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.given: dict[str, Any] = {}

    def get_data_access(self, **given: Any) -> Any:
        self.given = given
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result


CALL = api_call_for(VEND, AccessGrantsConfig(), ME)


def test_a_response_is_handed_on_and_the_parameters_with_it() -> None:
    client = Answers({"Credentials": GIVEN})
    assert response_of(client, CALL) == {"Credentials": GIVEN}
    assert client.given == CALL.parameters


@pytest.mark.parametrize(
    "error", [ResponseParserError("Unable to parse b'<SecretAccessKey>'"), KeyError("x"), ValueError("x")]
)
def test_what_botocore_can_not_parse_is_unreadable_and_leads_to_no_error_that_quotes_it(error: Exception) -> None:
    response = response_of(Answers(error), CALL)
    assert response == ""
    with pytest.raises(UnreadableAnswer) as raised:
        reply_of(VEND, response)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="x"),
        ParamValidationError(report="x"),
        InvalidRegionError(region_name="a b"),
    ],
)
def test_an_error_of_botocore_passes(error: Exception) -> None:
    # Some of them are ValueErrors too, as the parser's are.
    with pytest.raises(type(error)) as raised:
        response_of(Answers(error), CALL)
    assert raised.value is error


@pytest.mark.parametrize("text", ["", "soon", "99999-01-01T00:00:00Z", None, {}, 10**20])
def test_a_time_that_is_none_reads_as_none(text: object) -> None:
    assert read_timestamp(text) is None


@pytest.mark.parametrize("text", ["2027-01-15T00:00:00Z", "20270115T000000Z", UNTIL.timestamp()])
def test_a_time_reads_as_botocore_reads_it(text: object) -> None:
    assert read_timestamp(text) == UNTIL
