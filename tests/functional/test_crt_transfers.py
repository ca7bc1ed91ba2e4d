"""boto3's CRT transfers, which sign in C where no event is fired: a covered client's carry the grant all the same.

awscrt and its own client are the real ones, over HTTP: without the grant they show the caller's keys to the server.
"""

from __future__ import annotations

import io
import logging
import os
from types import SimpleNamespace
from typing import NamedTuple

import boto3
import pytest
from boto3.s3.transfer import S3Transfer, TransferConfig, create_transfer_manager

from access_grants_provider.exceptions import ConfigurationError
from access_grants_provider.registration import _registry

pytest.importorskip("awscrt", reason="awscrt is not installed: pip install 'boto3[crt]'")

import awscrt.exceptions
import awscrt.s3
import boto3.crt
import boto3.s3.constants
from s3transfer.crt import CRTTransferManager
from s3transfer.manager import TransferManager

pytestmark = [
    pytest.mark.only("botocore", reason="only boto3 hands transfers to the CRT"),
    pytest.mark.alice("READWRITE s3://data/in/*", own=["READWRITE s3://data/own/*"]),
]

MEBIBYTE = 1024 * 1024
SMALL, IN_PARTS = 100, 12 * MEBIBYTE


@pytest.fixture(autouse=True)
def _crt_of_this_test(monkeypatch, server):
    """Give boto3 a CRT client as at the start of a process, which finds the local server."""
    made = boto3.crt.create_s3_crt_client
    monkeypatch.setattr(boto3.crt, "create_s3_crt_client", lambda **given: made(**{**given, "use_ssl": False}))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setattr(boto3.crt, "CRT_S3_CLIENT", None)
    monkeypatch.setattr(boto3.crt, "BOTOCORE_CRT_SERIALIZER", None)
    # The machine has one lock for all processes that transfer with the CRT; another's must not decide this test.
    monkeypatch.setattr(boto3.crt, "acquire_crt_s3_process_lock", lambda name: SimpleNamespace(name=name))


@pytest.fixture(params=["crt", "auto"])
def config(request, monkeypatch) -> TransferConfig:
    """What makes boto3 take the CRT: being told to, or an instance that it is optimised for."""
    if request.param == "auto":
        monkeypatch.setattr(awscrt.s3, "is_optimized_for_system", lambda: True)
        return TransferConfig(multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE)
    if not hasattr(boto3.s3.constants, "CRT_TRANSFER_CLIENT"):
        pytest.skip(f"boto3 {boto3.__version__} can't be told to take the CRT; it does under 'auto' alone")
    return TransferConfig(
        preferred_transfer_client="crt", multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE
    )


@pytest.fixture
def session(server, alice, register):
    session = server.session(alice)
    session.provider = register(session, endpoint_url=server.url)
    return session


def client_of(server, session):
    return session.client("s3", endpoint_url=server.url)


def signers(server) -> set[str | None]:
    """Who signed S3's requests since the last look."""
    seen = {one.signer for one in server.s3_requests()}
    server.forget_requests()
    return seen


def takes_the_crt(s3, config: TransferConfig) -> bool:
    with create_transfer_manager(s3, config) as manager:
        return isinstance(manager, CRTTransferManager)


def upload_by_crt(s3, key: str, config: TransferConfig) -> None:
    assert takes_the_crt(s3, config)
    try:
        s3.upload_fileobj(io.BytesIO(b"1"), "data", key, Config=config)
    except awscrt.exceptions.AwsCrtError as error:
        if error.name != "AWS_IO_SOCKET_CONNECTION_REFUSED":
            raise
        pytest.skip(f"awscrt {awscrt.__version__} sends to port 80 alone, and the local server has another")


class Ends(NamedTuple):
    """The four transfers of a client, a Bucket or an Object, called alike."""

    upload_file: object
    upload_fileobj: object
    download_file: object
    download_fileobj: object


def ends_of(kind: str, server, session, key: str) -> Ends:
    s3 = session.resource("s3", endpoint_url=server.url)
    if kind == "client":
        of, at = s3.meta.client, {"Bucket": "data", "Key": key}
    elif kind == "Bucket":
        of, at = s3.Bucket("data"), {"Key": key}
    else:
        of, at = s3.Object("data", key), {}
    return Ends(*((lambda *args, name=name, **more: getattr(of, name)(*args, **at, **more)) for name in Ends._fields))


