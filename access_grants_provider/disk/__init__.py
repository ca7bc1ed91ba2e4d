"""The cache on disk that the processes of one user on one machine share."""

from .cache import DiskCache
from .private_folder import default_folder
from .record import Entry, Record, caller_digest, caller_label, context_digest
from .sessions import VendedSessions

__all__ = [
    "DiskCache",
    "Entry",
    "Record",
    "VendedSessions",
    "caller_digest",
    "caller_label",
    "context_digest",
    "default_folder",
]
