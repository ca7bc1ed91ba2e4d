"""``access-grants doctor``: each step says how it went, and a failed one what to do about exactly that."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import pytest

from .conftest import COMMAND
from .terminal import on_a_terminal

STEPS = [
    "identity",
    "region",
    "instance",
    "READ vend",
    "WRITE vend",
    "listing",
    "reading",
    "canary put",
    "canary delete",
]


class Line(NamedTuple):
    status: str
    found: str
    hint: str | None


def lines(done) -> dict[str, Line]:
    """The findings by step, in order."""
    found: dict[str, Line] = {}
    findings, _, conclusion = done.stdout.rpartition("\n\n")
    assert conclusion.count("\n") == 1
    for text in findings.splitlines():
        if text.startswith(" "):
            step, line = found.popitem()
            found[step] = line._replace(hint=text.strip().removeprefix("hint: "))
        else:
            matched = re.fullmatch(r"(ok|no|failed|skipped|on|off|note) +(\w+(?: \w+)*)  +(.*)", text)
            assert matched is not None, text
            found[matched[2]] = Line(matched[1], matched[3], None)
    return found


def conclusion(done) -> str:
    """The last line."""
    return done.stdout.splitlines()[-1]


def statuses(done) -> str:
    """The first letters of the steps' statuses, in order: o, n, f or s."""
    found = lines(done)
    assert list(found)[: len(STEPS)] == STEPS
    assert list(found)[len(STEPS) :][:2] == ["autoload", "AWS CLI"]
    return "".join(found[step].status[0] for step in STEPS)


@pytest.fixture
def writer(server, alice):
    server.grant(alice, "s3://data/in/*", "READWRITE")
    server.put("s3://data/in/x", b"1")
    return alice


def test_all_is_well(server, writer, invoke):
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "ooooooo" + "ss"
    assert (done.exit_code, done.stderr) == (0, "")
    found = lines(done)
    assert found["identity"].found.startswith("arn:aws:iam::123456789012:user/alice, key AKIA…")
    assert found["instance"].found == "arn:aws:s3:us-east-1:123456789012:access-grants/default"
    assert found["READ vend"].found.startswith("s3://data/in/*, until 20")
    assert found["listing"].found == "1 object under s3://data/in/*"
    assert found["reading"].found == "one byte of s3://data/in/x"
    assert found["canary put"].found == "only with --write-canary"
    data = [(one.operation, one.signer) for one in server.s3_requests() if one.operation != "HeadBucket"]
    assert data == [("ListObjectsV2", "grant"), ("GetObject", "grant")]
    assert conclusion(done) == "You can read s3://data/in/, and a grant lets you write it."


def test_the_canary_is_put_and_deleted_under_the_grant(server, writer, invoke):
    done = invoke("doctor", "s3://data/in/", "--write-canary")
    assert statuses(done) == "o" * 9
    assert conclusion(done) == "You can read and write s3://data/in/."
    put, deleted = server.s3_requests()[-2:]
    assert (put.operation, put.signer, put.status) == ("PutObject", "grant", 200)
    assert (deleted.operation, deleted.signer, deleted.status) == ("DeleteObject", "grant", 204)
    assert put.key == deleted.key
    assert put.key.startswith("in/access-grants-doctor-")
    with pytest.raises(KeyError):
        server.read(f"s3://data/{put.key}")


def test_a_canary_that_failed_is_deleted_all_the_same(server, writer, invoke):
    server.fail("PutObject", "InternalError", times=None)
    done = invoke("doctor", "s3://data/in/", "--write-canary")
    assert statuses(done) == "ooooooo" + "fo"
    assert "PutObject failed with InternalError" in lines(done)["canary put"].found
    assert server.s3_requests()[-1].operation == "DeleteObject"
    # What can be read can be read.
    assert done.exit_code == 0
    assert conclusion(done) == "You can read s3://data/in/, not write it."


