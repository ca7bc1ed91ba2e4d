"""Answers of Access Grants that are XML and still no answer: our error, nothing kept, and the next call is served."""

from __future__ import annotations

import pytest

from access_grants_provider.exceptions import MalformedAnswer

KEYS = {"AccessKeyId": "ASIAX", "SecretAccessKey": "verysecret", "SessionToken": "verysecrettoken"}


def vended(**changed: str) -> bytes:
    parts = {**KEYS, "Expiration": "2099-01-01T00:00:00Z", **changed}
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in parts.items())
    return (
        f"<GetDataAccessResult><Credentials>{inner}</Credentials>"
        "<MatchedGrantTarget>s3://data/in/*</MatchedGrantTarget></GetDataAccessResult>"
    ).encode()


@pytest.mark.versions
@pytest.mark.fast_cases(5)
@pytest.mark.parametrize("fallback", ["denied", "always"])
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"Expiration": "soon"}, "without an Expiration"),
        ({"Expiration": ""}, "without an Expiration"),
        ({"Expiration": "99999999999999999"}, "without an Expiration"),
        ({"SessionToken": "verysecret&#10;X-Forged: 1"}, "incomplete credentials"),
        ({"AccessKeyId": "<b>ASIA</b>"}, "incomplete credentials"),
        ({"SecretAccessKey": "verysecret€"}, "incomplete credentials"),
    ],
)
def test_credentials_that_can_not_be_used_are_a_malformed_answer(grants, register, fallback, change, complaint):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/in/*", "READ")
    grants.allow(alice, "s3://data/in/*", "READ")
    grants.put("s3://data/in/x", b"1")
    session = grants.session(alice)
    register(session, account_id=grants.account_id, fallback=fallback)
    s3 = session.client("s3")
    grants.answer("GetDataAccess", vended(**change))
    if fallback == "denied":
        with pytest.raises(MalformedAnswer, match=complaint) as raised:
            s3.get_object(Bucket="data", Key="in/x")
        assert "verysecret" not in str(raised.value)
    else:
        s3.get_object(Bucket="data", Key="in/x")
    s3.get_object(Bucket="data", Key="in/x")
    assert [one.signer for one in grants.s3_requests()][-1] == "grant"
