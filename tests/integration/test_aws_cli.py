"""The real AWS CLI with the plugin, as a person calls it: in processes of its own, with a configuration file.

The CLI is ``aws`` beside the running Python (extra ``test-cli``), or what ``ACCESS_GRANTS_TEST_AWS`` names; that one's
environment must hold this package too, unless it is version 2, which is told where the package lies.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import access_grants_provider
from access_grants_provider.testing import Identity

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1024 * 1024
AWS = os.environ.get("ACCESS_GRANTS_TEST_AWS") or str(Path(sys.executable).with_name("aws"))

pytestmark = [
    pytest.mark.skipif(
        not os.access(AWS, os.X_OK),
        reason="no AWS CLI: install the extra test-cli, or set ACCESS_GRANTS_TEST_AWS to an aws that has this package",
    ),
    pytest.mark.alice("READWRITE s3://data/in/*"),
]


@pytest.fixture(scope="module")
def version() -> int:
    printed = subprocess.run([AWS, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.match(r"aws-cli/([12])\.", printed)
    assert found is not None, printed
    return int(found[1])


def section(name: str, lines: dict[str, object]) -> str:
    text = [f"[{name}]\n"]
    for key, value in lines.items():
        nested = "".join(f"\n  {one} = {other}" for one, other in value.items()) if isinstance(value, dict) else value
        text.append(f"{key} = {nested}\n")
    return "".join(text)


class Cli:
    """The CLI in a home of its own: ``run`` calls it, ``write`` sets the configuration files."""

    def __init__(self, home: Path, server, version: int) -> None:
        self.home, self.version = home, version
        self._environment = {
            name: value
            for name, value in server.environment().items()
            if not name.startswith(("AWS_ACCESS", "AWS_SECRET", "AWS_CONFIG", "AWS_SHARED", "AWS_DEFAULT"))
        }
        (home / ".aws").mkdir(parents=True)

    def write(self, profiles: dict[str, tuple[Identity, dict[str, object]]], plugin: bool = True) -> None:
        plugins: dict[str, object] = {"access-grants": "access_grants_provider.awscli"} if plugin else {}
        if plugin and self.version == 2:
            plugins["cli_legacy_plugin_path"] = str(Path(access_grants_provider.__file__).parents[1])
        config, credentials = [section("plugins", plugins)], []
        for name, (identity, settings) in profiles.items():
            heading = name if name == "default" else f"profile {name}"
            config.append(section(heading, {"region": "us-east-1", **settings}))
            keys: dict[str, object] = {
                "aws_access_key_id": identity.access_key_id,
                "aws_secret_access_key": identity.secret_access_key,
            }
            credentials.append(section(name, keys))
        (self.home / ".aws" / "config").write_text("\n".join(config), encoding="utf-8")
        (self.home / ".aws" / "credentials").write_text("\n".join(credentials), encoding="utf-8")

    def run(self, *arguments: str, code: int = 0, without: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TZ": "UTC", **self._environment, **more}
        environment.pop(without, None)
        done = subprocess.run(
            [AWS, *arguments], cwd=self.home, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr or "--debug" in arguments
        return done


@pytest.fixture
def cli(server, alice, version, tmp_path) -> Cli:
    cli = Cli(tmp_path / "home", server, version)
    cli.write({"default": (alice, {})})
    return cli


def signers(server) -> set[str | None]:
    return {one.signer for one in server.s3_requests()}


COMMANDS = [
    "s3 cp report s3://data/in/report",
    "s3 mv s3://data/in/report s3://data/in/moved",
    "s3 ls s3://data/in/",
    "s3 cp s3://data/in/moved -",
    "s3api head-object --bucket data --key in/moved --query ContentLength",
    "s3 rm s3://data/in/ --recursive",
]


def test_the_commands_are_signed_with_grants_and_print_what_they_print_without_the_plugin(server, alice, cli):
    (cli.home / "report").write_bytes(b"1,2,3\n")

    def printed() -> list[str]:
        outputs = []
        for command in COMMANDS:
            done = cli.run(*command.split())
            assert done.stderr == ""
            # When and how fast it was, and the blanks that wipe out the line about that.
            outputs.append(re.sub(r"^[0-9: -]{19}|\(.*?/s\)| +$", "", done.stdout, flags=re.MULTILINE))
        return outputs

    through_grants = printed()
    assert signers(server) == {"grant"}
    assert through_grants[2].split() == ["6", "moved"]
    assert through_grants[3:5] == ["1,2,3\n", "6\n"]
    server.forget_requests()
    cli.write({"default": (server.admin, {})}, plugin=False)
    assert printed() == through_grants
    assert signers(server) == {"admin"}


def test_a_sync_of_500_small_files_and_a_multipart_upload_take_one_vend_a_permission(server, alice, cli):
    folder = cli.home / "tree"
    for number in range(500):
        path = folder / f"{number % 25}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    uploaded = cli.run("s3", "sync", "tree", "s3://data/in/tree", "--no-progress")
    assert uploaded.stdout.count("upload: ") == 500
    assert uploaded.stderr == ""
    vends = [one.parameters["Permission"] for one in server.requests if one.operation == "GetDataAccess"]
    assert sorted(vends) == ["READ", "WRITE"]
    assert [one.operation for one in server.s3_requests()].count("PutObject") == 500
    assert signers(server) == {"grant"}

    server.forget_requests()
    body = os.urandom(20 * MEBIBYTE)
    (cli.home / "big").write_bytes(body)
    cli.run("s3", "cp", "big", "s3://data/in/big", "--no-progress")
    assert server.read("s3://data/in/big") == body
    operations = [one.operation for one in server.s3_requests()]
    assert operations.count("UploadPart") >= 3
    assert {"CreateMultipartUpload", "CompleteMultipartUpload"} <= set(operations)
    # The command before it has left what it was vended on disk.
    assert server.control_calls() == 0
    assert signers(server) == {"grant"}


def test_the_second_command_asks_access_grants_nothing(server, alice, cli):
    server.put("s3://data/in/x", b"1")
    first = cli.run("s3", "ls", "s3://data/in/").stdout
    assert server.calls("GetDataAccess") == 1
    server.forget_requests()
    assert cli.run("s3", "ls", "s3://data/in/").stdout == first
    assert server.control_calls() == 0
    assert signers(server) == {"grant"}
    server.forget_requests()
    cli.run("s3", "ls", "s3://data/in/", S3_ACCESS_GRANTS_CACHE="memory")
    assert server.calls("GetDataAccess") == 1


def test_a_presigned_url_is_signed_with_the_grant_and_ends_when_it_was_told_to(server, alice, cli, version):
    server.put("s3://data/in/x", b"by url")
    url = cli.run("s3", "presign", "s3://data/in/x", "--expires-in", "77").stdout.strip()
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"by url"
    assert signers(server) == {"grant"}
    if version == 2:
        assert "X-Amz-Expires=77&" in url
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(url.replace("/in/x", "/in/y"))
    refused.value.close()


def test_a_fallback_is_one_line_on_stderr_a_bucket_and_stdout_is_clean(server, alice, cli):
    for name in "abc":
        (cli.home / name).write_text(name)
    done = cli.run("s3", "cp", ".", "s3://data/out/", "--recursive", "--exclude", "*/*", "--no-progress", code=1)
    lines = done.stderr.splitlines()
    ours = [line for line in lines if line.startswith("access-grants: ")]
    assert len(ours) == 1
    assert "requests to bucket 'data' are signed with the caller's own credentials" in ours[0]
    assert "access-grants" not in done.stdout
    # Nobody gave alice more than the grant: what is left is S3's own refusal of each, in the CLI's words.
    assert sum(line.startswith("upload failed: ") for line in lines) == 3
    assert signers(server) == {"alice"}
    assert alice.secret_access_key not in done.stderr


def test_under_debug_the_fallback_is_shown_once_too_and_no_secret(server, alice, cli, version):
    done = cli.run("s3", "ls", "s3://data/out/", "--debug", code=254 if version == 2 else 255)
    assert done.stderr.count("are signed with the caller's own credentials") == 1
    assert "access_grants_provider.fallbacks - WARNING - S3 Access Grants: requests to bucket 'data'" in done.stderr
    assert alice.secret_access_key not in done.stderr
    server.put("s3://data/in/x", b"1")
    granted = cli.run("s3api", "head-object", "--bucket", "data", "--key", "in/x", "--debug")
    assert "access_grants_provider.decisions - DEBUG - Decision(" in granted.stderr
    assert "SecretAccessKey" not in granted.stderr


def test_fallback_never_refuses_in_the_commands_own_words(server, alice, cli):
    server.put("s3://data/out/x", b"1")
    done = cli.run("s3", "cp", "s3://data/out/x", "-", code=1, S3_ACCESS_GRANTS_FALLBACK="never")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("download failed: s3://data/out/x to - An error occurred (AccessDenied)")
    assert "No grant gives the caller" in line
    assert server.s3_requests() == []


def test_a_wrong_option_is_one_line_and_the_clis_exit_code_for_commands_on_s3_alone(server, alice, cli, version):
    cli.write({"default": (alice, {"s3_access_grants": {"fallback": "sometimes"}})})
    done = cli.run("s3", "ls", "s3://data/in/", code=253 if version == 2 else 255)
    (line,) = done.stderr.strip().splitlines()
    assert "access-grants: s3_access_grants.fallback in the AWS profile: fallback='sometimes' is not allowed" in line
    assert done.stdout == ""
    assert server.requests == []
    assert cli.run("configure", "get", "region").stdout == "us-east-1\n"


def test_the_profile_on_the_command_line_counts_with_its_keys_and_options(server, alice, cli):
    bob = server.identity("bob")
    server.grant(bob, "s3://data/bob/*", "READ")
    server.put("s3://data/bob/x", b"bob's")
    nested = {"duration_seconds": "1800", "account_id": server.account_id}
    cli.write({"default": (alice, {}), "bob": (bob, {"s3_access_grants": nested})})
    assert cli.run("s3", "cp", "s3://data/bob/x", "-", "--profile", "bob").stdout == "bob's"
    # The account is given, so there is nothing to look up.
    (control,) = [one for one in server.requests if one.is_control_call]
    assert (control.operation, control.principal) == ("GetDataAccess", "bob")
    assert control.parameters["DurationSeconds"] == 1800
    assert signers(server) == {"grant"}


def test_a_profile_that_is_not_there_yet_can_be_made(cli):
    cli.run("configure", "set", "region", "eu-west-1", "--profile", "new")
    assert cli.run("configure", "get", "region", "--profile", "new").stdout == "eu-west-1\n"


def test_no_sign_request_stays_unsigned(server, alice, cli, version):
    cli.run("s3", "ls", "s3://data/in/", "--no-sign-request", code=254 if version == 2 else 255)
    assert [(one.operation, one.access_key_id) for one in server.requests] == [("ListObjectsV2", None)]


def test_another_s3_is_left_alone_until_the_option_names_its_access_grants(server, alice, cli, version):
    there = ("--endpoint-url", server.url)
    refused = 254 if version == 2 else 255
    cli.run("s3", "ls", "s3://data/in/", *there, code=refused, without="S3_ACCESS_GRANTS_ENDPOINT_URL")
    assert [one.signer for one in server.requests] == ["alice"]
    server.forget_requests()
    server.put("s3://data/in/x", b"1")
    cli.run("s3", "ls", "s3://data/in/", *there)
    assert signers(server) == {"grant"}


def test_the_environment_variable_beside_the_plugin_changes_nothing(server, alice, cli):
    server.put("s3://data/in/x", b"1")
    autoload = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}
    printed = cli.run("s3api", "head-object", "--bucket", "data", "--key", "in/x", **autoload).stdout
    assert json.loads(printed)["ContentLength"] == 1
    assert signers(server) == {"grant"}
    assert server.calls("GetDataAccess") == 1


def test_the_crt_transfer_client_of_version_2_is_pointed_out_and_refused_under_never(server, alice, cli, version):
    if version == 1:
        pytest.skip("version 1 has no CRT transfer client; ACCESS_GRANTS_TEST_AWS can name a version 2")
    cli.write({"default": (alice, {"s3": {"preferred_transfer_client": "crt"}})})
    (cli.home / "x").write_text("x")
    copy = ("s3", "cp", "x", "s3://data/in/x", "--endpoint-url", server.url)
    done = cli.run(*copy, code=1)
    assert done.stderr.count("preferred_transfer_client = classic") == 1
    assert "grant" not in signers(server)
    server.forget_requests()
    done = cli.run(*copy, code=253, S3_ACCESS_GRANTS_FALLBACK="never")
    assert "preferred_transfer_client = classic" in done.stderr
    assert server.requests == []


@pytest.mark.exhaustive
def test_the_transcript_in_the_docs_is_what_the_commands_print(version):
    if version == 2:
        pytest.skip("the transcript is of version 1, and ACCESS_GRANTS_TEST_AWS names a version 2")
    command = [sys.executable, "-m", "tools.docs", "--check", "docs/aws-cli.md"]
    environment = {**os.environ, "ACCESS_GRANTS_TEST_AWS": AWS}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "docs/aws-cli.md is up to date\n"