def test_a_canary_is_deleted_after_ctrl_c_as_well(server, writer, invoke, monkeypatch):
    from access_grants_provider.cli import diagnosis

    tried = diagnosis.Diagnosis._tried

    def interrupted(self, step, uri, call):
        finding = tried(self, step, uri, call)
        if step == "canary put":
            raise KeyboardInterrupt
        return finding

    monkeypatch.setattr(diagnosis.Diagnosis, "_tried", interrupted)
    done = invoke("doctor", "s3://data/in/", "--write-canary")
    assert (done.exit_code, done.stderr) == (130, "Interrupted.\n")
    assert [one.operation for one in server.s3_requests()][-2:] == ["PutObject", "DeleteObject"]


def test_who_may_only_read_reaches_the_data(server, alice, invoke):
    done = invoke("doctor", "s3://data/in/", "--write-canary")
    assert statuses(done) == "oooonos" + "ss"
    assert done.exit_code == 0
    assert conclusion(done) == "You can read s3://data/in/, not write it."
    found = lines(done)
    assert "No grant gives the caller" in found["WRITE vend"].found
    assert found["WRITE vend"].hint.startswith("Your grants here give READ, not WRITE: READ on s3://data/in/*.")
    assert found["reading"].found == "no object to read"
    assert found["canary put"].found == "no credentials to write with"


def test_no_grant(server, alice, invoke):
    done = invoke("doctor", "s3://data/out/")
    assert statuses(done) == "ooonnssss"
    assert done.exit_code == 1
    assert lines(done)["READ vend"].hint.startswith("Your grants in this bucket: READ on s3://data/in/*. Ask the owner")
    # The same hint is not given twice.
    assert lines(done)["WRITE vend"].hint is None
    assert conclusion(done) == "No grant lets you read or write s3://data/out/."


def test_one_object_is_read_and_neither_listed_nor_overwritten(server, writer, invoke):
    done = invoke("doctor", "s3://data/in/x", "--write-canary")
    assert statuses(done) == "ooooososs"
    assert done.exit_code == 0
    assert lines(done)["listing"].found == "S3_URI is a single object"
    assert "S3_URI is a single object" in lines(done)["canary put"].found
    assert server.read("s3://data/in/x") == b"1"
    gone = invoke("doctor", "s3://data/in/missing")
    assert lines(gone)["reading"].status == "failed"
    assert gone.exit_code == 1


def test_an_empty_object_can_be_read(server, writer, invoke):
    server.put("s3://data/in/x", b"")
    assert statuses(invoke("doctor", "s3://data/in/"))[:7] == "ooooooo"


def test_the_wrong_region(server, writer, invoke):
    done = invoke("doctor", "s3://data/in/", "--region", "eu-west-1")
    assert statuses(done) == "ofooooo" + "ss"
    assert "eu-west-1 is set, but bucket 'data' and its grants are in us-east-1" in lines(done)["region"].found
    assert lines(done)["region"].hint == "Give --region us-east-1, or put region = us-east-1 into the AWS profile"
    assert done.exit_code == 0


def test_no_region(server, writer, invoke):
    done = invoke("doctor", "s3://data/in/", AWS_DEFAULT_REGION=None)
    assert statuses(done) == "ofooooo" + "ss"
    assert lines(done)["region"].found == "No region is set. Bucket 'data' is in us-east-1"


def test_no_such_bucket(server, alice, invoke):
    done = invoke("doctor", "s3://nosuch/in/")
    assert statuses(done) == "of" + "s" * 7
    assert done.exit_code == 1
    assert lines(done)["region"][1:] == ("There is no bucket 'nosuch'", "Check its name")
    assert lines(done)["instance"].found == "not tried: region failed"
    assert conclusion(done) == "You can't read s3://nosuch/in/: there is no bucket 'nosuch'."


def test_no_instance(server, alice, invoke):
    server.bucket("far", region="eu-west-1")
    done = invoke("doctor", "s3://far/in/", "--region", "eu-west-1")
    assert statuses(done) == "oonnnssss"
    assert "No S3 Access Grants instance in eu-west-1 has a location that covers s3://far/in/*" in done.stdout
    assert lines(done)["instance"].hint.startswith("Create an S3 Access Grants instance in the bucket's region")


