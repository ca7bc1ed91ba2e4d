"""What happens to every request: recognise it, apply faults, check it, answer it, record it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs

from . import object_annotations, post_policy, s3_operations, s3control_xml, signatures, sts
from .errors import REQUEST_ID, Refusal, error_response
from .faults import Faults
from .grants_api import AccessGrantsApi
from .http_messages import Request, Response, bucket_and_key, copy_source
from .identities import Credential, IdentityStore
from .moto_backend import Bucket, MotoBackend
from .multi_delete import delete_objects
from .permissions import Permissions
from .records import RecordedRequest, Recorder
from .s3_operations import Need

_UNSIGNED_READS = frozenset({"GetObject", "HeadObject"})


@dataclass
class _Trace:
    """What is known of a request so far; the record is made from it."""

    service: str
    request: Request
    operation: str
    bucket: str | None = None
    key: str | None = None
    access_key_id: str | None = None
    region: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


class Dispatcher:
    """Answers every request to S3, to the Access Grants part of S3 Control, and to STS."""

    def __init__(
        self,
        identities: IdentityStore,
        permissions: Permissions,
        api: AccessGrantsApi,
        faults: Faults,
        recorder: Recorder,
        moto: MotoBackend,
        clock: Callable[[], float],
    ) -> None:
        self._identities = identities
        self._permissions = permissions
        self._api = api
        self._faults = faults
        self._recorder = recorder
        self._moto = moto
        self._clock = clock
        # Now: many first requests at once would read it once per thread.
        s3_operations.rules()

    def handle(self, request: Request) -> Response | None:
        """The answer to a request; None if it is for another service, which asks for no permission here."""
        trace = _recognise(request)
        if trace is None:
            return None
        error_code = None
        try:
            self._claim_signer(trace)
            response = self._faults.before(trace.operation) or self._answer(trace)
        except Refusal as refusal:
            refused = sts.in_its_words(refusal) if trace.service == "sts" else refusal
            error_code = refused.code
            response = error_response(refused, trace.service, request.method)
        except Exception as error:  # noqa: BLE001
            # Whatever moto raises: a client of S3 gets an answer, never a dropped connection.
            traceback.print_exc()
            failure = internal_error(error)
            error_code = failure.code
            response = error_response(failure, trace.service, request.method)
        if trace.service == "s3" and trace.bucket is not None:
            bucket = self._moto.find_bucket(trace.bucket)
            if bucket is not None:
                response.headers.setdefault("x-amz-bucket-region", bucket.region)
        self._record(trace, response, error_code)
        response.broken = response.broken or self._faults.breakage(trace.operation)
        return response

    def _claim_signer(self, trace: _Trace) -> None:
        # For the record alone; the signature is verified later.
        claim = claim_of(trace.request)
        if claim is not None:
            trace.access_key_id, trace.region = claim.access_key_id, claim.region or None

    def _answer(self, trace: _Trace) -> Response:
        if trace.operation == "PostObject":
            return self._post_object(trace)
        claim = signatures.read_claim(trace.request)
        if claim is None:
            return self._unsigned(trace)
        service = "sts" if trace.service == "sts" else "s3"
        now = self._clock()
        credential = signatures.verify(trace.request, claim, self._identities.find, now, service)
        if trace.service == "s3":
            return self._s3(trace, credential, claim.region)
        if trace.service == "sts":
            return self._sts(trace, credential)
        return self._s3control(trace, credential, claim.region)

    def _s3control(self, trace: _Trace, credential: Credential, region: str) -> Response:
        operation = s3control_xml.find_operation(trace.request)
        if operation is None or not region:
            raise Refusal("InvalidRequest", "S3 Control is asked with Signature Version 4")
        trace.parameters = s3control_xml.parse_parameters(operation, trace.request)
        result = self._api.call(operation.name, credential, region, trace.parameters)
        return s3control_xml.success(operation, self._faults.after(operation.name, result))

    def _sts(self, trace: _Trace, credential: Credential) -> Response:
        self._permissions.check_api(credential, "sts:GetCallerIdentity", "*")
        return sts.answer(self._faults.after(trace.operation, sts.caller_identity(credential)))

    def _s3(self, trace: _Trace, credential: Credential, region: str) -> Response:
        call = s3_operations.read_call(trace.request)
        bucket = None if call.bucket is None else self._moto.find_bucket(call.bucket)
        if call.bucket is not None and bucket is None and call.operation != "CreateBucket":
            raise no_such_bucket(call.bucket)
        if bucket is not None and region and region != bucket.region:
            raise _permanent_redirect(bucket)
        account_id = credential.vended.account_id if credential.vended else credential.principal.account_id
        for need in [*call.needs, *self._copied_properties(trace.request, call)]:
            # A copy's source may be another bucket, with another owner.
            found = self._moto.find_bucket(need.bucket) if need.bucket else None
            self._permissions.check_s3(credential, [need], found.account_id if found else None)
        if bucket is not None:
            account_id = bucket.account_id
            upload_id = trace.request.parameters.get("uploadId")
            if upload_id is not None and not self._moto.has_upload(bucket, call.key or "", upload_id):
                raise _no_such_upload(upload_id)
            if call.operation in object_annotations.OPERATIONS:
                version = trace.request.parameters.get("versionId", "")
                stored = self._moto.find_object(bucket.name, call.key or "", version)
                return object_annotations.answer(call.operation, stored, call.key or "", trace.request)
        place = bucket.region if bucket else region or "us-east-1"

        def send(request: Request) -> Response:
            return self._moto.send_s3(request, account_id, place)

        if call.operation == "DeleteObjects" and bucket is not None:
            refused = {
                key: refusal
                for key, needs in call.deletions
                for need in needs
                if (refusal := self._permissions.s3_refusal(credential, need, bucket.account_id)) is not None
            }
            return delete_objects(trace.request, refused, send)
        if call.operation == "CopyObject":
            return self._copy(trace.request, call, send)
        return send(trace.request)

    def _copied_properties(self, request: Request, call: s3_operations.S3Call) -> list[Need]:
        """A copy takes the source's tags and annotations along, where it has some and the request does not say no."""
        if call.operation != "CopyObject":
            return []
        bucket, key, version = copy_source(request.header("x-amz-copy-source"))
        needs = []
        if request.header("x-amz-tagging-directive") != "REPLACE" and self._moto.is_tagged(bucket, key, version):
            read = "s3:GetObjectVersionTagging" if version else "s3:GetObjectTagging"
            needs += [Need(read, bucket, key), Need("s3:PutObjectTagging", call.bucket, call.key)]
        if self._copied_annotations(request):
            actions = ("s3:GetObjectAnnotation", "s3:PutObjectAnnotation")
            needs += [Need(actions[0], bucket, key), Need(actions[1], call.bucket, call.key)]
        return needs

    def _copied_annotations(self, request: Request) -> dict[str, bytes]:
        if request.header("x-amz-object-annotation-directive") == "EXCLUDE":
            return {}
        stored = self._moto.find_object(*copy_source(request.header("x-amz-copy-source")))
        return {} if stored is None else object_annotations.annotations_of(stored)

    def _copy(self, request: Request, call: s3_operations.S3Call, send: Callable[[Request], Response]) -> Response:
        """Have moto copy an object, and copy its annotations, which moto does not know."""
        copied = dict(self._copied_annotations(request))
        response = send(request)
        target = self._moto.find_object(call.bucket or "", call.key or "", "")
        if response.status == 200 and target is not None:
            held = object_annotations.annotations_of(target)
            held.clear()
            held.update(copied)
        return response

    def _unsigned(self, trace: _Trace) -> Response:
        if trace.service == "s3" and trace.bucket is not None:
            bucket = self._moto.find_bucket(trace.bucket)
            if bucket is None:
                raise no_such_bucket(trace.bucket)
            public = trace.operation in _UNSIGNED_READS and self._moto.is_public(bucket, trace.key or "")
            if public or trace.request.method == "OPTIONS":
                return self._moto.send_s3(trace.request, bucket.account_id, bucket.region, signed=False)
        raise Refusal("AccessDenied", "Access Denied")

    def _post_object(self, trace: _Trace) -> Response:
        form = post_policy.read_form(trace.request)
        trace.key, trace.access_key_id = form.key, form.access_key_id
        bucket = self._moto.find_bucket(trace.bucket or "")
        if bucket is None:
            raise no_such_bucket(trace.bucket or "")
        credential = post_policy.verify(form, bucket.name, self._identities.find, self._clock())
        trace.region = form.region
        if form.region is not None and form.region != bucket.region:
            raise _permanent_redirect(bucket)
        self._permissions.check_s3(credential, form.needs(bucket.name), bucket.account_id)
        return self._moto.send_s3(trace.request, bucket.account_id, bucket.region)

    def _record(self, trace: _Trace, response: Response, error_code: str | None) -> None:
        credential = self._identities.find(trace.access_key_id) if trace.access_key_id else None
        vended = credential.vended if credential else None
        if error_code is None and response.status >= 400:
            error_code = _code_in(response.body)
        self._recorder.add(
            RecordedRequest(
                service=trace.service,
                operation=trace.operation,
                bucket=trace.bucket,
                key=trace.key,
                access_key_id=trace.access_key_id,
                signer=None if credential is None else "grant" if vended else credential.principal.name,
                principal=None if credential is None else credential.principal.name,
                grant_id=vended.grant_id if vended else None,
                scope=str(vended.scope) if vended else None,
                permission=vended.permission if vended else None,
                region=trace.region,
                status=response.status,
                error_code=error_code,
                user_agent=trace.request.header("user-agent"),
                time=self._clock(),
                host=trace.request.host,
                parameters=trace.parameters,
                signed_at=_signed_at(trace.request),
                expires_at=credential.expires_at if credential else None,
            )
        )


