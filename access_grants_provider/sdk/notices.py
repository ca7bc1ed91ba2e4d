"""What is said once in the log, and not with each request."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

from ..core.credential_cache import Vended
from ..core.fork_safety import leaf_lock
from ..core.resolver import Verdict

__all__ = ["Notices"]

logger = logging.getLogger(__name__)

# After so many buckets the warnings start over; the set must not grow for ever.
MAX_WARNED = 10_000
LATER = "The next of these for this bucket are logged at DEBUG only"


class Notices:
    """The notices of one provider. Safe for threads."""

    def __init__(self) -> None:
        self._lock = leaf_lock()
        self._said: set[str] = set()
        self._warned: set[tuple[str, str]] = set()

    def start_over(self) -> None:
        """Warn of each bucket anew."""
        with self._lock:
            self._warned.clear()

    def once(self, notice: str) -> None:
        """Log a notice at INFO, the first time it is given."""
        with self._lock:
            said = notice in self._said
            self._said.add(notice)
        if not said:
            logger.info("%s", notice)

    def fallback(self, bucket: str, verdict: Verdict, label: str) -> None:
        """Warn of the first fallback of each kind in a bucket; ``label`` names the caller."""
        kind = verdict.denial.kind if verdict.denial is not None else "failure"
        if self._is_first(bucket, kind):
            logger.warning(
                "bucket %r: signing as the caller (%s) instead of with a grant: %s; %s. " + LATER,
                bucket,
                label,
                verdict.reason,
                verdict.advice,
            )

    def early_end(self, operation: str, vended: Vended, lasting: float, now: float) -> None:
        """Warn where what is presigned ends before it was asked to: with the grant's credentials."""
        if now + lasting <= vended.expires_at:
            return
        logger.log(
            logging.WARNING if self._is_first(vended.scope.bucket, "presigned") else logging.DEBUG,
            "what was presigned for %s ends at %s, with the credentials of %r, not after the %d s it was asked for. "
            "None live longer than 12 hours, nor than the sessions of the location's IAM role. " + LATER,
            operation,
            datetime.fromtimestamp(vended.expires_at, timezone.utc).isoformat(timespec="seconds"),
            str(vended.scope),
            lasting,
        )

    def _is_first(self, bucket: str, kind: str) -> bool:
        with self._lock:
            first = (bucket, kind) not in self._warned
            if len(self._warned) >= MAX_WARNED:
                self._warned.clear()
            self._warned.add((bucket, kind))
        return first
