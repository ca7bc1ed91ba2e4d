"""PyIceberg: a FileIO whose every file is read and written under the grant that covers it.

``{"py-io-impl": "access_grants_provider.adapters.pyiceberg.AccessGrantsFileIO"}`` among the properties of a catalog
chooses it. It is PyIceberg's own ``PyArrowFileIO``, with the filesystem of :mod:`.pyarrow` for each bucket.

Rests on ``PyArrowFileIO._initialize_fs``, which makes the filesystem of a scheme and a bucket.
https://py.iceberg.apache.org/configuration/#fileio
"""

from __future__ import annotations

from typing import Any

import pyiceberg.io as properties
from pyarrow.fs import FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.utils.properties import property_as_bool

from access_grants_provider.exceptions import ConfigurationError

from .pyarrow import filesystem

__all__ = ["AccessGrantsFileIO"]

# Properties that say whose keys sign.
KEYS = (
    properties.S3_ACCESS_KEY_ID,
    properties.S3_ANONYMOUS,
    properties.S3_ROLE_ARN,
    properties.S3_SECRET_ACCESS_KEY,
    properties.S3_SESSION_TOKEN,
)


class AccessGrantsFileIO(PyArrowFileIO):
    """Reads, writes and deletes under the caller's grants, as boto3's default session.

    Options come from ``S3_ACCESS_GRANTS_…`` and from the AWS profile. The properties ``s3.endpoint``, ``s3.proxy-uri``,
    ``s3.connect-timeout``, ``s3.request-timeout`` and ``s3.force-virtual-addressing`` mean what they mean to PyIceberg;
    regions are the buckets' own. Keys among the properties are refused with :class:`ConfigurationError`. Other schemes
    than S3's go to PyIceberg's own filesystems. Where no grant covers a file, :class:`AccessDenied` is raised.
    """

    def _initialize_fs(self, scheme: str, netloc: str | None = None) -> FileSystem:
        if scheme not in ("s3", "s3a", "s3n"):
            return super()._initialize_fs(scheme, netloc)
        given = [name for name in KEYS if self.properties.get(name)]
        if given:
            raise ConfigurationError(f"{', '.join(given)}: not allowed here, the keys of this FileIO are the grants'")
        return filesystem(f"s3://{netloc}/", **self._arrow_options())

    def _arrow_options(self) -> dict[str, Any]:
        """Return the properties that pyarrow's S3FileSystem has an argument for."""
        arguments: dict[str, Any] = {
            "endpoint_override": self.properties.get(properties.S3_ENDPOINT),
            "proxy_options": self.properties.get(properties.S3_PROXY_URI),
            "connect_timeout": _number(self.properties.get(properties.S3_CONNECT_TIMEOUT)),
            "request_timeout": _number(self.properties.get(properties.S3_REQUEST_TIMEOUT)),
        }
        if self.properties.get(properties.S3_FORCE_VIRTUAL_ADDRESSING) is not None:
            arguments["force_virtual_addressing"] = property_as_bool(
                self.properties, properties.S3_FORCE_VIRTUAL_ADDRESSING, False
            )
        return {name: value for name, value in arguments.items() if value is not None}


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
