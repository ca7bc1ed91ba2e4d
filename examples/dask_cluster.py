"""The sum of a Parquet dataset on a dask cluster, read under S3 Access Grants.

Needs dask[distributed,dataframe], pyarrow and s3fs. Each worker process asks for its own credentials, once a grant.
"""

import os

import dask.dataframe as dd
from dask.distributed import Client, LocalCluster

ACCESS_GRANTS = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}


def main() -> None:
    """Read the dataset's schema here and its rows on the workers."""
    os.environ.update(ACCESS_GRANTS)
    # Other clusters have such a setting too, and `distributed.nanny.environ` in dask's configuration serves them all.
    with LocalCluster(n_workers=4, env=ACCESS_GRANTS, dashboard_address=None) as cluster, Client(cluster):
        sales = dd.read_parquet("s3://sales/emea/2026/")
        print(sales.groupby("country")["amount"].sum().compute().sort_index().to_string())


if __name__ == "__main__":
    main()
