"""pyarrow: a filesystem of its native S3 kind, for a prefix, that changes keys before they end.

``S3FileSystem`` takes fixed keys. So this is a ``PyFileSystem`` around a handler which passes every call on to a native
one with the grant's keys of this moment: whoever holds the filesystem, a dataset or a long job, never has to know.
Files are opened natively, so reading and writing are as fast as without it, and in return a file that is open goes on
with the keys it was opened with. As the provider renews ahead, those are good for another seven minutes at the least
where they are vended for an hour, for ten where they are vended for longer; for a file that stays open longer than
that, set ``duration_seconds``. A file object that could change keys would be Python's, and pyarrow reads such a one
piece after piece under one lock.

Rests on ``FileSystemHandler``: https://arrow.apache.org/docs/python/generated/pyarrow.fs.FileSystemHandler.html
"""

from __future__ import annotations

from typing import Any

from pyarrow.fs import FileInfo, FileSelector, FileSystemHandler, FileType, PyFileSystem, S3FileSystem

from access_grants_provider.core.config import NAMES
from access_grants_provider.core.results import VendedCredentials
from access_grants_provider.core.scopes import GrantScope, Permission
from access_grants_provider.exceptions import ConfigurationError

from .source import GrantSource

__all__ = ["GrantHandler", "filesystem"]

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


def filesystem(uri: str, permission: Permission = "READ", *, session: Any = None, **options: Any) -> PyFileSystem:
    """Return a filesystem for what a grant gives under ``uri``; paths are ``bucket/key``, as ``S3FileSystem`` has them.

    ``uri`` is an ``s3://`` URI as for ``AccessGrantsProvider.credentials()``. ``permission``: ``"READ"``, or
    ``"WRITE"`` for files that are only written; datasets are looked at before they are written, and need
    ``"READWRITE"``, and so does what is deleted or moved. ``session`` is a boto3 or botocore session, None boto3's
    default one. ``options`` are those of ``register()``, and besides them arguments of ``S3FileSystem``
    (``endpoint_override``, ``proxy_options``, …) but for the keys; ``region`` is the bucket's where it is not given.
    The first keys are vended at once: raises :class:`AccessDenied` where no grant covers ``uri``,
    :class:`ServiceFailure` and :class:`ConfigurationError`; renewing may raise the same out of any later call.
    """
    given = KEYS & options.keys()
    if given:
        names = ", ".join(sorted(given))
        raise ConfigurationError(f"{names}: not allowed here, the keys of this filesystem are the grant's")
    of_provider = {name: value for name, value in options.items() if name in (*NAMES, "config")}
    of_arrow = {name: value for name, value in options.items() if name not in of_provider}
    handler = GrantHandler(GrantSource(uri, permission, session, of_provider), of_arrow)
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
        self._built: tuple[VendedCredentials, S3FileSystem] | None = None

    def native(self) -> S3FileSystem:
        """Return the native filesystem of this moment. Raises as ``AccessGrantsProvider.credentials()``."""
        return self._now()[1]

    def _now(self) -> tuple[VendedCredentials, S3FileSystem]:
        vended = self._source.credentials()
        built = self._built
        # Two threads may build one each after a renewal; either does.
        if built is None or built[0] != vended:
            keys = {"access_key": vended.access_key, "secret_key": vended.secret_key, "session_token": vended.token}
            built = self._built = (vended, S3FileSystem(**{"region": vended.region, **self._options}, **keys))
        return built

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
        """Return a path as S3FileSystem writes it."""
        return str(self.native().normalize_path(path))

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        """Return what there is at the paths; the grant's own folder is there, whether or not something is in it."""
        vended, native = self._now()
        root = _folder_of(vended)
        asked = [path for path in paths if path.rstrip("/") != root]
        infos = dict(zip(asked, native.get_file_info(asked), strict=True))
        return [infos.get(path) or FileInfo(path, FileType.Directory) for path in paths]

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        """Return what there is below a folder."""
        return list(self.native().get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        """Do nothing within the grant; elsewhere S3 says what it thinks of it."""
        vended, native = self._now()
        bucket, _, key = path.strip("/").partition("/")
        if not GrantScope.parse(vended.scope).covers(GrantScope(bucket, f"{key}/", True)):
            native.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        """Delete a folder and all that is in it."""
        self.native().delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        """Delete all that is in a folder."""
        self.native().delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        """Refuse, as S3FileSystem does: that would be all buckets."""
        self.native().delete_dir_contents("", accept_root_dir=True)

    def delete_file(self, path: str) -> None:
        """Delete an object."""
        self.native().delete_file(path)

    def move(self, src: str, dest: str) -> None:
        """Copy an object and delete it in its old place."""
        self.native().move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        """Copy an object."""
        self.native().copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        """Open an object to read it from the start."""
        return self.native().open_input_stream(path)

    def open_input_file(self, path: str) -> Any:
        """Open an object to read anywhere in it."""
        return self.native().open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        """Open an object to write it anew."""
        return self.native().open_output_stream(path, metadata=metadata)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        """Refuse, as S3FileSystem does: an object can't grow."""
        return self.native().open_append_stream(path, metadata=metadata)


def _folder_of(vended: VendedCredentials) -> str | None:
    """Return the path of the folder that a grant is for; None where it is for something else."""
    scope = GrantScope.parse(vended.scope)
    return f"{scope.bucket}/{scope.key.rstrip('/')}" if scope.is_prefix and scope.key.endswith("/") else None