@pytest.mark.parametrize("kind", ["client", "Bucket", "Object"])
@pytest.mark.parametrize("size", [SMALL, IN_PARTS])
def test_a_transfer_is_signed_with_the_grant(server, session, config, kind, size, tmp_path):
    body = os.urandom(size)
    (tmp_path / "up").write_bytes(body)
    ends = ends_of(kind, server, session, "in/x")

    ends.upload_file(Filename=str(tmp_path / "up"), Config=config)
    assert server.read("s3://data/in/x") == body
    ends.download_file(Filename=str(tmp_path / "down"), Config=config)
    assert (tmp_path / "down").read_bytes() == body
    ends.upload_fileobj(io.BytesIO(body[::-1]), Config=config)
    loaded = io.BytesIO()
    ends.download_fileobj(Fileobj=loaded, Config=config)
    assert loaded.getvalue() == body[::-1]

    operations = {one.operation for one in server.s3_requests()}
    assert ("UploadPart" in operations) == (size == IN_PARTS)
    assert signers(server) == {"grant"}
    assert boto3.crt.CRT_S3_CLIENT is None


@pytest.mark.parametrize("kind", ["client", "Bucket", "Object"])
def test_a_copy_is_signed_with_the_grant(server, session, config, kind):
    server.put("s3://data/in/x", b"1")
    s3 = session.resource("s3", endpoint_url=server.url)
    source = {"Bucket": "data", "Key": "in/x"}
    if kind == "client":
        s3.meta.client.copy(source, "data", "in/y", Config=config)
    elif kind == "Bucket":
        s3.Bucket("data").copy(source, "in/y", Config=config)
    else:
        s3.Object("data", "in/y").copy(source, Config=config)
    assert server.read("s3://data/in/y") == b"1"
    assert signers(server) == {"grant"}


def test_a_transfer_without_a_configuration_is_signed_with_the_grant(server, session, monkeypatch):
    monkeypatch.setattr(awscrt.s3, "is_optimized_for_system", lambda: True)
    s3 = client_of(server, session)
    s3.upload_fileobj(io.BytesIO(b"1"), "data", "in/x")
    loaded = io.BytesIO()
    s3.download_fileobj("data", "in/x", loaded)
    assert loaded.getvalue() == b"1"
    assert signers(server) == {"grant"}


def test_the_configuration_may_be_the_last_of_the_arguments_and_stays_as_it_is(server, session, config):
    before = config.preferred_transfer_client
    sizes = []
    client_of(server, session).upload_fileobj(io.BytesIO(b"123"), "data", "in/x", None, sizes.append, config)
    assert signers(server) == {"grant"}
    assert sizes == [3]
    assert config.preferred_transfer_client == before


def test_a_transfer_of_s3transfer_is_signed_with_the_grant(server, session, config, tmp_path):
    (tmp_path / "up").write_bytes(b"1")
    s3 = client_of(server, session)
    for _ in range(2):
        with S3Transfer(s3, config) as transfer:
            transfer.upload_file(str(tmp_path / "up"), "data", "in/x")
    assert signers(server) == {"grant"}


def test_a_client_registered_alone_is_signed_with_the_grant(server, alice, register, config):
    s3 = client_of(server, server.session(alice))
    register(s3, endpoint_url=server.url)
    s3.upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=config)
    assert signers(server) == {"grant"}


def test_a_resource_registered_alone_is_signed_with_the_grant(server, alice, register, config):
    s3 = server.session(alice).resource("s3", endpoint_url=server.url)
    register(s3, endpoint_url=server.url)
    s3.Bucket("data").upload_fileobj(io.BytesIO(b"1"), "in/x", Config=config)
    assert signers(server) == {"grant"}


