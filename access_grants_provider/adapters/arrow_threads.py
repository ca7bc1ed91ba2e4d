"""The threads of pyarrow at the end of a program: Python must not finalize while they still call it.

A read or a scan returns before pyarrow's threads have released what it used, and a scan that is left early goes on
reading ahead. Where the filesystem is a Python object, both call Python. Up to Python 3.13, CPython ends a thread that
does so during finalization with ``pthread_exit``, which on Linux unwinds pyarrow's C++ frames. The process then aborts
("terminate called without an active exception"), or waits for ever for the thread that is gone. From Python 3.14 on
the thread is blocked instead, and pyarrow waits for its threads when a process exits.
https://github.com/python/cpython/issues/87135 https://github.com/apache/arrow/issues/36980

pyarrow has no Python function that waits for its threads. Its C++ library exports the number of their tasks.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

__all__ = ["WAIT_SECONDS", "task_counter", "wait_until_idle"]

# A thread that is in a request for S3 ends it, with pyarrow's own time-outs and retries, before it is idle.
WAIT_SECONDS = 30
POLL_SECONDS = 0.001
# A task that ends starts its successor in the other pool, and the two are read one after the other.
IDLE_READINGS = 3

# As declared in arrow/util/thread_pool.h and arrow/io/util_internal.h; pyarrow 17 to 25 export them.
POOLS = ("_ZN5arrow8internal16GetCpuThreadPoolEv", "_ZN5arrow2io8internal15GetIOThreadPoolEv")
TASKS = "_ZN5arrow8internal10ThreadPool11GetNumTasksEv"


def task_counter(library: str) -> Callable[[], int] | None:
    """Return a function that counts the tasks of pyarrow's threads, running or queued.

    ``library`` is the file of ``pyarrow.lib``. None where its C++ library has no functions of these names, as on
    Windows, where a thread that ends runs no C++ code.
    """
    try:
        arrow = ctypes.CDLL(library)
        number_of_tasks = arrow[TASKS]
        getters = [arrow[name] for name in POOLS]
    except (AttributeError, OSError):
        return None
    number_of_tasks.argtypes = [ctypes.c_void_p]
    for getter in getters:
        getter.restype = ctypes.c_void_p
    return lambda: sum(number_of_tasks(getter()) for getter in getters)


def wait_until_idle(tasks: Callable[[], int] | None, seconds: float = WAIT_SECONDS) -> bool:
    """Wait until there are no tasks, for ``seconds`` at most, and return whether there are none."""
    if tasks is None:
        return False
    end = time.monotonic() + seconds
    readings = 0
    while readings < IDLE_READINGS:
        readings = 0 if tasks() else readings + 1
        if time.monotonic() > end:
            return False
        # The threads need Python's lock to come to their end.
        time.sleep(POLL_SECONDS)
    return True
