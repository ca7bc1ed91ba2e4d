"""Pins of what botocore does not promise but does in every version supported: the day it changes, this says so."""

from __future__ import annotations

import inspect
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from botocore.handlers import handle_copy_source_param
from botocore.signers import RequestSigner
from botocore.utils import create_nested_client


@pytest.fixture
def client():
    session = botocore.session.Session()
    return session.create_client(
        "s3", region_name="eu-west-1", aws_access_key_id="AKIATEST000000000001", aws_secret_access_key="s", verify=False
    )


def contexts(client, call) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    raw: Any = type("Raw", (), {"stream": lambda *_: []})()
    no_headers: Any = {}
    client.meta.events.register("before-sign.s3", lambda request, **_: seen.append(dict(request.context)))
    client.meta.events.register(
        "before-send.s3",
        lambda request, **_: AWSResponse(request.url, 200, no_headers, raw),
    )
    call()
    return seen


def test_the_signer_holds_the_clients_credentials(client):
    assert client._request_signer._credentials.access_key == "AKIATEST000000000001"
    assert client._request_signer.region_name == "eu-west-1"


def test_the_http_session_holds_verify(client):
    assert client._endpoint.http_session._verify is False


def test_a_client_holds_the_loader_that_read_its_model(client):
    assert "s3" in client._loader.list_available_services("service-2")


def test_the_context_holds_all_parameters_with_the_copy_source_encoded(client):
    source = {"Bucket": "b", "Key": "ü b"}
    (context,) = contexts(client, lambda: client.copy_object(Bucket="b", Key="k", CopySource=source))
    assert context["s3_redirect"]["params"]["CopySource"] == "b/%C3%BC%20b"
    assert context["s3_redirect"]["params"]["Key"] == "k"


def test_the_context_of_a_presigned_url_holds_its_parameters(client):
    params = {"Bucket": "b", "Key": "k"}
    (context,) = contexts(client, lambda: client.generate_presigned_url("get_object", Params=params))
    assert context["s3_redirect"]["params"] == params


def test_a_presigned_url_is_asked_of_the_signer_by_keywords_with_its_context(client):
    asked = []
    client._request_signer.generate_presigned_url = lambda *args, **kwargs: asked.append((args, kwargs))
    client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60)
    ((args, kwargs),) = asked
    assert args == ()
    assert kwargs["expires_in"] == 60
    assert kwargs["request_dict"]["context"]["is_presign_request"]


def test_the_context_of_a_presigned_post_holds_bucket_and_key(client):
    (context,) = contexts(client, lambda: client.generate_presigned_post("b", "k/${filename}"))
    assert context["s3_redirect"]["params"]["Bucket"] == "b"
    assert context["s3-presign-post-fields"]["key"] == "k/${filename}"


def test_the_signing_region_is_in_the_context(client):
    (context,) = contexts(client, lambda: client.head_object(Bucket="b", Key="k"))
    assert context["signing"]["region"] == "eu-west-1"


def test_the_signer_takes_request_credentials():
    assert "request_credentials" in inspect.signature(RequestSigner.get_auth_instance).parameters
    assert "request_credentials" in inspect.getsource(RequestSigner.sign)


def test_a_copy_source_is_encoded_in_place():
    params = {"CopySource": "b/ü?versionId=1"}
    handle_copy_source_param(params)
    assert params["CopySource"] == "b/%C3%BC?versionId=1"


def test_a_parameter_of_ours_reaches_provide_client_params_and_no_further(client):
    seen = {}

    def take(params, context, **_):
        seen["ours"] = params.pop("Ours")
        context["signing"] = {"request_credentials": None}

    client.meta.events.register("provide-client-params.s3", take)
    contexts(client, lambda: client.head_object(Bucket="b", Key="k", Ours=1))
    assert seen == {"ours": 1}


def test_nested_clients_load_no_plugin(monkeypatch):
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "broken=access_grants_provider")
    import access_grants_provider

    monkeypatch.setattr(access_grants_provider, "initialize_client_plugin", lambda client: loaded.append(client))
    loaded = []
    create_nested_client(botocore.session.Session(), "s3", region_name="us-east-1")
    assert loaded == []
    botocore.session.Session().create_client("s3", region_name="us-east-1")
    assert len(loaded) == 1


def test_a_client_class_takes_a_base_class_first():
    session = botocore.session.Session()
    made = []

    def add(base_classes, **_):
        class First:
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                made.append(self.meta.events)

        base_classes.insert(0, First)

    session.get_component("event_emitter").register("creating-client-class.s3", add)
    client = session.create_client("s3", region_name="us-east-1")
    assert made == [client.meta.events]


def test_a_before_call_handler_answers_in_place_of_s3(client):
    parsed = {"BucketRegion": "eu-west-1", "ResponseMetadata": {"HTTPStatusCode": 200}}
    answer: Any = (AWSResponse("http://s3", 200, HTTPHeaders(), None), parsed)
    client.meta.events.register_first("before-call.s3.HeadBucket", lambda params, context, **_: answer)
    assert contexts(client, lambda: client.head_bucket(Bucket="b")) == []
    assert client.head_bucket(Bucket="b") is parsed


@pytest.mark.parametrize(("status", "answer"), [(404, {"Error": {"Code": "404"}}), (200, {"LocationConstraint": "x"})])
def test_an_after_call_handler_exchanges_the_answer(client, status, answer):
    seen = []

    def exchange(http_response, parsed, model, context, **_):
        seen.append((http_response.status_code, parsed.get("LocationConstraint", ""), "s3_redirect" in context))
        http_response.status_code = status
        parsed.clear()
        parsed.update(answer)

    refusal: Any = type("Raw", (), {"stream": lambda *_: [b"<Error><Code>AccessDenied</Code></Error>"]})()
    client.meta.events.register(
        "before-send.s3", lambda request, **_: AWSResponse(request.url, 403, HTTPHeaders(), refusal)
    )
    client.meta.events.register_last("after-call.s3.GetBucketLocation", exchange)
    if status == 200:
        assert client.get_bucket_location(Bucket="b") == answer
    else:
        with pytest.raises(ClientError, match="404"):
            client.get_bucket_location(Bucket="b")
    # botocore's own handler has read the body by then: of a refusal it makes a region that is None.
    assert seen == [(403, None, True)]
