"""pyarrow's native S3 filesystem reads and writes real Parquet with a grant's credentials, and changes them in time."""

from __future__ import annotations

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed here (extra: pyarrow)")
pytest.importorskip("pyarrow._s3fs", reason="this pyarrow was built without S3")

import pyarrow.dataset as ds  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from pyarrow.fs import FileSelector, FileType  # noqa: E402

from access_grants_provider.adapters import pyarrow as adapter  # noqa: E402
from access_grants_provider.exceptions import AccessDenied, ConfigurationError, ServiceFailure  # noqa: E402
from access_grants_provider.registration import provider_for  # noqa: E402

LIFE = 2  # seconds


@pytest.fixture
def filesystem(server, session):
    """``filesystem()`` for the local service, as Alice."""

    def at_the_server(uri="s3://data/in/", permission="READ", **options):
        return adapter.filesystem(uri, permission, **{"session": session, "endpoint_override": server.url, **options})

    return at_the_server


@pytest.fixture
def files(put_parquet):
    put_parquet("s3://data/in/a.parquet", 1, 2)
    put_parquet("s3://data/in/deep/b.parquet", 3)
    put_parquet("s3://data/out/c.parquet", 4)


def outcomes(server) -> set[tuple[str | None, int]]:
    """Who signed S3 requests, and what became of them."""
    return {(one.signer, one.status // 100) for one in server.s3_requests()}


def test_files_folders_and_datasets_are_read_under_one_grant(server, filesystem, files):
    fs = filesystem()
    assert pq.read_table("data/in/a.parquet", filesystem=fs)["x"].to_pylist() == [1, 2]
    assert sorted(ds.dataset("data/in", filesystem=fs).to_table()["x"].to_pylist()) == [1, 2, 3]
    assert {one.path for one in fs.get_file_info(FileSelector("data/in"))} == {"data/in/a.parquet", "data/in/deep"}
    assert fs.open_input_stream("data/in/a.parquet").read(4) == b"PAR1"
    assert outcomes(server) == {("grant", 2)}
    assert server.calls("GetDataAccess") == 1


def test_the_grants_folder_is_a_folder_and_other_paths_are_what_s3_says(server, filesystem, files):
    paths = ["data/in", "data/in/a.parquet", "data/in/", "data/in/deep", "data/in/none"]
    infos = filesystem().get_file_info(paths)
    assert [(one.path.rstrip("/"), one.type) for one in infos] == [
        ("data/in", FileType.Directory),
        ("data/in/a.parquet", FileType.File),
        ("data/in", FileType.Directory),
        ("data/in/deep", FileType.Directory),
        ("data/in/none", FileType.NotFound),
    ]


def test_datasets_are_written_moved_and_deleted_under_a_grant_to_read_and_write(server, filesystem):
    fs = filesystem(permission="READWRITE")
    for x in (1, 2):
        table = pa.table({"x": [x], "part": ["p"]})
        ds.write_dataset(
            table, "data/in/set", format="parquet", partitioning=["part"], filesystem=fs,
            existing_data_behavior="delete_matching",
        )  # fmt: skip
    pq.write_table(pa.table({"x": [3]}), "data/in/one.parquet", filesystem=fs)
    fs.move("data/in/one.parquet", "data/in/set/p/two.parquet")
    fs.copy_file("data/in/set/p/two.parquet", "data/in/three.parquet")
    assert sorted(ds.dataset("data/in/set", filesystem=fs).to_table()["x"].to_pylist()) == [2, 3]
    fs.delete_dir("data/in/set")
    fs.delete_dir_contents("data/in/set", missing_dir_ok=True)
    fs.delete_file("data/in/three.parquet")
    assert [one.path for one in fs.get_file_info(FileSelector("data/in")) if one.type is FileType.File] == []
    assert {one.signer for one in server.s3_requests()} == {"grant"}
    assert not [one for one in server.s3_requests() if one.status == 403]
    assert server.calls("GetDataAccess") == 1


def test_outside_the_grant_s3_refuses_its_credentials(server, filesystem, files):
    fs = filesystem(permission="READWRITE")
    for attempt in (
        lambda: pq.read_table("data/out/c.parquet", filesystem=fs),
        lambda: fs.open_output_stream("data/out/x").close(),
        lambda: fs.create_dir("data/out/folder"),
        lambda: fs.delete_file("data/out/c.parquet"),
    ):
        with pytest.raises(OSError, match="ACCESS_DENIED"):
            attempt()
    assert outcomes(server) == {("grant", 4)}
    assert server.read("s3://data/out/c.parquet")


def test_without_a_grant_there_is_no_filesystem(server, filesystem):
    with pytest.raises(AccessDenied, match=r"READ on 's3://data/out/\*'. Your grants .* Ask the owner"):
        filesystem("s3://data/out/")
    server.fail("GetDataAccess", "SomethingBroke", status=400)
    with pytest.raises(ServiceFailure, match="SomethingBroke"):
        filesystem()


def test_what_s3_has_no_way_to_do_is_refused_as_by_the_native_filesystem(filesystem):
    fs = filesystem()
    with pytest.raises(NotImplementedError):
        fs.open_append_stream("data/in/x")
    with pytest.raises(NotImplementedError):
        fs.delete_dir_contents("", accept_root_dir=True)


def test_a_dataset_goes_on_across_the_end_of_the_credentials(server, filesystem, files):
    server.lifetime = LIFE
    dataset = ds.dataset("data/in", filesystem=filesystem())
    began = time.monotonic()
    while server.calls("GetDataAccess") < 3 and time.monotonic() < began + 60:
        assert sorted(dataset.to_table()["x"].to_pylist()) == [1, 2, 3]
    assert server.calls("GetDataAccess") == 3
    assert outcomes(server) == {("grant", 2)}
    assert len({one.access_key_id for one in server.s3_requests()}) == 3


def test_between_two_renewals_there_is_one_native_filesystem(filesystem):
    handler = filesystem().handler
    assert handler.native() is handler.native()


def test_a_grant_taken_away_is_an_error_of_ours_at_the_next_renewal(server, session, alice, put_parquet, filesystem):
    grant = server.grant(alice, "s3://data/lent/*", "READ")
    put_parquet("s3://data/lent/a.parquet", 1)
    server.lifetime = LIFE
    fs = filesystem("s3://data/lent/")
    server.revoke(grant)

    def read_for_a_minute() -> None:
        began = time.monotonic()
        while time.monotonic() < began + 60:
            pq.read_table("data/lent/a.parquet", filesystem=fs)

    with pytest.raises(AccessDenied, match=r"READ on 's3://data/lent/\*'"):
        read_for_a_minute()
    assert outcomes(server) == {("grant", 2)}


def test_threads_share_one_filesystem(server, filesystem, files):
    fs = filesystem()
    with ThreadPoolExecutor(8) as pool:
        tables = pool.map(lambda _: pq.read_table("data/in/a.parquet", filesystem=fs).num_rows, range(16))
        assert list(tables) == [2] * 16
    assert server.calls("GetDataAccess") == 1


def test_the_region_is_the_buckets(server, alice, filesystem, put_parquet):
    server.bucket("far", region="eu-west-1")
    server.grant(alice, "s3://far/*", "READ")
    put_parquet("s3://far/a.parquet", 1)
    fs = filesystem("s3://far/")
    assert pq.read_table("far/a.parquet", filesystem=fs).num_rows == 1
    assert {one.region for one in server.s3_requests()} == {"eu-west-1"}


def test_a_pickle_holds_no_secret_and_asks_as_the_default_session_where_it_is_loaded(
    server, session, filesystem, files, monkeypatch
):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    fs = filesystem(session=None, duration_seconds=900)
    vended = provider_for(session, duration_seconds=900).credentials("s3://data/in/")
    pickled = pickle.dumps(fs)
    assert not [key for key in (vended.access_key, vended.secret_key, vended.token) if key.encode() in pickled]
    assert not [key for key in (vended.access_key, vended.secret_key, vended.token) if key in repr(fs.handler)]
    loaded = pickle.loads(pickled)
    assert loaded == fs
    assert loaded != filesystem(session=None, duration_seconds=900)
    assert pq.read_table("data/in/a.parquet", filesystem=loaded).num_rows == 2
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", server.session(server.identity("bob")))
    with pytest.raises(AccessDenied):
        pq.read_table("data/in/a.parquet", filesystem=pickle.loads(pickled))


def test_one_that_is_made_with_a_session_says_why_it_is_not_pickled(filesystem):
    with pytest.raises(TypeError, match="belongs to the session"):
        pickle.dumps(filesystem())


def test_keys_of_ones_own_are_refused_and_so_is_what_nobody_knows(filesystem):
    with pytest.raises(ConfigurationError, match="access_key, secret_key: not allowed here"):
        filesystem(access_key="mine", secret_key="mine")
    with pytest.raises(TypeError, match="fallbak"):
        filesystem(fallbak="never")
    with pytest.raises(ConfigurationError, match="fallback='sometimes' is not allowed"):
        filesystem(fallback="sometimes")


@pytest.fixture
def bucket(server, alice, session):
    """The filesystem of the whole bucket, as Alice, who reads and writes below ``in/`` and reads below ``lent/``."""
    server.grant(alice, "s3://data/lent/*", "READ")
    return adapter.filesystem("s3://data/", session=session)


def used(server) -> set[tuple[str | None, str | None]]:
    """The grants and permissions that requests were signed with; all of them by grants, and none refused."""
    assert {(one.signer, one.status // 100) for one in server.s3_requests()} <= {("grant", 2), ("grant", 4)}
    assert not [one for one in server.s3_requests() if one.status == 403]
    return {(one.scope, one.permission) for one in server.s3_requests()}


def test_in_a_bucket_each_path_is_read_under_its_own_grant(server, bucket, files, put_parquet):
    put_parquet("s3://data/lent/d.parquet", 5)
    dataset = ds.dataset(["data/in/a.parquet", "data/lent/d.parquet"], filesystem=bucket)
    assert sorted(dataset.to_table()["x"].to_pylist()) == [1, 2, 5]
    assert ds.dataset("data/lent", filesystem=bucket).count_rows() == 1
    assert used(server) == {("s3://data/in/*", "READ"), ("s3://data/lent/*", "READ")}
    assert server.calls("GetDataAccess") <= 4  # and one no for each folder's own name, `data/lent`


def test_in_a_bucket_each_call_asks_for_the_permission_it_needs(server, bucket):
    with bucket.open_output_stream("data/in/x") as made:
        made.write(b"1")
    assert used(server) == {("s3://data/in/*", "WRITE")}
    server.forget_requests()
    assert bucket.open_input_file("data/in/x").read() == b"1"
    assert used(server) == {("s3://data/in/*", "READ")}
    server.forget_requests()
    bucket.copy_file("data/in/x", "data/in/y")
    bucket.move("data/in/y", "data/in/deep/z")
    bucket.delete_file("data/in/deep/z")
    bucket.delete_dir_contents("data/in/deep", missing_dir_ok=True)
    assert used(server) == {("s3://data/in/*", "READWRITE")}
    assert server.read("s3://data/in/x") == b"1"


def test_in_a_bucket_datasets_are_written_partitioned(server, bucket):
    ds.write_dataset(
        pa.table({"x": [1, 2], "part": ["p", "q"]}), "data/in/set", format="parquet", partitioning=["part"],
        filesystem=bucket,
    )  # fmt: skip
    assert sorted(ds.dataset("data/in/set", filesystem=bucket).to_table()["x"].to_pylist()) == [1, 2]
    assert used(server) == {("s3://data/in/*", "READ"), ("s3://data/in/*", "WRITE")}


def test_in_a_bucket_a_permission_that_is_given_is_asked_for_each_time(server, alice, session):
    fs = adapter.filesystem("s3://data", "READWRITE", session=session)
    with fs.open_output_stream("data/in/x") as made:
        made.write(b"1")
    assert fs.get_file_info("data/in/x").size == 1
    assert used(server) == {("s3://data/in/*", "READWRITE")}
    assert server.calls("GetDataAccess") == 1


def test_in_a_bucket_the_folder_of_a_grant_and_the_bucket_are_folders(server, bucket, files):
    infos = bucket.get_file_info(["data", "data/in", "data/in/a.parquet", "data/lent/", "data/in/none"])
    assert [one.type for one in infos] == [
        FileType.Directory,
        FileType.Directory,
        FileType.File,
        FileType.Directory,
        FileType.NotFound,
    ]
    assert {one.signer for one in server.s3_requests()} == {"grant"}


@pytest.mark.parametrize(
    ("attempt", "permission"),
    [
        (lambda fs: fs.get_file_info("data/out"), "READ"),
        (lambda fs: fs.get_file_info(FileSelector("data")), "READ"),
        (lambda fs: fs.open_input_stream("data/out/x"), "READ"),
        (lambda fs: fs.open_output_stream("data/lent/x"), "WRITE"),
        (lambda fs: fs.create_dir("data/lent/folder"), "WRITE"),
        (lambda fs: fs.delete_dir("data/lent/folder"), "READWRITE"),
        (lambda fs: fs.copy_file("data/lent/x", "data/in/x"), "READWRITE"),
    ],
)
def test_in_a_bucket_nothing_is_sent_where_no_grant_allows_it(server, bucket, attempt, permission):
    with pytest.raises(AccessDenied, match=f"{permission} on 's3://data/"):
        attempt(bucket)
    assert server.s3_requests() == []


def test_the_filesystem_of_a_bucket_is_for_that_bucket(server, bucket):
    with pytest.raises(ValueError, match="'s3://other/x' is not in the bucket 'data'"):
        bucket.open_input_stream("other/x")
    assert server.requests == []


def test_the_filesystem_of_a_bucket_keeps_as_many_native_ones_as_it_may(server, alice, session, monkeypatch):
    monkeypatch.setattr(adapter, "MAX_NATIVE", 2)
    fs = adapter.filesystem("s3://data/", session=session)
    for number in range(4):
        server.grant(alice, f"s3://data/{number}/*", "READ")
        server.put(f"s3://data/{number}/x", b"1")
        assert fs.open_input_stream(f"data/{number}/x").read() == b"1"
    assert len(fs.handler._built) == 2


def test_the_filesystem_of_a_bucket_is_pickled_without_a_secret(server, alice, session, monkeypatch):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    server.put("s3://data/in/x", b"1")
    fs = adapter.filesystem("s3://data/", "READWRITE")
    assert fs.open_input_stream("data/in/x").read() == b"1"
    pickled = pickle.dumps(fs)
    vended = provider_for(session).credentials("s3://data/in/", "READWRITE")
    assert not [key for key in (vended.access_key, vended.secret_key, vended.token) if key.encode() in pickled]
    server.forget_requests()
    loaded = pickle.loads(pickled)
    assert loaded == fs
    assert loaded.open_input_stream("data/in/x").read() == b"1"
    assert used(server) == {("s3://data/in/*", "READWRITE")}


def test_the_endpoint_is_the_one_that_the_session_is_configured_with(server, session, files):
    fs = adapter.filesystem("s3://data/in/", session=session)
    assert pq.read_table("data/in/a.parquet", filesystem=fs).num_rows == 2
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        adapter.filesystem(
            "s3://data/in/", session=session, endpoint_override="http://127.0.0.1:9", connect_timeout=1
        ).get_file_info("data/in/a.parquet")
