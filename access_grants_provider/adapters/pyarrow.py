"""pyarrow: a filesystem of its native S3 kind, for a prefix or a bucket, that changes keys before they end.

``S3FileSystem`` takes fixed keys. So this is a ``PyFileSystem`` around a handler which passes every call on to a native
one with a grant's keys of this moment: whoever holds the filesystem, a dataset or a long job, never has to know.
For a prefix that is one grant; for a bucket each path has its own, and each call the permission it needs.
Files are opened natively, so reading and writing are as fast as without it, and in return a file that is open goes on
with the keys it was opened with. As the provider renews ahead, those are good for another seven minutes at the least
where they are vended for an hour, for ten where they are vended for longer; for a file that stays open longer than
that, set ``duration_seconds``. A file object that could change keys would be Python's, and pyarrow reads such a one
piece after piece under one lock.

Rests on ``FileSystemHandler``: https://arrow.apache.org/docs/python/generated/pyarrow.fs.FileSystemHandler.html
"""

from __future__ import annotations

import atexit
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import pyarrow.lib
from pyarrow.fs import FileInfo, FileSelector, FileSystemHandler, FileType, PyFileSystem, S3FileSystem

from access_grants_provider.core.config import NAMES
from access_grants_provider.core.scopes import SCHEME, GrantScope, Permission, common_prefix
from access_grants_provider.core.vended_credentials import VendedCredentials
from access_grants_provider.exceptions import AccessDenied, ConfigurationError

from .arrow_threads import task_counter, wait_until_idle
from .source import GrantSource

__all__ = ["BucketHandler", "GrantHandler", "filesystem"]

# Arguments of S3FileSystem that say whose keys sign.
KEYS = frozenset(
    {
        "access_key",
        "anonymous",
        "external_id",
        "load_frequency",
        "role_arn",
        "secret_key",
        "session_name",
        "session_token",
    }
)
# Native filesystems that are kept, each with connections of its own: one for each grant and permission.
MAX_NATIVE = 64

# Before pyarrow.fs closes its S3 client, which it has registered when it was imported: the last registered runs first.
atexit.register(wait_until_idle, task_counter(pyarrow.lib.__file__))


def filesystem(uri: str, permission: Permission | None = None, *, session: Any = None, **options: Any) -> PyFileSystem:
    """Return a filesystem for what grants give under ``uri``; paths are ``bucket/key``, as ``S3FileSystem`` has them.

    ``uri`` is an ``s3://`` URI as for ``AccessGrantsProvider.credentials()``.

    For a bucket (``s3://sales/``) each path is under the grant that covers it. Without ``permission`` each call asks
    for the one it needs: READ to look and read, WRITE to write, READWRITE to delete, move and copy.

    For a prefix or an object, all paths are under the one grant that covers ``uri``. ``permission`` is ``"READ"``
    unless given; ``"WRITE"`` is for files that are only written; datasets are looked at before they are written, and
    need ``"READWRITE"``, and so does what is deleted or moved. The first keys are vended at once.

    ``session`` is a boto3 or botocore session, None boto3's default one. ``options`` are those of ``register()``, and
    besides them arguments of ``S3FileSystem`` (``proxy_options``, …) but for the keys. Where they are not given,
    ``region`` is the bucket's, and ``endpoint_override`` what the session is configured with. Raises
    :class:`AccessDenied` where no grant covers ``uri`` or later a path, :class:`ServiceFailure` and
    :class:`ConfigurationError`; renewing may raise the same out of any later call.
    """
    given = KEYS & options.keys()
    if given:
        names = ", ".join(sorted(given))
        raise ConfigurationError(f"{names}: not allowed here, the keys of this filesystem are the grant's")
    of_provider = {name: value for name, value in options.items() if name in (*NAMES, "config")}
    of_arrow = {name: value for name, value in options.items() if name not in of_provider}
    source = GrantSource(uri, permission or "READ", session, of_provider)
    if not source.target.key:
        return PyFileSystem(BucketHandler(source, of_arrow, permission is not None))
    handler = GrantHandler(source, of_arrow)
    handler.native()
    return PyFileSystem(handler)


