"""The AWS CLI plugin against the contract of version 2, which no package index has.

Version 2's signer knows no ``request_credentials``, its requests have no ``input_params``, its profile may choose a
transfer client that sends no events, and its exit codes go by the class of the error.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import urllib.parse
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import botocore.auth
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.handlers import disable_signing
from botocore.session import Session
from botocore.signers import RequestSigner

from access_grants_provider import awscli
from access_grants_provider.exceptions import ConfigurationError
from access_grants_provider.sdk.legacy_signer import _ours, honour_request_credentials
from access_grants_provider.testing import LocalAccessGrants, mock_access_grants

pytestmark = pytest.mark.alice("READWRITE s3://data/in/*", objects={"s3://data/in/x": b"granted"})


class SignerOfVersion2(RequestSigner):
    """Signs with the client's credentials, whatever the request's context says."""

    def get_auth_instance(self, signing_name, region_name, signature_version=None, **more):
        more.pop("request_credentials", None)
        return super().get_auth_instance(signing_name, region_name, signature_version, **more)


class CliConfigurationError(Exception):
    """What version 2 answers with exit code 253."""


@pytest.fixture
def version_2(monkeypatch):
    cli, exceptions = ModuleType("awscli"), ModuleType("awscli.customizations.exceptions")
    cli.__version__ = "2.36.7"
    exceptions.ConfigurationError = CliConfigurationError
    monkeypatch.setitem(sys.modules, "awscli", cli)
    monkeypatch.setitem(sys.modules, "awscli.customizations.exceptions", exceptions)
    monkeypatch.setattr("botocore.args.RequestSigner", SignerOfVersion2)
    monkeypatch.setattr(botocore.auth, "AUTH_TYPE_MAPS", dict(botocore.auth.AUTH_TYPE_MAPS))


@pytest.fixture
def grants() -> Iterator[LocalAccessGrants]:
    with mock_access_grants() as running:
        running.bucket("data")
        yield running


@pytest.fixture(autouse=True)
def _log_as_it_was():
    logger = logging.getLogger("access_grants_provider")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.level, logger.propagate, logger.handlers[:] = before


def started(identity=None, unsigned: bool = False) -> Session:
    """The CLI's session, as it is when a command begins."""
    session = Session()
    if identity is not None:
        session.set_credentials(identity.access_key_id, identity.secret_access_key)
    session.set_config_variable("region", "us-east-1")
    if unsigned:
        # What --no-sign-request does.
        session.get_component("event_emitter").register_first("choose-signer", disable_signing)
    awscli.awscli_initialize(session.get_component("event_emitter"))
    session.emit("session-initialized", session=session, parsed_args=Namespace(debug=False))
    return session


def s3_of(session: Session):
    s3 = session.create_client("s3", config=Config(signature_version="s3v4"))
    s3.meta.events.register_first("before-sign.s3", lambda request, **_: request.context.pop("input_params", None))
    return s3


def signers(grants) -> list[str | None]:
    return [one.signer for one in grants.s3_requests()]


