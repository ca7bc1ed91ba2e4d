"""``access-grants cache``: what is on disk, without a secret, and forgetting it."""

from __future__ import annotations

import json
import time

import pytest

from access_grants_provider import AccessGrantsConfig
from access_grants_provider.core.scopes import GrantScope, Permission
from access_grants_provider.disk import DiskCache, Record, caller_digest, context_digest, default_folder

ENDS = 4_000_000_000


@pytest.fixture
def kept(tmp_path, monkeypatch) -> DiskCache:
    """A cache with two records of one caller."""
    monkeypatch.setenv("S3_ACCESS_GRANTS_CACHE_FOLDER", str(tmp_path / "cache"))
    cache = DiskCache(default_folder(), time.time)
    caller, context = caller_digest("AKIAOWN", "OWNSECRET", None), context_digest(AccessGrantsConfig())
    scopes: dict[Permission, str] = {"READ": "s3://data/in/*", "WRITE": "s3://data/\nout*"}
    for permission, scope in scopes.items():
        where = GrantScope.parse(scope)
        grant = ("123456789012", "us-east-1", "Default", ENDS, time.time(), "ASIAKEY", "SECRET", "TOKEN")
        cache.store(caller, context, Record(permission, where, *grant))
    return cache


def test_what_is_kept_is_shown_without_a_secret(kept, invoke):
    done = invoke("cache", "show")
    assert (done.exit_code, done.stderr) == (0, "")
    rows = sorted(line.split("\t") for line in done.stdout.splitlines())
    assert [row[:4] for row in rows] == [
        ["READ", "s3://data/in/*", "123456789012", "us-east-1"],
        ["WRITE", "s3://data/\\nout*", "123456789012", "us-east-1"],
    ]
    assert [row[5] for row in rows] == ["2096-10-02T07:06:40Z"] * 2
    as_json = invoke("cache", "show", "--json").stdout
    assert sorted(row["permission"] for row in json.loads(as_json)) == ["READ", "WRITE"]
    for secret in ("OWN", "ASIAKEY", "SECRET", "TOKEN"):
        assert secret not in done.stdout + as_json


def test_it_is_forgotten(kept, invoke):
    done = invoke("cache", "clear")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "Deleted 2 sets of credentials.\n")
    assert list(kept.entries()) == []
    assert invoke("cache", "show").stderr == "There are no credentials on disk.\n"
    assert invoke("cache", "show", "--json").stdout == "[]\n"


def test_a_folder_that_is_no_path_is_one_line(invoke):
    done = invoke("cache", "show", S3_ACCESS_GRANTS_CACHE_FOLDER="relative")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "S3_ACCESS_GRANTS_CACHE_FOLDER" in done.stderr
    assert done.stderr.count("\n") == 1
