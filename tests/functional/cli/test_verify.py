"""``access-grants verify``: its checks against the local service, compared with the recording; what a run leaves."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from click.testing import Result

from access_grants_provider.cli.verify import waiter
from access_grants_provider.cli.verify.account import Account
from access_grants_provider.cli.verify.checks import CHECKS, Check, run_check
from access_grants_provider.cli.verify.creation import create
from access_grants_provider.cli.verify.extras import Extras
from access_grants_provider.cli.verify.journal import Journal
from access_grants_provider.cli.verify.plan import Names
from access_grants_provider.cli.verify.scene import Scene
from access_grants_provider.cli.verify.waiter import Waiter
from access_grants_provider.testing import AccessGrantsServer, Identity

from ...conftest import Clock
from .conftest import COMMAND, ROOT

# Written by `access-grants verify --region us-east-1 --yes --record FILE` on AWS, once somebody has run it there.
RECORDING = json.loads(Path(__file__).with_name("verified.json").read_text(encoding="utf-8"))
RECORDED = {entry["id"]: entry for entry in RECORDING["checks"]}
# By operation, the action that a policy allows it with, where that has another name.
S3_ACTIONS = {
    "CreateMultipartUpload": "PutObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
}
REGION = ("--region", "us-east-1")
# Checks that are skipped on a local service, and that a test can prepare it for.
BY_HAND = ("not-allowed", "nested-outer")
RUN = ("verify", *REGION, "--yes")
CENTER = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
USER = "a1b2c3d4-5678-90ab-cdef-111111111111"


@pytest.fixture
def server(running_clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AccessGrantsServer]:
    """A local service whose administrator the environment names, and whose clock a pause of the command moves."""
    with AccessGrantsServer(clock=running_clock) as server:
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(waiter, "sleep", running_clock.forward)
        monkeypatch.setattr(waiter, "monotonic", lambda: running_clock.passed)
        monkeypatch.chdir(tmp_path)
        yield server


def environment(server: AccessGrantsServer) -> dict[str, str]:
    return {**server.environment(), "AWS_ENDPOINT_URL_IAM": server.url, "AWS_MAX_ATTEMPTS": "1"}


def left(server: AccessGrantsServer) -> dict[str, list[Any]]:
    """What is in the account: instances with their locations and grants, buckets, roles."""
    control, account = server.client("s3control"), {"AccountId": server.account_id}
    instances = control.list_access_grants_instances(**account)["AccessGrantsInstancesList"]
    inside: dict[str, list[Any]] = {"locations": [], "grants": []}
    if instances:
        inside["locations"] = control.list_access_grants_locations(**account)["AccessGrantsLocationsList"]
        inside["grants"] = control.list_access_grants(**account)["AccessGrantsList"]
    return {
        "instances": instances,
        **inside,
        "buckets": [bucket["Name"] for bucket in server.client("s3").list_buckets()["Buckets"]],
        "roles": [role["RoleName"] for role in server.client("iam").list_roles()["Roles"]],
    }


NOTHING: dict[str, list[Any]] = {"instances": [], "locations": [], "grants": [], "buckets": [], "roles": []}


def test_without_yes_it_prints_the_plan_and_calls_nobody(
    server: AccessGrantsServer, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    result = invoke("verify", *REGION)
    assert result.exit_code == 2
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []
    assert "agp-verify-" in result.stdout
    assert "s3:CreateAccessGrantsInstance" in result.stdout
    assert "--yes" in result.stderr


@pytest.mark.exhaustive
def test_the_policy_of_the_plan_allows_what_a_run_calls(
    server: AccessGrantsServer, invoke: Callable[..., Result]
) -> None:
    policy = invoke("verify", *REGION).stdout
    allowed = {action for entry in json.loads(policy[policy.index("{") :])["Statement"] for action in entry["Action"]}
    invoke(*RUN, "--json")
    called = {request.operation for request in server.requests if request.principal == "admin"}
    assert {f"s3:{S3_ACTIONS.get(operation, operation)}" for operation in called - {"GetCallerIdentity"}} <= allowed


def test_the_region_has_to_be_given(invoke: Callable[..., Result]) -> None:
    result = invoke("verify", "--yes", AWS_REGION="us-east-1")
    assert result.exit_code == 2
    assert "--region" in result.stderr


def test_the_local_service_answers_as_recorded_and_nothing_is_left(
    server: AccessGrantsServer, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    # The command's clients must not load the plugin, which would answer some checks itself.
    plugin = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}
    result = invoke(*RUN, "--record", "verified.json", "--json", **plugin)
    assert result.exit_code == 0, result.output
    assert left(server) == NOTHING
    assert [path.name for path in tmp_path.iterdir()] == ["verified.json"]
    text = Path("verified.json").read_text(encoding="utf-8")
    assert text == result.stdout
    for secret in (server.account_id, server.admin.access_key_id, "ASIA"):
        assert secret not in text
    document = json.loads(text)
    assert (document["source"], document["region"]) == ("a local service", "us-east-1")
    assert [entry["id"] for entry in document["checks"]] == list(RECORDED)
    for entry in document["checks"]:
        recorded = RECORDED[entry["id"]]
        if entry["verdict"] != "skipped":
            assert (entry["code"], entry["status"]) == (recorded["code"], recorded["status"]), entry["id"]


def test_an_answer_that_differs_gives_exit_code_1(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    server.fail("HeadBucket", "NotFound", status=404, times=None)
    result = invoke(*RUN, "--json")
    assert result.exit_code == 1
    verdicts = {entry["id"]: entry["verdict"] for entry in json.loads(result.stdout)["checks"]}
    assert [name for name, verdict in verdicts.items() if verdict == "differs"] == ["head-bucket", "head-far-bucket"]
    assert left(server) == NOTHING


def scene_with_all_extras(server: AccessGrantsServer, folder: Path, sso: Identity) -> Scene:
    """What a run creates, in an instance that is associated with IAM Identity Center; ``sso`` is signed in there."""
    account = Account(Session(), "us-east-1", None)
    journal = Journal.create(folder / "journal", account=account.id, region="us-east-1", run="agp-verify-x")
    keys = {"AccessKeyId": sso.access_key_id, "SecretAccessKey": sso.secret_access_key}
    extras = Extras(10, True, {**keys, "SessionToken": sso.session_token}, USER)
    scene = create(account, Names("x"), journal, Waiter(lambda _: None, lambda: None), extras)
    account.control.associate_access_grants_identity_center(AccountId=account.id, IdentityCenterArn=CENTER)
    return scene


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_each_check_notices_another_answer(server: AccessGrantsServer, check: Check, tmp_path: Path) -> None:
    scene = scene_with_all_extras(server, tmp_path, server.identity("sso", session=True))
    account = scene.account
    if check.id == "throttling":
        server.rate_limit("GetDataAccess", per_second=1)
    if check.id == "presigned-keys-end":
        # The clients sign by the machine's clock, and the service's must not be 15 minutes ahead.
        server.lifetime = 60
    if check.id in BY_HAND:
        # moto's policies have no effect on the service, so what they say is arranged here.
        server.forbid(account.role_arn("agp-verify-x-nobody"), "s3:GetDataAccess")
        server.location("s3://agp-verify-x", denies=["s3://agp-verify-x/nest/inner/*"])
        check = check._replace(unless=lambda _: None)
    reason = check.unless(scene)
    if reason is not None:
        pytest.skip(f"{check.id}: {reason}")
    server.forget_requests()
    result = run_check(scene, check)
    assert result.verdict == "as assumed"
    assert result.seen is not None
    assert (result.seen.code, result.seen.status) == (RECORDED[check.id]["code"], RECORDED[check.id]["status"])
    last = server.requests[-1].operation
    server.heal()
    server.fail(last, "Teapot", status=418, times=None)
    assert run_check(scene, check).verdict == "differs"


@pytest.mark.exhaustive
def test_a_sign_in_that_carries_the_user_is_noticed(server: AccessGrantsServer, tmp_path: Path) -> None:
    enhanced = server.directory_user("amy")
    scene = scene_with_all_extras(server, tmp_path, enhanced)
    assert enhanced.directory_user is not None
    scene.extras = scene.extras._replace(sso_user=enhanced.directory_user.id)
    (check,) = (check for check in CHECKS if check.id == "sso-identity")
    result = run_check(scene, check)
    assert (result.verdict, str(result.seen)[:6]) == ("differs", "OK 200")


@pytest.mark.exhaustive
def test_what_only_an_option_asks_for_is_checked_and_nothing_is_left(
    server: AccessGrantsServer, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    server.instance()
    account = {"AccountId": server.account_id}
    server.client("s3control").associate_access_grants_identity_center(**account, IdentityCenterArn=CENTER)
    sso, config = server.identity("sso", session=True), tmp_path / "config"
    config.write_text(
        f"[profile sso]\naws_access_key_id = {sso.access_key_id}\naws_secret_access_key = {sso.secret_access_key}\n"
        f"aws_session_token = {sso.session_token}\n"
    )
    server.lifetime = 120
    before = left(server)
    options = ("--load", "40", "--long", "--sso-profile", "sso", "--sso-user", USER)
    result = invoke(*RUN, "--use-existing", *options, "--json", AWS_CONFIG_FILE=str(config))
    assert result.exit_code == 0, result.output
    assert left(server) == before
    checks = {entry["id"]: entry for entry in json.loads(result.stdout)["checks"]}
    assert checks["throttling"]["message"] == "40 calls."
    assert [checks[name]["verdict"] for name in ("throttling", "presigned-keys-end", "sso-identity")] == [
        "as assumed"
    ] * 3
    assert USER not in result.stdout


def test_a_profile_and_its_user_are_given_together(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    result = invoke(*RUN, "--sso-profile", "sso")
    assert result.exit_code == 2
    assert "--sso-profile and --sso-user together" in result.stderr
    assert server.requests == []


def test_the_page_shows_the_checks_and_each_check_belongs_to_a_point() -> None:
    spec = importlib.util.spec_from_file_location("page", ROOT / "tools" / "docs" / "verify_checks.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    text = (ROOT / "docs" / "not-verified.md").read_text(encoding="utf-8")
    assert page.render(text) == text, "run python -m tools.docs"
    points = text.partition("\n- ")[2].partition("\n## ")[0].split("\n- ")
    ids = {check.id for check in CHECKS}
    named = [ids & set(re.findall(r"`([a-z-]+)`", point.rpartition("(")[2])) for point in points]
    assert all(found or "No check:" in point for found, point in zip(named, points, strict=True))
    assert set().union(*named) == ids


def test_it_runs_on_aws_or_on_this_machine_and_not_on_both(
    server: AccessGrantsServer, invoke: Callable[..., Result]
) -> None:
    result = invoke(*RUN, AWS_ENDPOINT_URL_IAM=None)
    assert result.exit_code == 2
    assert "iam at https://iam.amazonaws.com" in result.stderr
    assert server.requests == []


def test_a_location_is_removed_with_grants_that_were_not_listed_at_first(
    server: AccessGrantsServer, invoke: Callable[..., Result]
) -> None:
    server.tamper("ListAccessGrants", lambda result: {"AccessGrantsList": []}, times=3)
    result = invoke(*RUN)
    assert result.exit_code == 0, result.output
    assert left(server) == NOTHING


def test_a_list_that_shows_what_is_gone_is_no_obstacle(
    server: AccessGrantsServer, invoke: Callable[..., Result]
) -> None:
    shown: list[Any] = []

    def stale(result: dict[str, Any]) -> dict[str, Any]:
        shown.extend(grant for grant in result["AccessGrantsList"] if grant not in shown)
        return {"AccessGrantsList": shown}

    server.tamper("ListAccessGrants", stale, times=None)
    result = invoke(*RUN)
    assert result.exit_code == 0, result.output
    assert left(server) == NOTHING


def test_it_refuses_where_an_instance_exists(
    server: AccessGrantsServer, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    server.instance()
    before = left(server)
    result = invoke(*RUN)
    assert result.exit_code == 2
    assert "--use-existing" in result.stderr
    assert left(server) == before
    assert list(tmp_path.iterdir()) == []


def test_an_existing_instance_stays_as_it_was_and_the_table_says_what_is_skipped(
    server: AccessGrantsServer, invoke: Callable[..., Result]
) -> None:
    server.bucket("data")
    server.location("s3://")
    server.grant(server.identity("alice"), "s3://data/in/*", "READ")
    before = left(server)
    # Even if the service lists grants that it was not asked for.
    server.tamper(
        "ListAccessGrants", lambda result: {"AccessGrantsList": [*result["AccessGrantsList"], *before["grants"]]}
    )
    result = invoke(*RUN, "--use-existing", COLUMNS="300")
    assert result.exit_code == 0, result.output
    assert left(server) == before
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("not-allowed "))
    assert " skipped " in line
    assert "a local service" in line
    assert "It says nothing of AWS." in result.stdout


def test_a_failure_in_the_middle_leaves_nothing(
    server: AccessGrantsServer, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    server.fail("GetDataAccess", "Teapot", status=418, message="I am a teapot.")
    result = invoke(*RUN)
    assert result.exit_code == 2
    assert "GetDataAccess failed with Teapot: I am a teapot." in result.stderr
    assert left(server) == NOTHING
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="os.kill with SIGINT or SIGTERM ends a process of Windows")
@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_leaves_nothing(
    server: AccessGrantsServer, invoke: Callable[..., Result], tmp_path: Path, number: signal.Signals
) -> None:
    def interrupt(result: dict[str, Any]) -> dict[str, Any]:
        os.kill(os.getpid(), number)
        return result

    server.tamper("CreateAccessGrant", interrupt)
    result = invoke(*RUN)
    assert result.exit_code == 130
    assert left(server) == NOTHING
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_count_yet_is_tried_again(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    server.fail("CreateAccessGrantsLocation", "InvalidIamRole", status=400, times=7)
    server.fail("CreateAccessGrant", "InvalidAccessGrant", status=400, times=3)
    server.fail("GetDataAccess", "AccessDenied", status=403, times=3)
    result = invoke(*RUN)
    assert result.exit_code == 0, result.output
    assert "waiting for 5 s InvalidIamRole" in result.stderr


def test_it_is_tried_again_for_a_bounded_time(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    server.fail("CreateAccessGrantsLocation", "InvalidIamRole", status=400, times=None)
    result = invoke(*RUN)
    assert result.exit_code == 2
    assert "not within 180 s InvalidIamRole" in result.stderr
    assert left(server) == NOTHING


def test_what_could_not_be_removed_is_named_and_the_journal_removes_it_later(
    server: AccessGrantsServer, invoke: Callable[..., Result]
) -> None:
    server.fail("DeleteBucket", "Teapot", status=418, times=3)
    result = invoke(*RUN, "--journal", "journal")
    assert result.exit_code == 2
    assert "verify --clean journal" in result.stderr
    assert result.stderr.count("Left: the bucket") == 3
    assert len(left(server)["buckets"]) == 3
    assert stat.S_IMODE(Path("journal").stat().st_mode) == 0o600 or os.name != "posix"
    result = invoke("verify", "--clean", "journal")
    assert result.exit_code == 0, result.output
    assert left(server) == NOTHING
    assert not Path("journal").exists()


def test_a_journal_that_exists_is_not_overwritten(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    Path("journal").write_text("mine", encoding="utf-8")
    result = invoke(*RUN, "--journal", "journal")
    assert result.exit_code == 2
    assert Path("journal").read_text(encoding="utf-8") == "mine"
    assert left(server) == NOTHING


HEAD = {"kind": "run", "account": "123456789012", "region": "us-east-1", "run": "agp-verify-1"}


def write_journal(*entries: dict[str, str]) -> None:
    Path("journal").write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def test_an_instance_of_somebody_else_is_left(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    server.instance()
    write_journal(HEAD, {"kind": "instance", "run": "agp-verify-1"})
    result = invoke("verify", "--clean", "journal")
    assert result.exit_code == 2
    assert "somebody else's" in result.stderr
    assert len(left(server)["instances"]) == 1


def test_another_account_is_not_cleaned(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    write_journal(
        {**HEAD, "account": "210987654321"}, {"kind": "bucket", "name": "agp-verify-1", "region": "us-east-1"}
    )
    server.bucket("agp-verify-1")
    result = invoke("verify", "--clean", "journal")
    assert result.exit_code == 2
    assert "another AWS account" in result.stderr
    assert left(server)["buckets"] == ["agp-verify-1"]


@pytest.mark.parametrize(
    "entries",
    [
        [{"kind": "bucket", "name": "agp-verify-1", "region": "us-east-1"}],
        [HEAD, {"kind": "bucket", "name": "data", "region": "us-east-1"}],
        [HEAD, {"kind": "location", "scope": "s3://data/agp-verify-1", "grantee": "agp-verify-1"}],
        [HEAD, {"kind": "user", "name": "agp-verify-1"}],
        [HEAD, {"kind": "bucket", "name": "agp-verify-1"}],
    ],
    ids=["without a head", "foreign bucket", "foreign location", "unknown kind", "incomplete"],
)
def test_nothing_is_removed_by_what_is_no_journal(
    server: AccessGrantsServer, invoke: Callable[..., Result], entries: list[dict[str, str]]
) -> None:
    server.bucket("data")
    write_journal(*entries)
    result = invoke("verify", "--clean", "journal")
    assert result.exit_code == 2
    assert "is not a journal" in result.stderr
    assert left(server)["buckets"] == ["data"]


def test_a_torn_last_line_is_no_obstacle(server: AccessGrantsServer, invoke: Callable[..., Result]) -> None:
    server.bucket("agp-verify-1")
    write_journal(HEAD, {"kind": "bucket", "name": "agp-verify-1", "region": "us-east-1"})
    with Path("journal").open("a", encoding="utf-8") as file:
        file.write('{"kind": "buck')
    result = invoke("verify", "--clean", "journal")
    assert result.exit_code == 0, result.output
    assert left(server) == NOTHING


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(
    ("operation", "number", "after"),
    [
        *(("CreateAccessGrantsInstance", 1, None), ("CreateAccessGrantsLocation", 1, None)),
        *(("CreateAccessGrantsLocation", 2, None), ("CreateAccessGrant", 1, None), ("CreateAccessGrant", 9, None)),
        *(("GetDataAccess", 1, None), ("GetDataAccess", 12, None), ("GetDataAccess", 1, "CreateMultipartUpload")),
        # While everything is being removed.
        *(("DeleteAccessGrant", 5, None), ("DeleteAccessGrantsLocation", 1, None)),
        ("DeleteAccessGrantsInstance", 1, None),
    ],
)
def test_a_killed_run_is_cleaned(
    server: AccessGrantsServer,
    invoke: Callable[..., Result],
    surroundings: Callable[..., dict[str, str]],
    operation: str,
    number: int,
    after: str | None,
) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    started, calls = threading.Event(), itertools.count(1)

    def kill(result: dict[str, Any]) -> dict[str, Any]:
        """Kill the process when the service has carried its request out and not yet answered."""
        if (after is None or server.calls(after)) and next(calls) == number:
            assert started.wait(60)
            processes[0].kill()
            processes[0].wait()
        return result

    server.tamper(operation, kill, times=None)
    environment = surroundings(AWS_ENDPOINT_URL_S3_CONTROL=server.s3control_url)
    process = subprocess.Popen([*COMMAND, *RUN, "--journal", "journal"], env=environment, stderr=subprocess.PIPE)
    processes.append(process)
    started.set()
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said.decode()
    server.heal()
    assert left(server) != NOTHING
    result = invoke("verify", "--clean", "journal")
    assert result.exit_code == 0, result.output
    assert left(server) == NOTHING
    assert not Path("journal").exists()
    # moto deletes a bucket with an upload in it.
    assert server.calls("AbortMultipartUpload") == (after == "CreateMultipartUpload")
