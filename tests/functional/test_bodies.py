"""A request that is sent again because S3 did not accept the grant's credentials: what of its body arrives."""

from __future__ import annotations

import io

import pytest
from botocore.exceptions import ClientError

from access_grants_provider.sdk.client_hook import rewound

pytestmark = [
    pytest.mark.alice("READWRITE s3://data/*"),
    pytest.mark.only("botocore", reason="aiobotocore takes other kinds of files, and the rule is in the shared hook"),
]


@pytest.fixture
def s3(grants, register, alice):
    session = grants.session(alice)
    register(session)
    return session.client("s3")


def test_a_file_that_the_program_has_positioned_is_not_sent_from_its_beginning(grants, s3):
    body = io.BytesIO(b"0123456789REAL")
    body.seek(10)
    grants.fail("PutObject", "ExpiredToken", status=400)
    with pytest.raises(ClientError, match="ExpiredToken"):
        s3.put_object(Bucket="data", Key="x", Body=body)


def test_a_file_at_its_beginning_is_sent_again(grants, s3):
    grants.fail("PutObject", "ExpiredToken", status=400)
    s3.put_object(Bucket="data", Key="x", Body=io.BytesIO(b"REAL"))
    assert s3.get_object(Bucket="data", Key="x")["Body"].read() == b"REAL"


@pytest.mark.parametrize("error", [AttributeError, NotImplementedError, OSError, TypeError, ValueError])
def test_what_a_file_raises_when_it_is_rewound_hides_no_answer(error):
    class Unwilling:
        def seek(self, *_: object) -> None:
            raise error("this file is read once")

    assert not rewound(Unwilling())
