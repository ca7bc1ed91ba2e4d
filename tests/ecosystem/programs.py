"""The programs people write every day, by library, and how each gets the credentials of a grant.

One table: ``test_matrix.py`` runs every line of it, and ``docs/libraries.md`` is written from it. The caller has
READWRITE on ``s3://sales/emea/*`` and READ on ``s3://sales/apac/*``, and no right on the bucket.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["LIBRARIES", "WAYS", "Library", "Program", "Run", "Way", "runs"]

Way = Literal["variable", "adapter", "exec"]
WAYS: tuple[Way, ...] = ("variable", "adapter", "exec")


class Program(NamedTuple):
    """A program and how it is covered.

    ``code``: the program as it is run and as it is printed. ``variable``: whether it works with the environment
    variable alone. ``adapter``: the same with an adapter, None where there is none. ``exec``: whether the program works
    under ``access-grants exec``; None where that is not run. ``check``: what is true afterwards, in the program's
    names. ``wrote``: the beginning of a key that it has written. ``remark``: for a reader.
    """

    code: str
    variable: bool = True
    adapter: str | None = None
    exec: bool | None = None
    check: str = "True"
    wrote: str | None = None
    remark: str = ""


class Run(NamedTuple):
    """A program in one of its ways: the code, and whether it is to work or to be refused by S3."""

    program: Program
    way: Way
    code: str
    works: bool


class Library(NamedTuple):
    """The programs of a library.

    ``needs``: the modules that must be installed. ``before``: what is run before each program for the local service's
    sake, and not printed. ``shell``: the programs are commands. ``remark``: for a reader.
    """

    name: str
    needs: tuple[str, ...]
    imports: str
    programs: tuple[Program, ...]
    adapter_imports: str = ""
    before: str = ""
    shell: bool = False
    remark: str = ""

    @property
    def ways(self) -> list[Way]:
        """The ways in which at least one of the programs is run."""
        return [way for way in WAYS if runs(self, way)]


def runs(library: Library, way: Way) -> list[Run]:
    """Return what is run in a way."""
    if way == "variable":
        return [Run(one, way, one.code, one.variable) for one in library.programs]
    if way == "adapter":
        return [Run(one, way, one.adapter, True) for one in library.programs if one.adapter is not None]
    return [Run(one, way, one.code, one.exec) for one in library.programs if one.exec is not None]


BOTO3 = Library(
    "boto3",
    ("boto3",),
    "import boto3",
    (
        Program(
            'body = boto3.client("s3").get_object(Bucket="sales", Key="emea/q3.csv")["Body"].read()',
            check='body.startswith(b"country")',
        ),
        Program('boto3.client("s3").put_object(Bucket="sales", Key="emea/new", Body=b"x")', wrote="emea/new"),
        Program('boto3.client("s3").upload_file("report.csv", "sales", "emea/report.csv")', wrote="emea/report.csv"),
        Program('boto3.client("s3").download_file("sales", "apac/part.0.parquet", "part.0.parquet")'),
        Program(
            'names = [one.key for one in boto3.resource("s3").Bucket("sales").objects.filter(Prefix="emea/2026/")]',
            check='"emea/2026/part.0.parquet" in names',
        ),
        Program('boto3.resource("s3").Bucket("sales").objects.filter(Prefix="emea/old/").delete()'),
    ),
)
PANDAS = Library(
    "pandas",
    ("pandas", "pyarrow", "s3fs", "fastparquet"),
    "import pandas as pd",
    (
        Program('frame = pd.read_csv("s3://sales/emea/q3.csv")', check="len(frame) == 2"),
        Program('pd.DataFrame({"x": [1]}).to_csv("s3://sales/emea/out.csv")', wrote="emea/out.csv"),
        Program(
            'frame = pd.read_parquet("s3://sales/emea/2026/part.0.parquet", storage_options={})',
            check="len(frame) == 2",
        ),
        Program('frame = pd.read_parquet("s3://sales/emea/2026/", storage_options={})', check="len(frame) == 4"),
        Program('frame = pd.read_parquet("s3://sales/apac/", storage_options={})', check="len(frame) == 2"),
        Program(
            'pd.DataFrame({"x": [1]}).to_parquet("s3://sales/emea/one.parquet", storage_options={})',
            wrote="emea/one.parquet",
        ),
        Program(
            'frame = pd.DataFrame({"x": [1], "team": ["north"]})\n'
            'frame.to_parquet("s3://sales/emea/by-team", partition_cols=["team"], storage_options={})',
            wrote="emea/by-team/team=north/",
        ),
        Program(
            'frame = pd.read_parquet("s3://sales/emea/2026/part.0.parquet", engine="fastparquet")',
            check="len(frame) == 2",
        ),
        Program(
            'pd.DataFrame({"x": [1]}).to_parquet("s3://sales/emea/fast.parquet", engine="fastparquet")',
            wrote="emea/fast.parquet",
        ),
        Program(
            'frame = pd.read_parquet("s3://sales/emea/2026/part.0.parquet")',
            variable=False,
            adapter='fs = grants.filesystem("s3://sales/")\n'
            'frame = pd.read_parquet("sales/emea/2026/part.0.parquet", filesystem=fs)',
            exec=True,
            check="len(frame) == 2",
            remark="without `storage_options`, pandas takes pyarrow's own S3 client",
        ),
        Program(
            'pd.DataFrame({"x": [1]}).to_parquet("s3://sales/emea/native.parquet")',
            variable=False,
            adapter='fs = grants.filesystem("s3://sales/")\n'
            'pd.DataFrame({"x": [1]}).to_parquet("sales/emea/native.parquet", filesystem=fs)',
            exec=True,
            wrote="emea/native.parquet",
            remark="the same",
        ),
    ),
    "from access_grants_provider.adapters import pyarrow as grants",
)
S3FS = Library(
    "s3fs",
    ("s3fs",),
    "import s3fs",
    (
        Program('names = fs.ls("s3://sales/emea/")', check='"sales/emea/q3.csv" in names'),
        Program('there = fs.exists("s3://sales/emea/q3.csv")', check="there"),
        Program('there = fs.exists("s3://sales/emea")', check="there"),
        Program('there = fs.isdir("s3://sales/emea/")', check="there"),
        Program('names = fs.glob("s3://sales/emea/**/*.parquet")', check="len(names) == 2"),
        Program(
            'names = [name for _, _, files in fs.walk("s3://sales/emea/") for name in files]',
            check="len(names) > 3",
        ),
        Program('names = fs.find("s3://sales/emea/2026")', check="len(names) == 2"),
        Program('size = fs.du("s3://sales/emea/")', check="size > 0"),
        Program('fs.makedirs("s3://sales/emea/new/folder", exist_ok=True)'),
        Program('fs.put("folder", "s3://sales/emea/put", recursive=True)', wrote="emea/put/"),
        Program('fs.get("s3://sales/emea/2026", "got", recursive=True)'),
        Program('fs.mv("s3://sales/emea/old/a", "s3://sales/emea/moved")', wrote="emea/moved"),
        Program('fs.cp("s3://sales/emea/q3.csv", "s3://sales/emea/copied")', wrote="emea/copied"),
        Program('fs.rm("s3://sales/emea/old/", recursive=True)'),
        Program('fs.touch("s3://sales/emea/touched")', wrote="emea/touched"),
        Program('with fs.open("s3://sales/emea/text", "w") as file:\n    file.write("x")', wrote="emea/text"),
    ),
    before="fs = s3fs.S3FileSystem()",
    remark="`fs` is `s3fs.S3FileSystem()`.",
)
PYARROW = Library(
    "pyarrow",
    ("pyarrow", "s3fs"),
    "import pyarrow as pa, pyarrow.dataset as ds, pyarrow.parquet as pq, s3fs",
    (
        Program(
            'table = ds.dataset("sales/emea/2026", filesystem=s3fs.S3FileSystem()).to_table()',
            check="table.num_rows == 4",
        ),
        Program(
            "fs = s3fs.S3FileSystem()\n"
            'ds.write_dataset(pa.table({"x": [1]}), "sales/emea/set", format="parquet", filesystem=fs)',
            wrote="emea/set/",
        ),
        Program(
            'table = pq.read_table("s3://sales/emea/2026/")',
            variable=False,
            adapter='table = pq.read_table("sales/emea/2026", filesystem=grants.filesystem("s3://sales/"))',
            exec=True,
            check="table.num_rows == 4",
        ),
        Program(
            'table = ds.dataset("s3://sales/apac/").to_table()',
            variable=False,
            adapter='table = ds.dataset("sales/apac", filesystem=grants.filesystem("s3://sales/")).to_table()',
            check="table.num_rows == 2",
            remark="the granted folder itself, of which pyarrow asks the key `apac`",
        ),
        Program(
            'table = ds.dataset("s3://sales/emea/2026/").to_table()',
            variable=False,
            adapter='table = ds.dataset("sales/emea/2026", filesystem=grants.filesystem("s3://sales/")).to_table()',
            exec=True,
            check="table.num_rows == 4",
        ),
        Program(
            'ds.write_dataset(pa.table({"x": [1]}), "s3://sales/emea/own", format="parquet")',
            variable=False,
            adapter='fs = grants.filesystem("s3://sales/")\n'
            'ds.write_dataset(pa.table({"x": [1]}), "sales/emea/own", format="parquet", filesystem=fs)',
            exec=False,
            wrote="emea/own/",
            remark="pyarrow asks for the bucket, which a grant on a folder does not give; "
            "with `create_dir=False` it does not, and works under `exec`",
        ),
    ),
    "from access_grants_provider.adapters import pyarrow as grants",
)
DASK = Library(
    "dask",
    ("dask", "pandas", "pyarrow", "s3fs"),
    "import dask.dataframe as dd, pandas as pd",
    (
        Program('size = len(dd.read_csv("s3://sales/emea/*.csv"))', check="size == 2"),
        Program('size = len(dd.read_parquet("s3://sales/emea/2026/"))', check="size == 4"),
        Program('size = len(dd.read_parquet("s3://sales/apac/"))', check="size == 2"),
        Program(
            'dd.from_pandas(pd.DataFrame({"x": [1, 2]}), npartitions=2).to_parquet("s3://sales/emea/dask/")',
            wrote="emea/dask/",
        ),
    ),
)
AWSWRANGLER = Library(
    "awswrangler",
    ("awswrangler",),
    "import awswrangler as wr, pandas as pd",
    (
        Program('frame = wr.s3.read_parquet("s3://sales/emea/2026/")', check="len(frame) == 4"),
        Program(
            'wr.s3.to_parquet(pd.DataFrame({"x": [1]}), "s3://sales/emea/wr/", dataset=True)',
            wrote="emea/wr/",
        ),
        Program('names = wr.s3.list_objects("s3://sales/emea/2026/")', check="len(names) == 2"),
        Program('wr.s3.delete_objects("s3://sales/emea/old/")'),
    ),
    before='wr.engine.set("python")',
    remark="Where Ray is installed, awswrangler lists through pyarrow's own S3, and with modin it reads so too, unless "
    "`WR_ENGINE=python` is set.",
)
CLOUDPATHLIB = Library(
    "cloudpathlib",
    ("cloudpathlib",),
    "from cloudpathlib import CloudPath, S3Path",
    (
        Program('text = S3Path("s3://sales/emea/q3.csv").read_text()', check='text.startswith("country")'),
        Program('S3Path("s3://sales/emea/cloudpath").write_text("x")', wrote="emea/cloudpath"),
        Program('there = S3Path("s3://sales/emea/2026").exists()', check="there"),
        Program('there = S3Path("s3://sales/emea").exists()', check="there"),
        Program('names = [str(path) for path in S3Path("s3://sales/emea/").iterdir()]', check="len(names) > 2"),
        Program('names = list(S3Path("s3://sales/emea/").glob("**/*.parquet"))', check="len(names) == 2"),
        Program('S3Path("s3://sales/emea/uploaded").upload_from("folder")', wrote="emea/uploaded"),
        Program('S3Path("s3://sales/emea/old").rmtree()'),
    ),
)
UPATH = Library(
    "universal_pathlib",
    ("upath", "s3fs"),
    "from upath import UPath",
    (
        Program('text = UPath("s3://sales/emea/q3.csv").read_text()', check='text.startswith("country")'),
        Program('UPath("s3://sales/emea/upath").write_text("x")', wrote="emea/upath"),
        Program('there = UPath("s3://sales/emea/").exists()', check="there"),
        Program('names = list(UPath("s3://sales/emea/").iterdir())', check="len(names) > 2"),
        Program('UPath("s3://sales/emea/made").mkdir(parents=True, exist_ok=True)'),
    ),
)
SMART_OPEN = Library(
    "smart_open",
    ("smart_open",),
    "from smart_open import open",
    (
        Program('text = open("s3://sales/emea/q3.csv").read()', check='text.startswith("country")'),
        Program('with open("s3://sales/emea/smart", "w") as file:\n    file.write("x")', wrote="emea/smart"),
    ),
)
ZARR = Library(
    "zarr",
    ("zarr", "s3fs"),
    "import numpy as np, zarr",
    (
        Program('zarr.save("s3://sales/emea/saved.zarr", np.arange(8))', wrote="emea/saved.zarr/"),
        Program(
            'group = zarr.open_group("s3://sales/emea/group.zarr", mode="w")\n'
            'group.create_array("x", data=np.arange(8))',
            check='int(zarr.open_group("s3://sales/emea/group.zarr")["x"][3]) == 3',
            wrote="emea/group.zarr/",
        ),
    ),
)
ICEBERG_WORK = """catalog.create_namespace_if_not_exists("n")
table = catalog.create_table("n.{name}", rows.schema)
table.append(rows)
table.delete("x = 2")
size = table.scan().to_arrow().num_rows"""
CATALOG = """warehouse = "s3://sales/emea/warehouse"
catalog = load_catalog("c", type="sql", uri="sqlite:///catalog.db", warehouse=warehouse{io})
"""
PYICEBERG = Library(
    "PyIceberg",
    ("pyiceberg", "sqlalchemy", "pyarrow", "s3fs"),
    'import pyarrow as pa\nfrom pyiceberg.catalog import load_catalog\nrows = pa.table({"x": [1, 2, 3]})',
    (
        Program(
            'io = {"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"}\n'
            + CATALOG.format(io=", **io")
            + ICEBERG_WORK.format(name="by_fsspec"),
            check="size == 2",
            wrote="emea/warehouse/",
        ),
        Program(
            CATALOG.format(io="") + ICEBERG_WORK.format(name="by_default"),
            variable=False,
            adapter='io = {"py-io-impl": "access_grants_provider.adapters.pyiceberg.AccessGrantsFileIO"}\n'
            + CATALOG.format(io=", **io")
            + ICEBERG_WORK.format(name="by_adapter"),
            exec=True,
            check="size == 2",
            wrote="emea/warehouse/",
            remark="PyIceberg's default FileIO is pyarrow's",
        ),
    ),
)
DELTALAKE = Library(
    "deltalake",
    ("deltalake", "pyarrow"),
    "import pyarrow as pa\nfrom deltalake import DeltaTable, write_deltalake",
    (
        Program(
            'write_deltalake("s3://sales/emea/delta", pa.table({"x": [1, 2]}))',
            variable=False,
            adapter='options = grants.storage_options("s3://sales/emea/", "READWRITE")\n'
            'write_deltalake("s3://sales/emea/delta", pa.table({"x": [1, 2]}), storage_options=options)',
            exec=True,
            wrote="emea/delta/_delta_log/",
            remark="the keys of an adapter's table are fixed: open it anew before they end",
        ),
        Program(
            'size = DeltaTable("s3://sales/emea/delta").to_pyarrow_table().num_rows',
            variable=False,
            adapter='options = grants.storage_options("s3://sales/emea/")\n'
            'size = DeltaTable("s3://sales/emea/delta", storage_options=options).to_pyarrow_table().num_rows',
            exec=True,
            check="size == 2",
        ),
    ),
    "from access_grants_provider.adapters import deltalake as grants",
)
DATASETS = Library(
    "Hugging Face datasets",
    ("datasets", "s3fs"),
    "import datasets",
    (
        Program(
            'rows = datasets.load_dataset("csv", data_files="s3://sales/emea/q3.csv", split="train")',
            check="len(rows) == 2",
        ),
        Program(
            'rows = datasets.load_dataset("parquet", data_files="s3://sales/emea/2026/*.parquet", split="train")',
            check="len(rows) == 4",
        ),
        Program(
            'datasets.Dataset.from_dict({"x": [1]}).save_to_disk("s3://sales/emea/saved")\n'
            'rows = datasets.load_from_disk("s3://sales/emea/saved")',
            check="len(rows) == 1",
            wrote="emea/saved/",
        ),
    ),
)
MLFLOW = Library(
    "MLflow",
    ("mlflow",),
    "import mlflow",
    (
        Program(
            'mlflow.set_experiment(experiment_id=mlflow.create_experiment("e", artifact_location="s3://sales/emea/mlflow"))\n'
            'mlflow.log_artifact("report.csv")',
            wrote="emea/mlflow/",
        ),
        Program('path = mlflow.artifacts.download_artifacts("s3://sales/emea/q3.csv")'),
    ),
)
DVC = Library(
    "DVC",
    ("dvc", "dvc_s3"),
    "",
    (
        Program(
            "dvc init --no-scm -f -q; dvc remote add -f -d store s3://sales/emea/dvc; dvc add -q report.csv; dvc push",
            wrote="emea/dvc/",
        ),
        Program("dvc get-url s3://sales/emea/q3.csv got.csv"),
    ),
    shell=True,
)
POLARS = Library(
    "polars",
    ("polars",),
    "import polars as pl",
    (
        Program(
            'frame = pl.read_csv("s3://sales/emea/q3.csv")',
            variable=False,
            adapter='granted = grants.credential_provider("s3://sales/emea/")\n'
            'frame = pl.read_csv("s3://sales/emea/q3.csv", credential_provider=granted)',
            exec=True,
            check="len(frame) == 2",
        ),
        Program(
            'frame = pl.scan_parquet("s3://sales/emea/2026/*.parquet").collect()',
            variable=False,
            adapter='granted = grants.credential_provider("s3://sales/emea/")\n'
            'frame = pl.scan_parquet("s3://sales/emea/2026/*.parquet", credential_provider=granted).collect()',
            exec=True,
            check="len(frame) == 4",
        ),
        Program(
            'pl.DataFrame({"x": [1]}).write_parquet("s3://sales/emea/polars.parquet")',
            variable=False,
            adapter='granted = grants.credential_provider("s3://sales/emea/", "WRITE")\n'
            'pl.DataFrame({"x": [1]}).write_parquet("s3://sales/emea/polars.parquet", credential_provider=granted)',
            exec=True,
            wrote="emea/polars.parquet",
        ),
    ),
    "from access_grants_provider.adapters import polars as grants",
)
DUCKDB = Library(
    "DuckDB",
    ("duckdb", "duckdb_extension_httpfs"),
    "import duckdb",
    (
        Program(
            "rows = duckdb.sql(\"SELECT * FROM 's3://sales/emea/2026/*.parquet'\").fetchall()",
            variable=False,
            adapter='grants.create_secrets(duckdb.default_connection(), "s3://sales/")\n'
            "rows = duckdb.sql(\"SELECT * FROM 's3://sales/emea/2026/*.parquet'\").fetchall()",
            check="len(rows) == 4",
        ),
        Program(
            "duckdb.sql(\"COPY (SELECT 1 AS x) TO 's3://sales/emea/duck.parquet'\")",
            variable=False,
            adapter='grants.create_secrets(duckdb.default_connection(), "s3://sales/", "READWRITE")\n'
            "duckdb.sql(\"COPY (SELECT 1 AS x) TO 's3://sales/emea/duck.parquet'\")",
            wrote="emea/duck.parquet",
        ),
    ),
    "from access_grants_provider.adapters import duckdb as grants",
    before="duckdb.execute(\"LOAD httpfs; SET s3_url_style = 'path'\")",
    remark="Under `exec`, DuckDB needs one more statement: [Under `exec`](howto/duckdb.md#under-exec).",
)
OBSTORE = Library(
    "obstore",
    ("obstore",),
    "import obstore\nfrom obstore.store import S3Store",
    (
        Program(
            'store = S3Store("sales")\nbody = obstore.get(store, "emea/q3.csv").bytes()',
            variable=False,
            adapter='store = S3Store("sales", credential_provider=grants.credential_provider("s3://sales/emea/"))\n'
            'body = obstore.get(store, "emea/q3.csv").bytes()',
            exec=True,
            check="len(body) > 5",
        ),
        Program(
            'obstore.put(S3Store("sales"), "emea/obstore", b"x")',
            variable=False,
            adapter='granted = grants.credential_provider("s3://sales/emea/", "WRITE")\n'
            'obstore.put(S3Store("sales", credential_provider=granted), "emea/obstore", b"x")',
            exec=True,
            wrote="emea/obstore",
        ),
    ),
    "from access_grants_provider.adapters import obstore as grants",
)
RAY = Library(
    "Ray Data",
    ("ray", "pyarrow"),
    "import ray",
    (
        Program(
            'size = ray.data.read_parquet("s3://sales/emea/2026/").count()',
            variable=False,
            adapter='fs = grants.filesystem("s3://sales/")\n'
            'size = ray.data.read_parquet("sales/emea/2026/", filesystem=fs).count()',
            exec=True,
            check="size == 4",
        ),
    ),
    "from access_grants_provider.adapters import pyarrow as grants",
    before="ray.init(include_dashboard=False, num_cpus=1, object_store_memory=80_000_000)",
)
DAFT = Library(
    "Daft",
    ("daft",),
    "import daft",
    (
        Program(
            'rows = daft.read_parquet("s3://sales/emea/2026/*.parquet").to_pydict()',
            variable=False,
            adapter='granted = grants.io_config("s3://sales/emea/")\n'
            'rows = daft.read_parquet("s3://sales/emea/2026/*.parquet", io_config=granted).to_pydict()',
            exec=True,
            check='len(rows["x"]) == 4',
        ),
        Program(
            'daft.from_pydict({"x": [1]}).write_parquet("s3://sales/emea/daft/")',
            variable=False,
            adapter='granted = grants.io_config("s3://sales/emea/", "READWRITE")\n'
            'daft.from_pydict({"x": [1]}).write_parquet("s3://sales/emea/daft/", io_config=granted)',
            exec=True,
            wrote="emea/daft/",
        ),
    ),
    "from access_grants_provider.adapters import daft as grants",
)
ICECHUNK_WORK = """repo = icechunk.Repository.open_or_create(storage)
session = repo.writable_session("main")
zarr.create_group(session.store, overwrite=True).create_array("x", data=np.arange(8))
session.commit("eight numbers")"""
ICECHUNK = Library(
    "Icechunk",
    ("icechunk", "zarr"),
    "import icechunk, numpy as np, zarr",
    (
        Program(
            'storage = icechunk.s3_storage(bucket="sales", prefix="emea/ice", from_env=True)\n' + ICECHUNK_WORK,
            variable=False,
            adapter='storage = grants.storage("s3://sales/emea/ice", "READWRITE")\n' + ICECHUNK_WORK,
            exec=True,
            wrote="emea/ice/",
        ),
    ),
    "from access_grants_provider.adapters import icechunk as grants",
)
LANCE = Library(
    "Lance",
    ("lance", "pyarrow"),
    "import lance, pyarrow as pa",
    (
        Program(
            'lance.write_dataset(pa.table({"x": [1]}), "s3://sales/emea/lance")',
            variable=False,
            adapter='options = grants.storage_options("s3://sales/emea/", "READWRITE")\n'
            'lance.write_dataset(pa.table({"x": [1]}), "s3://sales/emea/lance", storage_options=options)',
            exec=True,
            wrote="emea/lance/",
            remark="the keys of an adapter's dataset are fixed: open it anew before they end",
        ),
        Program(
            'size = lance.dataset("s3://sales/emea/lance").count_rows()',
            variable=False,
            adapter='options = grants.storage_options("s3://sales/emea/")\n'
            'size = lance.dataset("s3://sales/emea/lance", storage_options=options).count_rows()',
            exec=True,
            check="size == 1",
        ),
    ),
    "from access_grants_provider.adapters import lance as grants",
)
AWS_CLI = Library(
    "AWS CLI",
    ("awscli",),
    "",
    (
        Program("aws s3 ls s3://sales/emea/"),
        Program("aws s3 cp report.csv s3://sales/emea/cli.csv", wrote="emea/cli.csv"),
        Program("aws s3 sync folder s3://sales/emea/synced", wrote="emea/synced/"),
        Program("aws s3 mv s3://sales/emea/old/b s3://sales/emea/moved-by-cli", wrote="emea/moved-by-cli"),
        Program("aws s3 rm --recursive s3://sales/emea/old/"),
    ),
    shell=True,
)
LIBRARIES = (
    BOTO3, PANDAS, S3FS, PYARROW, DASK, AWSWRANGLER, CLOUDPATHLIB, UPATH, SMART_OPEN, ZARR, PYICEBERG, DELTALAKE,
    DATASETS, MLFLOW, DVC, POLARS, DUCKDB, OBSTORE, RAY, DAFT, ICECHUNK, LANCE, AWS_CLI,
)  # fmt: skip