def test_an_instance_that_is_named_is_not_looked_for(server, writer, invoke):
    done = invoke("doctor", "s3://data/in/", S3_ACCESS_GRANTS_ACCOUNT_ID="123456789012")
    assert lines(done)["instance"][:2] == ("skipped", "not looked up: S3_ACCESS_GRANTS_ACCOUNT_ID is 123456789012")
    assert done.exit_code == 0


def test_who_may_not_look_an_instance_up(server, writer, invoke):
    server.forbid(writer, "s3:GetAccessGrantsInstanceForPrefix")
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "oonoooo" + "ss"
    assert lines(done)["instance"].found == "The caller may not call s3:GetAccessGrantsInstanceForPrefix"
    assert "Allow it on arn:aws:s3:us-east-1:123456789012:access-grants/default" in lines(done)["instance"].hint
    assert done.exit_code == 0


def test_who_may_not_ask_for_credentials(server, writer, invoke):
    server.forbid(writer, "s3:GetDataAccess")
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "ooonnssss"
    assert "may not call s3:GetDataAccess" in lines(done)["READ vend"].found
    assert lines(done)["READ vend"].hint.startswith("Allow s3:GetDataAccess on the S3 Access Grants instance")


def test_a_login_that_has_expired(server, alice, invoke):
    server.expire(alice)
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "f" + "s" * 8
    assert "ExpiredToken" in lines(done)["identity"].found
    assert (
        lines(done)["identity"].hint
        == "AWS did not accept the caller's own credentials: they have expired. Sign in again, or renew them"
    )
    assert lines(done)["READ vend"].found == "not tried: identity failed"
    assert done.exit_code == 1
    assert conclusion(done) == "Whether you can read s3://data/in/ is not known, because the step 'identity' failed."


def test_a_service_that_is_down_is_told_of_with_what_to_check(server, alice, invoke):
    with server.refuse_connections():
        done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "f" + "s" * 8
    assert lines(done)["identity"].hint == "Check the network, the proxy and the endpoint"
    assert lines(done)["region"].found == "not tried: identity got no answer"


def test_an_s3_that_is_not_aws_without_the_option_endpoint_url(server, alice, invoke):
    done = invoke("doctor", "s3://data/in/", S3_ACCESS_GRANTS_ENDPOINT_URL=None)
    found = lines(done)
    assert (found["READ vend"].status, found["WRITE vend"].status) == ("failed", "failed")
    assert found["READ vend"].found.endswith("is not an endpoint of AWS, and the option endpoint_url is not set")
    assert conclusion(done) == "Whether you can read s3://data/in/ is not known, because the step 'READ vend' failed."


def test_no_credentials(server, alice, invoke):
    done = invoke("doctor", "s3://data/in/", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert statuses(done) == "f" + "s" * 8
    assert lines(done)["identity"].hint.startswith("Give --profile")


def test_an_sts_that_fails_does_not_end_it(server, writer, invoke):
    server.fail("GetCallerIdentity", "ServiceUnavailable", times=1)
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "fosoooo" + "ss"
    assert "ServiceUnavailable" in lines(done)["identity"].found
    assert done.exit_code == 0


KMS = (
    "User: arn:aws:sts::123456789012:assumed-role/location/x is not authorized to perform: kms:Decrypt on resource: "
    "arn:aws:kms:us-east-1:123456789012:key/k because no identity-based policy allows the kms:Decrypt action"
)


def test_a_key_of_kms_that_may_not_be_used_to_read(server, writer, invoke):
    server.fail("GetObject", "AccessDenied", message=KMS, times=None)
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "oooooof" + "ss"
    assert lines(done)["reading"].hint.startswith(
        "Allow the IAM role of the grant's location to use the bucket's key: kms:Decrypt"
    )
    assert done.exit_code == 1


def test_a_key_of_kms_that_may_not_be_used_to_write(server, writer, invoke):
    server.fail("PutObject", "AccessDenied", message=KMS.replace("Decrypt", "GenerateDataKey"), times=None)
    done = invoke("doctor", "s3://data/in/", "--write-canary")
    assert statuses(done) == "ooooooo" + "fo"
    assert "kms:GenerateDataKey" in lines(done)["canary put"].hint


def test_a_refusal_of_s3_under_the_grant(server, writer, invoke):
    server.location("s3://", denies=["s3://data/in/*"])
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "ooooofsss"
    assert "the permissions of the location's IAM role" in lines(done)["listing"].hint
    assert done.exit_code == 1
    assert conclusion(done) == "You can't read s3://data/in/: a grant covers it, but listing it failed."


def test_it_tells_whether_boto3_and_the_aws_cli_use_grants_by_themselves(server, writer, invoke, run, profiles):
    off = lines(invoke("doctor", "s3://data/in/"))
    assert (off["autoload"].status, off["AWS CLI"].status) == ("off", "off")
    assert off["autoload"].hint == "export BOTOCORE_EXPERIMENTAL__PLUGINS=access-grants=access_grants_provider"
    profiles("[plugins]\naccess-grants = access_grants_provider.awscli\n[default]\nregion = us-east-1\n")
    keys = {"AWS_ACCESS_KEY_ID": writer.access_key_id, "AWS_SECRET_ACCESS_KEY": writer.secret_access_key}
    variable = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "a=json, access-grants=access_grants_provider"}
    # In a process of its own: the plugin is loaded for good.
    on = lines(run("doctor", "s3://data/in/", **keys, **variable))
    assert (on["autoload"].status, on["AWS CLI"].status) == ("on", "on")
    assert "Version 2 also needs cli_legacy_plugin_path" in on["AWS CLI"].found


