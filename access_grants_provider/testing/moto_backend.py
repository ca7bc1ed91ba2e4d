"""moto, which keeps the buckets and objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import quote

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.common_models import BaseModel
from moto.core.model_instances import reset_model_data
from moto.core.models import botocore_stubber
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeKey, FakeMultipart, S3BackendDict, s3_backends

from .http_messages import Request, Response, bucket_and_key, copy_source

# The signature's parameters. moto does not need them, and takes some for parameters of its own.
_SIGNING_PARAMETERS = frozenset({"awsaccesskeyid", "signature", "expires"})
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Bucket:
    """A bucket: its region and the account that owns it."""

    name: str
    region: str
    account_id: str


class MotoBackend:
    """moto, as one local service uses it.

    With `private`, what moto keeps for this service is its own, so that two servers of one process don't see each
    other's buckets. Without, it is what moto keeps for the process: `mock_aws` empties it, and tests may look into it.
    """

    def __init__(self, private: bool = False) -> None:
        self._state = _PrivateState() if private else None

    def find_bucket(self, name: str) -> Bucket | None:
        """The bucket of this name."""
        stored = self._stored_bucket(name)
        return None if stored is None else Bucket(name, stored.region_name, stored.account_id)

    def is_public(self, bucket: Bucket, key: str) -> bool:
        """Whether everybody may read this object: by its ACL, the bucket's ACL, or the bucket's policy."""
        stored = self._stored_bucket(bucket.name)
        if stored is None:
            return False
        permission = stored.get_permission("s3:GetObject", f"arn:aws:s3:::{bucket.name}/{key}")
        if permission == PermissionResult.PERMITTED:
            return True
        acl = getattr(stored.keys.get(key), "acl", None)
        return bool(acl is not None and acl.public_read)

    def has_upload(self, bucket: Bucket, key: str, upload_id: str) -> bool:
        """Whether a multipart upload of this id to this key has begun, and has not ended."""
        stored = self._stored_bucket(bucket.name)
        upload = None if stored is None else stored.multiparts.get(upload_id)
        return upload is not None and upload.key_name == key

    def is_tagged(self, bucket_name: str, key: str, version_id: str) -> bool:
        """Whether this object, or this version of it, has tags."""
        bucket = self.find_bucket(bucket_name)
        if bucket is None:
            return False
        query = "tagging" + (f"&versionId={quote(version_id)}" if version_id else "")
        request = Request("GET", "https", "s3.amazonaws.com", f"/{quote(bucket_name)}/{quote(key, safe='')}", query)
        return b"<Tag>" in self.send_s3(request, bucket.account_id, bucket.region).body

    def find_object(self, bucket_name: str, key: str, version_id: str) -> Any:
        """moto's own object of this key, or this version of it; None if there is none."""
        stored = self._stored_bucket(bucket_name)
        versions = [] if stored is None else stored.keys.getlist(key, default=[])
        found = [entry for entry in versions if not version_id or str(entry.version_id) == version_id]
        return found[-1] if found and isinstance(found[-1], FakeKey) else None

    def send_s3(self, request: Request, account_id: str, region: str, signed: bool = True) -> Response:
        """Have moto carry out an S3 request that has been checked.

        However bucket and key were written, moto gets them in one form, so that what was checked is what is done.
        """
        method, url, headers = _s3_message(request, account_id, region, signed)
        return self.send(method, url, headers, request.body) or Response(501)

    def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Response | None:
        """Have moto carry out any request; None if it does not know the address."""
        carried = HTTPHeaders()
        for name, value in headers.items():
            carried[name] = value
        prepared = AWSPreparedRequest(method=method, url=url, headers=carried, body=body, stream_output=False)
        with self.selected():
            # The class's own method: `mock_access_grants` replaces the instance's by one that leads back here.
            answer: Any = BotocoreStubber.process_request(botocore_stubber, prepared)
        if answer is None:
            return None
        status, answered, content = answer
        content = content.encode() if isinstance(content, str) else bytes(content)
        return Response(int(status), {str(name): str(value) for name, value in dict(answered).items()}, content)

    @contextmanager
    def selected(self) -> Iterator[None]:
        """Within, moto's own code sees what it keeps for this service."""
        token = _selected_state.set(self._state)
        try:
            yield
        finally:
            _selected_state.reset(token)

    def accounts(self, backends: BackendDict[Any]) -> list[AccountSpecificBackend[Any]]:
        """What moto keeps of one of its own services (IAM, STS), account by account."""
        return list(backends.values()) if self._state is None else self._state.accounts(backends)

    def reset(self) -> None:
        """Forget every bucket and all else moto holds for this service."""
        if self._state is None:
            BackendDict.reset()
            reset_model_data()
        else:
            self._state.reset()

    def _stored_bucket(self, name: str) -> Any:
        with self.selected():
            owner = s3_backends.bucket_accounts.get(name)
            if owner is None:
                return None
            partition, account_id = owner
            return s3_backends[account_id][partition].buckets.get(name)


