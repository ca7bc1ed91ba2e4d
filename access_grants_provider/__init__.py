"""Amazon S3 Access Grants credentials for every Python program that talks to S3.

::

    import boto3
    import access_grants_provider

    session = boto3.Session()
    access_grants_provider.register(session)
    s3 = session.client("s3")  # unchanged from here on
"""

# Type checkers take this name for true. Importing it from `typing` would take 3 ms, in which the command prints a
# traceback on Ctrl-C.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from . import exceptions
    from .autoload import initialize_client_plugin
    from .core.config import AccessGrantsConfig
    from .core.decision import Decision
    from .core.io_requests import CallerGrant
    from .core.vended_credentials import VendedCredentials
    from .provider import AccessGrantsProvider
    from .registration import register
    from .sdk.counters import Stats

__version__ = "0.1.0"

__all__ = [
    "AccessGrantsConfig",
    "AccessGrantsProvider",
    "CallerGrant",
    "Decision",
    "Stats",
    "VendedCredentials",
    "exceptions",
    "initialize_client_plugin",
    "register",
]

_HOMES = {
    "AccessGrantsConfig": "core.config",
    "AccessGrantsProvider": "provider",
    "CallerGrant": "core.io_requests",
    "Decision": "core.decision",
    "Stats": "sdk.counters",
    "VendedCredentials": "core.vended_credentials",
    "initialize_client_plugin": "autoload",
    "register": "registration",
}
_MODULES = ("exceptions", "testing")

# Type checkers don't see this function, or they would take every attribute for one that exists.
if not TYPE_CHECKING:

    def __getattr__(name):
        # Each name is imported when it is first used: the command must be able to handle Ctrl-C before botocore loads,
        # and the testing package and the pytest plugin do without botocore until a test uses them.
        if name in _MODULES:
            return __import__(f"{__name__}.{name}", fromlist=[name])
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(__import__(f"{__name__}.{_HOMES[name]}", fromlist=[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
