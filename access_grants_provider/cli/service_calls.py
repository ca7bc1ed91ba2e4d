"""Calls to S3 Control, STS and S3 that a command makes itself, beside the provider's decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import create_nested_client

from access_grants_provider.core.io_requests import BucketRegion, ControlCall
from access_grants_provider.core.scopes import target_of
from access_grants_provider.core.service_errors import Purpose, UnreadableAnswer
from access_grants_provider.core.vended_credentials import VendedCredentials
from access_grants_provider.exceptions import AccessGrantsError, ServiceFailure, Unreachable
from access_grants_provider.sdk.api_calls import api_call_for, response_of
from access_grants_provider.sdk.caller import masked_key
from access_grants_provider.sdk.internal_clients import ClientShape

from .connection import Connection
from .settings import Failure

__all__ = ["Bucket", "ServiceCalls", "bucket_region"]

# A person waits for these calls. AWS answers each within a second; what has not answered after five is out of reach,
# and a second try would double the wait for the same result.
MAX_SECONDS = 5.0


class Bucket(NamedTuple):
    """What S3 says about a bucket: its region, None where S3 does not say, and whether the bucket does not exist."""

    region: str | None
    is_missing: bool


class ServiceCalls:
    """Makes single calls, signed with the caller's own credentials, through the provider's clients.

    ``caller`` is the caller's masked key id. Each call is tried once and gives up after 5 s, or ``timeout_seconds``.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._credentials = connection.own_credentials()
        self._seconds = min(MAX_SECONDS, connection.provider.config.timeout_seconds)
        # A nested client, because botocore loads no plugin into it.
        client = create_nested_client(connection.session, "s3", region_name=connection.some_region)
        self._shape = ClientShape.of(client)
        self.caller = masked_key(self._credentials.access_key)

    def response(self, call: ControlCall) -> Mapping[str, Any]:
        """Make a call and return botocore's response. Raises ``ClientError`` and ``BotoCoreError``."""
        provider = self._connection.provider
        api_call = api_call_for(call, provider.config, self._credentials)
        url = self._shape.endpoint_url(api_call.service, provider.config)
        clients = provider.runtime.clients
        client = clients.get(api_call.service, api_call.region, self._shape, url, self._seconds, may_wait=True)
        response = response_of(client, api_call)
        if isinstance(response, str):
            # Raised here, outside the parser's except block: the parser's error quotes the answer, secrets included.
            raise UnreadableAnswer(response)
        return response

    def find_bucket(self, bucket: str) -> Bucket:
        """Ask S3 for a bucket's region. HeadBucket's headers name it, even where S3 denies the request itself.

        Raises :class:`Unreachable` where no answer comes.
        """
        region = self._connection.some_region
        try:
            response = self.response(BucketRegion(bucket, region))
        except ClientError as error:
            metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
            found = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region")
            return Bucket(found, metadata.get("HTTPStatusCode") == 404)
        except BotoCoreError as error:
            failure = self.failure(error, "s3:HeadBucket", region, f"for bucket {bucket!r}")
            if isinstance(failure, Unreachable):
                raise failure from error
            return Bucket(None, False)
        return Bucket(response["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region"), False)

    def failure(self, error: ClientError | BotoCoreError, call: str, region: str, what: str) -> AccessGrantsError:
        """Return this package's error for a failed call. ``call`` is its IAM action, ``what`` its purpose."""
        return Purpose(call, region, what, self.caller).failure(error)

    def s3_client(self, vended: VendedCredentials, region: str) -> BaseClient:
        """Return an S3 client that signs with a grant's credentials and nothing else."""
        client: BaseClient = create_nested_client(
            self._connection.session,
            "s3",
            region_name=region,
            aws_access_key_id=vended.access_key,
            aws_secret_access_key=vended.secret_key,
            aws_session_token=vended.token,
            config=Config(
                connect_timeout=self._seconds,
                read_timeout=self._seconds,
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
        )
        return client


def bucket_region(connection: Connection, uri: str) -> str:
    """Return the region of a target's bucket, or the connection's region where S3 does not say.

    Raises :class:`Failure` where the bucket does not exist: that explains a missing grant better than the denial does.
    """
    name = target_of(uri).bucket
    try:
        bucket = ServiceCalls(connection).find_bucket(name)
    except ServiceFailure:
        # The caller of this function has a denial to report, which says more than that S3 can't be reached.
        return connection.some_region
    if bucket.is_missing:
        raise Failure(f"There is no bucket {name!r}", "Check its name")
    return bucket.region or connection.some_region
