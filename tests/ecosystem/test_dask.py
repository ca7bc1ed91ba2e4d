"""A dask cluster of processes: each worker unpickles its filesystem and asks for grants itself."""

from __future__ import annotations

import io

import pytest

pytestmark = pytest.mark.needs("dask", "distributed", "pandas", "pyarrow", "s3fs")

WORKERS = 4
# The program's own process reads the schema; dask's scheduler runs in it too.
PROCESSES = WORKERS + 1

PROGRAM = """
    import dask.dataframe
    from dask.distributed import Client, LocalCluster

    def main():
        cluster = LocalCluster(n_workers=4, threads_per_worker=2, host="127.0.0.1", dashboard_address=None)
        with cluster, Client(cluster) as client:
            frames = [dask.dataframe.read_parquet(f"s3://data/{folder}/") for folder in %r]
            sums = [frame["amount"].sum() for frame in frames]
            print(sum(client.gather(client.compute(sums))), len(client.nthreads()))

    if __name__ == "__main__":
        main()
"""


def partitioned(server, folder: str, parts: int) -> None:
    """A dataset of so many files, whose amounts sum up to the number of parts."""
    import pandas

    for number in range(parts):
        file = io.BytesIO()
        pandas.DataFrame({"amount": [1], "team": ["north"]}).to_parquet(file)
        server.put(f"s3://data/{folder}/part.{number}.parquet", file.getvalue())


def test_four_workers_under_one_grant_vend_once_each(server, alice, run, signers):
    partitioned(server, "in/sales", 24)
    assert run(PROGRAM % ["in/sales"], alice) == "24 4\n"
    assert signers() == {"grant"}
    assert 1 < server.calls("GetDataAccess") <= PROCESSES


def test_four_workers_under_four_grants_vend_once_for_each(server, run, signers):
    bob = server.identity("bob")
    folders = ["north", "south", "east", "west"]
    for folder in folders:
        server.grant(bob, f"s3://data/{folder}/*", "READ")
        partitioned(server, folder, 8)
    assert run(PROGRAM % folders, bob) == "32 4\n"
    assert signers() == {"grant"}
    assert len(folders) < server.calls("GetDataAccess") <= PROCESSES * len(folders)


def test_a_dataset_is_written_under_a_grant_alone(server, alice, run, signers):
    """As for every directory that s3fs makes, see test_pandas.py."""
    program = """
        import dask
        import dask.dataframe
        import pandas

        frame = dask.dataframe.from_pandas(pandas.DataFrame({"amount": range(10)}), npartitions=2)
        with dask.config.set(scheduler="synchronous"):
            frame.to_parquet("s3://data/in/set/")
            print(len(dask.dataframe.read_parquet("s3://data/in/set/")))
    """
    assert run(program, alice) == "10\n"
    assert signers("GetObject", "HeadObject", "ListObjectsV2", "PutObject") == {"grant"}
