"""Which libraries sign S3 requests outside botocore, where no event reaches them, and how each still gets grants.

Data alone: nothing here imports a library. ``tests/ecosystem`` runs each of these ways.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["NATIVE_LIBRARIES", "NativeLibrary", "Way"]

Way = Literal["variable", "adapter", "exec"]


class NativeLibrary(NamedTuple):
    """A library with an S3 client of its own in Rust or C++.

    ``name``: what people call it. ``module``: what Python imports, ``distribution``: what pip installs. ``ways``: how
    it gets a grant's credentials, the best first; ``"variable"`` where it has a way through botocore as well, which
    ``variable`` names. ``adapter``: the module below :mod:`access_grants_provider.adapters`, None where there is none.
    """

    name: str
    module: str
    distribution: str
    ways: tuple[Way, ...]
    adapter: str | None = None
    variable: str | None = None


NATIVE_LIBRARIES = (
    NativeLibrary("pyarrow", "pyarrow", "pyarrow", ("adapter", "exec", "variable"), "pyarrow", "filesystem of s3fs"),
    NativeLibrary("polars", "polars", "polars", ("adapter", "exec"), "polars"),
    NativeLibrary("DuckDB", "duckdb", "duckdb", ("adapter",), "duckdb"),
    NativeLibrary("obstore", "obstore", "obstore", ("adapter", "exec"), "obstore"),
    NativeLibrary("PyIceberg", "pyiceberg", "pyiceberg", ("adapter", "exec", "variable"), "pyiceberg", "FsspecFileIO"),
    NativeLibrary("deltalake", "deltalake", "deltalake", ("adapter", "exec"), "deltalake"),
    NativeLibrary("Daft", "daft", "daft", ("adapter", "exec"), "daft"),
    NativeLibrary("Icechunk", "icechunk", "icechunk", ("adapter", "exec"), "icechunk"),
    NativeLibrary("Lance", "lance", "pylance", ("adapter", "exec"), "lance"),
    NativeLibrary("Ray Data", "ray", "ray", ("adapter", "exec"), "pyarrow"),
)
