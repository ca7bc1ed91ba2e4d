"""PyIceberg's tables live under the caller's grants, each file under the one that covers it."""

from __future__ import annotations

import pickle
from contextlib import closing

import boto3
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed here (extra: pyiceberg)")
pytest.importorskip("pyiceberg", reason="pyiceberg is not installed here (extra: pyiceberg)")
pytest.importorskip("sqlalchemy", reason="makes the catalogs of these tests")

from pyiceberg.catalog import load_catalog  # noqa: E402
from pyiceberg.io import load_file_io  # noqa: E402

from access_grants_provider.exceptions import AccessDenied, ConfigurationError  # noqa: E402

IMPLEMENTATION = {"py-io-impl": "access_grants_provider.adapters.pyiceberg.AccessGrantsFileIO"}
ROWS = pa.table({"x": [1, 2, 3]})


@pytest.fixture
def catalog(server, alice, session, monkeypatch, tmp_path):
    """A catalog as Alice, who reads and writes below ``in/`` and reads below ``lent/``."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    server.grant(alice, "s3://data/lent/*", "READ")
    # Since Python 3.13 a connection to a database that is left open is a warning.
    with closing(load_catalog("c", type="sql", uri=f"sqlite:///{tmp_path}/catalog.db", **IMPLEMENTATION)) as catalog:
        yield catalog


@pytest.fixture
def file_io(catalog):
    return load_file_io(IMPLEMENTATION)


def test_a_table_is_created_appended_deleted_from_and_scanned_under_grants(server, catalog):
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", ROWS.schema, location="s3://data/in/t")
    table.append(ROWS)
    table.append(ROWS)
    table.delete("x = 2")
    assert sorted(catalog.load_table("n.t").scan().to_arrow()["x"].to_pylist()) == [1, 1, 3, 3]
    assert {one.signer for one in server.s3_requests()} == {"grant"}
    assert not [one for one in server.s3_requests() if one.status == 403]
    # To look, to write, and nothing for each file.
    assert server.calls("GetDataAccess") == 2


def test_each_file_has_the_grant_and_the_permission_that_it_needs(server, alice, file_io):
    server.put("s3://data/lent/x", b"lent")
    with file_io.new_input("s3://data/lent/x").open() as source:
        body = source.read()
    with file_io.new_output("s3://data/in/y").create() as made:
        made.write(body)
    file_io.delete("s3://data/in/y")
    assert {(one.key, one.scope, one.permission) for one in server.s3_requests() if one.key} == {
        ("lent/x", "s3://data/lent/*", "READ"),
        # It looks whether the file is there, writes and deletes it; pyarrow then keeps the folder with an empty object.
        ("in/y", "s3://data/in/*", "READ"),
        ("in/y", "s3://data/in/*", "WRITE"),
        ("in/y", "s3://data/in/*", "READWRITE"),
        ("in/", "s3://data/in/*", "READWRITE"),
    }
    assert {one.signer for one in server.s3_requests()} == {"grant"}


def test_without_a_grant_nothing_is_sent(server, file_io):
    with pytest.raises(AccessDenied, match=r"READ on 's3://data/out/x'"):
        file_io.new_input("s3://data/out/x").open()
    with pytest.raises(AccessDenied, match=r"WRITE on 's3://data/lent/x'"):
        file_io.new_output("s3://data/lent/x").create(overwrite=True)
    assert server.s3_requests() == []


def test_a_pickle_asks_as_the_default_session_and_local_files_stay_local(server, file_io, tmp_path):
    server.put("s3://data/in/x", b"1")
    loaded = pickle.loads(pickle.dumps(file_io))
    with loaded.new_input("s3://data/in/x").open() as source:
        assert source.read() == b"1"
    with loaded.new_output(str(tmp_path / "local")).create() as made:
        made.write(b"2")
    assert (tmp_path / "local").read_bytes() == b"2"


def test_keys_among_the_properties_are_refused(server, catalog):
    file_io = load_file_io({**IMPLEMENTATION, "s3.access-key-id": "mine", "s3.secret-access-key": "mine"})
    with pytest.raises(ConfigurationError, match=r"s3\.access-key-id, s3\.secret-access-key: not allowed"):
        file_io.new_input("s3://data/in/x").open()
    assert server.requests == []


def test_pyiceberg_s_own_settings_hold(server, catalog):
    file_io = load_file_io({**IMPLEMENTATION, "s3.endpoint": "http://127.0.0.1:9", "s3.connect-timeout": "1.0"})
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        file_io.new_input("s3://data/in/x").open()
    assert server.s3_requests() == []
