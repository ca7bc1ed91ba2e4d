"""The AWS account that a run works in: its id, and clients for it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.utils import create_nested_client

from access_grants_provider.sdk.service_models import ModelLoader

from ..settings import Failure

__all__ = ["Account", "Keys"]

Keys = dict[str, Any]


class Account:
    """The caller's account in one region. ``is_local``: it is not at AWS, but in a service on this machine.

    ``Keys`` are what STS and S3 Access Grants answer as Credentials.
    """

    def __init__(self, session: Session, region: str, control_url: str | None) -> None:
        """Find out whose account it is. Raises :class:`Failure` where one service is AWS, and another is local."""
        self._session = session
        self._control_url = control_url
        self.region = region
        self.control, self.iam, self.s3, sts = map(self.client, ("s3control", "iam", "s3", "sts"))
        self.is_local = _is_local(self.control)
        for client in (self.iam, self.s3, sts):
            if _is_local(client) != self.is_local:
                raise Failure(
                    f"S3 Control is at {self.control.meta.endpoint_url}, and {client.meta.service_model.service_name} "
                    f"at {client.meta.endpoint_url}: one is AWS, and one a service on this machine",
                    "Set or unset AWS_ENDPOINT_URL_S3_CONTROL, …_S3, …_IAM and …_STS together",
                )
        identity = sts.get_caller_identity()
        if str(identity["Arn"]).endswith(":root"):
            raise Failure("These are the root user's credentials, which can't assume a role", "Sign in as another user")
        self.id = str(identity["Account"])
        self.partition = str(identity["Arn"]).split(":")[1]

    def client(self, service: str, keys: Keys | None = None, region: str | None = None, **options: Any) -> Any:
        """Return a client that signs with ``keys``, by default as the caller. ``options`` are those of a Config."""
        return self._made(service, self._session, keys, region, options)

    def _made(
        self, service: str, session: Session, keys: Keys | None, region: str | None, options: dict[str, Any]
    ) -> Any:
        given: dict[str, Any] = {}
        if keys is not None:
            given = {
                "aws_access_key_id": keys["AccessKeyId"],
                "aws_secret_access_key": keys["SecretAccessKey"],
                "aws_session_token": keys["SessionToken"],
            }
        if service == "s3control" and self._control_url is not None:
            given["endpoint_url"] = self._control_url
        if service == "s3":
            options["signature_version"] = "s3v4"
        # A nested client, because botocore loads no plugin into it: the checks are about AWS, not about this package.
        given["config"] = Config(**options)
        return create_nested_client(session, service, region_name=region or self.region, **given)

    def grants_client(self, keys: Keys) -> Any:
        """Return S3 Control for the calls that a caller of grants makes, with the model that this package calls with.

        So these checks are about the package's own calls, and need no newer botocore.
        """
        session = Session(profile=self._session.get_config_variable("profile"))
        session.register_component("data_loader", ModelLoader(session.get_component("data_loader")))
        return self._made("s3control", session, keys, None, {})

    def has_directory(self) -> bool:
        """Tell whether the instance is associated with IAM Identity Center."""
        instance = self.control.get_access_grants_instance(AccountId=self.id)
        return bool(instance.get("IdentityCenterInstanceArn") or instance.get("IdentityCenterArn"))

    def role_arn(self, name: str) -> str:
        """Return the ARN of a role of this account."""
        return f"arn:{self.partition}:iam::{self.id}:role/{name}"

    def has_instance(self) -> bool:
        """Tell whether the account has an S3 Access Grants instance in this region."""
        try:
            self.control.get_access_grants_instance(AccountId=self.id)
        except ClientError as error:
            if error.response["Error"].get("Code", "").startswith("AccessGrantsInstanceNotExists"):
                return False
            raise
        return True


def _is_local(client: Any) -> bool:
    return urlsplit(client.meta.endpoint_url).hostname in ("127.0.0.1", "localhost")
