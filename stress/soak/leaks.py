"""What a process holds, to be compared with what it held before (Linux; elsewhere the objects alone)."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from access_grants_provider.sdk import internal_clients

# glibc's heap comes back in pieces: what 32 threads took and gave back differs by some MB from one load to the next.
MEMORY_MIB = 24
KEPT = ("access_grants_provider.",)
NOT_KEPT = ("access_grants_provider.testing.",)


@dataclass(frozen=True)
class Held:
    """Numbers of threads, of sockets and other open files, resident MiB, and the package's living objects by class."""

    threads: int
    sockets: int
    files: int
    memory: float
    objects: Counter[str]

    def __str__(self) -> str:
        return (
            f"{self.threads} threads, {self.sockets} sockets, {self.files} other files, {self.memory:.0f} MiB, "
            f"{sum(self.objects.values())} objects of the package"
        )


def held() -> Held:
    """Count what is held now, after all garbage is gone."""
    # The clients that make the calls stay with the process, 64 at most: how many there are depends on the load.
    internal_clients._by_profile.clear()
    for _ in range(3):
        gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    targets = []
    memory = 0.0
    if Path("/proc/self/fd").exists():
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                targets.append(os.readlink(f"/proc/self/fd/{name}"))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    sockets = sum(target.startswith("socket:") for target in targets)
    return Held(threading.active_count(), sockets, len(targets) - sockets, memory, _objects())


def _objects() -> Counter[str]:
    names = (f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    return Counter(name for name in names if name.startswith(KEPT) and not name.startswith(NOT_KEPT))


def leaks(before: Held, after: Held) -> list[str]:
    """Say what is held now and was not before."""
    found = [
        f"{getattr(after, name)} {name}, and {getattr(before, name)} before"
        for name in ("threads", "sockets", "files")
        if getattr(after, name) > getattr(before, name)
    ]
    if after.memory > before.memory + MEMORY_MIB:
        found.append(f"{after.memory:.0f} MiB resident, and {before.memory:.0f} before")
    more = after.objects - before.objects
    return found + [f"{count} more {name}" for name, count in sorted(more.items())]
