"""The rows of a dataset, counted by the Python workers of Spark under S3 Access Grants.

Needs pyspark, pandas, pyarrow and s3fs. Each worker process requests its own credentials, once for each grant. This
package has to be installed where the workers run. What the JVM reads itself (`spark.read.parquet("s3a://…")`) is not
covered: no Python signs it.
"""

import os
from collections.abc import Iterator

import pandas as pd
import s3fs
from pyspark.sql import SparkSession

ACCESS_GRANTS = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}


def rows(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Read the files of one partition on a worker."""
    for frame in frames:
        counts = [len(pd.read_parquet(f"s3://{path}", storage_options={})) for path in frame["path"]]
        yield pd.DataFrame({"path": frame["path"], "rows": counts})


def main() -> None:
    """List the files here, and read them on the workers."""
    os.environ.update(ACCESS_GRANTS)  # for this program
    builder = SparkSession.builder.appName("rows")
    for name, value in ACCESS_GRANTS.items():
        builder = builder.config(f"spark.executorEnv.{name}", value)  # for the workers
    spark = builder.getOrCreate()
    paths = s3fs.S3FileSystem().glob("sales/emea/2026/*.parquet")
    files = spark.createDataFrame([(path,) for path in paths], "path string").repartition(8)
    counted = files.mapInPandas(rows, "path string, rows long").collect()
    print(sum(row["rows"] for row in counted), "rows in", len(counted), "files")
    spark.stop()


if __name__ == "__main__":
    main()