def test_json_has_the_conclusion_and_the_findings(server, alice, invoke):
    done = invoke("doctor", "s3://data/in/", "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["can_read"], document["can_write"]) == (0, True, False)
    assert document["conclusion"] == "You can read s3://data/in/, not write it."
    assert [finding["step"] for finding in document["findings"]][: len(STEPS)] == STEPS
    assert document["findings"][4]["status"] == "no"
    assert alice.secret_access_key not in done.stdout


def test_an_answer_that_is_not_awss_ends_the_steps(server, alice, invoke):
    server.answer("GetCallerIdentity", b"<html><body>Sign in to the network</body></html>", times=None)
    done = invoke("doctor", "s3://data/in/")
    assert statuses(done) == "f" + "s" * 8
    assert lines(done)["region"].found == "not tried: identity got an answer that is not AWS's"


def test_who_may_only_write(server, alice, invoke):
    server.grant(alice, "s3://data/out/*", "WRITE")
    assert conclusion(invoke("doctor", "s3://data/out/")) == "You can write s3://data/out/, not read it."


PLUGINS = "BOTOCORE_EXPERIMENTAL__PLUGINS"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (PLUGINS, "a=access_grant_provider", "Did you mean access_grants_provider by 'access_grant_provider'?"),
        (PLUGINS, "access_grants_provider", "botocore skips 'access_grants_provider', which has not the form"),
        (PLUGINS, "a=json", f"{PLUGINS} is 'a=json'. It does not name access_grants_provider"),
        (PLUGINS, "a=aws_s3_access_grants_boto3_plugin.x", "That is another package for S3 Access Grants"),
        ("BOTOCORE_EXPERIMENTAL_PLUGINS", "a=access_grants_provider", "BOTOCORE_EXPERIMENTAL_PLUGINS is, and botocore"),
    ],
)
def test_a_plugin_variable_that_does_nothing_is_quoted(server, alice, invoke, name, value, said):
    found = lines(invoke("doctor", "s3://data/in/", **{name: value}))["autoload"]
    assert found.status == "off"
    assert said in found.found
    assert found.hint == f"export {PLUGINS}=access-grants=access_grants_provider"


@pytest.mark.exhaustive
def test_two_plugins_at_once_are_told_of(server, alice, run):
    value = "a=aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin,b=access_grants_provider"
    found = lines(run("doctor", "s3://data/in/", **{PLUGINS: value}))["autoload"]
    assert found.status == "note"
    assert "aws_s3_access_grants_boto3_plugin signs the requests that a grant allows" in found.found


