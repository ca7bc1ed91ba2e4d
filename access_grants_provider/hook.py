"""The botocore edge, for threads: how the requests of one S3 client get their credentials.

Rests on the events ``before-sign.s3`` (for each attempt, presigned URL and presigned POST) and ``needs-retry.s3``, and
on ``RequestSigner.sign``, which honours ``request.context["signing"]["request_credentials"]`` (botocore 1.34.70).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import botocore
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import ClientError
from botocore.handlers import handle_copy_source_param
from botocore.parsers import ResponseParserError

from .attempts import ATTEMPT, NOTHING, Attempt, may_say_expired, rewound, says_expired, signing_region, start_clean
from .calls import ClientShape, answer_of, answer_of_error, call_for
from .decision import Decision
from .exceptions import ConfigurationError, ServiceFailure
from .failures import UnreadableAnswer
from .flow import Verdict, decide, denied, find, nearer_grant, refused
from .memory import Denial
from .operations import Access, access_of, access_of_post, unsupported_bucket
from .provider import AccessGrantsProvider, VendedCredentials, decision_of
from .requester import Requester
from .scopes import Permission, Target
from .steps import Ask, Step, Vend, Wait

__all__ = ["ClientHook"]

logger = logging.getLogger(__name__)
Returned = TypeVar("Returned")

# Signatures that no grant's credentials can make: S3 Express sessions, multi-Region access points, bearer tokens.
FOREIGN_SIGNATURES = ("v4-s3express", "v4a", "bearer")


class ClientHook:
    """What is hooked into one S3 client: sees each request before it is signed and each answer before a retry."""

    def __init__(self, provider: AccessGrantsProvider, client: BaseClient) -> None:
        self.provider = provider
        self._events: Any = client.meta.events
        private: Any = client
        self._signer: Any = private._request_signer
        self._shape = ClientShape.of(client)
        self._operations: Mapping[str, str] = client.meta.method_to_api_mapping
        self._requester: Requester | None = None
        self.loader: object = getattr(client, "_loader", None)

    def attach(self) -> None:
        """Start to see the client's requests."""
        self._events.register_last("before-sign.s3", self.before_sign)
        self._events.register_first("needs-retry.s3", self.needs_retry)

    def detach(self) -> None:
        """Stop to."""
        self._events.unregister("before-sign.s3", self.before_sign)
        self._events.unregister("needs-retry.s3", self.needs_retry)

    def belongs_to(self, events: object) -> bool:
        """Tell whether it is hooked into the client with this emitter."""
        return self._events is events

    def before_sign(
        self,
        request: AWSRequest,
        operation_name: str,
        signature_version: Any,
        request_signer: Any,
        **_: object,
    ) -> None:
        """Handle ``before-sign.s3``: put the grant's credentials into the request's signing context, or nothing."""
        context = request.context
        recovered = start_clean(context) if ATTEMPT in context else False
        access = self._access(context, operation_name, signature_version, request_signer)
        if access.permission is None:
            self.provider.count("unsupported")
            self.provider.report(operation_name, access, None, Verdict("unsupported", reason=access.reason))
            return
        requester = self._requester_of(request_signer)
        target, from_cache = access.target, True
        # The straight path: nothing to ask, nobody to tell.
        vended = None
        if target is not None:
            vended = requester.memory.warm(access.permission, target, self.provider.rules.clock())
        if vended is not None and not self.provider.reports():
            self.provider.count("cache_hits")
        else:
            region = signing_region(context, request_signer)
            if vended is not None:
                verdict = Verdict("granted", vended, "cache")
            elif target is None:
                verdict = self._two_buckets(operation_name, access)
            else:
                verdict = self._decide(Ask(operation_name, access.permission, target, region), requester)
            bucket = context["s3_redirect"]["params"]["Bucket"]
            self._settle(operation_name, access, region, verdict, bucket, requester.memory.label)
            vended, from_cache = verdict.vended, verdict.source == "cache"
        if vended is not None:
            context["signing"] = {**context.get("signing", NOTHING), "request_credentials": vended.signer}
            context[ATTEMPT] = Attempt(vended, from_cache, access, requester, recovered)

    def needs_retry(
        self, response: tuple[Any, dict[str, Any]] | None, request_dict: dict[str, Any], operation: Any, **_: object
    ) -> int | None:
        """Handle ``needs-retry.s3``: 0 sends the request again at once, None leaves that to botocore."""
        attempt: Attempt | None = request_dict["context"].get(ATTEMPT)
        if attempt is None or attempt.recovered or response is None or response[0].status_code < 400:
            return None
        memory = attempt.requester.memory
        region = signing_region(request_dict["context"], self._signer)
        permission, target, _reason = attempt.access
        if permission is None or target is None:
            return None
        if says_expired(response) or (
            attempt.from_cache
            and may_say_expired(response, request_dict["method"], region)
            and self._may_recheck(attempt, permission, target)
        ):
            logger.warning("S3 takes the credentials of %r for expired; renewing them", str(attempt.vended.scope))
            with memory.lock:
                memory.credentials.drop(attempt.vended)
        elif response[0].status_code == 403 and attempt.from_cache:
            ask = Ask(operation.name, permission, target, region)
            steps = nearer_grant(memory, ask, attempt.vended, self.provider.rules)
            if not self._run(steps, attempt.requester):
                return None
        else:
            return None
        if not rewound(request_dict.get("body")):
            return None
        request_dict["context"][ATTEMPT] = attempt._replace(recovered=True)
        self.provider.count("recovered")
        return 0

    def _may_recheck(self, attempt: Attempt, permission: Permission, target: Target) -> bool:
        memory, now = attempt.requester.memory, self.provider.rules.clock()
        with memory.lock:
            return memory.may_recheck(permission, attempt.vended.scope, target, now)

    def explain(self, operation: str, params: dict[str, Any]) -> Decision:
        """Decide on a request that is not made; see :meth:`AccessGrantsProvider.explain`."""
        name = self._operations.get(operation, operation)
        if name not in self._operations.values():
            raise ConfigurationError(f"operation={operation!r} is unknown; S3 has 'get_object', or 'GetObject'")
        for parameter in ("Bucket", "Key", "Prefix"):
            if not isinstance(params.get(parameter, ""), str):
                raise ConfigurationError(f"{parameter}={params[parameter]!r} is not allowed; it must be a text")
        # As botocore does with the parameters of a request before they reach its context.
        params = dict(params)
        handle_copy_source_param(params)
        context = {"s3_redirect": {"params": params}}
        try:
            access = self._access(context, name, self._signer.signature_version, self._signer)
        except KeyError as error:
            raise ConfigurationError(f"operation={operation!r} needs the parameter {error.args[0]!r}") from None
        if access.permission is None:
            return decision_of(name, access, None, Verdict("unsupported", reason=access.reason))
        region = signing_region({}, self._signer)
        if access.target is None:
            return decision_of(name, access, region, self._two_buckets(name, access))
        ask = Ask(name, access.permission, access.target, region)
        return decision_of(name, access, region, self._decide(ask, self._requester_of(self._signer)))

    def credentials(self, target: Target, permission: Permission) -> VendedCredentials:
        """Return credentials for a target; see :meth:`AccessGrantsProvider.credentials`."""
        if self._signer._credentials is None:
            raise ConfigurationError("the client has no credentials of its own to ask S3 Access Grants with")
        reason = self._not_aws() or (unsupported_bucket(target.bucket) and "it is not a general purpose bucket") or None
        if reason is not None:
            raise ConfigurationError(f"no credentials for bucket {target.bucket!r}: {reason}")
        requester = self._requester_of(self._signer)
        ask = Ask("GetDataAccess", permission, target, signing_region({}, self._signer))
        found, _ = self._run(find(requester.memory, ask, self.provider.rules), requester)
        if isinstance(found, Denial):
            raise denied(found, ask.operation)
        return VendedCredentials.of(found)

    def _access(self, context: dict[str, Any], operation: str, signature: Any, signer: Any) -> Access:
        """Say what a request needs, or why it is left alone."""
        if signature is botocore.UNSIGNED or signer._credentials is None:
            return Access(None, None, "the request is not signed")
        if signature.startswith(FOREIGN_SIGNATURES):
            return Access(None, None, f"a grant's credentials can't make the signature {signature!r}")
        signing = context.get("signing", NOTHING)
        if "request_credentials" in signing or "identity_cache" in signing:
            return Access(None, None, "the request carries credentials of its own already")
        not_aws = self._not_aws()
        if not_aws is not None:
            return Access(None, None, not_aws)
        params = context["s3_redirect"]["params"]
        form = context.get("s3-presign-post-fields")
        if form is not None:
            return access_of_post(params["Bucket"], form["key"])
        return access_of(operation, params)

    def _not_aws(self) -> str | None:
        """Return why the client is left alone if it is aimed at another S3 (MinIO, Ceph)."""
        if self._shape.s3_endpoint_url is None or self.provider.config.endpoint_url is not None:
            return None
        return f"{self._shape.s3_endpoint_url} is not AWS, and the option endpoint_url is not set"

    def _two_buckets(self, operation: str, access: Access) -> Verdict:
        return refused(Denial("two buckets", access.reason or ""), operation, self.provider.config)

    def _requester_of(self, signer: Any) -> Requester:
        """Return whoever the client would sign as right now."""
        credentials = signer._credentials
        frozen = credentials.get_frozen_credentials()
        known, store = self._requester, self.provider.store
        if known is not None and known.is_still(frozen, store):
            return known
        requester = Requester(frozen, store)
        if not isinstance(credentials, RefreshableCredentials):
            # Whoever the client signs as may change from one request to the next and back.
            self._requester = requester
        elif credentials.get_frozen_credentials() == frozen:
            # Rotated, and not merely seen late by this thread: what was vended to the old ones goes with them.
            self._requester = requester
            if known is not None and known.store is store:
                store.forget(known.digest)
        return requester

    def _decide(self, ask: Ask, requester: Requester) -> Verdict:
        try:
            return self._run(decide(requester.memory, ask, self.provider.rules), requester)
        except ServiceFailure:
            self.provider.count("failed")
            raise

    def _settle(self, operation: str, access: Access, region: str, verdict: Verdict, bucket: str, label: str) -> None:
        """Count and report a decision, and raise where it is a refusal."""
        provider = self.provider
        provider.count("cache_hits" if verdict.vended is not None and verdict.source == "cache" else verdict.outcome)
        provider.report(operation, access, region, verdict, bucket, label)
        if verdict.error is not None:
            raise verdict.error

    def _run(self, steps: Generator[Step, Any, Returned], requester: Requester) -> Returned:
        """Drive a generator of the core: perform what it asks for in this thread, send it the answers."""
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._perform(step, requester)
                except Exception as error:  # noqa: BLE001, PERF203  the generator judges it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            returned: Returned = done.value
            return returned
        finally:
            # After an interrupt too: it ends the flight that others wait for.
            steps.close()

    def _perform(self, step: Step, requester: Requester) -> Any:
        if isinstance(step, Wait):
            step.flight.done.result()
            return None
        provider = self.provider
        provider.count("control_calls")
        call = call_for(step, provider.config, requester.signer)
        client = provider.clients.get(call.service, call.region, self._shape, provider.config)
        try:
            response = getattr(client, call.method)(**call.parameters)
        except ClientError as error:
            return answer_of_error(step, error)
        except ResponseParserError:
            response = None
        if response is None:
            # Raised out here, so that nothing leads to the parser's error: it quotes the answer, credentials and all.
            raise UnreadableAnswer
        if isinstance(step, Vend):
            provider.count("vended")
        return answer_of(step, response, Credentials)
