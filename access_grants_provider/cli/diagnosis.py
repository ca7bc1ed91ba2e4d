"""The steps of ``access-grants doctor``. Each yields one finding, and a failure comes with what to do about it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from access_grants_provider.core.io_requests import CallerAccount, FindInstance
from access_grants_provider.core.scopes import target_of
from access_grants_provider.core.service_errors import ADVICE, UnreadableAnswer, denial_kind
from access_grants_provider.core.vended_credentials import VendedCredentials
from access_grants_provider.exceptions import (
    AccessDenied,
    AccessGrantsError,
    CallerCredentialsError,
    MalformedAnswer,
    Unreachable,
)

from .conclusion import Conclusion, conclude
from .connection import Connection, place_of
from .error_text import KNOWN, in_one_line, split
from .findings import Finding, Status
from .service_calls import ServiceCalls
from .settings import Failure
from .spinner import Spinner

__all__ = ["Diagnosis"]

FAILURES = (AccessGrantsError, Failure, *KNOWN)
UNREACHABLE = (Unreachable, HTTPClientError, ConnectionError)
NOT_AWS = (MalformedAnswer, UnreadableAnswer)

KMS_HINT = (
    "Allow the IAM role of the grant's location to use the bucket's key: kms:Decrypt to read, kms:GenerateDataKey to "
    "write"
)
ROLE_HINT = (
    "The grant matched, so another policy denies the request. Check the permissions of the location's IAM role, "
    "the bucket policy and the VPC endpoint policy"
)


class _Stop(Exception):
    """Carries a finding after which the other steps can only fail."""


class Diagnosis:
    """Tries the steps for one target. :meth:`conclusion` is to be asked after the last finding."""

    def __init__(self, connection: Connection, uri: str, write_canary: bool) -> None:
        self._connection = connection
        self._uri = uri
        self._target = target_of(uri)
        self._write_canary = write_canary
        self._calls: ServiceCalls
        self._account: str | None = None
        self._partition = "aws"
        self._region = connection.some_region
        self._vended: dict[str, VendedCredentials] = {}
        self._s3: dict[str, Any] = {}
        self._key: str | None = None
        self._statuses: dict[str, Status] = {}
        # Why the data can't be read although nothing is unknown.
        self._obstacle: str | None = None

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each step, in order."""
        steps: dict[str, Callable[[], Finding]] = {
            "identity": self._identity,
            "region": self._bucket_region,
            "instance": self._instance,
            "READ vend": lambda: self._vend("READ"),
            "WRITE vend": lambda: self._vend("WRITE"),
            "listing": self._listing,
            "reading": self._reading,
        }
        why: str | None = None
        for step, try_step in steps.items():
            finding = Finding(step, "skipped", why or "")
            if why is None:
                with Spinner(step):
                    try:
                        finding = try_step()
                    except _Stop as stop:
                        why, finding = f"not tried: {step} failed", stop.args[0]
                    except AccessDenied as denial:
                        finding = Finding(step, "no", *split(denial))
                    except FAILURES as error:
                        finding = Finding(step, "failed", *split(error))
                        # Each of the other steps would wait as long for the same result, or get the same answer.
                        if isinstance(error, UNREACHABLE):
                            why = f"not tried: {step} got no answer"
                        elif isinstance(error, NOT_AWS):
                            why = f"not tried: {step} got an answer that is not AWS's"
            yield self._noted(finding)
        for finding in self._canary(why):
            yield self._noted(finding)

    def conclusion(self) -> Conclusion:
        """Return what the steps come to."""
        return conclude(self._uri, self._statuses, self._obstacle)

    def _noted(self, finding: Finding) -> Finding:
        self._statuses[finding.step] = finding.status
        if finding.step in ("listing", "reading") and finding.status == "failed":
            self._obstacle = f"a grant covers it, but {finding.step} it failed"
        return finding

    def _identity(self) -> Finding:
        try:
            self._calls = ServiceCalls(self._connection)
            answer = self._calls.response(CallerAccount(self._region))
        except ClientError as error:
            failure = self._calls.failure(error, "sts:GetCallerIdentity", self._region, "for your account")
            finding = Finding("identity", "failed", *split(failure))
            if isinstance(failure, CallerCredentialsError):
                raise _Stop(finding) from None
            return finding
        except FAILURES as error:
            finding = Finding("identity", "failed", *split(error))
            if not hasattr(self, "_calls"):
                # Without credentials no call can be signed.
                raise _Stop(finding) from None
            raise
        arn, self._account = answer["Arn"], answer["Account"]
        self._partition = arn.split(":")[1]
        return Finding("identity", "ok", f"{arn}, key {self._calls.caller}")

    def _bucket_region(self) -> Finding:
        own, name = self._connection.region, self._target.bucket
        bucket = self._calls.find_bucket(name)
        if bucket.is_missing:
            self._obstacle = f"there is no bucket {name!r}"
            raise _Stop(Finding("region", "failed", f"There is no bucket {name!r}", "Check its name"))
        self._region = bucket.region or self._region
        hint = f"Give --region {self._region}, or put region = {self._region} into the AWS profile"
        if own is None:
            return Finding("region", "failed", f"No region is set. Bucket {name!r} is in {self._region}", hint)
        if bucket.region is None:
            return Finding("region", "skipped", f"S3 does not say where bucket {name!r} is. Using {own}")
        if bucket.region != own:
            found = f"{own} is set, but bucket {name!r} and its grants are in {bucket.region}"
            return Finding("region", "failed", found, hint)
        return Finding("region", "ok", own)

    def _instance(self) -> Finding:
        known = self._connection.provider.config.account_id
        if known is not None:
            place = place_of("account_id", self._connection.session) or "account_id"
            return Finding("instance", "skipped", f"not looked up: {place} is {known}")
        if self._account is None:
            return Finding("instance", "skipped", "not looked up: the caller's account is not known")
        action = "s3:GetAccessGrantsInstanceForPrefix"
        try:
            answer = self._calls.response(FindInstance(self._account, self._region, self._target))
        except FAILURES as error:
            kind = denial_kind(error) if isinstance(error, ClientError) else None
            if kind == "no instance":
                found = f"No S3 Access Grants instance in {self._region} has a location that covers {self._target}"
                return Finding("instance", "no", found, ADVICE["no instance"])
            if kind is not None:
                return Finding(
                    "instance",
                    "no",
                    f"The caller may not call {action}",
                    f"Allow it on {self._instance_arn()}. Without it, only an instance in the caller's own account or "
                    "in account_id is found",
                )
            if isinstance(error, (BotoCoreError, ClientError)):
                raise self._calls.failure(error, action, self._region, f"for {self._target}") from error
            raise
        return Finding("instance", "ok", str(answer.get("AccessGrantsInstanceArn")))

    def _instance_arn(self) -> str:
        return f"arn:{self._partition}:s3:{self._region}:{self._account}:access-grants/default"

    def _vend(self, permission: Literal["READ", "WRITE"]) -> Finding:
        vended = self._connection.provider.credentials(self._uri, permission)
        self._vended[permission] = vended
        self._s3[permission] = self._calls.s3_client(vended, self._region)
        until = vended.expiration.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Finding(f"{permission} vend", "ok", f"{vended.scope}, until {until}")

    def _listing(self) -> Finding:
        if "READ" not in self._s3:
            return Finding("listing", "skipped", "no credentials to read with")
        if not self._target.is_prefix:
            self._key = self._target.key
            return Finding("listing", "skipped", "S3_URI is a single object")
        wanted = {"Bucket": self._target.bucket, "Prefix": self._target.key}
        try:
            answer = self._s3["READ"].list_objects_v2(**wanted, MaxKeys=100)
        except UNREACHABLE:
            raise
        except FAILURES as error:
            return _s3_finding("listing", error)
        keys = [one["Key"] for one in answer.get("Contents", ())]
        # The S3 console creates empty objects as folders. Reading one would prove little.
        self._key = next((key for key in keys if not key.endswith("/")), None)
        more = " or more" if answer.get("IsTruncated") else ""
        noun = "object" if len(keys) == 1 else "objects"
        return Finding("listing", "ok", f"{len(keys)}{more} {noun} under {self._target}")

    def _reading(self) -> Finding:
        if self._key is None:
            why = "no object to read" if "READ" in self._s3 else "no credentials to read with"
            return Finding("reading", "skipped", why)
        try:
            # One byte shows what a listing does not: whether the role may use the key of an encrypted object.
            answer = self._s3["READ"].get_object(Bucket=self._target.bucket, Key=self._key, Range="bytes=0-0")
            answer["Body"].close()
        except UNREACHABLE:
            raise
        except FAILURES as error:
            if not isinstance(error, ClientError) or error.response["Error"].get("Code") != "InvalidRange":
                return _s3_finding("reading", error)
        return Finding("reading", "ok", f"one byte of s3://{self._target.bucket}/{self._key}")

    def _canary(self, why: str | None) -> Iterator[Finding]:
        """Write one object and delete it. The delete is tried whatever happens in between."""
        if why is None:
            why = self._no_canary()
        if why is not None:
            yield Finding("canary put", "skipped", why)
            yield Finding("canary delete", "skipped", why)
            return
        name = {"Bucket": self._target.bucket, "Key": f"{self._target.key}access-grants-doctor-{uuid.uuid4()}"}
        uri = f"s3://{name['Bucket']}/{name['Key']}"
        try:
            with Spinner("canary put"):
                put = self._tried("canary put", uri, lambda s3: s3.put_object(**name, Body=b"access-grants doctor\n"))
        finally:
            # Also after Ctrl-C and after a failure: S3 may have stored the object without an answer getting through.
            with Spinner("canary delete"):
                deleted = self._tried("canary delete", uri, lambda s3: s3.delete_object(**name))
        yield put
        yield deleted

    def _no_canary(self) -> str | None:
        if not self._write_canary:
            return "only with --write-canary"
        if not self._target.is_prefix:
            return "S3_URI is a single object, which doctor never overwrites"
        return None if "WRITE" in self._s3 else "no credentials to write with"

    def _tried(self, step: str, uri: str, call: Callable[[Any], object]) -> Finding:
        try:
            call(self._s3["WRITE"])
        except FAILURES as error:
            return _s3_finding(step, error)
        return Finding(step, "ok", uri)


def _s3_finding(step: str, error: Exception) -> Finding:
    """Return the finding for a request to S3, signed with the grant, that failed."""
    what, hint = split(error)
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        if code.startswith("KMS.") or "kms:" in message:
            return Finding(step, "failed", in_one_line(error), KMS_HINT)
        if code in ("AccessDenied", "403"):
            return Finding(step, "failed", in_one_line(error), ROLE_HINT)
    return Finding(step, "failed", what, hint)
