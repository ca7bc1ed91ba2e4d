"""``access-grants explain``: the decision, call by call, and what would help."""

from __future__ import annotations

import json

import pytest


def steps(done) -> list[str]:
    """The lines without how long each call took."""
    return [line.partition(" (")[0] if line.endswith(" ms)") else line for line in done.stdout.splitlines()]


@pytest.mark.parametrize("operation", ["GetObject", "get_object", "get-object"])
def test_a_granted_request_however_its_operation_is_spelled(server, alice, invoke, operation):
    done = invoke("explain", operation, "s3://data/in/x", S3_ACCESS_GRANTS_ACCOUNT_ID="123456789012")
    assert (done.exit_code, done.stderr) == (0, "")
    assert steps(done)[:3] == [
        "GetObject needs READ on s3://data/in/x",
        "1. GetDataAccess in us-east-1: READ on s3://data/in/x, of account 123456789012",
        "   ok",
    ]
    (last,) = steps(done)[3:]
    assert last.startswith(
        "=> granted: signed with the grant s3://data/in/*, of account 123456789012 in us-east-1, until"
    )
    assert server.s3_requests() == []


def test_a_fallback_shows_the_answer_that_led_to_it_and_what_would_help(server, alice, invoke):
    done = invoke("explain", "put-object", "s3://data/in/x")
    assert done.exit_code == 0
    shown = steps(done)
    assert "   no: AccessDenied: You do not have WRITE permissions to the requested S3 Prefix: s3://data/in/x" in shown
    assert shown[-2].startswith("=> fallback: signed with the caller's own credentials: No grant gives the caller")
    helps = "Your grants here give READ, not WRITE: READ on s3://data/in/*. Ask the owner"
    assert shown[-1].startswith(f"   What helps: {helps}")
    # HeadBucket, for the bucket's region, is all that S3 sees.
    assert {one.operation for one in server.requests if one.service == "s3"} == {"HeadBucket"}


def test_a_probe_that_is_answered_from_a_grant(server, alice, invoke):
    done = invoke("explain", "head-object", "s3://data/in")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "=> implied: " in done.stdout
    assert "signed with" not in done.stdout
    assert "What helps" not in done.stdout


def test_a_request_that_would_be_refused_is_exit_1(server, alice, invoke):
    done = invoke("explain", "put-object", "s3://data/in/x", S3_ACCESS_GRANTS_FALLBACK="never")
    assert done.exit_code == 1
    assert "=> denied: not sent: No grant gives the caller" in done.stdout


