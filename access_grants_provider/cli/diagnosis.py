"""The examination behind ``access-grants doctor``: one finding a step, each with the hint for exactly that failure."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from botocore.exceptions import ClientError

from access_grants_provider.core.io_requests import CallerAccount, FindInstance
from access_grants_provider.core.resolver import ADVICE
from access_grants_provider.core.service_errors import refusal
from access_grants_provider.exceptions import AccessGrantsError, CallerCredentialsError
from access_grants_provider.sdk.answers import VendedCredentials, target_of

from .connection import Connection
from .error_text import KNOWN, in_one_line, split
from .service_calls import Control
from .settings import Failure
from .spinner import Working

__all__ = ["Diagnosis", "Finding", "switches"]

FAILURES = (AccessGrantsError, Failure, *KNOWN)

KMS_HINT = (
    "allow kms:Decrypt, and to write kms:GenerateDataKey, on the bucket's key to the role of the grant's location"
)
REFUSED_HINT = (
    "the grant is there, so look at the rest that has a say: the permissions of the location's IAM role, "
    "the bucket's policy, the policy of a VPC endpoint"
)


class Finding(NamedTuple):
    """What one step found. ``hint`` is what to do about it."""

    step: str
    status: Literal["ok", "failed", "skipped", "on", "off"]
    found: str
    hint: str | None = None


class _Stop(Exception):
    """Carries a finding after which no other step could come out well."""


class Diagnosis:
    """Examines one target. ``reached`` tells, when the findings are all there, whether its data can be read."""

    def __init__(self, connection: Connection, uri: str, write_canary: bool) -> None:
        self._connection = connection
        self._uri = uri
        self._target = target_of(uri)
        self._write_canary = write_canary
        self._control: Control
        self._account: str | None = None
        self._partition = "aws"
        self._region = connection.some_region
        self._vended: dict[str, VendedCredentials] = {}
        self._s3: dict[str, Any] = {}
        self._key: str | None = None
        self.reached = False

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each step, in order."""
        examine: dict[str, Callable[[], Finding]] = {
            "identity": self._identity,
            "region": self._bucket_region,
            "instance": self._instance,
            "READ vend": lambda: self._vend("READ"),
            "WRITE vend": lambda: self._vend("WRITE"),
            "listing": self._listing,
            "reading": self._reading,
        }
        why: str | None = None
        results: dict[str, str] = {}
        for step, look in examine.items():
            finding = Finding(step, "skipped", why or "")
            if why is None:
                with Working(step):
                    try:
                        finding = look()
                    except _Stop as stop:
                        why, finding = f"because of the {step}", stop.args[0]
                    except FAILURES as error:
                        finding = Finding(step, "failed", *split(error))
            results[step] = finding.status
            yield finding
        needed = "reading" if not self._target.is_prefix else "listing"
        self.reached = results["READ vend"] == results[needed] == "ok" and results["reading"] != "failed"
        yield from self._canary(why)

    def _identity(self) -> Finding:
        try:
            self._control = Control(self._connection)
            answer = self._control.response(CallerAccount(self._region))
        except ClientError as error:
            said = self._control.said(error, "sts:GetCallerIdentity", self._region, "for your account")
            finding = Finding("identity", "failed", *split(said))
            if isinstance(said, CallerCredentialsError):
                raise _Stop(finding) from None
            return finding
        except FAILURES as error:
            finding = Finding("identity", "failed", *split(error))
            if not hasattr(self, "_control"):
                # There is nobody to ask as.
                raise _Stop(finding) from None
            return finding
        arn, self._account = answer["Arn"], answer["Account"]
        self._partition = arn.split(":")[1]
        return Finding("identity", "ok", f"{arn}, key {self._control.label}")

    def _bucket_region(self) -> Finding:
        own, name = self._connection.region, self._target.bucket
        bucket = self._control.find_bucket(name)
        if bucket.is_missing:
            raise _Stop(Finding("region", "failed", f"there is no bucket {name!r}", "check its name"))
        self._region = bucket.region or self._region
        hint = f"give --region {self._region}, or put region = {self._region} into the AWS profile"
        if own is None:
            return Finding("region", "failed", f"no region is set; bucket {name!r} is in {self._region}", hint)
        if bucket.region is None:
            return Finding("region", "skipped", f"S3 does not tell where bucket {name!r} is; going on with {own}")
        if bucket.region != own:
            found = f"the wrong one: {own} is set, and bucket {name!r} and its grants are in {bucket.region}"
            return Finding("region", "failed", found, hint)
        return Finding("region", "ok", own)

    def _instance(self) -> Finding:
        known = self._connection.provider.config.account_id
        if known is not None:
            return Finding("instance", "skipped", f"account_id is set, to {known}")
        if self._account is None:
            return Finding("instance", "skipped", "the caller's account is not known")
        action = "s3:GetAccessGrantsInstanceForPrefix"
        try:
            answer = self._control.response(FindInstance(self._account, self._region, self._target))
        except FAILURES as error:
            kind = refusal(error) if isinstance(error, ClientError) else None
            if kind == "no instance":
                found = f"no S3 Access Grants instance in {self._region} has a location that holds {self._target}"
                return Finding("instance", "failed", found, ADVICE["no instance"])
            if kind is not None:
                return Finding(
                    "instance",
                    "failed",
                    f"the caller may not call {action}",
                    f"allow it on {self._instance_arn()}; only an instance of the caller's own account, "
                    "or one named by account_id, is found without",
                )
            if not isinstance(error, (AccessGrantsError, Failure, OSError)):
                said = self._control.said(error, action, self._region, f"for {self._target}")
                return Finding("instance", "failed", *split(said))
            raise
        return Finding("instance", "ok", str(answer.get("AccessGrantsInstanceArn")))

    def _instance_arn(self) -> str:
        return f"arn:{self._partition}:s3:{self._region}:{self._account}:access-grants/default"

    def _vend(self, permission: Literal["READ", "WRITE"]) -> Finding:
        vended = self._connection.provider.credentials(self._uri, permission)
        self._vended[permission] = vended
        self._s3[permission] = self._control.s3(vended, self._region)
        until = vended.expiration.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Finding(f"{permission} vend", "ok", f"{vended.scope}, until {until}")

    def _listing(self) -> Finding:
        if "READ" not in self._s3:
            return Finding("listing", "skipped", "there are no credentials to read with")
        if not self._target.is_prefix:
            self._key = self._target.key
            return Finding("listing", "skipped", "the target is one object")
        wanted = {"Bucket": self._target.bucket, "Prefix": self._target.key}
        try:
            answer = self._s3["READ"].list_objects_v2(**wanted, MaxKeys=100)
        except FAILURES as error:
            return _failed("listing", error)
        keys = [one["Key"] for one in answer.get("Contents", ())]
        # Folders that a console made are objects too, and nobody reads them.
        self._key = next((key for key in keys if not key.endswith("/")), None)
        more = " or more" if answer.get("IsTruncated") else ""
        return Finding("listing", "ok", f"{len(keys)}{more} objects under {self._target}")

    def _reading(self) -> Finding:
        if self._key is None:
            why = "there is no object to read" if "READ" in self._s3 else "there are no credentials to read with"
            return Finding("reading", "skipped", why)
        try:
            # One byte shows what a listing does not: whether the key of an encrypted object may be used.
            answer = self._s3["READ"].get_object(Bucket=self._target.bucket, Key=self._key, Range="bytes=0-0")
            answer["Body"].close()
        except FAILURES as error:
            if not isinstance(error, ClientError) or error.response["Error"].get("Code") != "InvalidRange":
                return _failed("reading", error)
        return Finding("reading", "ok", f"one byte of s3://{self._target.bucket}/{self._key}")

    def _canary(self, why: str | None) -> Iterator[Finding]:
        """Write and delete one object; whatever comes between, the delete is tried."""
        if why is None:
            why = self._no_canary()
        if why is not None:
            yield Finding("canary put", "skipped", why)
            yield Finding("canary delete", "skipped", why)
            return
        name = {"Bucket": self._target.bucket, "Key": f"{self._target.key}access-grants-doctor-{uuid.uuid4()}"}
        uri = f"s3://{name['Bucket']}/{name['Key']}"
        try:
            with Working("canary put"):
                put = self._tried("canary put", uri, lambda s3: s3.put_object(**name, Body=b"access-grants doctor\n"))
        finally:
            # After Ctrl-C too, and after a failure: S3 may have stored what it did not get to confirm.
            with Working("canary delete"):
                deleted = self._tried("canary delete", uri, lambda s3: s3.delete_object(**name))
        yield put
        yield deleted

    def _no_canary(self) -> str | None:
        if not self._write_canary:
            return "only with --write-canary"
        if not self._target.is_prefix:
            return "the target is one object, which stays as it is"
        return None if "WRITE" in self._s3 else "there are no credentials to write with"

    def _tried(self, step: str, uri: str, call: Callable[[Any], object]) -> Finding:
        try:
            call(self._s3["WRITE"])
        except FAILURES as error:
            return _failed(step, error)
        return Finding(step, "ok", uri)


