"""Lance and LanceDB: ``storage_options=`` with a grant's keys, as for deltalake.

The keys are fixed too: open the dataset anew before they end, or run the job under ``access-grants exec``.
https://lance.org/guide/object_store/
"""

from __future__ import annotations

from .deltalake import storage_options

__all__ = ["storage_options"]
