"""Where the adapters send a library's S3 requests: where botocore would send its own."""

from __future__ import annotations

import boto3
import pytest
from botocore.session import Session

from access_grants_provider.adapters.source import s3_endpoint

LOCAL = "http://127.0.0.1:9000"


def test_aws_is_no_endpoint_to_tell_of(monkeypatch):
    assert s3_endpoint(boto3.Session()) is None
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert s3_endpoint(boto3.Session()) is None


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize("make", [boto3.Session, Session])
def test_it_is_what_the_environment_says(monkeypatch, variable, make):
    monkeypatch.setenv(variable, LOCAL)
    assert s3_endpoint(make()) == LOCAL
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert s3_endpoint(make()) is None


def test_without_a_session_it_is_the_default_one_s(monkeypatch):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", LOCAL)
    assert s3_endpoint(None) == LOCAL


@pytest.mark.parametrize(
    "profile", [f"endpoint_url = {LOCAL}", f"services = local\n[services local]\ns3 =\n  endpoint_url = {LOCAL}"]
)
def test_it_is_what_the_profile_says(monkeypatch, tmp_path, profile):
    (tmp_path / "config").write_text(f"[profile local]\nregion = eu-west-1\n{profile}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert s3_endpoint(boto3.Session(profile_name="local")) == LOCAL


def test_the_endpoint_of_a_vpc_is_told(monkeypatch):
    url = "https://bucket.vpce-0abc-def.s3.us-east-1.vpce.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    assert s3_endpoint(boto3.Session()) == url
