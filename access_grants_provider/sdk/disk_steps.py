"""What ``cache="disk"`` does: the steps that share credentials among processes, performed on disk."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from botocore.credentials import Credentials

from ..core.caller_state import MAX_REQUESTERS
from ..core.config import AccessGrantsConfig
from ..core.credential_cache import Vended
from ..core.io_requests import Forget, Guard, Guarded, Keep, Recall, Step
from ..disk import POLL_SECONDS, DiskCache, DiskLock, Record, context_digest, default_folder, requester_digest
from .caller import Requester

__all__ = ["Processes"]

# Two local services are two worlds, whose keys may be the same.
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_S3_CONTROL", "AWS_ENDPOINT_URL_STS")

# The locks this process holds, for whichever provider.
_held: weakref.WeakValueDictionary[Path, DiskLock] = weakref.WeakValueDictionary()


class Processes:
    """The other processes of this user on this machine, as far as credentials go. Safe for threads."""

    def __init__(self, config: AccessGrantsConfig, clock: Callable[[], float]) -> None:
        self._disk = DiskCache(default_folder(), clock)
        self.lock_seconds, self.poll_seconds = self._disk.lock_seconds, POLL_SECONDS
        self.waited_in_vain = self._disk.waited_in_vain
        self._clock = clock
        self._privilege = config.privilege
        self._context = context_digest(config, *(os.environ.get(name) for name in ENDPOINTS))
        self._met: set[bytes] = set()
        self._since = 0.0

    def clear(self) -> None:
        """Forget what is kept for the requesters met so far, and find nothing older than now from now on."""
        self._since = self._clock()
        for requester in list(self._met):
            self._disk.clear(requester)

    def perform(self, step: Step, requester: Requester) -> Any:
        """Perform a step on disk, for somebody. Waits for other processes only for a patient :class:`Guard`."""
        who = requester.in_every_process(requester_digest)
        if len(self._met) >= MAX_REQUESTERS:
            # Credentials that rotate come without an end; those of long ago have left nothing on disk by now.
            self._met.clear()
        self._met.add(who)
        if isinstance(step, Recall):
            records = self._disk.recall(who, self._context, step.bucket)
            return [_vended(record) for record in records if record.vended_at >= self._since]
        if isinstance(step, Guard):
            return self._guard(who, step)
        if isinstance(step, Keep):
            self._disk.keep(who, self._context, self._record(step.vended))
        if isinstance(step, Forget):
            self._disk.drop(who, self._context, self._record(step.vended))
        return None

    def _guard(self, who: bytes, step: Guard) -> Guarded:
        lock = self._disk.lock(who, self._context, step.key, seconds=0)
        waited = lock.contended
        holder = _held.get(lock.path) if waited else None
        if holder is not None and holder.held and holder.lane is not step.lane:
            # This very process, in an event loop that may stand still until we are done, or waiting for one.
            return Guarded(None, waited=False)
        if waited and step.patient:
            lock = self._disk.lock(who, self._context, step.key)
        if not lock.held:
            return Guarded(None, waited)
        lock.lane, _held[lock.path] = step.lane, lock
        return Guarded(lock, waited)

    def _record(self, vended: Vended) -> Record:
        signer = vended.signer
        return Record(
            permission=vended.permission,
            scope=vended.scope,
            account_id=vended.account_id,
            region=vended.region,
            privilege=self._privilege,
            expiration=vended.expires_at,
            vended_at=self._clock(),
            access_key=signer.access_key,
            secret_key=signer.secret_key,
            token=signer.token,
        )


def _vended(record: Record) -> Vended:
    return Vended(
        record.permission,
        record.scope,
        Credentials(record.access_key, record.secret_key, record.token),
        account_id=record.account_id,
        region=record.region,
        expiration=datetime.fromtimestamp(record.expiration, timezone.utc),
        now=record.vended_at,
        recalled=True,
    )
