"""dask in one process; ``test_engines_dask.py`` has a cluster."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("dask", "pandas", "pyarrow", "s3fs")


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
