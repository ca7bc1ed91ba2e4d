"""The cache on disk that the processes of one user on one machine share. Needs the extra ``disk``."""

from .cache import POLL_SECONDS, DiskCache, default_folder
from .lock import DiskLock
from .record import Entry, Record, context_digest, requester_digest, requester_label

__all__ = [
    "POLL_SECONDS",
    "DiskCache",
    "DiskLock",
    "Entry",
    "Record",
    "context_digest",
    "default_folder",
    "requester_digest",
    "requester_label",
]
