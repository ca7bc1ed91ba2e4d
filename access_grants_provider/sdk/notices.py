"""What is said once in the log, and not with each request."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

from ..core.credential_cache import StoredCredentials
from ..core.flow_context import FALLBACKS_LOGGER, OPTIONS_LOGGER, REFUSED
from ..core.resolver import Resolution

__all__ = ["Notices"]

logger = logging.getLogger(FALLBACKS_LOGGER)
options_logger = logging.getLogger(OPTIONS_LOGGER)

# After so many buckets the warnings start over; the table must not grow for ever.
MAX_WARNED = 10_000
LATER = "Later ones for this bucket are logged at DEBUG only"


class Notices:
    """The notices of one provider. Safe for threads."""

    def __init__(self) -> None:
        self._said: dict[object, object] = {}
        self._warned: dict[object, object] = {}

    def start_over(self) -> None:
        """Warn of each bucket anew."""
        self._warned = {}

    def inform(self, notice: str) -> None:
        """Log a notice at INFO, the first time it is given."""
        if _is_first(self._said, notice):
            options_logger.info("S3 Access Grants: %s", notice)

    def fallback(self, bucket: str, resolution: Resolution, caller: str) -> None:
        """Warn of the first fallback of each kind in a bucket; ``caller`` is the masked access key id."""
        kind = resolution.denial.kind if resolution.denial is not None else "failure"
        if self._is_first_of(bucket, kind):
            logger.warning(
                "S3 Access Grants: requests to bucket %r are signed with the caller's own credentials (%s). %s. %s. %s",
                bucket,
                caller,
                (resolution.reason or "").rstrip("."),
                resolution.advice,
                LATER,
            )

    def refusal(self, resolution: Resolution) -> None:
        """Warn of the first refusal of each kind in a bucket: pandas and s3fs show the error as "Forbidden" alone."""
        error, denial = resolution.error, resolution.denial
        if error is None or denial is None:
            return
        bucket = "" if denial.wanted is None else denial.wanted[1].bucket
        if self._is_first_of(bucket, ("refused", denial.kind)):
            logger.warning(REFUSED, error.operation, error)

    def early_end(self, operation: str, stored: StoredCredentials, seconds: float, now: float) -> None:
        """Warn where what is presigned ends before it was asked to: with the grant's credentials."""
        if now + seconds <= stored.expires_at:
            return
        logger.log(
            logging.WARNING if self._is_first_of(stored.scope.bucket, "presigned") else logging.DEBUG,
            "S3 Access Grants: what was presigned for %s ends at %s, with the credentials of %r, and not after the "
            "%d s that were asked for. No grant's credentials live longer than 12 hours, or than the sessions of the "
            "location's IAM role. %s",
            operation,
            datetime.fromtimestamp(stored.expires_at, timezone.utc).isoformat(timespec="seconds"),
            str(stored.scope),
            seconds,
            LATER,
        )

    def foreign_endpoint(self, reason: str) -> None:
        """Warn that a client is left alone although ``fallback="never"`` says to refuse."""
        options_logger.warning(
            "S3 Access Grants: fallback is 'never', and yet an S3 client signs with the caller's own credentials: %s. "
            "Set endpoint_url to where S3 Control answers for that S3, or remove the client's endpoint_url",
            reason,
        )

    def copy_refused(self, operation: str, stored: StoredCredentials, hint: str) -> None:
        """Say why S3 may have refused a copy under a grant."""
        level = logging.WARNING if self._is_first_of(stored.scope.bucket, "copy") else logging.DEBUG
        text = "S3 Access Grants: S3 refused %s under the grant %r. %s. %s"
        logger.log(level, text, operation, str(stored.scope), hint, LATER)

    def _is_first_of(self, bucket: str, kind: object) -> bool:
        if len(self._warned) >= MAX_WARNED:
            self._warned = {}
        return _is_first(self._warned, (bucket, kind))


def _is_first(said: dict[object, object], what: object) -> bool:
    mine = object()
    return said.setdefault(what, mine) is mine
