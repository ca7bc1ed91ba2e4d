"""Spark in local mode: its Python workers, which are processes of their own. What the JVM reads itself is not covered.

A program brings the setting of docs/howto/spark.md. One JVM serves all of them; each has a session of its own, and so
new workers.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from .engine import AUTOLOAD, Engine, running

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed here (extra test-engines)"),
    pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java here, which Spark needs"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "spark_pandas.py"
WORKERS = 2
PARTS = 24
# The first session starts the JVM, which then has no setting in its environment.
HOST = """
    import io, json, os, runpy, sys, traceback
    from contextlib import redirect_stdout
    from pyspark.sql import SparkSession

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    SparkSession.builder.getOrCreate().stop()
    environment = dict(os.environ)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        printed, error = io.StringIO(), None
        try:
            with redirect_stdout(printed):
                runpy.run_path(line.strip(), run_name="__main__")
        except BaseException:
            error = traceback.format_exc()
        finally:
            os.environ.clear()
            os.environ.update(environment)
            SparkSession.builder.getOrCreate().stop()
        print(json.dumps({"error": error, "printed": printed.getvalue()}), file=answers, flush=True)
"""
SUBMIT = (
    f"--master local[{WORKERS}] --driver-memory 512m --conf spark.ui.enabled=false "
    "--conf spark.ui.showConsoleProgress=false --conf spark.driver.bindAddress=127.0.0.1 pyspark-shell"
)
SETTING = f"""
    import boto3
    import pandas as pd
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import pandas_udf

    ACCESS_GRANTS = {AUTOLOAD}

    builder = SparkSession.builder
    for name, value in ACCESS_GRANTS.items():
        builder = builder.config(f"spark.executorEnv.{{name}}", value)
    spark = builder.getOrCreate()

    def size(number):
        return boto3.client("s3").head_object(Bucket="sales", Key=f"parts/part.{{number}}")["ContentLength"]
"""
MAP_IN_PANDAS = """
    def sizes(frames):
        for frame in frames:
            yield pd.DataFrame({"size": [size(number) for number in frame["id"]]})

    print(sum(row["size"] for row in spark.range(0, 24, 1, 8).mapInPandas(sizes, "size long").collect()))
"""
PANDAS_UDF = """
    @pandas_udf("long")
    def sizes(numbers: pd.Series) -> pd.Series:
        return numbers.map(size)

    print(spark.range(0, 24, 1, 8).select(sizes("id").alias("size")).groupBy().sum("size").collect()[0][0])
"""
MAP = """
    print(spark.sparkContext.parallelize(range(24), 8).map(size).sum())
"""
REGISTERING = """
    def registered(number):
        import access_grants_provider

        access_grants_provider.register()
        return size(number)

    print(spark.sparkContext.parallelize(range(24), 8).map(registered).sum())
"""
CAUGHT = """
    try:
        spark.sparkContext.parallelize(range(24), 8).map(size).sum()
    except Exception as error:
        print("403" in str(error))
"""


@pytest.fixture(scope="module")
def engine():
    with running(HOST, PYSPARK_SUBMIT_ARGS=SUBMIT, SPARK_LOCAL_IP="127.0.0.1") as engine:
        engine.grant("parts")
        engine.put("parts", PARTS)
        yield engine


@pytest.fixture
def show(record_property):
    """Have a row of the table printed at the end of the test run."""
    return lambda name, ended: record_property("asked", ended.row(f"Spark {version('pyspark')}, {name}"))


def run_with_all_workers(engine: Engine, program: str):
    """Run a program; no worker gets its credentials before all have asked for some."""
    with engine.server.hold("GetDataAccess") as held:

        def release_when_all_workers_have_asked() -> None:
            held.wait_for(WORKERS, timeout=120)
            held.release()

        return engine.run_in_host(program, release_when_all_workers_have_asked)


def test_the_example_runs(engine, show):
    engine.grant("emea")
    engine.put_parquet("emea/2026", PARTS, amount=[1, 2, 4])
    ended = engine.run_in_host(EXAMPLE)
    show("the example", ended)
    assert ended.printed == f"{3 * PARTS} rows in {PARTS} files\n"
    assert ended.signed.keys() == {"grant"}
    assert not ended.refused
    # The program itself and at least one worker.
    assert 2 <= ended.processes <= WORKERS + 1
    assert set(ended.vends.values()) == {1}


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(SETTING + MAP_IN_PANDAS, id="mapInPandas"),
        pytest.param(SETTING + PANDAS_UDF, id="pandas UDF"),
        pytest.param(SETTING + MAP, id="map"),
        pytest.param(SETTING.replace(str(AUTOLOAD), "{}") + REGISTERING, id="map, each task registers"),
    ],
)
def test_workers_vend_once_each(engine, show, program, request):
    ended = run_with_all_workers(engine, program)
    show(request.node.callspec.id, ended)
    assert ended.printed == f"{5 * PARTS}\n"
    assert ended.signed == {"grant": PARTS}
    assert not ended.refused
    assert ended.processes == WORKERS
    assert set(ended.vends.values()) == {1}


def test_without_the_setting_workers_sign_as_the_caller(engine, show):
    """What the other tests rest on: workers have the grant from the setting, and from nothing else."""
    ended = engine.run_in_host(SETTING.replace(str(AUTOLOAD), "{}") + CAUGHT)
    show("map without the setting", ended)
    assert ended.printed == "True\n"
    assert not ended.signed
    assert ended.refused.keys() == {"caller"}
    assert not ended.vends
