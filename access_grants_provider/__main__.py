"""``python -m access_grants_provider`` is the ``access-grants`` command."""

from .cli import main

if __name__ == "__main__":
    main()