class GrantHandler(FileSystemHandler):
    """Passes every call on to a native ``S3FileSystem`` that has the grant's keys of this moment.

    Two things it answers itself, because S3 refuses under a grant for ``folder/*`` what pyarrow would ask of it: that
    ``folder`` is a folder (asked with the key ``folder``, which lies outside), and that a folder may be made (asked
    with the whole bucket). S3 has no folders: they are there when something is in them.
    """

    def __init__(self, source: GrantSource, options: dict[str, Any]) -> None:
        self._source, self._options = source, options
        self._built: OrderedDict[tuple[str, str], tuple[VendedCredentials, S3FileSystem]] = OrderedDict()

    def native(self) -> S3FileSystem:
        """Return the native filesystem of this moment. Raises as ``AccessGrantsProvider.credentials()``."""
        return self._native_with(self._source.credentials())

    def _native_with(self, vended: VendedCredentials) -> S3FileSystem:
        name = (vended.scope, vended.permission)
        built = self._built.get(name)
        # Two threads may build one each after a renewal; either does.
        if built is None or built[0] != vended:
            keys = {"access_key": vended.access_key, "secret_key": vended.secret_key, "session_token": vended.token}
            found = {"region": vended.region, "endpoint_override": self._source.endpoint_url}
            built = self._built[name] = (vended, S3FileSystem(**{**found, **self._options}, **keys))
            while len(self._built) > MAX_NATIVE:
                with suppress(KeyError):
                    self._built.popitem(last=False)
        return built[1]

    def _for(self, path: str, permission: Permission) -> S3FileSystem:
        """Return the native filesystem for one path."""
        return self.native()

    def _for_folder(self, path: str, permission: Permission) -> S3FileSystem:
        """Return the one for a folder and all that is in it."""
        return self.native()

    def _for_both(self, source: str, destination: str) -> S3FileSystem:
        """Return the one that reads the first path and writes the second."""
        return self.native()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GrantHandler) and self._source == other._source

    def __hash__(self) -> int:
        return hash(self._source)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source, self._options)

    def get_type_name(self) -> str:
        """Return what the filesystem's ``type_name`` ends with."""
        return "access-grants-s3"

    def normalize_path(self, path: str) -> str:
        """Return a path as S3FileSystem writes it, which changes none."""
        return path

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        """Return what there is at the paths; the grant's own folder is there, whether or not something is in it."""
        vended = self._source.credentials()
        root = _folder_of(vended)
        asked = [path for path in paths if path.rstrip("/") != root]
        infos = dict(zip(asked, self._native_with(vended).get_file_info(asked), strict=True))
        return [infos.get(path) or FileInfo(path, FileType.Directory) for path in paths]

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        """Return what there is below a folder."""
        return list(self._for_folder(selector.base_dir, "READ").get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        """Do nothing within the grant; elsewhere S3 says what it thinks of it."""
        vended = self._source.credentials()
        bucket, _, key = path.strip("/").partition("/")
        if not GrantScope.parse(vended.scope).covers(GrantScope(bucket, f"{key}/", True)):
            self._native_with(vended).create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        """Delete a folder and all that is in it."""
        self._for_folder(path, "READWRITE").delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        """Delete all that is in a folder."""
        self._for_folder(path, "READWRITE").delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        """Refuse, as S3FileSystem does: that would be all buckets."""
        raise NotImplementedError("Cannot delete all S3 buckets")

    def delete_file(self, path: str) -> None:
        """Delete an object."""
        self._for(path, "READWRITE").delete_file(path)

    def move(self, src: str, dest: str) -> None:
        """Copy an object and delete it in its old place."""
        self._for_both(src, dest).move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        """Copy an object."""
        self._for_both(src, dest).copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        """Open an object to read it from the start."""
        return self._for(path, "READ").open_input_stream(path)

    def open_input_file(self, path: str) -> Any:
        """Open an object to read anywhere in it."""
        return self._for(path, "READ").open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        """Open an object to write it anew."""
        return self._for(path, "WRITE").open_output_stream(path, metadata=metadata)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        """Refuse, as S3FileSystem does: an object can't grow."""
        raise NotImplementedError("It is not possible to append efficiently to S3 objects")


class BucketHandler(GrantHandler):
    """Passes each call on to a native filesystem with the keys of the grant that covers its path.

    ``fixed``: all calls ask for the permission of the source. Else each asks for the permission it needs.
    """

    def __init__(self, source: GrantSource, options: dict[str, Any], fixed: bool) -> None:
        super().__init__(source, options)
        self._fixed = fixed

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source, self._options, self._fixed)

    def _vended(self, uri: str, permission: Permission) -> VendedCredentials:
        bucket = self._source.target.bucket
        if not uri.startswith(f"{SCHEME}{bucket}/"):
            raise ValueError(f"{uri!r} is not in the bucket {bucket!r}, which this filesystem is for")
        return self._source.credentials_for(uri, self._source.permission if self._fixed else permission)

    def _for(self, path: str, permission: Permission) -> S3FileSystem:
        return self._native_with(self._vended(f"{SCHEME}{path}", permission))

    def _for_folder(self, path: str, permission: Permission) -> S3FileSystem:
        return self._native_with(self._vended(_folder_uri(path), permission))

    def _for_both(self, source: str, destination: str) -> S3FileSystem:
        return self._for(f"{common_prefix([source, destination])}*", "READWRITE")

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        """Return what there is at the paths; a folder for which there is a grant is there, empty or not."""
        return [self._info(path) for path in paths]

    def _info(self, path: str) -> FileInfo:
        plain = path.rstrip("/")
        if plain == self._source.target.bucket:
            return FileInfo(path, FileType.Directory)
        try:
            native = self._for(plain, "READ")
        except AccessDenied:
            self._vended(_folder_uri(plain), "READ")
            return FileInfo(path, FileType.Directory)
        info: FileInfo = native.get_file_info(path)
        return info

    def create_dir(self, path: str, recursive: bool) -> None:
        """Do nothing where a grant lets write into the folder."""
        self._vended(_folder_uri(path), "WRITE")


def _folder_uri(path: str) -> str:
    return f"{SCHEME}{path.rstrip('/')}/"


def _folder_of(vended: VendedCredentials) -> str | None:
    """Return the path of the folder that a grant is for; None where it is for something else."""
    scope = GrantScope.parse(vended.scope)
    return f"{scope.bucket}/{scope.key.rstrip('/')}" if scope.is_prefix and scope.key.endswith("/") else None
