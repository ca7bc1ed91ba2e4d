"""The ``access-grants`` command, which is also ``python -m access_grants_provider``.

Its first lines run before anything is loaded that takes long enough for a person to press Ctrl-C.
"""

import os
import signal
import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Load the command and run it."""
    # A shell starts background jobs with SIGINT ignored. They keep ignoring it.
    handles_interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handles_interrupts:
        signal.signal(signal.SIGINT, _exit_at_once)
    from .cli import main as command

    if handles_interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(command())
    finally:
        if handles_interrupts:
            # The work is done. While the interpreter shuts down, a KeyboardInterrupt would print a traceback.
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _exit_at_once(*_: object) -> None:
    # The command has not started yet, so there is nothing to clean up.
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
