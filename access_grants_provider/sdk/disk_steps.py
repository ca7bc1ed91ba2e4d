"""What ``cache="disk"`` does: the steps that share credentials among processes, performed on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ..core.config import AccessGrantsConfig
from ..core.credential_cache import StoredCredentials
from ..core.io_requests import DeleteShared, LoadShared, StoreShared
from ..disk import DiskCache, Record, caller_digest, context_digest, default_folder
from .caller import Caller
from .unpicklable_credentials import UnpicklableCredentials

__all__ = ["DiskSteps"]

# Two local services are two worlds, whose keys may be the same.
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_S3_CONTROL", "AWS_ENDPOINT_URL_STS")


class DiskSteps:
    """The other processes of this user on this machine, as far as credentials go. Safe for threads."""

    def __init__(self, config: AccessGrantsConfig, clock: Callable[[], float]) -> None:
        self._disk = DiskCache(default_folder(), clock)
        self._privilege = config.privilege
        self._context = context_digest(config, *(os.environ.get(name) for name in ENDPOINTS))

    def clear(self) -> None:
        """Forget what is kept on disk, for every caller of this user on this machine."""
        self._disk.clear()

    def perform(self, step: LoadShared | StoreShared | DeleteShared, caller: Caller) -> list[StoredCredentials] | None:
        """Perform a step on disk, for a caller."""
        digest = caller.in_every_process(caller_digest)
        if isinstance(step, LoadShared):
            return [_stored(record) for record in self._disk.load(digest, self._context, step.bucket)]
        if isinstance(step, StoreShared):
            self._disk.store(digest, self._context, self._record(step.stored))
        else:
            self._disk.delete(digest, self._context, self._record(step.stored))
        return None

    def _record(self, stored: StoredCredentials) -> Record:
        credentials: Any = stored.credentials
        return Record(
            permission=stored.permission,
            scope=stored.scope,
            account_id=stored.account_id,
            region=stored.region,
            privilege=self._privilege,
            expiration=stored.expires_at,
            vended_at=stored.vended_at,
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
            token=credentials.token,
        )


def _stored(record: Record) -> StoredCredentials:
    return StoredCredentials(
        record.permission,
        record.scope,
        UnpicklableCredentials(record.access_key, record.secret_key, record.token),
        account_id=record.account_id,
        region=record.region,
        expiration=datetime.fromtimestamp(record.expiration, timezone.utc),
        now=record.vended_at,
        from_other_process=True,
    )
