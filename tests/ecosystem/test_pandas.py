"""pandas through s3fs, and pyarrow through s3fs. pyarrow has an S3 client of its own in C++, which no event reaches."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("pandas", "pyarrow", "s3fs")

DATA = ("GetObject", "HeadObject", "ListObjectsV2", "PutObject")


def test_csv_and_parquet_are_read_and_written(server, alice, run, signers):
    server.put("s3://data/in/q3.csv", "team,amount\nnorth,1\nsouth,2\nnorth,4\n")
    program = """
        import pandas

        frame = pandas.read_csv("s3://data/in/q3.csv")
        sums = frame.groupby("team", as_index=False)["amount"].sum()
        sums.to_parquet("s3://data/in/sums.parquet", storage_options={})
        sums.to_csv("s3://data/in/sums.csv", index=False)
        again = pandas.read_parquet("s3://data/in/sums.parquet", storage_options={})
        pandas.testing.assert_frame_equal(again, sums)
        print(again["amount"].tolist())
    """
    assert run(program, alice) == "[5, 2]\n"
    assert server.read("s3://data/in/sums.csv") == b"team,amount\nnorth,5\nsouth,2\n"
    assert signers(*DATA) == {"grant"}
    # READ and WRITE; and no for the bucket itself, which to_csv() looks for first (see below).
    assert server.calls("GetDataAccess") == 3


def test_a_refusal_under_never_is_a_warning_that_names_the_grants(server, alice, run, signers):
    """What pandas shows of it is "Forbidden"."""
    program = """
        import logging
        import sys

        import pandas

        logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
        try:
            pandas.read_csv("s3://data/elsewhere/q3.csv")
        except (OSError, ImportError) as error:
            print(type(error).__name__)
    """
    lines = run(program, alice, S3_ACCESS_GRANTS_FALLBACK="never").splitlines()
    warnings = [line for line in lines if line.startswith("S3 Access Grants: ")]
    assert "was refused, as fallback is 'never'" in warnings[0]
    assert "Your grants in this bucket: READWRITE on s3://data/in/*." in warnings[0]
    assert not {"grant", "alice"} & signers("GetObject")


def test_parquet_without_storage_options_goes_past_s3fs_and_so_past_every_grant(server, alice, run, signers):
    """Why the README says to pass ``storage_options={}``: pandas takes pyarrow's own client where there are none."""
    program = """
        import pandas

        try:
            pandas.read_parquet("s3://data/in/sums.parquet")
        except OSError as error:
            print("ACCESS_DENIED" in str(error))
    """
    assert run(program, alice) == "True\n"
    assert signers() == {"alice"}
    assert server.control_calls() == 0


def test_directories_are_made_under_a_grant_alone(server, alice, run, signers):
    """s3fs makes a directory by looking for its bucket, and creates one where it is refused a look.

    No grant on a prefix gives that look, so the provider answers it from the grant.
    """
    program = """
        import pandas
        import pyarrow
        import pyarrow.dataset
        import s3fs
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        frame = pandas.DataFrame({"team": ["north", "south"] * 50, "amount": range(100)})
        frame.to_parquet("s3://data/in/by-team", partition_cols=["team"], storage_options={})
        print(len(pandas.read_parquet("s3://data/in/by-team", storage_options={})))

        filesystem = PyFileSystem(FSSpecHandler(s3fs.S3FileSystem()))
        partitioning = pyarrow.dataset.partitioning(pyarrow.schema([("team", pyarrow.string())]), flavor="hive")
        place = {"filesystem": filesystem, "partitioning": partitioning, "format": "parquet"}
        pyarrow.dataset.write_dataset(pyarrow.table(frame), "data/in/set", **place)
        south = pyarrow.dataset.field("team") == "south"
        print(pyarrow.dataset.dataset("data/in/set", **place).to_table(filter=south)["amount"].to_pylist()[:3])
    """
    assert run(program, alice) == "100\n[1, 3, 5]\n"
    assert signers(*DATA) == {"grant"}
    assert server.calls("CreateBucket") == 0


def test_pyarrow_writes_a_dataset_over_s3fs_without_making_directories(server, alice, run, signers):
    program = """
        import pyarrow
        import pyarrow.dataset
        import s3fs
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        filesystem = PyFileSystem(FSSpecHandler(s3fs.S3FileSystem()))
        table = pyarrow.table({"amount": range(100)})
        pyarrow.dataset.write_dataset(
            table, "data/in/set", filesystem=filesystem, format="parquet", create_dir=False
        )
        print(pyarrow.dataset.dataset("data/in/set", filesystem=filesystem).count_rows())
    """
    assert run(program, alice) == "100\n"
    assert signers() == {"grant"}
    assert server.calls("GetDataAccess") <= 3
