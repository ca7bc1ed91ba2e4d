"""A dask cluster of processes: each worker unpickles what it is sent, and asks for grants itself.

One cluster, with the setting of docs/howto/dask.md, serves all programs, so each has grants of its own.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from .engine import AUTOLOAD, running

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        find_spec("distributed") is None or find_spec("pandas") is None or find_spec("s3fs") is None,
        reason="dask[distributed], pandas or s3fs is not installed here (extra test-engines)",
    ),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "dask_cluster.py"
WORKERS = 4
# The program's own process reads the schema.
PROCESSES = WORKERS + 1
FILES = 24
TABLE: dict[str, list[object]] = {"country": ["DE", "FR"], "amount": [1, 2]}
HOST = f"""
    import json, sys
    from dask.distributed import LocalCluster

    if __name__ == "__main__":
        with LocalCluster(
            n_workers={WORKERS}, threads_per_worker=2, host="127.0.0.1", dashboard_address=None, env={AUTOLOAD}
        ) as cluster:
            print(json.dumps({{"DASK_SCHEDULER_ADDRESS": cluster.scheduler_address}}), flush=True)
            sys.stdin.read()
"""
SIZE = """
    import boto3
    from dask.distributed import Client

    def size(number):
        return boto3.client("s3").head_object(Bucket="sales", Key=f"sizes/part.{number}")["ContentLength"]
"""
FUTURES = """
    with Client() as client:
        print(sum(client.gather(client.map(size, range(24)))))
"""
FRAMES = """
    import dask.dataframe
    from dask.distributed import Client

    with Client() as client:
        frames = [dask.dataframe.read_parquet(f"s3://sales/{folder}/") for folder in FOLDERS]
        print(sum(client.gather(client.compute([frame["amount"].sum() for frame in frames]))))
"""
REGISTERED = """
    from botocore.exceptions import ClientError
    from dask.distributed import LocalCluster, WorkerPlugin

    class AccessGrants(WorkerPlugin):
        def setup(self, worker):
            import access_grants_provider

            access_grants_provider.register()

    if __name__ == "__main__":
        with LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address=None) as cluster, Client(cluster) as client:
            try:
                client.submit(size, 0).result()
            except ClientError as error:
                print(error.response["Error"]["Code"])
            client.register_plugin(AccessGrants())
            print(sum(client.gather(client.map(size, range(1, 24)))))
"""


@pytest.fixture(scope="module")
def engine():
    with running(HOST) as engine:
        yield engine


@pytest.fixture
def show(record_property):
    """Have a row of the table printed at the end of the test run."""
    return lambda name, ended: record_property("asked", ended.row(f"dask {version('dask')}, {name}"))


def test_the_example_runs(engine, show):
    engine.grant("emea")
    engine.put_parquet("emea/2026", FILES, **TABLE)
    ended = engine.run(EXAMPLE)
    show("the example, with a cluster of its own", ended)
    assert ended.printed.splitlines()[-2:] == [f"DE    {FILES}", f"FR    {2 * FILES}"]
    assert ended.signed.keys() == {"grant"}
    assert not ended.refused
    assert 2 <= ended.processes <= PROCESSES
    assert set(ended.vends.values()) == {1}


def test_functions_vend_once_in_each_worker(engine, show):
    engine.grant("sizes")
    engine.put("sizes", FILES)
    with engine.server.hold("GetDataAccess") as held:

        def release_when_all_workers_have_asked() -> None:
            held.wait_for(WORKERS, timeout=120)
            held.release()

        ended = engine.run(SIZE + FUTURES, release_when_all_workers_have_asked)
    show("client.map", ended)
    assert ended.printed == f"{5 * FILES}\n"
    assert ended.signed == {"grant": FILES}
    assert not ended.refused
    assert ended.processes == WORKERS
    assert set(ended.vends.values()) == {1}


def test_a_data_frame_under_one_grant(engine, show):
    engine.grant("frame")
    engine.put_parquet("frame", FILES, **TABLE)
    ended = engine.run(FRAMES.replace("FOLDERS", "['frame']"), **AUTOLOAD)
    show("one data frame, one grant", ended)
    assert ended.printed == f"{3 * FILES}\n"
    assert ended.signed.keys() == {"grant"}
    assert not ended.refused
    assert 2 <= ended.processes <= PROCESSES
    assert set(ended.vends.values()) == {1}


def test_data_frames_under_four_grants_vend_once_for_each(engine, show):
    folders = ["north", "south", "east", "west"]
    for folder in folders:
        engine.grant(folder)
        engine.put_parquet(folder, 8, **TABLE)
    ended = engine.run(FRAMES.replace("FOLDERS", str(folders)), **AUTOLOAD)
    show("four data frames, four grants", ended)
    assert ended.printed == f"{3 * 4 * 8}\n"
    assert ended.signed.keys() == {"grant"}
    assert not ended.refused
    assert ended.processes <= PROCESSES
    assert max(ended.vends.values()) <= len(folders)


def test_without_the_setting_a_worker_signs_as_the_caller_until_it_registers(engine, show):
    """What the other tests rest on: workers have the grant from the setting, and from nothing else."""
    engine.grant("sizes")
    engine.put("sizes", FILES)
    ended = engine.run(SIZE + REGISTERED)
    show("one worker, first without, then with register()", ended)
    assert ended.printed == f"403\n{5 * (FILES - 1)}\n"
    assert ended.signed == {"grant": FILES - 1}
    assert ended.refused == {"caller": 1}
    assert ended.processes == 1
    assert set(ended.vends.values()) == {1}