class _PrivateState:
    """What moto keeps for one service, by moto's service and account; and the owners of the buckets."""

    def __init__(self) -> None:
        self.bucket_accounts: dict[str, tuple[str, str]] = {}
        self._accounts: dict[tuple[str, str], AccountSpecificBackend[Any]] = {}
        self._models: list[Any] = []
        self._lock = Lock()

    def account(self, shared: BackendDict[Any], account_id: str) -> AccountSpecificBackend[Any]:
        """This service's counterpart of `shared[account_id]`."""
        key = (shared.service_name, account_id)
        with self._lock:
            if key not in self._accounts:
                self._accounts[key] = AccountSpecificBackend(
                    shared.service_name,
                    account_id,
                    shared.backend,
                    shared._use_boto3_regions,
                    shared._additional_regions,
                )
            return self._accounts[key]

    def accounts(self, shared: BackendDict[Any]) -> list[AccountSpecificBackend[Any]]:
        """This service's counterparts of all that `shared` holds."""
        with self._lock:
            return [kept for (name, _), kept in self._accounts.items() if name == shared.service_name]

    def add(self, model: Any) -> None:
        """Remember an object of moto's, if it has a file that is to be closed."""
        if isinstance(model, (FakeKey, FakeMultipart)):
            self._models.append(model)

    def reset(self) -> None:
        """Forget everything, and close the files."""
        for model in self._models:
            model.dispose()
        self._models.clear()
        self._accounts.clear()
        self.bucket_accounts.clear()


_selected_state: ContextVar[_PrivateState | None] = ContextVar("access_grants_moto_state", default=None)
_shared_account = BackendDict.__getitem__
_make_shared_model = BaseModel.__new__


def _account(self: BackendDict[Any], account_id: str) -> AccountSpecificBackend[Any]:
    state = _selected_state.get()
    return _shared_account(self, account_id) if state is None else state.account(self, account_id)


def _make_model(cls: type[Any], *args: Any, **kwargs: Any) -> Any:
    state = _selected_state.get()
    if state is None:
        return _make_shared_model(cls, *args, **kwargs)
    # moto lists every model on its class, and closes the files of all that are listed there when it is reset.
    model = super(BaseModel, cls).__new__(cls)
    state.add(model)
    return model


class _BucketAccounts:
    """`S3BackendDict.bucket_accounts`: the selected service's own, else the process's."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        state = _selected_state.get()
        return instance.__dict__["bucket_accounts"] if state is None else state.bucket_accounts

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__["bucket_accounts"] = value


# moto's code reaches its state through globals that many of its modules have imported by name, so the look-up in them
# is what can be redirected. Outside `selected()` everything stays moto's own.
setattr(BackendDict, "__getitem__", _account)  # noqa: B010
setattr(BaseModel, "__new__", _make_model)  # noqa: B010
setattr(S3BackendDict, "bucket_accounts", _BucketAccounts())  # noqa: B010


def _s3_message(request: Request, account_id: str, region: str, signed: bool) -> tuple[str, str, dict[str, str]]:
    """Method, URL and headers of this request in the one form that moto gets."""
    bucket, key = bucket_and_key(request)
    path = "/" if bucket is None else "/" + quote(bucket) + ("" if key is None else "/" + quote(key, safe="/~"))
    items = [item for item in request.query.split("&") if item and not _is_signing(item.partition("=")[0])]
    headers = {name: value for name, value in request.headers.items() if name != "transfer-encoding"}
    if request.method == "PUT" and headers.get("content-type", "").startswith(_FORM):
        # moto would take such a body for form fields and store nothing.
        headers["content-type"] = "binary/octet-stream"
    if "x-amz-copy-source" in headers:
        source_bucket, source_key, version = copy_source(headers["x-amz-copy-source"])
        source = f"/{quote(source_bucket)}/{quote(source_key, safe='/~')}"
        headers["x-amz-copy-source"] = f"{source}?versionId={version}" if version else source
    headers["host"] = f"s3.{region}.amazonaws.com"
    headers["x-moto-account-id"] = account_id
    headers["content-length"] = str(len(request.body))
    headers.pop("authorization", None)
    if signed:
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential=CHECKED/20000101/{region}/s3/aws4_request"
    url = f"https://s3.{region}.amazonaws.com{path}" + ("?" + "&".join(items) if items else "")
    return request.method, url, headers


def _is_signing(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith("x-amz-") or lowered in _SIGNING_PARAMETERS