@pytest.mark.usefixtures("version_2")
class TestSigning:
    def test_requests_are_signed_with_the_grant_and_the_calls_for_it_as_the_caller(self, grants, alice):
        s3 = s3_of(started(alice))
        assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"granted"
        s3.put_object(Bucket="data", Key="in/y", Body=b"1")
        assert [one["Key"] for one in s3.list_objects_v2(Bucket="data", Prefix="in/")["Contents"]] == ["in/x", "in/y"]
        assert signers(grants) == ["grant"] * 3
        assert {one.signer for one in grants.requests if one.is_control_call} == {"alice"}

    def test_without_a_grant_the_caller_signs(self, grants, alice):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3_of(started(alice)).get_object(Bucket="data", Key="out/x")
        assert signers(grants) == ["alice"]

    def test_a_presigned_url_has_the_grants_key_and_the_expiry_asked_for(self, grants, alice):
        params = {"Bucket": "data", "Key": "in/x"}
        url = s3_of(started(alice)).generate_presigned_url("get_object", params, ExpiresIn=77)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        assert query["X-Amz-Expires"] == ["77"]
        assert query["X-Amz-Credential"][0].startswith("ASIA")
        assert "X-Amz-Security-Token" in query

    def test_a_presigned_post_has_the_grants_key(self, grants, alice):
        post = s3_of(started(alice)).generate_presigned_post("data", "in/x")
        assert post["fields"]["x-amz-credential"].startswith("ASIA")
        assert "x-amz-security-token" in post["fields"]

    def test_what_another_handler_leaves_unsigned_stays_unsigned(self, grants, alice):
        s3 = s3_of(started(alice, unsigned=True))
        with pytest.raises(ClientError):
            s3.get_object(Bucket="data", Key="in/x")
        (request,) = grants.requests
        assert request.access_key_id is None

    def test_requests_that_bring_credentials_of_their_own_keep_them(self, grants, alice):
        bob = grants.identity("bob")
        grants.grant(bob, "s3://data/*", "READ")
        s3 = s3_of(started(alice))
        own = Credentials(bob.access_key_id, bob.secret_access_key)

        def as_bob(params, context, **_):
            context["signing"] = {**context.get("signing", {}), "request_credentials": own}

        s3.meta.events.register("provide-client-params.s3", as_bob)
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.get_object(Bucket="data", Key="in/x")
        assert signers(grants) == ["bob"]

    def test_a_retry_under_another_identity_leaves_nothing_of_the_grant(self, grants, alice):
        s3 = s3_of(started(alice))
        s3.get_object(Bucket="data", Key="in/x")
        with pytest.raises(ClientError):
            s3.get_object(Bucket="data", Key="out/x")
        s3.get_object(Bucket="data", Key="in/x")
        assert signers(grants) == ["grant", "alice", "grant"]


@pytest.mark.usefixtures("version_2")
@pytest.mark.parametrize("version", [UNSIGNED, None, "bearer", "v4-s3express", "unheard-of"])
def test_signatures_that_no_credentials_make_are_left_to_botocore(version):
    assert _ours(version, "s3v4") is version


@pytest.mark.usefixtures("version_2")
def test_a_choice_without_the_suffix_of_a_presigned_request_gets_it():
    assert _ours("s3v4", "s3v4-query").endswith(".s3v4-query")


def test_a_botocore_that_honours_request_credentials_keeps_its_own_signatures():
    versions = []
    with mock_access_grants() as grants:
        s3 = grants.session(grants.admin).client("s3")
        honour_request_credentials(s3)
        s3.meta.events.register("before-sign.s3", lambda signature_version, **_: versions.append(signature_version))
        s3.list_buckets()
    assert versions == ["s3v4"]


PROGRAM = """
import botocore.session
from botocore.config import Config
from botocore.exceptions import InvalidRetryConfigurationError

# What else imports it has done so by then.
botocore.session.Session().create_client("s3", region_name="us-east-1")
del botocore.utils.create_nested_client

def validate(self, retries):
    for name in (retries or {}).keys() - {"max_attempts", "mode"}:
        raise InvalidRetryConfigurationError(retry_config_option=name, valid_options="")

Config._validate_retry_configuration = validate
import access_grants_provider.awscli
from access_grants_provider.sdk.internal_clients import ClientShape, InternalClients

shape = ClientShape((), None, None, None)
print(shape.config().retries["max_attempts"])
Config._validate_retry_configuration = lambda self, retries: None
print(InternalClients(None).get("sts", "us-east-1", shape, None, 20, True).meta.region_name)
"""


def test_a_botocore_without_nested_clients_and_total_attempts_will_do():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("1\nus-east-1\n", "")


CRT = "preferred_transfer_client = classic"
COPY = "before-building-argument-table-parser.s3.cp"