@pytest.mark.parametrize(
    ("forbidden", "bucket", "advice"),
    [
        ("s3:GetDataAccess", "data", "Allow s3:GetDataAccess on the S3 Access Grants instance"),
        (None, "far", "Create an S3 Access Grants instance in the bucket's region"),
        ("s3:GetAccessGrantsInstanceForPrefix", "data", "Your grants here give READ, not WRITE"),
    ],
)
def test_the_advice_is_for_the_answer_that_decided(server, alice, invoke, forbidden, bucket, advice):
    server.bucket("far", region="eu-west-1")
    if forbidden is not None:
        server.forbid(alice, forbidden)
    done = invoke("explain", "put-object", f"s3://{bucket}/in/x", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["decision"]["outcome"] == "fallback"
    assert document["advice"].startswith(advice)


def test_json_has_the_decision_and_the_calls(server, alice, invoke):
    document = json.loads(invoke("explain", "ListObjectsV2", "s3://data/in/", "--json").stdout)
    assert (document["advice"], document["error"]) == (None, None)
    assert document["decision"]["outcome"] == "granted"
    assert document["decision"]["target"] == "s3://data/in/*"
    assert document["decision"]["expiration"].endswith("Z")
    calls = [(one["operation"], one["region"], one["error"]) for one in document["calls"]]
    # One more where botocore does not know InstanceScope.
    assert calls[0] == ("GetCallerIdentity", "us-east-1", None)
    assert calls[-1] == ("GetDataAccess", "us-east-1", None)
    assert {one["status"] for one in document["calls"]} <= {"ok", "no"}
    assert all(one["seconds"] >= 0 for one in document["calls"])


def test_nothing_secret_is_printed(server, alice, invoke):
    shown = invoke("explain", "GetObject", "s3://data/in/x", "--json").stdout
    assert alice.secret_access_key not in shown
    assert alice.access_key_id not in shown
    assert "ASIA" not in shown


@pytest.mark.parametrize(
    ("operation", "target", "needs"),
    [
        ("head-bucket", "s3://data", "READ on s3://data/*"),
        ("list-objects", "s3://data/in*", "READ on s3://data/in*"),
        ("list-parts", "s3://data/in/x", "READ on s3://data/in/x"),
        ("delete-objects", "s3://data/in/x", "WRITE on s3://data/in/x"),
        ("get-object", "s3://data/in/folder/", "READ on s3://data/in/folder/"),
    ],
)
def test_the_target_becomes_the_parameters_of_the_operation(server, alice, invoke, operation, target, needs):
    assert steps(invoke("explain", operation, target))[0].endswith(f" needs {needs}")


def test_a_copy_is_about_both_of_its_ends(server, alice, invoke):
    one = invoke("explain", "copy-object", "s3://data/in/b", "--copy-source", "s3://data/in/a")
    assert steps(one)[0] == "CopyObject needs READWRITE on s3://data/in/*"
    two = invoke("explain", "CopyObject", "s3://data/in/b", "--copy-source", "s3://other/in/a")
    assert "no single grant covers two buckets" in two.stdout
    assert "What helps: Copy with credentials that can read the one bucket and write the other" in two.stdout


def test_what_access_grants_does_not_know_costs_no_call(server, alice, invoke):
    done = invoke("explain", "get-object-tagging", "s3://data/in/x")
    assert steps(done) == [
        "GetObjectTagging is not covered by S3 Access Grants",
        "=> unsupported: signed with the caller's own credentials: S3 Access Grants does not cover GetObjectTagging",
    ]
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["get-objekt", "s3://data/in/x"], "S3 has no operation 'get-objekt'. Did you mean GetObject"),
        (["zzz", "s3://data/in/x"], "S3 has no operation 'zzz'. Write it like GetObject or get-object"),
        (["copy-object", "s3://data/in/x"], "CopyObject needs --copy-source"),
        (["get-object", "s3://data"], "GetObject needs an object. Write s3://data/KEY"),
    ],
)
def test_a_request_that_is_none_is_exit_2(server, alice, invoke, arguments, said):
    done = invoke("explain", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert server.requests == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_failure_shows_the_calls_up_to_it(server, alice, invoke, options):
    server.fail("GetDataAccess", "SlowDown", times=None)
    done = invoke("explain", "get-object", "s3://data/in/x", *options)
    assert done.exit_code == 1
    assert "SlowDown: SlowDown" in done.stdout
    assert done.stderr.startswith("Error: s3:GetDataAccess in us-east-1")
    assert done.stderr.count("\n") == 1
    if options:
        document = json.loads(done.stdout)
        assert document["decision"] is None
        assert document["calls"][-1]["status"] == "failed"
        assert "failed with SlowDown (503)" in document["error"]


def test_no_credentials(server, alice, invoke):
    done = invoke("explain", "get-object", "s3://data/in/x", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "No AWS credentials were found" in done.stderr


def test_a_plugin_in_the_environment_does_not_decide_a_second_time(server, alice, run):
    # With it, botocore puts a provider of its own on each client of the process, too.
    autoload = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}
    done = run("explain", "get-object", "s3://data/in/x", **autoload)
    assert "=> granted" in done.stdout
    assert server.calls("GetDataAccess") == 1
