"""``access-grants grants``: all pages, for eyes and for programs."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from .conftest import COMMAND
from .terminal import on_a_terminal


def rows(done) -> list[list[str]]:
    assert done.exit_code == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_it_prints_one_grant_a_line_where_no_terminal_is(server, alice, invoke):
    server.grant(alice, "s3://data/out/*", "READWRITE")
    server.grant(server.identity("bob"), "s3://data/bob/*", "READ")
    done = invoke("grants")
    assert rows(done) == [["READ", "s3://data/in/*", "NA"], ["READWRITE", "s3://data/out/*", "NA"]]
    assert done.stderr == ""


def test_it_prints_json(server, alice, invoke):
    assert json.loads(invoke("grants", "--json").stdout) == [
        {"permission": "READ", "scope": "s3://data/in/*", "application": "NA"}
    ]


def test_all_pages_come(server, alice, invoke):
    for number in range(1000, 2500):
        server.grant(alice, f"s3://data/{number}/*", "READ")
    listed = [row[1] for row in rows(invoke("grants"))]
    assert listed == ["s3://data/in/*", *(f"s3://data/{number}/*" for number in range(1000, 2500))]
    # S3 Access Grants gives a thousand at a time.
    assert server.calls("ListCallerAccessGrants") == 2


def test_a_target_shows_what_covers_it_and_what_lies_in_it(server, alice, invoke):
    for scope in ("s3://data/in/deep/*", "s3://data/in/deep/x", "s3://data/indeed/*", "s3://data/out/*"):
        server.grant(alice, scope, "READ")
    server.bucket("database")
    server.grant(alice, "s3://database/in/*", "READ")
    shown = [row[1] for row in rows(invoke("grants", "s3://data/in/deep/"))]
    assert shown == ["s3://data/in/*", "s3://data/in/deep/*", "s3://data/in/deep/x"]
    assert [row[1] for row in rows(invoke("grants", "s3://data/in/other"))] == ["s3://data/in/*"]


def test_a_targets_region_is_found_out(server, alice, invoke):
    server.bucket("far", region="eu-west-1")
    server.grant(alice, "s3://far/*", "READ")
    assert rows(invoke("grants", "s3://far/")) == [["READ", "s3://far/*", "NA"]]
    assert rows(invoke("grants", "--region", "eu-west-1")) == [["READ", "s3://far/*", "NA"]]
    assert [row[1] for row in rows(invoke("grants"))] == ["s3://data/in/*"]


def test_another_accounts_instance_is_listed_where_it_is_named(server, alice, invoke):
    server.bucket("theirs", account_id="222222222222")
    server.grant(alice, "s3://theirs/*", "READ", account_id="222222222222")
    server.share("123456789012", owner="222222222222")
    assert rows(invoke("grants", "--account-id", "222222222222")) == [["READ", "s3://theirs/*", "NA"]]


def test_another_accounts_instance_is_found_by_the_bucket(server, alice, invoke):
    server.bucket("theirs", account_id="222222222222")
    server.grant(alice, "s3://theirs/*", "READ", account_id="222222222222")
    server.share("123456789012", owner="222222222222")
    assert rows(invoke("grants", "s3://theirs/in/")) == [["READ", "s3://theirs/*", "NA"]]


def test_no_grants_is_said_on_stderr(server, alice, invoke):
    server.revoke(next(iter(server._api.instances()[0].grants)))
    done = invoke("grants")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "You have no grants in us-east-1.\n")
    done = invoke("grants", "s3://data/in/", "--json")
    assert (done.stdout, done.stderr) == ("[]\n", "You have no grants for s3://data/in/ in us-east-1.\n")
    server.bucket("far", region="eu-west-1")
    server.grant(server.identity("bob"), "s3://far/*", "READ")
    assert invoke("grants", "s3://far/").stderr == "You have no grants for s3://far/ in eu-west-1.\n"


def refused(done, *parts: str) -> None:
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


def test_no_instance_in_this_region(server, alice, invoke):
    done = invoke("grants", "--region", "eu-west-1")
    refused(
        done,
        "There is no S3 Access Grants instance of account 123456789012 in eu-west-1 to list the grants of all buckets. "
        "Set account_id if the instance is another account's, or ask in the region it is in",
    )


def test_who_may_not_list(server, alice, invoke):
    server.forbid(alice, "s3:ListCallerAccessGrants")
    done = invoke("grants")
    refused(done, "may not list its grants of account 123456789012 in us-east-1. Allow s3:ListCallerAccessGrants on")


def test_who_may_not_even_ask_who_they_are(server, alice, invoke):
    server.expire(alice)
    refused(invoke("grants"), "sts:GetCallerIdentity in us-east-1 for the grants of all buckets", "Sign in again")


def test_who_has_no_credentials(server, alice, invoke):
    done = invoke("grants", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    refused(done, "No AWS credentials were found. Give --profile")


def test_an_answer_that_is_not_awss_is_one_line(server, alice, invoke):
    server.answer("GetCallerIdentity", b"<html><body>Sign in to the network</body></html>", times=None)
    asked = "sts:GetCallerIdentity in us-east-1 for the grants of all buckets"
    refused(invoke("grants"), asked, "the answer can't be read")


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"], ids=["without a grant", "without an instance"])
def test_no_such_bucket(server, alice, invoke, region):
    done = invoke("grants", "s3://nosuch/", "--region", region)
    refused(done, "Error: There is no bucket 'nosuch'. Check its name")


def test_a_bucket_that_is_there_in_a_region_without_an_instance(server, alice, invoke):
    server.bucket("far", region="eu-west-1")
    refused(invoke("grants", "s3://far/"), "no S3 Access Grants instance of", "in eu-west-1", "of bucket 'far'. Set")


def test_a_failure_on_the_second_page_prints_nothing_by_halves(server, alice, invoke):
    server.tamper("ListCallerAccessGrants", lambda result: {**result, "NextToken": "more"})
    refused(invoke("grants"), "s3:ListCallerAccessGrants in us-east-1 for all buckets", "failed with")


def test_a_scope_with_control_characters_stays_one_line(server, alice, invoke):
    entry = {"Permission": "READ", "GrantScope": "s3://data/\tx\n*", "ApplicationArn": "NA"}
    server.tamper("ListCallerAccessGrants", lambda result: {"CallerAccessGrantsList": [entry]})
    assert rows(invoke("grants")) == [["READ", "s3://data/\\tx\\n*", "NA"]]


def test_a_scope_of_an_unknown_form_is_shown_unless_it_would_have_to_be_compared(server, alice, invoke):
    entry = {"Permission": "READ", "GrantScope": "s3://data"}
    server.tamper("ListCallerAccessGrants", lambda result: {"CallerAccessGrantsList": [entry]}, times=None)
    assert rows(invoke("grants")) == [["READ", "s3://data", "NA"]]
    assert json.loads(invoke("grants", "--json").stdout)[0]["application"] == "NA"
    refused(invoke("grants", "s3://data/"), "answered with a malformed GrantScope: 's3://data' is no S3 scope")


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
def test_on_a_terminal_it_is_a_table(server, alice, surroundings):
    shown = on_a_terminal([*COMMAND, "grants"], surroundings(COLUMNS="80", TERM="xterm"))
    lines = [line.split() for line in shown.text.splitlines()]
    assert lines == [["PERMISSION", "SCOPE", "APPLICATION"], ["READ", "s3://data/in/*", "NA"]]
    assert "\x1b[" in shown.raw


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {}])
def test_without_colours_a_terminal_is_sent_plain_text(server, alice, surroundings, plain):
    options = [] if plain else ["--no-color"]
    shown = on_a_terminal([*COMMAND, "grants", *options], surroundings(COLUMNS="80", TERM="xterm", **plain))
    assert shown.code == 0
    assert "\x1b" not in shown.raw


def test_a_reader_that_goes_away_is_no_failure_to_be_reported(server, alice, surroundings):
    entries = [
        {"Permission": "READ", "GrantScope": f"s3://data/{n:0200}/*", "ApplicationArn": "NA"} for n in range(2000)
    ]
    server.tamper("ListCallerAccessGrants", lambda result: {"CallerAccessGrantsList": entries})
    with subprocess.Popen(
        [*COMMAND, "grants"], env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("READ\t")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