def _signed_at(request: Request) -> float | None:
    """The time of the signature, as the request claims; None where a header of SigV4 says none."""
    try:
        stamp = datetime.strptime(request.header("x-amz-date"), "%Y%m%dT%H%M%SZ")
    except ValueError:
        return None
    return stamp.replace(tzinfo=timezone.utc).timestamp()


def _recognise(request: Request) -> _Trace | None:
    if request.path.startswith(s3control_xml.API_PREFIX) and (
        "x-amz-account-id" in request.headers or "s3-control" in request.hostname
    ):
        operation = s3control_xml.find_operation(request)
        return None if operation is None else _Trace("s3control", request, operation.name)
    service = service_of(request)
    if service == "sts":
        text = request.body.decode("utf-8", "replace") if request.method == "POST" else request.query
        action = parse_qs(text).get("Action", [""])[0]
        return _Trace("sts", request, action) if action == "GetCallerIdentity" else None
    if service != "s3":
        return None
    bucket, key = bucket_and_key(request)
    return _Trace("s3", request, s3_operations.operation_name(request), bucket, key)


def claim_of(request: Request) -> signatures.Claim | None:
    """The signer that the request names; None where it names none or can't be parsed."""
    try:
        return signatures.read_claim(request)
    except Refusal:
        return None


