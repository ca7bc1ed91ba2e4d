"""Amazon S3 Access Grants credentials for every Python program that talks to S3.

::

    import boto3
    import access_grants_provider

    session = boto3.Session()
    access_grants_provider.register(session)
    s3 = session.client("s3")  # unchanged from here on
"""

from . import exceptions
from .config import AccessGrantsConfig
from .decision import Decision
from .plugin import initialize_client_plugin, register
from .provider import AccessGrantsProvider

__version__ = "0.1.0"

__all__ = [
    "AccessGrantsConfig",
    "AccessGrantsProvider",
    "Decision",
    "exceptions",
    "initialize_client_plugin",
    "register",
]
