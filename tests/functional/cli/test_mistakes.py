"""The mistakes that people make, each provoked: what a person sees says what happened, and what to do next.

``pytest -s -m "" tests/functional/cli/test_mistakes.py`` shows the texts.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

import pytest

PLUGINS = "BOTOCORE_EXPERIMENTAL__PLUGINS"
OBJECT = "s3://data/in/x"


class Mistake(NamedTuple):
    """A command line, its environment, its exit code, and patterns of what happened and of what to do next."""

    arguments: str
    exit_code: int
    happened: str
    next_step: str
    environment: dict[str, str | None] = {}  # noqa: RUF012  read only


MISTAKES = {
    "no credentials": Mistake(
        f"credentials {OBJECT}",
        1,
        "No AWS credentials were found",
        "Give --profile, sign in with 'aws sso login', or set AWS_ACCESS_KEY_ID",
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
    ),
    "half of the keys": Mistake(
        f"credentials {OBJECT}",
        1,
        "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_ACCESS_KEY",
        {"AWS_SECRET_ACCESS_KEY": None},
    ),
    "wrong secret key": Mistake(
        f"credentials {OBJECT}",
        1,
        "failed with SignatureDoesNotMatch",
        "Check|check|sign in again",
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
    ),
    "unknown profile": Mistake(
        "grants --profile nope", 1, r"profile \(nope\) could not be found", "Run 'aws configure list-profiles'"
    ),
    "no instance": Mistake(
        "credentials s3://far/x --region eu-west-1",
        1,
        "No S3 Access Grants instance in eu-west-1",
        "Create an S3 Access Grants instance in the bucket's region",
    ),
    "wrong account_id": Mistake(
        f"doctor {OBJECT}",
        1,
        "S3_ACCESS_GRANTS_ACCOUNT_ID is 999999999999",
        "Set account_id to the account that has the instance, or leave it out",
        {"S3_ACCESS_GRANTS_ACCOUNT_ID": "999999999999"},
    ),
    "missing bucket": Mistake("credentials s3://nope/x", 1, "There is no bucket 'nope'", "Check its name"),
    "missing bucket, explained": Mistake(
        "explain get-object s3://nope/x", 0, "There is no bucket 'nope'", "What helps: Check the name"
    ),
    "missing bucket, examined": Mistake(
        "doctor s3://nope/x", 1, "You can't read s3://nope/x: there is no bucket 'nope'", "Check its name"
    ),
    "READ grant and a PUT": Mistake(
        "explain put-object s3://data/in/x",
        0,
        "AccessDenied: You do not have WRITE permissions",
        "What helps: .*(Ask the|grant)",
    ),
    "missing slash": Mistake(
        "grants s3://data/in", 0, "You have no grants for s3://data/in in us-east-1", "s3://data/in/ with the slash"
    ),
    "no S3 URI": Mistake("credentials data/in/", 2, "'data/in/' is not an S3 URI", r"Write s3://bucket, s3://"),
    "unknown operation": Mistake(
        f"explain get-objct {OBJECT}", 2, "S3 has no operation 'get-objct'", "Did you mean GetObject"
    ),
    "unknown command": Mistake("docter s3://data/in/", 2, "There is no command 'docter'", r"Did you mean doctor\?"),
    "unknown nested command": Mistake("cache shwo", 2, "There is no command 'shwo'", r"Did you mean show\?"),
    "unknown option": Mistake("grants --jsn", 2, "No such option", "Did you mean '?--json"),
    "copy between two buckets": Mistake(
        f"explain copy-object s3://far/x --copy-source {OBJECT}",
        0,
        "no single grant covers two buckets",
        "What helps: Copy with credentials that can read the one bucket and write the other",
    ),
    "typo in the plugin variable's value": Mistake(
        "doctor s3://data/in/",
        0,
        "Did you mean access_grants_provider by 'access_grant_provider'",
        f"export {PLUGINS}=access-grants=access_grants_provider",
        {PLUGINS: "a=access_grant_provider"},
    ),
    "typo in the plugin variable's name": Mistake(
        "doctor s3://data/in/",
        0,
        "BOTOCORE_EXPERIMENTAL_PLUGINS is, and botocore does not read it",
        f"export {PLUGINS}=access-grants=access_grants_provider",
        {"BOTOCORE_EXPERIMENTAL_PLUGINS": "a=access_grants_provider"},
    ),
    "misspelt prefix of a variable": Mistake(
        "doctor s3://data/in/",
        0,
        "S3_ACCESS_GRANT_FALLBACK is not read",
        "did you mean 'S3_ACCESS_GRANTS_FALLBACK'",
        {"S3_ACCESS_GRANT_FALLBACK": "never"},
    ),
    "misspelt option in a variable": Mistake(
        "grants",
        1,
        "S3_ACCESS_GRANTS_FALBACK: unknown option",
        r"did you mean 'fallback'\? The options are",
        {"S3_ACCESS_GRANTS_FALBACK": "never"},
    ),
    "wrong value of an option": Mistake(
        "grants",
        1,
        "S3_ACCESS_GRANTS_FALLBACK: fallback='nevr' is not allowed",
        "it must be one of 'denied', 'always', 'never'",
        {"S3_ACCESS_GRANTS_FALLBACK": "nevr"},
    ),
    "no config file": Mistake(
        "doctor s3://data/in/",
        0,
        "AWS_CONFIG_FILE is /nowhere/config, which is no file",
        "hint: unset AWS_CONFIG_FILE",
        {"AWS_CONFIG_FILE": "/nowhere/config"},
    ),
    "unwritable cache": Mistake(
        f"credentials {OBJECT}",
        0,
        "the cache on disk does not work",
        "Set S3_ACCESS_GRANTS_CACHE_FOLDER to a folder that only you can access",
        {"S3_ACCESS_GRANTS_CACHE_FOLDER": "/dev/null/cache"},
    ),
}


def seen(done, warnings: str = "") -> str:
    """Return what a person sees, and print it. pytest takes the warnings that Python writes to stderr otherwise."""
    text = f"{done.stdout}{done.stderr}{warnings}"
    print(f"\n$ access-grants (exit code {done.exit_code})\n{text}")
    assert "Traceback" not in text
    return text


def check(done, mistake: Mistake, warnings: str = "") -> None:
    text = seen(done, warnings)
    assert done.exit_code == mistake.exit_code
    assert re.search(mistake.happened, text), text
    assert re.search(mistake.next_step, text), text


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_what_to_do(server, alice, invoke, caplog, name):
    server.bucket("far", region="eu-west-1")
    mistake = MISTAKES[name]
    check(invoke(*mistake.arguments.split(), **mistake.environment), mistake, caplog.text)


def test_an_expired_login(server, alice, invoke):
    server.expire(alice)
    check(invoke("credentials", OBJECT), Mistake("", 1, "failed with ExpiredToken", "Sign in again, or renew them"))


def test_html_in_place_of_an_answer(server, alice, invoke):
    server.answer("GetDataAccess", b"<html><body>Sign in to the network</body></html>", times=None)
    said = Mistake("", 1, "s3:GetDataAccess in us-east-1", "Check endpoint_url and the proxy")
    check(invoke("credentials", OBJECT), said)


@pytest.mark.parametrize(
    ("line", "exit_code", "happened", "next_step"),
    [
        ("  fallbak = never", 1, "fallbak in the AWS profile .*: unknown option", "did you mean 'fallback'"),
        (
            "\ns3_access_grants_fallback = never",
            0,
            "s3_access_grants_fallback of the AWS profile is not read",
            "Write an",
        ),
    ],
    ids=["in the section", "beside the section"],
)
def test_a_wrong_key_in_the_profile(server, alice, invoke, profiles, line, exit_code, happened, next_step):
    profiles(f"[default]\nregion = us-east-1\ns3_access_grants =\n  cache = memory\n{line}\n")
    keys = {"AWS_ACCESS_KEY_ID": alice.access_key_id, "AWS_SECRET_ACCESS_KEY": alice.secret_access_key}
    done = invoke("doctor", "s3://data/in/", **keys)
    check(done, Mistake("", exit_code, happened, next_step))


@pytest.mark.exhaustive
def test_two_plugins_at_once(server, alice, run):
    value = "a=aws_s3_access_grants_boto3_plugin.s3_access_grants_plugin,b=access_grants_provider"
    text = run("doctor", "s3://data/in/", **{PLUGINS: value}).stdout
    assert "names two packages for S3 Access Grants. aws_s3_access_grants_boto3_plugin signs the requests" in text
    assert f"Take out the entry with aws_s3_access_grants_boto3_plugin: export {PLUGINS}=" in text


@pytest.mark.exhaustive
def test_an_endpoint_that_never_answers(alice, invoke):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        silent = f"http://127.0.0.1:{listening.getsockname()[1]}"
        limit = {"S3_ACCESS_GRANTS_TIMEOUT_SECONDS": "1", "S3_ACCESS_GRANTS_ACCOUNT_ID": "123456789012"}
        done = invoke("credentials", OBJECT, S3_ACCESS_GRANTS_ENDPOINT_URL=silent, **limit)
    check(done, Mistake("", 1, "got no answer", "Check the network, the proxy and endpoint_url"))


@pytest.mark.parametrize(
    ("arguments", "said", "environment"),
    [
        pytest.param("credentials s3://data/in", "s3://data/in/", {}, id="missing slash"),
        pytest.param("credentials s3://data/in/ --permission WRITE", r"READ on s3://data/in/\*", {}, id="READ held"),
        pytest.param(
            f"credentials {OBJECT}",
            r"[Ss]ecret",
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            id="wrong secret key",
        ),
        pytest.param(
            f"credentials {OBJECT}",
            "S3_ACCESS_GRANTS_ACCOUNT_ID",
            {"S3_ACCESS_GRANTS_ACCOUNT_ID": "999999999999"},
            id="wrong account_id",
        ),
    ],
)
def test_an_error_of_the_library_names_the_remedy(server, alice, invoke, arguments, said, environment):
    assert re.search(said, seen(invoke(*arguments.split(), **environment)))