def test_misspelt_settings_are_told_of(server, alice, invoke, profiles, caplog):
    config = profiles("[default]\nregion = us-east-1\ns3_access_grants_fallback = never\n")
    keys = {"AWS_ACCESS_KEY_ID": alice.access_key_id, "AWS_SECRET_ACCESS_KEY": alice.secret_access_key}
    shown = invoke("doctor", "s3://data/in/", "--json", **keys, S3_ACCESS_GRANT_FALLBACK="never").stdout
    notes = {finding["found"] for finding in json.loads(shown)["findings"] if finding["status"] == "note"}
    assert any(note.startswith("The environment variable S3_ACCESS_GRANT_FALLBACK is not read") for note in notes)
    assert any(note.startswith("The key s3_access_grants_fallback of the AWS profile is not read") for note in notes)
    assert f"AWS_CONFIG_FILE is {config}. ~/.aws/config is not read" in notes


def test_a_config_file_that_is_none_is_told_of(server, alice, invoke):
    found = lines(invoke("doctor", "s3://data/in/", AWS_CONFIG_FILE="/nowhere/config"))["AWS config"]
    assert (
        found.found
        == "AWS_CONFIG_FILE is /nowhere/config, which is no file. So no profile is read, and no option in a profile"
    )
    assert found.hint == "unset AWS_CONFIG_FILE"


def test_installed_libraries_that_sign_by_themselves_are_told_of(server, alice, invoke, monkeypatch):
    from access_grants_provider.adapters.libraries import NativeLibrary
    from access_grants_provider.cli import switches

    # json is installed wherever Python is.
    rows = (
        NativeLibrary("Native", "json", "json", ("adapter", "exec"), "native"),
        NativeLibrary("Absent", "no_such_module", "absent", ("exec",)),
    )
    monkeypatch.setattr(switches, "NATIVE_LIBRARIES", rows)
    found = lines(invoke("doctor", "s3://data/in/"))
    assert "Absent" not in found
    assert found["Native"].found == (
        "signs S3 requests itself. Use access_grants_provider.adapters.native or access-grants exec"
    )


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("command", [["doctor", "s3://data/in/"], ["explain", "put-object", "s3://data/in/x"]])
def test_lines_wrap_between_words_with_a_hanging_indent(server, alice, invoke, command, columns):
    # From then on the account of alice's key is known in this process.
    invoke(*command)
    whole, wrapped = invoke(*command).stdout, invoke(*command, COLUMNS=str(columns)).stdout
    # How long a call took and when credentials expire differ between two runs.
    words, whole_words = ([re.sub(r"\d+", "9", word) for word in text.split()] for text in (wrapped, whole))
    assert words == whole_words
    lines = wrapped.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    # Only a single word may be longer than the terminal is wide.
    assert [line for line in lines if len(line) > columns and len(line[24:].split()) > 1] == []
    assert len(lines) > len(whole.splitlines()) or columns == 120
    starts = ("ok", "no", "skipped", "on", "off", "You can", "PutObject", "=>", " ")
    assert [line for line in lines if line and not line.startswith(starts) and line[1:3] != ". "] == []


@pytest.mark.exhaustive
def test_a_setting_that_nobody_reads_is_told_of_once(server, alice, run):
    done = run("doctor", "s3://data/in/", S3_ACCESS_GRANT_FALLBACK="never")
    assert done.stderr == ""
    assert done.stdout.count("S3_ACCESS_GRANT_FALLBACK is not read") == 1


def test_colours_come_only_where_they_are_wanted(server, alice, surroundings):
    command = [*COMMAND, "doctor", "s3://nosuch/"]
    assert "\x1b[31mfailed\x1b[0m" in on_a_terminal(command, surroundings(TERM="xterm")).raw
    assert "\x1b[" not in on_a_terminal(command, surroundings(TERM="xterm", NO_COLOR="1")).raw


@pytest.mark.exhaustive
def test_explain_has_the_same_colours(server, alice, surroundings):
    command = [*COMMAND, "explain", "put-object", "s3://data/in/x"]
    shown = on_a_terminal(command, surroundings(TERM="xterm")).raw
    assert "\x1b[33mno\x1b[0m: AccessDenied" in shown
    assert "=> \x1b[33mfallback\x1b[0m: signed" in shown
    assert "\x1b[" not in on_a_terminal([*command, "--no-color"], surroundings(TERM="xterm")).raw
