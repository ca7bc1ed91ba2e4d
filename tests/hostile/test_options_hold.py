"""The options hold, always: what goes wrong while they are read or changed never widens what they allow."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import sys
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import access_grants_provider
from access_grants_provider.exceptions import AccessDenied, AccessGrantsError, ConfigurationError
from access_grants_provider.registration import MAX_AUTOLOADED, _registry

from .conftest import signers

AUTOLOAD = ("BOTOCORE_EXPERIMENTAL__PLUGINS", "access-grants=access_grants_provider")


def errors(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def warnings(caplog, about: str) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [message for message in found if about in message]


def refuses_s3_requests(s3, grants) -> bool:
    """Tell whether a client raises for each request, and sends none."""
    for request in (
        lambda: s3.put_object(Bucket="data", Key="in/y", Body=b"2"),
        lambda: s3.get_object(Bucket="data", Key="in/x"),
        lambda: s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"}),
    ):
        with pytest.raises(AccessGrantsError):
            request()
    return grants.s3_requests() == []


# Loaded by the environment variable


# Clients with the same options share a provider for as long as the process lives; so each test has options of its own.
DURATIONS = itertools.count(900)


@pytest.fixture
def autoload_never(monkeypatch):
    monkeypatch.setenv(*AUTOLOAD)
    monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "never")
    monkeypatch.setenv("S3_ACCESS_GRANTS_DURATION_SECONDS", str(next(DURATIONS)))


def with_a_relative_cache_folder(monkeypatch) -> None:
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", "cache")


def without_a_home(monkeypatch) -> None:
    for name in ("S3_ACCESS_GRANTS_CACHE_FOLDER", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    # As in a container whose user is in no list of users.
    monkeypatch.setattr("pathlib.Path.home", raising(RuntimeError("Could not determine home directory.")))
    monkeypatch.setattr("pathlib.Path.expanduser", raising(RuntimeError("Could not determine home directory.")))
    monkeypatch.setattr("os.path.expanduser", lambda path: path)


def raising(error: BaseException) -> Any:
    def function(*_: object, **__: object) -> None:
        raise error

    return function


@pytest.mark.parametrize("mutate", [with_a_relative_cache_folder, without_a_home])
def test_a_disk_cache_that_cannot_be_made_is_an_error_and_a_client_that_refuses_and_no_put_signed_by_the_caller(
    grants, alice, autoload_never, monkeypatch, caplog, mutate
):
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE", "disk")
    session = grants.session(alice)
    mutate(monkeypatch)
    s3 = session.client("s3")
    assert refuses_s3_requests(s3, grants)
    (error,) = errors(caplog)
    assert "will fail until" in error or "will refuse" in error


def test_a_disk_cache_where_filelock_is_missing_signs_no_put_as_the_caller(grants, alice, autoload_never, monkeypatch):
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE", "disk")
    monkeypatch.setitem(sys.modules, "filelock", None)
    for name in list(sys.modules):
        if name.startswith("access_grants_provider.") and "disk" in name:
            monkeypatch.delitem(sys.modules, name)
    grants.session(alice).client("s3").put_object(Bucket="data", Key="in/y", Body=b"2")
    assert signers(grants, "PutObject") == ["grant"]


class Unforeseen(Exception):
    """What no code of this package knows."""


@pytest.mark.parametrize("raised", [Unforeseen("out of nowhere"), MemoryError(), RecursionError(), ImportError("gone")])
def test_what_nobody_thought_of_in_a_providers_construction_is_an_error_and_a_client_that_refuses(
    grants, alice, monkeypatch, caplog, raised
):
    s3 = grants.session(alice).client("s3")
    monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "never")
    monkeypatch.setattr(access_grants_provider.AccessGrantsProvider, "__init__", raising(raised))
    # As botocore does with all that a plugin raises.
    with contextlib.suppress(Exception):
        access_grants_provider.initialize_client_plugin(s3)
    assert refuses_s3_requests(s3, grants)
    assert len(errors(caplog)) == 1


def test_what_nobody_thought_of_while_the_client_is_attached_is_an_error_and_a_client_that_refuses(
    grants, alice, monkeypatch, caplog
):
    s3 = grants.session(alice).client("s3")
    monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "never")
    monkeypatch.setattr(s3.meta.events, "register_last", raising(Unforeseen("no more handlers")))
    monkeypatch.setattr(s3.meta.events, "register", raising(Unforeseen("no more handlers")))
    with contextlib.suppress(Exception):
        access_grants_provider.initialize_client_plugin(s3)
    assert refuses_s3_requests(s3, grants)
    assert len(errors(caplog)) == 1


def test_what_nobody_thought_of_while_the_profile_is_read_is_an_error_and_a_client_that_refuses(
    grants, alice, monkeypatch, caplog
):
    s3 = grants.session(alice).client("s3")
    monkeypatch.setenv("S3_ACCESS_GRANTS_FALLBACK", "never")
    monkeypatch.setattr("botocore.session.Session.get_scoped_config", raising(Unforeseen("half a file")))
    with contextlib.suppress(Exception):
        access_grants_provider.initialize_client_plugin(s3)
    assert refuses_s3_requests(s3, grants)
    assert len(errors(caplog)) == 1


# A second register()


def test_a_register_that_raises_leaves_never_in_force_and_granted_keys_granted(grants, alice, register, monkeypatch):
    session = grants.session(alice)
    provider = register(session, fallback="never")
    s3 = session.client("s3")
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", "cache")
    with pytest.raises(ConfigurationError):
        register(session, fallback="denied", cache="disk")
    assert provider.config.fallback == "never"
    with pytest.raises(AccessDenied):
        s3.put_object(Bucket="data", Key="elsewhere/x", Body=b"2")
    s3.put_object(Bucket="data", Key="in/y", Body=b"2")
    assert [request.signer for request in grants.s3_requests()] == ["grant"]


def test_a_register_that_raises_keeps_what_is_remembered(grants, alice, register, monkeypatch):
    session = grants.session(alice)
    register(session, fallback="never")
    s3 = session.client("s3")
    s3.get_object(Bucket="data", Key="in/x")
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", "cache")
    with pytest.raises(ConfigurationError):
        register(session, fallback="denied", cache="disk")
    s3.get_object(Bucket="data", Key="in/x")
    assert grants.calls("GetDataAccess") == 1


# Names that are nearly right


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("S3_ACCESS_GRANT_FALLBACK", "S3_ACCESS_GRANTS_FALLBACK"),
        ("S3_ACCESS_GRANT_ACCOUNT_ID", "S3_ACCESS_GRANTS_ACCOUNT_ID"),
        ("S3_ACCESS_GRANT_CACHE_FOLDER", "S3_ACCESS_GRANTS_CACHE_FOLDER"),
    ],
)
def test_an_unknown_variable_is_named_in_a_warning_with_the_nearest_right_name(
    grants, alice, register, monkeypatch, caplog, variable, nearest
):
    monkeypatch.setenv(variable, "never")
    register(grants.session(alice))
    (warning,) = warnings(caplog, variable)
    assert nearest in warning


def test_an_unknown_variable_is_named_in_a_warning_where_botocore_loads_the_plugin(grants, alice, monkeypatch, caplog):
    monkeypatch.setenv(*AUTOLOAD)
    # Another name than in the test above: it may be said once in a process.
    monkeypatch.setenv("S3_ACCESS_GRANT_PRIVILEGE", "Minimal")
    grants.session(alice).client("s3")
    (warning,) = warnings(caplog, "S3_ACCESS_GRANT_PRIVILEGE")
    assert "S3_ACCESS_GRANTS_PRIVILEGE" in warning


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("s3_access_grants_fallback", "fallback"), ("s3_access_grant_fallback", "s3_access_grants")],
)
def test_an_unknown_key_beside_the_profile_section_is_named_in_a_warning_with_the_nearest_right_name(
    grants, alice, register, monkeypatch, tmp_path, caplog, key, nearest
):
    (tmp_path / "config").write_text(f"[default]\nregion = us-east-1\n{key} = never\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    register(boto3.Session())
    (warning,) = warnings(caplog, key)
    assert nearest in warning.replace(key, "")


def test_a_misspelt_profile_section_is_named_in_a_warning_with_the_right_name(register, monkeypatch, tmp_path, caplog):
    (tmp_path / "config").write_text("[default]\nregion = us-east-1\ns3_access_grant =\n  fallback = never\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    register(boto3.Session())
    (warning,) = warnings(caplog, "s3_access_grant")
    assert "s3_access_grants" in warning


def test_right_names_are_no_reason_for_a_warning(grants, alice, register, monkeypatch, tmp_path, caplog):
    (tmp_path / "config").write_text("[default]\nregion = us-east-1\ns3_access_grants =\n  fallback = never\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("S3_ACCESS_GRANTS_ACCOUNT_ID", grants.account_id)
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(tmp_path))
    register(boto3.Session())
    assert warnings(caplog, "") == []


# Options that cannot work


async def asynchronous(decision: object) -> None:
    """Take a decision, never awaited."""


class AsynchronouslyCalled:
    async def __call__(self, decision: object) -> None:
        """Take a decision, never awaited."""


class WithAMethod:
    async def take(self, decision: object) -> None:
        """Take a decision, never awaited."""


@pytest.mark.parametrize(
    "on_decision",
    [asynchronous, functools.partial(asynchronous), AsynchronouslyCalled(), WithAMethod().take],
    ids=["function", "partial", "object", "method"],
)
def test_an_async_on_decision_is_refused(grants, alice, register, on_decision):
    with pytest.raises(ConfigurationError, match="on_decision"):
        register(grants.session(alice), on_decision=on_decision)


# Clients that are left alone


def test_a_client_aimed_at_an_s3_that_is_not_aws_under_never_is_one_warning_per_client_saying_what_to_set(
    grants, alice, register, caplog
):
    session = grants.session(alice)
    register(session, fallback="never")
    for number in (1, 2):
        s3 = session.client("s3", endpoint_url="http://minio.example:9000")
        for _ in range(3):
            s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "in/x"})
        messages = warnings(caplog, "minio.example:9000")
        assert len(messages) == number
        assert "endpoint_url" in messages[-1]


def test_a_session_that_is_unregistered_gives_its_clients_back_to_the_environment(grants, alice, autoload_never):
    session = grants.session(alice)
    provider = access_grants_provider.register(session, fallback="denied")
    s3 = session.client("s3")
    provider.unregister()
    with pytest.raises(AccessDenied):
        s3.get_object(Bucket="data", Key="out/x")
    assert grants.s3_requests() == []


def test_a_worker_that_sets_other_options_for_each_job_keeps_few_providers(grants, alice, autoload_never, monkeypatch):
    for seconds in range(900, 960):
        monkeypatch.setenv("S3_ACCESS_GRANTS_DURATION_SECONDS", str(seconds))
        grants.session(alice).client("s3")
    assert len(_registry.autoloaded) == MAX_AUTOLOADED


def test_a_client_with_a_provider_of_its_own_comes_back_to_the_environment(grants, alice, autoload_never):
    session = grants.session(alice)
    of_session = access_grants_provider.register(session, fallback="denied")
    s3 = session.client("s3")
    of_client = access_grants_provider.register(s3, fallback="denied", account_id=grants.account_id)
    of_session.unregister()
    with contextlib.suppress(ClientError):
        s3.get_object(Bucket="data", Key="out/x")
    assert signers(grants, "GetObject") == ["alice"]
    of_client.unregister()
    with pytest.raises(AccessDenied):
        s3.get_object(Bucket="data", Key="out/x")
    assert signers(grants, "GetObject") == ["alice"]
