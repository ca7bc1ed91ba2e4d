"""Amazon S3 Access Grants credentials for every Python program that talks to S3.

::

    import boto3
    import access_grants_provider

    session = boto3.Session()
    access_grants_provider.register(session)
    s3 = session.client("s3")  # unchanged from here on
"""

from . import exceptions
from .core.config import AccessGrantsConfig
from .core.results import Decision
from .provider import AccessGrantsProvider
from .registration import initialize_client_plugin, register

__version__ = "0.1.0"

__all__ = [
    "AccessGrantsConfig",
    "AccessGrantsProvider",
    "Decision",
    "exceptions",
    "initialize_client_plugin",
    "register",
]