def service_of(request: Request) -> str:
    """The service a request is for: as its signature says, else as its host or body says, else S3."""
    claim = claim_of(request)
    if claim is not None and claim.service:
        return claim.service
    if request.hostname.startswith("sts.") or (
        request.method == "POST" and request.path == "/" and request.body.startswith(b"Action=")
    ):
        return "sts"
    return "s3"


def no_such_bucket(name: str) -> Refusal:
    """S3's answer about a bucket that does not exist."""
    return Refusal("NoSuchBucket", "The specified bucket does not exist", details={"BucketName": name})


def _no_such_upload(upload_id: str) -> Refusal:
    return Refusal(
        "NoSuchUpload",
        "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might "
        "have been aborted or completed.",
        details={"UploadId": upload_id},
    )


def internal_error(error: Exception) -> Refusal:
    """S3's answer where something failed that should not; it names what was raised."""
    reason = f"{type(error).__name__}: {error}"
    return Refusal("InternalError", f"We encountered an internal error. Please try again. ({reason})")


def _permanent_redirect(bucket: Bucket) -> Refusal:
    return Refusal(
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint. "
        "Please send all future requests to this endpoint.",
        details={
            "Endpoint": f"{bucket.name}.s3.{bucket.region}.amazonaws.com",
            "Bucket": bucket.name,
            "Region": bucket.region,
        },
        headers={"x-amz-bucket-region": bucket.region, "x-amz-id-2": REQUEST_ID},
    )


def _code_in(body: bytes) -> str | None:
    _, found, rest = body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode("utf-8", "replace") if found else None
