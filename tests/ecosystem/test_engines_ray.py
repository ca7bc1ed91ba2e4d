"""Ray: tasks, actors, Ray Data and awswrangler, on a cluster of processes that know nothing of this package.

A program brings the setting of docs/howto/ray.md. Each program is a job of its own, so its workers are new processes.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from .engine import AUTOLOAD, Ended, running

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed here (extra test-engines)"),
]
needs_awswrangler = pytest.mark.skipif(
    find_spec("awswrangler") is None or find_spec("modin") is None,
    reason="awswrangler or modin is not installed here (extra test-engines)",
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_cluster.py"
WORKERS = 4
FILES = 24
HOST = f"""
    import json, os, sys
    import ray

    ray.init(
        num_cpus={WORKERS}, include_dashboard=False, object_store_memory=80_000_000, _temp_dir=os.environ["TMPDIR"]
    )
    print(json.dumps({{"RAY_ADDRESS": ray.get_runtime_context().gcs_address}}), flush=True)
    sys.stdin.read()
    ray.shutdown()
"""
VARIABLES = {
    # Ray listens on the loopback address alone where it may not form a cluster with other machines.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": uuid4().hex,
    "RAY_USAGE_STATS_ENABLED": "0",
}
SETTING = f"""
    import os
    import boto3
    import ray

    ACCESS_GRANTS = {AUTOLOAD}
"""
TASKS = """
    ray.init(runtime_env={"env_vars": ACCESS_GRANTS})

    @ray.remote
    def size(number):
        return boto3.client("s3").head_object(Bucket="sales", Key=f"tasks/part.{number}")["ContentLength"]

    print(sum(ray.get([size.remote(number) for number in range(24)])))
"""
TASKS_WITHOUT = """
    import botocore

    os.environ.update(ACCESS_GRANTS)
    ray.init()

    @ray.remote
    def size(number):
        return boto3.client("s3").head_object(Bucket="sales", Key=f"tasks/part.{number}")["ContentLength"]

    try:
        ray.get([size.remote(number) for number in range(24)])
    except botocore.exceptions.ClientError as error:
        print(error.response["Error"]["Code"])
"""
ACTORS = """
    ray.init()

    @ray.remote
    class Shelf:
        def __init__(self):
            import access_grants_provider

            access_grants_provider.register()
            self.s3 = boto3.client("s3")

        def write(self, number):
            self.s3.put_object(Bucket="sales", Key=f"actors/{number}", Body=b"x")
            return os.getpid()

    shelves = [Shelf.remote() for _ in range(4)]
    print(len(set(ray.get([shelves[number % 4].write.remote(number) for number in range(24)]))))
"""
DATA = """
    os.environ.update(ACCESS_GRANTS)
    ray.init(runtime_env={"env_vars": ACCESS_GRANTS})

    rows = ray.data.read_parquet("sales/FOLDER/", filesystem=filesystem)
    print(rows.sum("amount"))
    rows.map(lambda row: {"double": 2 * row["amount"]}).write_parquet("sales/FOLDER/out/", filesystem=filesystem)
"""
ADAPTER = """
    from access_grants_provider.adapters import pyarrow as grants

    filesystem = grants.filesystem("s3://sales/")
"""
S3FS = """
    import s3fs

    filesystem = s3fs.S3FileSystem()
"""
AWSWRANGLER = """
    import awswrangler as wr
    import pandas as pd

    os.environ.update(ACCESS_GRANTS)
    ray.init(runtime_env={"env_vars": ACCESS_GRANTS})

    def attempt(name, function, *arguments):
        try:
            function(*arguments)
            print(name)
        except OSError:
            print(name, "raises OSError")

    attempt("write", wr.s3.to_parquet, pd.DataFrame({"amount": [1, 2, 4]}), "s3://sales/wr/a.parquet")
    attempt("list", wr.s3.list_objects, "s3://sales/wr/")
    attempt("read", wr.s3.read_parquet, ["s3://sales/wr/a.parquet"])
    attempt("read a folder", wr.s3.read_parquet, "s3://sales/wr/")
    attempt("delete", wr.s3.delete_objects, ["s3://sales/wr/a.parquet"])
