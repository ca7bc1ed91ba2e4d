"""Single calls of S3 Control, STS and S3, for the commands that look for themselves beside the provider's decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import create_nested_client

from access_grants_provider.core.io_requests import BucketRegion, Step
from access_grants_provider.core.service_errors import UnreadableAnswer, translated
from access_grants_provider.exceptions import AccessGrantsError
from access_grants_provider.sdk.answers import VendedCredentials
from access_grants_provider.sdk.api_calls import ClientShape, call_for, response_of
from access_grants_provider.sdk.caller import label

from .connection import Connection

__all__ = ["Bucket", "Control"]


class Bucket(NamedTuple):
    """What S3 tells of a bucket: its region if it says, and whether there is none of this name."""

    region: str | None
    is_missing: bool


class Control:
    """Makes the calls of the provider's steps, signed as the caller, with the provider's own clients."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._signer = connection.signer()
        # A nested client: one that the environment's plugins leave alone.
        shaped = create_nested_client(connection.session, "s3", region_name=connection.some_region)
        self._shape = ClientShape.of(shaped)
        self.label = label(self._signer.access_key)

    def response(self, step: Step) -> Mapping[str, Any]:
        """Make the call of a step and return botocore's response. Raises ``ClientError`` and ``BotoCoreError``."""
        provider = self._connection.provider
        call = call_for(step, provider.config, self._signer)
        client = provider.clients.get(call.service, call.region, self._shape, provider.config)
        answer = response_of(client, call)
        if answer is None:
            # Raised out here, so that nothing leads to the parser's error: it quotes the answer.
            raise UnreadableAnswer
        return answer

    def find_bucket(self, bucket: str) -> Bucket:
        """Ask S3 for a bucket's region: HeadBucket names it whatever the caller may do, but for a missing bucket."""
        try:
            response = self.response(BucketRegion(bucket, self._connection.some_region))
        except ClientError as error:
            metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
            region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region")
            return Bucket(region, metadata.get("HTTPStatusCode") == 404)
        except BotoCoreError:
            return Bucket(None, False)
        return Bucket(response["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region"), False)

    def said(self, error: ClientError | BotoCoreError, call: str, region: str, what: str) -> AccessGrantsError:
        """Return this package's error for a call that failed; ``call`` is its IAM action, ``what`` its purpose."""
        return translated(error, call, region, self.label, what)

    def s3(self, vended: VendedCredentials, region: str) -> BaseClient:
        """Return an S3 client that signs with a grant's credentials and nothing else."""
        client: BaseClient = create_nested_client(
            self._connection.session,
            "s3",
            region_name=region,
            aws_access_key_id=vended.access_key,
            aws_secret_access_key=vended.secret_key,
            aws_session_token=vended.token,
        )
        return client
