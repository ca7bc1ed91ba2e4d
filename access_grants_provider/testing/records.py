"""The requests that the local service got, for tests to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

# The provider looks a bucket's region up with HeadBucket; its user agent tells that call from the program's own.
PROVIDER_USER_AGENT = "access-grants-provider"


@dataclass(frozen=True)
class RecordedRequest:
    """One request that was answered, or left without an answer by a fault (`status` 0).

    `service` is "s3", "s3control" or "sts". `signer` names the identity whose key signed, or is "grant" for a
    session that a grant vended; `principal` names the identity behind it in both cases. Both are None where the key
    is unknown or the request unsigned. `grant_id`, `scope` and `permission` describe the vended session.
    `parameters` are the parsed parameters of a control operation. `time` is the service's clock when it answered,
    `signed_at` what the signature says (whole seconds; None for presigned requests and forms), and `expires_at` when
    the key that signed ends (None: never), all in epoch seconds.
    """

    service: str
    operation: str
    bucket: str | None
    key: str | None
    access_key_id: str | None
    signer: str | None
    principal: str | None
    grant_id: str | None
    scope: str | None
    permission: str | None
    region: str | None
    status: int
    error_code: str | None
    user_agent: str
    time: float
    host: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    signed_at: float | None = None
    expires_at: float | None = None

    @property
    def is_control_call(self) -> bool:
        """Whether the request is about permissions: S3 Control, STS, or the provider's search for a region."""
        if self.service != "s3":
            return True
        return self.operation == "HeadBucket" and PROVIDER_USER_AGENT in self.user_agent


class Recorder:
    """The requests so far. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: list[RecordedRequest] = []

    def add(self, record: RecordedRequest) -> None:
        """Remember one more."""
        with self._lock:
            self._requests.append(record)

    def all(self) -> list[RecordedRequest]:
        """A copy of all requests, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests.clear()
