"""The first lines of the ``access-grants`` command, outside the package so that they run before it is imported.

Loading botocore takes some tenths of a second, in which Ctrl-C would print a traceback.
"""

import os
import signal
import sys

__all__ = ["main"]

INTERRUPTED = 130


def _end_at_once(*_: object) -> None:
    # Nothing has been begun yet that would need an end.
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


def main() -> None:
    """Load the command and run it."""
    # Where SIGINT is ignored, as in the background of a shell, it stays so.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _end_at_once)
    from access_grants_provider.cli import main as command

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(command())
    finally:
        if ours:
            # All is done; what is left is the interpreter's own end.
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
