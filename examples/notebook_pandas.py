"""Sales by country in a notebook: pandas reads and writes S3 under S3 Access Grants.

The cells are marked for Jupytext, VS Code and Spyder; `python examples/notebook_pandas.py` runs them too.
Needs pandas, pyarrow and s3fs.
"""

# %% This line is all there is to do. It counts for every S3 client that is made after it, s3fs's among them.
import os

import pandas as pd

os.environ["BOTOCORE_EXPERIMENTAL__PLUGINS"] = "access-grants=access_grants_provider"

# %% The third quarter, by country
sales = pd.read_csv("s3://sales/emea/2026/q3.csv")
by_country = sales.groupby("country", as_index=False)["amount"].sum()
print(by_country.to_string(index=False))

# %% Parquet needs `storage_options={}`: without it pandas takes pyarrow's own S3 client, which no grant reaches.
by_country.to_parquet("s3://sales/emea/2026/by-country.parquet", storage_options={})
again = pd.read_parquet("s3://sales/emea/2026/by-country.parquet", storage_options={})
print(len(again), "countries kept")