def configured(monkeypatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.mark.usefixtures("version_2")
class TestCrt:
    def test_a_crt_transfer_is_pointed_out_on_stderr(self, monkeypatch, tmp_path, capsys):
        configured(monkeypatch, tmp_path, "[default]\ns3 =\n  preferred_transfer_client = crt\n")
        session = started()
        session.emit("before-building-argument-table-parser.s3.ls", args=[])
        assert capsys.readouterr().err == ""
        session.emit(COPY, args=[])
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("access-grants: the CRT transfer client")
        assert CRT in line

    def test_under_fallback_never_it_is_refused(self, monkeypatch, tmp_path):
        text = "[default]\ns3 =\n  preferred_transfer_client = crt\ns3_access_grants =\n  fallback = never\n"
        configured(monkeypatch, tmp_path, text)
        session = started()
        with pytest.raises(CliConfigurationError, match=CRT):
            session.emit(COPY, args=[])

    @pytest.mark.parametrize("optimised", [True, False])
    def test_where_the_machine_decides_it_is_asked_as_the_cli_asks_it(self, monkeypatch, capsys, optimised):
        crt = ModuleType("awscrt.s3")
        crt.is_optimized_for_system = lambda: optimised
        monkeypatch.setitem(sys.modules, "awscrt.s3", crt)
        started().emit(COPY, args=[])
        assert (CRT in capsys.readouterr().err) is optimised

    def test_the_classic_client_is_fine(self, monkeypatch, tmp_path, capsys):
        configured(monkeypatch, tmp_path, "[default]\ns3 =\n  preferred_transfer_client = classic\n")
        started().emit(COPY, args=[])
        assert capsys.readouterr().err == ""

    def test_version_1_has_no_crt_client_and_no_warning(self, monkeypatch, tmp_path, capsys):
        sys.modules["awscli"].__version__ = "1.46.3"
        configured(monkeypatch, tmp_path, "[default]\ns3 =\n  preferred_transfer_client = crt\n")
        started().emit(COPY, args=[])
        assert capsys.readouterr().err == ""


class TestOptions:
    @pytest.mark.usefixtures("version_2")
    def test_a_wrong_option_raises_the_clis_own_error_once_an_s3_client_is_made(self, monkeypatch):
        monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "sometimes")
        session = started()
        session.create_client("sts")
        with pytest.raises(CliConfigurationError, match="S3_ACCESS_GRANTS_FALLBACK: fallback='sometimes'"):
            session.create_client("s3")

    @pytest.mark.usefixtures("version_2")
    def test_an_option_that_cannot_be_had_here_is_met_by_s3_clients_alone_too(self, monkeypatch):
        def without_a_home(*_, **__):
            raise ConfigurationError("the cache on disk needs a home folder")

        monkeypatch.setattr(awscli, "register", without_a_home)
        session = started()
        with pytest.raises(CliConfigurationError, match="access-grants: the cache on disk needs"):
            session.create_client("s3")

    def test_the_plugins_defaults_give_way_to_the_profile_and_that_to_the_environment(
        self, monkeypatch, tmp_path, grants, alice
    ):
        def refused() -> list[str | None]:
            grants.forget_requests()
            s3: Any = started(alice).create_client("s3")
            with pytest.raises(ClientError):
                s3.get_object(Bucket="data", Key="out/x")
            return signers(grants)

        assert refused() == ["alice"]
        monkeypatch.setattr(awscli, "DEFAULTS", {"fallback": "never"})
        assert refused() == []
        configured(monkeypatch, tmp_path, "[default]\ns3_access_grants =\n  fallback = denied\n")
        assert refused() == ["alice"]
        monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "never")
        assert refused() == []

    def test_a_fallback_is_shown_once_though_the_cli_begins_anew(self, grants, alice, capsys):
        session = started(alice)
        session.emit("session-initialized", session=session, parsed_args=Namespace(debug=False))
        for _ in range(2):
            with pytest.raises(ClientError):
                session.create_client("s3").get_object(Bucket="data", Key="out/x")
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("access-grants: requests to bucket 'data' are signed with the caller's own credentials")

    def test_a_profile_that_is_not_there_is_the_clis_business(self, monkeypatch):
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        started()