"""


@pytest.fixture(scope="module")
def engine():
    with running(HOST, **VARIABLES) as engine:
        yield engine


@pytest.fixture
def show(record_property):
    """Have a row of the table printed at the end of the test run."""
    return lambda name, ended: record_property("asked", ended.row(f"Ray {version('ray')}, {name}"))


def lines(ended: Ended) -> list[str]:
    """Return what a program printed, without the warnings that Ray prints on a busy machine."""
    return [line for line in ended.printed.splitlines() if "(raylet)" not in line]


def test_the_example_runs(engine, show):
    engine.grant("emea")
    engine.put_parquet("emea/2026", FILES, amount=[1, 2, 4])
    ended = engine.run(EXAMPLE)
    show("the example", ended)
    assert lines(ended) == [f"{3 * FILES} rows in {FILES} files"]
    assert ended.signed.keys() == {"grant"}
    assert not ended.refused
    # The program itself and at least one worker.
    assert 2 <= ended.processes < FILES
    assert set(ended.vends.values()) == {1}


def test_tasks_vend_once_in_each_worker(engine, show):
    engine.grant("tasks")
    engine.put("tasks", FILES)
    with engine.server.hold("GetDataAccess") as held:

        def release_when_all_workers_have_asked() -> None:
            held.wait_for(WORKERS, timeout=120)
            held.release()

        ended = engine.run(SETTING + TASKS, release_when_all_workers_have_asked)
    show("tasks", ended)
    assert lines(ended) == [str(5 * FILES)]
    assert ended.signed == {"grant": FILES}
    assert not ended.refused
    assert WORKERS <= ended.processes < FILES
    assert set(ended.vends.values()) == {1}


def test_without_the_setting_tasks_sign_as_the_caller(engine, show):
    """What the other tests rest on: workers have the grant from the setting, and from nothing else."""
    engine.grant("tasks")
    engine.put("tasks", FILES)
    ended = engine.run(SETTING + TASKS_WITHOUT)
    show("tasks without the setting", ended)
    assert lines(ended) == ["403"]
    assert not ended.signed
    assert ended.refused.keys() == {"caller"}
    assert not ended.vends


def test_actors_register_themselves_and_vend_once_each(engine, show):
    engine.grant("actors", "READWRITE")
    ended = engine.run(SETTING + ACTORS)
    show("actors", ended)
    assert lines(ended) == [str(WORKERS)]
    assert ended.signed == {"grant": FILES}
    assert not ended.refused
    assert ended.processes == WORKERS
    assert set(ended.vends.values()) == {1}


@pytest.mark.parametrize(
    ("way", "folder", "probes"),
    [
        pytest.param(ADAPTER, "adapter", set(), id="adapter"),
        # s3fs asks this of the bucket and of the folder's bare name. S3 refuses it, and the grant answers.
        pytest.param(
            S3FS, "s3fs", {("HeadBucket", None), ("HeadObject", "s3fs"), ("HeadObject", "s3fs/out")}, id="s3fs"
        ),
    ],
)
def test_ray_data_reads_and_writes(engine, show, way, folder, probes):
    engine.grant(folder, "READWRITE")
    engine.put_parquet(folder, 8, amount=[1, 2, 4])
    ended = engine.run(SETTING + way + DATA.replace("FOLDER", folder))
    show(f"Ray Data, {folder}", ended)
    assert lines(ended) == [str(7 * 8)]
    assert any(
        (one.key or "").startswith(f"{folder}/out/") and one.status == 200 for one in engine.server.s3_requests()
    )
    assert ended.signed.keys() == {"grant"}
    assert {(one.operation, one.key) for one in engine.server.s3_requests() if one.signer == "caller"} <= probes
    # Ray starts more processes for Ray Data than it has CPUs. Each needs READ, WRITE or both.
    assert set(ended.vends.values()) == {1}


@needs_awswrangler
@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        ({"WR_MEMORY_FORMAT": "pandas"}, ["list", "read a folder"]),
        ({}, ["list", "read", "read a folder"]),
        ({"WR_ENGINE": "python"}, []),
    ],
    ids=["ray", "ray-and-modin", "WR_ENGINE=python"],
)
def test_awswrangler_goes_past_grants_where_it_takes_ray(engine, show, variables, refused, request):
    """It takes Ray once that is installed: it lists with pyarrow's own S3 client, and with modin reads with it too."""
    engine.grant("wr", "READWRITE")
    ended = engine.run(SETTING + AWSWRANGLER, **variables)
    show(f"awswrangler {version('awswrangler')}, {request.node.callspec.id}", ended)
    attempts = ("write", "list", "read", "read a folder", "delete")
    assert lines(ended) == [f"{name} raises OSError" if name in refused else name for name in attempts]
    assert ended.signed.keys() == {"grant"}
    assert ended.refused.keys() == ({"caller"} if refused else set())
    assert set(ended.vends.values()) == {1}
