"""The rows of a dataset, counted by the tasks of a Ray cluster under S3 Access Grants.

Needs ray, pandas, pyarrow and s3fs. Each worker process requests its own credentials, once for each grant. This package
has to be installed where the workers run.
"""

import os

import pandas as pd
import ray
import s3fs

ACCESS_GRANTS = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}


@ray.remote
def rows(path: str) -> int:
    """Read one file on a worker."""
    return len(pd.read_parquet(f"s3://{path}", storage_options={}))


def main() -> None:
    """List the files here, and read them on the workers."""
    os.environ.update(ACCESS_GRANTS)  # for this program
    ray.init(runtime_env={"env_vars": ACCESS_GRANTS})  # for the workers
    paths = s3fs.S3FileSystem().glob("sales/emea/2026/*.parquet")
    print(sum(ray.get([rows.remote(path) for path in paths])), "rows in", len(paths), "files")


if __name__ == "__main__":
    main()
