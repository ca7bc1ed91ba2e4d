"""Presigned URLs and forms, SigV2 and SigV4, fetched by programs that know nothing of AWS."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest
import requests
from botocore.config import Config

pytestmark = [
    pytest.mark.alice("READWRITE s3://sales/in/*", objects={"s3://sales/in/x": "in/x", "s3://sales/out/x": "out/x"}),
    pytest.mark.usefixtures("moto_answers_requests"),
]

VERSIONS = {"v2": Config(), "v4": Config(signature_version="s3v4")}
NASTY = ["a b", "a+b", "a%2Fb", "ü", "x//y", "st*r", "q?m", "a;b", "a&b=c"]


@pytest.fixture(params=VERSIONS)
def presign(request: pytest.FixtureRequest, either: Any, alice: Any, vend: Any) -> Any:
    def presign(method: str, key: str, *, permission: str = "READWRITE", expires: int = 60, **options: Any) -> str:
        s3 = vend(either, alice, "s3://sales/in/*", permission, config=VERSIONS[request.param])
        url: str = s3.generate_presigned_url(
            method, Params={"Bucket": "sales", "Key": key, **options}, ExpiresIn=expires
        )
        assert ("X-Amz-Signature" in url) is (request.param == "v4")
        return url

    return presign


@pytest.mark.parametrize("name", NASTY)
def test_reading(either: Any, presign: Any, name: str) -> None:
    key = f"in/{name}"
    either.put(f"s3://sales/{key}", name)
    answer = requests.get(presign("get_object", key), timeout=10)
    assert (answer.status_code, answer.content.decode()) == (200, name)


def test_reading_with_overridden_headers(presign: Any) -> None:
    url = presign("get_object", "in/x", ResponseContentType="text/csv; charset=utf-8")
    answer = requests.get(url, timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


def test_writing(either: Any, presign: Any) -> None:
    assert requests.put(presign("put_object", "in/new é"), data=b"sent", timeout=10).status_code == 200
    assert either.read("s3://sales/in/new é") == b"sent"
    url = presign("put_object", "in/typed", ContentType="text/csv")
    answer = requests.put(url, data=b"a,b", headers={"Content-Type": "text/csv"}, timeout=10)
    assert answer.status_code == 200, answer.text
    assert either.read("s3://sales/in/typed") == b"a,b"


def test_deleting(either: Any, presign: Any) -> None:
    assert requests.delete(presign("delete_object", "in/x"), timeout=10).status_code == 204
    with pytest.raises(KeyError):
        either.read("s3://sales/in/x")


def test_out_of_scope(presign: Any) -> None:
    for url in (presign("get_object", "out/x"), presign("put_object", "in/x", permission="READ")):
        answer = requests.request("PUT" if "in/x" in url else "GET", url, timeout=10)
        assert answer.status_code == 403
        assert "no session policy allows" in answer.text


def test_tampered_with(presign: Any) -> None:
    url = presign("get_object", "in/x")
    for changed in (url.replace("in/x", "in/y"), url + "&versionId=1"):
        answer = requests.get(changed, timeout=10)
        assert answer.status_code == 403
        assert "SignatureDoesNotMatch" in answer.text
    assert requests.put(url, data=b"", timeout=10).status_code == 403
    assert "InvalidToken" in requests.get(url.replace("IQoJ", "JQoJ"), timeout=10).text


def test_expired(presign: Any, clock: Any) -> None:
    url = presign("get_object", "in/x", expires=1)
    clock.forward(10)
    answer = requests.get(url, timeout=10)
    assert (answer.status_code, "Request has expired" in answer.text) == (403, True)


def test_expired_session(either: Any, presign: Any) -> None:
    either.lifetime = -1
    answer = requests.get(presign("get_object", "in/x"), timeout=10)
    assert (answer.status_code, "ExpiredToken" in answer.text) == (400, True)


def test_over_http_with_urllib(server: Any, vend: Any) -> None:
    bob = server.identity("bob")
    server.grant(bob, "s3://sales/in/*", "READWRITE")
    s3 = vend(server, bob, "s3://sales/in/*", "READWRITE", config=VERSIONS["v4"])
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "sales", "Key": "in/a b"})
    with urllib.request.urlopen(urllib.request.Request(url, data=b"form?", method="PUT"), timeout=10) as answer:
        assert answer.status == 200
    assert server.read("s3://sales/in/a b") == b"form?"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/sales/{quote('in/a b')}", timeout=10)
    caught.value.close()
    assert caught.value.code == 403


class TestForms:
    @pytest.fixture(params=VERSIONS)
    def form(self, request: pytest.FixtureRequest, either: Any, alice: Any, vend: Any) -> Any:
        def form(key: str, **options: Any) -> Any:
            permission = options.pop("permission", "WRITE")
            s3 = vend(either, alice, "s3://sales/in/*", permission, config=VERSIONS[request.param])
            made = s3.generate_presigned_post("sales", key, **options)
            assert ("x-amz-signature" in made["fields"]) is (request.param == "v4")
            return made

        return form

    @staticmethod
    def post(made: Any, content: bytes = b"uploaded", filename: str = "report.csv", **fields: Any) -> Any:
        return requests.post(
            made["url"], data={**made["fields"], **fields}, files={"file": (filename, content)}, timeout=10
        )

    def test_uploading(self, either: Any, form: Any) -> None:
        assert self.post(form("in/form ü")).status_code == 204
        assert either.read("s3://sales/in/form ü") == b"uploaded"
        record = either.s3_requests()[-1]
        assert (record.operation, record.key, record.signer) == ("PostObject", "in/form ü", "grant")

    def test_the_name_of_the_file(self, either: Any, form: Any) -> None:
        assert self.post(form("in/${filename}")).status_code == 204
        assert either.read("s3://sales/in/report.csv") == b"uploaded"

    def test_out_of_scope(self, form: Any) -> None:
        for made in (form("out/form"), form("in/form", permission="READ")):
            answer = self.post(made)
            assert (answer.status_code, "no session policy allows" in answer.text) == (403, True)

    def test_against_the_policy(self, form: Any) -> None:
        cases: list[tuple[Any, dict[str, Any]]] = [
            (form("in/form"), {"key": "in/else"}),
            (form("in/form"), {"acl": "public-read"}),
            (form("in/form", Conditions=[["content-length-range", 0, 3]]), {}),
            (form("in/form", Conditions=[["content-length-range", 100, 200]]), {}),
        ]
        for made, fields in cases:
            answer = self.post(made, **fields)
            assert answer.status_code in (400, 403), answer.text
            assert "Invalid according to Policy" in answer.text or "Your proposed upload" in answer.text

    def test_with_conditions_that_hold(self, either: Any, form: Any) -> None:
        made = form(
            "in/form",
            Fields={"Content-Type": "text/csv"},
            Conditions=[["starts-with", "$Content-Type", "text/"], ["content-length-range", 1, 100]],
        )
        assert self.post(made).status_code == 204

    def test_expired(self, form: Any) -> None:
        answer = self.post(form("in/form", ExpiresIn=-1))
        assert (answer.status_code, "Policy expired" in answer.text) == (403, True)

    def test_tampered_with(self, form: Any) -> None:
        made = form("in/form")
        assert "SignatureDoesNotMatch" in self.post(made, policy=made["fields"]["policy"] + "AA==").text
        assert "InvalidToken" in self.post(made, **dict[str, Any]({"x-amz-security-token": "wrong"})).text

    def test_a_field_twice(self, form: Any) -> None:
        answer = self.post(form("in/form"), Key="out/form")
        assert (answer.status_code, "each of its fields once" in answer.text) == (400, True)

    def test_incomplete(self, either: Any, form: Any) -> None:
        made = form("in/form")
        assert requests.post(made["url"], data=made["fields"], files={"other": b""}, timeout=10).status_code == 400
        without_key = {name: value for name, value in made["fields"].items() if name != "key"}
        answer = requests.post(made["url"], data=without_key, files={"file": b""}, timeout=10)
        assert (answer.status_code, "field named 'key'" in answer.text) == (400, True)
        answer = requests.post(made["url"], data={"key": "in/x"}, files={"file": b""}, timeout=10)
        assert (answer.status_code, "AccessDenied" in answer.text) == (403, True)
