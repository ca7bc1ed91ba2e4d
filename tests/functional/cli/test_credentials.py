"""``access-grants credentials``: what it prints is what programs take, and every failure is one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime, timezone

import boto3
import pytest

from access_grants_provider.cli.shell_syntax import script

NASTY = 'it\'s `a` $(trap) "of" \\ quotes\n\u2018and\u2019 %PATH% ; rm'


def asked(server):
    (one,) = [one for one in server.requests if one.operation == "GetDataAccess"]
    return one.parameters


def test_process_is_what_credential_process_asks_for_and_reads_through_the_grant(server, alice, invoke):
    server.put("s3://data/in/x", b"1")
    done = invoke("credentials", "s3://data/in/")
    assert (done.exit_code, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert list(document) == ["Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]
    assert document["Version"] == 1
    ends = datetime.strptime(document["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert 3500 < (ends - datetime.now(timezone.utc)).total_seconds() <= 3600
    s3 = boto3.client(
        "s3",
        aws_access_key_id=document["AccessKeyId"],
        aws_secret_access_key=document["SecretAccessKey"],
        aws_session_token=document["SessionToken"],
    )
    assert s3.get_object(Bucket="data", Key="in/x")["Body"].read() == b"1"
    assert server.s3_requests()[-1].scope == "s3://data/in/*"


def test_the_options_reach_s3_access_grants(server, alice, invoke):
    server.grant(alice, "s3://data/in/*", "READWRITE")
    options = (
        "--permission",
        "readwrite",
        "--duration",
        "900",
        "--privilege",
        "Minimal",
        "--account-id",
        "123456789012",
    )
    done = invoke("credentials", "s3://data/in/x", *options, "--format", "json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["Permission"], document["Scope"]) == ("READWRITE", "s3://data/in/x")
    assert "Version" not in document
    wanted = {"Permission": "READWRITE", "DurationSeconds": 900, "Privilege": "Minimal", "AccountId": "123456789012"}
    assert wanted.items() <= asked(server).items()
    assert server.calls("GetCallerIdentity") == 0


def test_the_global_options_stand_before_or_after_the_command_and_the_later_one_counts(
    server, alice, invoke, monkeypatch
):
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE", "memory")
    first = invoke("--region", "eu-west-1", "credentials", "s3://data/in/", "--region", "us-east-1")
    second = invoke("--region", "us-east-1", "credentials", "s3://data/in/", AWS_REGION="eu-west-1")
    third = invoke("credentials", "s3://data/in/", AWS_REGION="us-east-1", AWS_DEFAULT_REGION="eu-west-1")
    assert [one.exit_code for one in (first, second, third)] == [0, 0, 0]
    assert {one.region for one in server.requests if one.operation == "GetDataAccess"} == {"us-east-1"}
    assert server.calls("GetDataAccess") == 3


def test_endpoint_url_says_where_s3_control_answers(server, alice, invoke, monkeypatch):
    monkeypatch.delenv("S3_ACCESS_GRANTS_ENDPOINT_URL")
    assert invoke("credentials", "s3://data/in/", "--endpoint-url", server.url).exit_code == 0
    wrong = invoke("credentials", "s3://data/in/", "--endpoint-url", "nowhere")
    assert wrong.exit_code == 2
    assert "endpoint_url='nowhere' is not allowed" in wrong.stderr


def test_a_profiles_keys_are_asked_with(server, alice, invoke, profiles):
    bob = server.identity("bob")
    server.grant(bob, "s3://data/in/*", "READ")
    profiles(
        f"[profile bob]\nregion = us-east-1\n"
        f"aws_access_key_id = {bob.access_key_id}\naws_secret_access_key = {bob.secret_access_key}\n"
    )
    # A profile that is named wins over keys in the environment, as in the AWS CLI.
    done = invoke(
        "credentials",
        "s3://data/in/",
        "--profile",
        "bob",
        AWS_ACCESS_KEY_ID=alice.access_key_id,
        AWS_SECRET_ACCESS_KEY=alice.secret_access_key,
    )
    assert done.exit_code == 0, done.stderr
    assert {one.signer for one in server.requests} == {"bob"}


def test_a_shell_takes_over_what_is_printed_for_it(server, alice, invoke):
    done = invoke("credentials", "s3://data/in/", "--format", "env")
    program = done.stdout + '\nprintf "%s\\n" "$AWS_ACCESS_KEY_ID" "$AWS_SESSION_TOKEN" "$AWS_CREDENTIAL_EXPIRATION"'
    key, token, ends = subprocess.run(
        ["sh", "-c", program], env={}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert key.startswith("ASIA")
    assert len(token) > 700
    assert ends.endswith("Z")


@pytest.mark.parametrize("value", [NASTY, "", "-n", "a b"])
def test_nothing_in_a_value_ends_the_quotes_of_sh(value):
    program = script("env", {"VALUE": value}, ["OTHER"]) + '\nprintf "%s|%s" "$VALUE" "${OTHER-gone}"'
    done = subprocess.run(["sh", "-c", program], env={"OTHER": "x"}, capture_output=True, text=True, check=True)
    assert done.stdout == f"{value}|gone"


def test_nothing_in_a_value_ends_the_quotes_of_fish():
    printed = script("fish", {"VALUE": NASTY}, ["OTHER"])
    if shutil.which("fish") is None:
        inner = NASTY.replace("\\", "\\\\").replace("'", "\\'")
        assert printed == f"set -e OTHER\nset -gx VALUE '{inner}'"
        return
    program = f'{printed}\nprintf "%s" "$VALUE"'
    assert subprocess.run(["fish", "-c", program], capture_output=True, text=True, check=True).stdout == NASTY


def test_nothing_in_a_value_ends_the_quotes_of_powershell():
    printed = script("powershell", {"VALUE": NASTY}, ["OTHER"])
    inner = NASTY.replace("'", "''").replace("\u2018", "\u2018\u2018").replace("\u2019", "\u2019\u2019")
    assert printed == f"Remove-Item Env:OTHER -ErrorAction SilentlyContinue\n$Env:VALUE = '{inner}'"


BAD_TARGETS = ["data/in/", "s3:/data/in", "s3://", "s3:///key", "https://data.s3.amazonaws.com/in", ""]


@pytest.mark.parametrize("target", BAD_TARGETS)
@pytest.mark.parametrize("command", [["credentials"], ["exec"], ["doctor"], ["explain", "GetObject"], ["grants"]])
def test_a_target_that_is_no_s3_uri_is_one_line_and_exit_2(invoke, command, target):
    done = invoke(*command, target, *(["--", "true"] if command == ["exec"] else []))
    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"Error: {target!r} is not an S3 URI. Write s3://bucket, s3://bucket/prefix/ or s3://bucket/key.\n"
    )


def failed(done, *parts: str) -> None:
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


def test_no_grant_says_who_may_give_one(server, alice, invoke):
    done = invoke("credentials", "s3://data/out/", "--permission", "WRITE")
    failed(
        done,
        "No grant gives the caller (AKIA…",
        "WRITE on 's3://data/out/*'. Your grants in this bucket: READ on s3://data/in/*. Ask the owner",
    )


def test_no_such_bucket(server, alice, invoke):
    failed(invoke("credentials", "s3://nosuch/in/"), "There is no bucket 'nosuch'. Check its name\n")


def test_no_instance(server, invoke, alice):
    server.bucket("far", region="eu-west-1")
    failed(
        invoke("credentials", "s3://far/in/"),
        "No S3 Access Grants instance in eu-west-1 is responsible for 's3://far/in/*'",
        "Create an S3 Access",
    )


def test_a_missing_permission(server, alice, invoke):
    server.forbid(alice, "s3:GetDataAccess")
    failed(invoke("credentials", "s3://data/in/"), "may not call s3:GetDataAccess", "Allow s3:GetDataAccess")


def test_no_credentials(server, alice, invoke):
    done = invoke("credentials", "s3://data/in/", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    failed(done, "No AWS credentials were found. Give --profile, sign in with 'aws sso login', or set")


def test_half_of_a_key(server, alice, invoke):
    failed(invoke("credentials", "s3://data/in/", AWS_SECRET_ACCESS_KEY=None), "Partial credentials found in env")


def test_no_region(server, alice, invoke):
    done = invoke("credentials", "s3://data/in/", AWS_DEFAULT_REGION=None)
    failed(done, "No region is set. Give --region, set AWS_REGION")


def test_a_region_that_is_none(server, alice, invoke):
    failed(invoke("credentials", "s3://data/in/", "--region", "no region"), "'no region'", "region")


def test_a_profile_that_is_not_there(server, alice, invoke):
    failed(
        invoke("credentials", "s3://data/in/", "--profile", "none"),
        "(none) could not be found. Run 'aws configure list",
    )
    failed(invoke("credentials", "s3://data/in/", AWS_PROFILE="none"), "(none) could not be found")


def test_keys_that_have_expired(server, alice, invoke):
    server.expire(alice)
    done = invoke("credentials", "s3://data/in/")
    failed(
        done, "sts:GetCallerIdentity in us-east-1", "ExpiredToken", "they have expired. Sign in again, or renew them"
    )


def test_a_login_that_has_expired(server, alice, invoke, profiles):
    profiles(
        "[profile sso]\nregion = us-east-1\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = reader\n"
        "[sso-session corp]\nsso_start_url = https://example.com/start\nsso_region = us-east-1\n"
    )
    done = invoke("credentials", "s3://data/in/", "--profile", "sso")
    failed(
        done, "The login can't be used: ", "Sign in again with 'aws sso login' or 'aws login', with the same --profile"
    )


def test_a_config_file_that_cannot_be_read(server, alice, invoke, profiles):
    profiles("no section\n")
    failed(invoke("credentials", "s3://data/in/", "--profile", "x"), "config")


def test_nobody_answers(server, alice, invoke):
    done = invoke(
        "credentials", "s3://data/in/", "--account-id", "123456789012", "--endpoint-url", "http://127.0.0.1:9"
    )
    failed(done, "got no answer", "Check the network, the proxy and endpoint_url")


def test_a_broken_service(server, alice, invoke):
    server.fail("GetDataAccess", "SlowDown", times=None)
    failed(invoke("credentials", "s3://data/in/"), "failed with SlowDown (503)", "Try again later")


def test_a_wrong_option_in_the_environment(server, alice, invoke):
    done = invoke("credentials", "s3://data/in/", S3_ACCESS_GRANTS_FALLBACK="sometimes")
    failed(done, "S3_ACCESS_GRANTS_FALLBACK: fallback='sometimes' is not allowed; it must be one of")


@pytest.mark.parametrize("option", [["--duration", "60"], ["--account-id", "12"], ["--permission", "ALL"]])
def test_an_option_out_of_bounds_is_exit_2(server, alice, invoke, option):
    done = invoke("credentials", "s3://data/in/", *option)
    assert done.exit_code == 2
    assert option[0] in done.stderr
    assert server.requests == []


def test_an_answer_that_cannot_be_read_shows_none_of_it(server, alice, invoke):
    body = b"<GetDataAccessResult><Credentials><SecretAccessKey>SECRET</SecretAccessKey><AccessKeyId>A"
    server.answer("GetDataAccess", body)
    done = invoke("credentials", "s3://data/in/")
    failed(done, "the answer can't be read")
    assert "SECRET" not in done.stderr


def test_control_characters_forge_no_line(server, alice, invoke):
    failed(invoke("credentials", "s3://data/a\nError: all is well"), "a\\nError: all is well")
    failed(invoke("credentials", "s3://data/in/", "--profile", "a\nError: all is well"), "(a\\nError: all is well)")


def test_a_profile_that_asks_itself_for_credentials_is_stopped(server, alice, run, profiles):
    process = f"{sys.executable} -m access_grants_provider credentials s3://data/in/"
    profiles(f"[profile circle]\nregion = us-east-1\ncredential_process = {process}\n")
    done = run("credentials", "s3://data/in/", AWS_PROFILE="circle")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Profile 'circle' gets its credentials from this command, which reads that same profile" in done.stderr
    assert "Add --profile with another profile to its credential_process\n" in done.stderr
    assert done.stderr.count("\n") == 1
    assert server.requests == []
