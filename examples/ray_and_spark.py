"""S3 Access Grants for the Python workers of Ray and of Spark: the environment variable, handed on to them.

The tests of this example start neither Ray nor Spark. They check that the settings below are what a worker needs. Ray
Data, which reads through pyarrow, needs a filesystem of `access_grants_provider.adapters.pyarrow` instead.
The package has to be installed where the workers run. What the JVM reads itself (`spark.read.parquet("s3a://…")`) is
not covered, for no Python signs it.
"""

ACCESS_GRANTS = {"BOTOCORE_EXPERIMENTAL__PLUGINS": "access-grants=access_grants_provider"}

RAY_RUNTIME_ENV = {"env_vars": ACCESS_GRANTS}
SPARK_CONFIG = {f"spark.executorEnv.{name}": value for name, value in ACCESS_GRANTS.items()}

PARTS = [f"emea/2026/part.{number}.parquet" for number in range(8)]


def size(key: str) -> int:
    """Return the bytes of one object; runs on a worker."""
    import boto3

    return int(boto3.client("s3").head_object(Bucket="sales", Key=key)["ContentLength"])


def on_ray() -> int:
    """Sum up the sizes on a Ray cluster."""
    import ray

    ray.init(runtime_env=RAY_RUNTIME_ENV)
    remote_size = ray.remote(size)
    return sum(ray.get([remote_size.remote(key) for key in PARTS]))


def on_spark() -> int:
    """Sum up the sizes in the Python workers of a Spark cluster."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("sizes")
    for name, value in SPARK_CONFIG.items():
        builder = builder.config(name, value)
    return builder.getOrCreate().sparkContext.parallelize(PARTS).map(size).sum()