def _failed(step: str, error: Exception) -> Finding:
    """Return the finding for an error of S3 itself, under the grant's credentials."""
    what, hint = split(error)
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        if code.startswith("KMS.") or "kms:" in message:
            return Finding(step, "failed", in_one_line(error), KMS_HINT)
        if code in ("AccessDenied", "403"):
            return Finding(step, "failed", in_one_line(error), REFUSED_HINT)
    return Finding(step, "failed", what, hint)


def switches(connection: Connection) -> Iterator[Finding]:
    """Tell whether programs that know nothing of this package are covered: boto3's in this environment, the AWS CLI."""
    variable = "BOTOCORE_EXPERIMENTAL__PLUGINS"
    named = [one.partition("=")[2].strip() for one in os.environ.get(variable, "").split(",")]
    if "access_grants_provider" in named:
        yield Finding("autoload", "on", f"{variable} covers the boto3 programs of this environment")
    else:
        hint = f"export {variable}=access-grants=access_grants_provider"
        yield Finding("autoload", "off", f"{variable} does not name access_grants_provider", hint)
    plugins = connection.session.full_config.get("plugins", {})
    if "access_grants_provider.awscli" in plugins.values():
        also = "" if "cli_legacy_plugin_path" in plugins else "; v2 also wants cli_legacy_plugin_path there"
        yield Finding("AWS CLI", "on", f"[plugins] of the AWS config names access_grants_provider.awscli{also}")
    else:
        hint = "put access-grants = access_grants_provider.awscli there"
        yield Finding("AWS CLI", "off", "[plugins] of the AWS config does not name access_grants_provider.awscli", hint)