@pytest.fixture
def autoload(server, alice, monkeypatch):
    environment = {**server.environment(alice), "BOTOCORE_EXPERIMENTAL__PLUGINS": "a-g=access_grants_provider"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield
    for provider in list(_registry.autoloaded.values()):
        provider.unregister()


def test_the_environment_variable_covers_transfers_too(server, autoload, config):
    boto3.Session().client("s3").upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=config)
    assert signers(server) == {"grant"}


def test_a_client_that_refuses_requests_refuses_transfers_too(server, autoload, config, monkeypatch):
    monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "sometimes")
    s3 = boto3.Session().client("s3")
    with pytest.raises(ConfigurationError, match="fallback='sometimes'"):
        s3.upload_fileobj(io.BytesIO(b"1"), "data", "own/x", Config=config)
    assert signers(server) == set()


@pytest.mark.parametrize("first", ["covered", "uncovered"])
def test_an_uncovered_client_beside_it_gets_the_crt(server, alice, session, config, first):
    bob = server.identity("bob")
    server.allow(bob, "s3://data/*", "READWRITE")
    clients = {"covered": client_of(server, session), "uncovered": client_of(server, server.session(bob))}
    order = ["covered", "uncovered", "covered"] if first == "covered" else ["uncovered", "covered", "uncovered"]
    for turn in order:
        if turn == "covered":
            clients[turn].upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=config)
            assert signers(server) == {"grant"}
        else:
            upload_by_crt(clients[turn], "in/x", config)
            assert signers(server) == {"bob"}
            assert not takes_the_crt(clients["covered"], config)


def test_the_crt_would_have_used_the_callers_own_keys(server, alice, config):
    s3 = client_of(server, server.session(alice))
    upload_by_crt(s3, "own/x", config)
    assert signers(server) == {"alice"}


def test_after_unregister_the_crt_is_free_again(server, session, config):
    s3 = client_of(server, session)
    s3.upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=config)
    assert signers(server) == {"grant"}
    session.provider.unregister()
    assert "_get_credentials" not in vars(type(s3))
    upload_by_crt(s3, "own/x", config)
    assert signers(server) == {"alice"}


def test_a_client_handed_back_to_its_session_stays_covered(server, session, register, config):
    s3 = client_of(server, session)
    register(s3, endpoint_url=server.url).unregister()
    s3.upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=config)
    assert signers(server) == {"grant"}
    session.provider.unregister()
    assert takes_the_crt(s3, config)


def notices(caplog) -> list[str]:
    return [
        one.getMessage()
        for one in caplog.records
        if one.name.startswith("access_grants_provider") and "CRT" in one.getMessage() and one.levelno == logging.INFO
    ]


def test_it_is_said_once_for_a_provider(server, session, register, alice, config, caplog):
    caplog.set_level(logging.INFO)
    for s3 in (client_of(server, session), client_of(server, session)):
        s3.upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=config)
        S3Transfer(s3, config)
    (said,) = notices(caplog)
    assert "use the classic one (preferred_transfer_client='classic')" in said
    other = server.session(alice)
    register(other, endpoint_url=server.url)
    client_of(server, other).upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=config)
    assert len(notices(caplog)) == 2


@pytest.mark.parametrize("preferred", ["classic", "auto"])
def test_nothing_is_said_where_boto3_would_not_have_taken_the_crt(server, session, caplog, monkeypatch, preferred):
    monkeypatch.setattr(awscrt.s3, "is_optimized_for_system", lambda: False)
    caplog.set_level(logging.INFO)
    classic = TransferConfig(preferred_transfer_client=preferred)
    client_of(server, session).upload_fileobj(io.BytesIO(b"1"), "data", "in/x", Config=classic)
    with create_transfer_manager(client_of(server, session), classic) as manager:
        assert isinstance(manager, TransferManager)
    assert signers(server) == {"grant"}
    assert notices(caplog) == []


def test_the_methods_keep_their_names_their_help_and_their_errors(server, session):
    s3 = client_of(server, session)
    assert s3.upload_file.__name__ == "upload_file"
    assert "TransferConfig" in s3.upload_file.__doc__
    with pytest.raises(TypeError, match="Bucket"):
        s3.upload_file("x")
    with pytest.raises(ValueError, match="Fileobj must implement read"):
        s3.upload_fileobj("x", "data", "in/x")
