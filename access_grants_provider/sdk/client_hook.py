"""What is hooked into one S3 client, but for the I/O: signing one request, recovering one refusal, answering probes.

Rests on the events ``before-sign.s3`` (for each attempt, presigned URL and presigned POST) and ``needs-retry.s3``, for
probes on ``before-call.s3`` and ``after-call.s3``, and on ``RequestSigner.sign``, which honours
``request.context["signing"]["request_credentials"]`` (botocore 1.34.70).
``sync_client.py`` and ``aio_client.py`` drive the generators here, with threads or with tasks.
"""

import inspect
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.credentials import Credentials

from ..core.caller_state import HeldGrant
from ..core.credential_cache import StoredCredentials
from ..core.flow_context import FlowContext
from ..core.get_data_access import is_account
from ..core.io_requests import CallerAccount, ControlCall, GetDataAccess, GrantRequest, Step
from ..core.operations import (
    OBJECT_OPERATIONS,
    OPERATIONS,
    RequiredAccess,
    required_access,
    required_access_of_post,
)
from ..core.probes import PROBES, implied, implying_grant, probed_folder
from ..core.resolver import Resolution, Resolver, refused, remembered_denial
from ..core.scopes import Permission, Target
from ..core.service_errors import Denial, sentence
from ..exceptions import ServiceFailure
from .api_calls import ApiCall, api_call_for, reply_of
from .caller import Caller, CallerTracker
from .internal_clients import ClientShape
from .presign_expiry import PRESIGNED, PresignedUrls, seconds_presigned_for
from .runtime import Runtime, Settings

if TYPE_CHECKING:
    from ..core.decision import Source

__all__ = ["VENDED_SESSION", "ClientHook", "signing_region"]

# Where a request's context keeps how its last attempt was signed: an Attempt, or what the straight path leaves.
ATTEMPT = "access_grants_attempt"
# Where a probe's context keeps the warning of its fallback, and the caller that signed it, until S3 has answered.
FALLBACK = "access_grants_fallback"
# Where a probe's context keeps that its credentials were vended before it was signed.
AHEAD = "access_grants_ahead"
# S3's codes for want of permission; an answer to HEAD has the status alone.
FOR_WANT_OF_PERMISSION = ("403", "AccessDenied")
PSEUDO_REGIONS = {"aws-global": "us-east-1", "s3-external-1": "us-east-1"}
NOTHING: Mapping[str, Any] = {}
NO_OBJECT: tuple[None, frozenset[str]] = (None, frozenset())
# The types of a body that has no position.
IN_MEMORY = (bytes, bytearray, str)

# Signatures that no grant's credentials can make: S3 Express sessions, multi-Region access points, bearer tokens.
FOREIGN_SIGNATURES = ("v4-s3express", "s3v4a", "bearer")
# The signatures of the straight path, and whether each is presigned: those of an object's request and of its URL.
STRAIGHT_SIGNATURES = {"s3v4": False, "v4": False, "s3v4-query": True, "v4-query": True, "s3-query": True}
# S3's answers to credentials that have ended, or whose location's role was made anew.
NOT_ACCEPTED = ("ExpiredToken", "InvalidToken", "InvalidAccessKeyId")
# A HEAD has no body, so its 400 has no code: it may say that the token has expired, or that a header is missing
# (SSE-C). Credentials of less than a minute, or less than half of their life, have not expired.
MIN_SUSPECT_AGE = 60

VENDED_SESSION = "the client signs with a grant's credentials already"
SIGNED_BY_HAND = RequiredAccess(None, None, "the request is signed by hand, so what it touches is not known")


class SigningRequest(NamedTuple):
    """A request that is about to be signed; ``recovered`` if it is sent again because S3 refused it.

    ``min_lifetime``: for how many seconds a presigned one shall be good. ``body_start``: where its body is read from.
    ``sent_once``: S3's answer is not seen here (presigned), or the body can't be sent again.
    """

    operation: str
    access: RequiredAccess
    settings: Settings
    recovered: bool
    min_lifetime: float = 0
    body_start: int = 0
    sent_once: bool = False


class Attempt(NamedTuple):
    """How one attempt of a request was signed; ``recovered`` once it was sent again because S3 refused that.

    ``stored`` is None for one that is signed as the caller after a provisional denial. ``credentials`` is the object
    that stands in the request's signing context.
    """

    stored: StoredCredentials | None
    credentials: Any
    from_cache: bool
    signing: SigningRequest
    caller: Caller

    def again(self) -> "Attempt":
        """Return it as recovered."""
        return self._replace(signing=self.signing._replace(recovered=True))


class ClientHook:
    """Sees each request of one S3 client before it is signed, each answer before a retry, and the answers to probes."""

    asynchronous = False
    # The class of credentials that are the same whenever they are read.
    unchanging_credentials: type[Any] = Credentials

    def __init__(self, runtime: Runtime, client: BaseClient) -> None:
        self.runtime = runtime
        # The provider, which lives as long as a client that it covers.
        self.owner: Any = None
        # Covers the client as it would be without this provider, once that is unregistered.
        self.give_back: Callable[[ClientHook], object] | None = None
        self._events: Any = client.meta.events
        private: Any = client
        self.request_signer: Any = private._request_signer
        self.shape = ClientShape.of(client)
        self.operations: Mapping[str, str] = client.meta.method_to_api_mapping
        self._callers = CallerTracker(runtime.is_vended_session, runtime.profile, self.unchanging_credentials)
        self._count_hit = runtime.counters.add["cache_hits"]
        self._presigned = PresignedUrls(self.request_signer)
        self._warned_of_endpoint = False
        self.loader: object = getattr(client, "_loader", None)

    def attach(self) -> None:
        """Start to see the client's requests."""
        self._presigned.attach()
        self._events.register_last("before-sign.s3", self.before_sign)
        self._events.register_first("needs-retry.s3", self.needs_retry)
        for operation in PROBES:
            if operation in OPERATIONS:
                # Last: a response of ours would end the event for whoever comes later.
                self._events.register_last(f"before-call.s3.{operation}", self.before_call)
            # Last: botocore's own handler of GetBucketLocation reads the region out of the body.
            self._events.register_last(f"after-call.s3.{operation}", self.after_call)

    def detach(self) -> None:
        """Stop intercepting the client's requests."""
        self._presigned.detach()
        self._events.unregister("before-sign.s3", self.before_sign)
        self._events.unregister("needs-retry.s3", self.needs_retry)
        for operation in PROBES:
            self._events.unregister(f"before-call.s3.{operation}", self.before_call)
            self._events.unregister(f"after-call.s3.{operation}", self.after_call)

    def can_ask(self) -> bool:
        """Tell whether the client has credentials and an endpoint that S3 Access Grants can be asked with."""
        return self.request_signer._credentials is not None and self.foreign_endpoint(self.runtime.settings) is None

    def prefetch(self, wanted: Sequence[tuple[Permission, Target]]) -> None:
        """Vend credentials in the background."""
        raise NotImplementedError

    def belongs_to(self, events: object) -> bool:
        """Tell whether it is hooked into the client with this emitter."""
        return self._events is events

    def before_sign(self, *args: Any, **kwargs: Any) -> Any:
        """Handle ``before-sign.s3``: put the grant's credentials into the request's signing context, or nothing."""
        raise NotImplementedError

    def needs_retry(self, *args: Any, **kwargs: Any) -> Any:
        """Handle ``needs-retry.s3``: 0 sends the request again at once, None leaves that to botocore."""
        raise NotImplementedError

    def before_call(self, *args: Any, **kwargs: Any) -> Any:
        """Handle ``before-call.s3`` of a probe: a response where it may not be sent as the caller, else None."""
        raise NotImplementedError

    def after_call(self, *args: Any, **kwargs: Any) -> Any:
        """Handle ``after-call.s3`` of a probe: put the answer from a grant in place of S3's refusal."""
        raise NotImplementedError

    def empty_response(self, url: str, status: int, headers: Mapping[str, str]) -> AWSResponse:
        """Return an HTTP response without a body, for a request that is not sent."""
        raise NotImplementedError

    def caller_at_once(self, signer: Any, settings: Settings) -> Caller | None:
        """Return whoever the client would sign as right now; None where that has to be awaited."""
        raise NotImplementedError

    # Returns what the client's signer takes for these credentials.
    request_credentials: Callable[[StoredCredentials], Any] = staticmethod(attrgetter("credentials"))

    def required_access(
        self, context: Mapping[str, Any], operation: str, signature: Any, signer: Any, settings: Settings
    ) -> RequiredAccess:
        """Say what a request needs, or why it is left alone."""
        if signature is botocore.UNSIGNED or signer._credentials is None:
            return RequiredAccess(None, None, "the request is not signed")
        if signature.startswith(FOREIGN_SIGNATURES):
            return RequiredAccess(None, None, f"a grant's credentials can't make the signature {signature!r}")
        signing = context.get("signing", NOTHING)
        if "request_credentials" in signing or "identity_cache" in signing:
            return RequiredAccess(None, None, "the request carries credentials of its own already")
        foreign = self.foreign_endpoint(settings)
        if foreign is not None:
            return RequiredAccess(None, None, foreign)
        redirect = context.get("s3_redirect")
        if redirect is None:
            return SIGNED_BY_HAND
        params = redirect["params"]
        form = context.get("s3-presign-post-fields")
        if form is not None:
            return required_access_of_post(params["Bucket"], form["key"], form)
        return required_access(operation, params)

    def foreign_endpoint(self, settings: Settings) -> str | None:
        """Return why the client is left alone if it is aimed at another S3 (MinIO, Ceph)."""
        if self.shape.foreign_url is None or settings.config.endpoint_url is not None:
            return None
        return f"{self.shape.foreign_url} is not an endpoint of AWS, and the option endpoint_url is not set"

    # The straight path: the first attempt of a request for one object, or its presigned URL, where fresh credentials
    # or the target's denial are in memory. Nothing is asked then. Of what is granted no record is made of what it needs
    # and how it was signed, which would cost more than all the rest: it is worked out again where S3 refuses the
    # request. All others take the long path, which decides the same.

    def _sign_straight(
        self, request: AWSRequest, operation: str, signature: Any, signer: Any, caller: Caller | None = None
    ) -> bool | None:
        """Decide on a request by what is in memory; False where it has to take the long path.

        None where it has to be awaited who the ``caller`` is.
        """
        runtime = self.runtime
        settings = runtime.settings
        context = request.context
        redirect = context.get("s3_redirect")
        if redirect is None or signature not in STRAIGHT_SIGNATURES or ATTEMPT in context or AHEAD in context:
            return False
        signing = context.get("signing", NOTHING)
        if "request_credentials" in signing or "identity_cache" in signing or signer._credentials is None:
            return False
        if self.shape.foreign_url is not None and self.foreign_endpoint(settings) is not None:
            return False
        if request.data and not isinstance(request.data, IN_MEMORY):
            return False
        params = redirect["params"]
        permission, special_parameters = OBJECT_OPERATIONS.get(operation, NO_OBJECT)
        if permission is None or (special_parameters and not special_parameters.isdisjoint(params)):
            return False
        if caller is None:
            caller = self._callers.unchanged(signer._credentials, settings.states)
            caller = caller or self.caller_at_once(signer, settings)
            if caller is None:
                return None
        elif caller.states is not settings.states:
            return False
        now = runtime.clock.wall()
        presigned = STRAIGHT_SIGNATURES[signature]
        stored = caller.state.credentials.get_fresh(permission, (params["Bucket"], params["Key"], False), now)
        if stored is None:
            access = RequiredAccess(permission, Target(params["Bucket"], params["Key"], False))
            wanted = SigningRequest(operation, access, settings, recovered=False, sent_once=presigned)
            return self._sign_denied(context, wanted, caller)
        if presigned and now + seconds_presigned_for(context) > stored.expires_at:
            return False
        self._count_hit()
        if runtime.reports(settings):
            self._report_grant(context, operation, required_access(operation, params), settings, stored, "cache")
        context["signing"] = {**signing, "request_credentials": self.request_credentials(stored)}
        context[ATTEMPT] = (stored, caller, settings)
        return True

    def _sign_denied(self, context: dict[str, Any], signing: SigningRequest, caller: Caller) -> bool:
        """Leave a request to the caller if the target's denial is remembered; False where it has to take the long path.

        A denial that raises takes that, too: to make its error costs more.
        """
        if signing.settings.config.raises_on_denial or caller.is_vended:
            return False
        resolution = self._remembered_denial(signing, caller)
        if resolution is None:
            return False
        self._finish(context, signing, caller, resolution)
        return True

    def _last_attempt(self, context: Mapping[str, Any], operation: str) -> Attempt | None:
        """Return how the last attempt of a request was signed; None where that is no business of ours."""
        last = context.get(ATTEMPT)
        if last is None or isinstance(last, Attempt):
            return last
        stored, caller, settings = last
        access = required_access(operation, context["s3_redirect"]["params"])
        signing = SigningRequest(operation, access, settings, recovered=False)
        return Attempt(stored, self.request_credentials(stored), True, signing, caller)

    def _start_clean(self, context: dict[str, Any], operation: str) -> bool:
        """Take the last attempt's grant out of a retry's context; say whether the request was sent again for it."""
        last = self._last_attempt(context, operation)
        context.pop(ATTEMPT, None)
        signing = context.get("signing", NOTHING)
        if last is None:
            return False
        if last.credentials is not None and signing.get("request_credentials") is last.credentials:
            context["signing"] = {name: value for name, value in signing.items() if name != "request_credentials"}
        return last.signing.recovered

    def _signing_request(
        self, request: AWSRequest, operation: str, signature: Any, signer: Any
    ) -> SigningRequest | None:
        """Say what a request needs; None where it is left alone. Raises where that is not allowed."""
        context = request.context
        recovered = self._start_clean(context, operation) if ATTEMPT in context else False
        settings = self.runtime.settings
        access = self.required_access(context, operation, signature, signer, settings)
        if access.permission is None:
            self._leave_alone(operation, access, settings)
            return None
        if signature.endswith(PRESIGNED):
            seconds = seconds_presigned_for(context)
            return SigningRequest(operation, access, settings, recovered, seconds, sent_once=True)
        body = request.data
        if not body or isinstance(body, IN_MEMORY):
            return SigningRequest(operation, access, settings, recovered)
        start = start_of(body)
        sent_once = start != 0 or not hasattr(body, "seek")
        return SigningRequest(operation, access, settings, recovered, body_start=start, sent_once=sent_once)

    def _leave_alone(self, operation: str, access: RequiredAccess, settings: Settings) -> None:
        runtime = self.runtime
        if settings.config.raises_on_denial:
            if access is SIGNED_BY_HAND:
                denial = Denial("signed by hand", sentence(access.reason))
                resolution = refused(denial, operation, raises=True)
                self._report_and_raise(operation, access, settings, None, resolution)
            if not self._warned_of_endpoint and access.reason == self.foreign_endpoint(settings):
                self._warned_of_endpoint = True
                runtime.notices.foreign_endpoint(str(access.reason))
        runtime.counters.add["unsupported"]()
        runtime.report(settings, operation, access, None, Resolution("unsupported", reason=access.reason))

    def _leaves_vended_alone(self, signing: SigningRequest, caller: Caller) -> bool:
        """Leave a request alone whose caller is a grant's session: that has no grants of its own."""
        if caller.is_vended:
            self._leave_alone(signing.operation, RequiredAccess(None, None, VENDED_SESSION), signing.settings)
        return caller.is_vended

    def _sign_warm(self, context: dict[str, Any], signing: SigningRequest, caller: Caller) -> bool:
        """Take the straight path: nothing to ask. False where there is something to ask."""
        access = signing.access
        if access.target is None or access.permission is None:
            return False
        runtime = self.runtime
        now = runtime.clock.wall()
        stored = caller.state.credentials.get_fresh(access.permission, access.target, now)
        if stored is None or (signing.min_lifetime and not stored.is_valid_for(signing.min_lifetime, now)):
            return False
        source = context.pop(AHEAD, "cache")
        runtime.counters.add["cache_hits" if source == "cache" else "granted"]()
        if runtime.reports(signing.settings):
            self._report_grant(context, signing.operation, access, signing.settings, stored, source)
        self._sign_with(stored, True, context, signing, caller)
        return True

    def _report_grant(
        self,
        context: Mapping[str, Any],
        operation: str,
        access: RequiredAccess,
        settings: Settings,
        stored: StoredCredentials,
        source: "Source",
    ) -> None:
        region = signing_region(context, self.request_signer)
        self.runtime.report(settings, operation, access, region, Resolution("granted", stored, source))

    def _remembered_denial(self, signing: SigningRequest, caller: Caller) -> Resolution | None:
        """Return the decision on a target whose denial is remembered, if that is all there is to look at."""
        permission, target, *_ = signing.access
        if permission is None or target is None:
            return None
        config, clock = signing.settings.config, self.runtime.clock
        return remembered_denial(caller.state, signing.operation, permission, target, config, clock)

    def _sign_cold(
        self, context: dict[str, Any], signing: SigningRequest, caller: Caller, flow: FlowContext
    ) -> Generator[Step, Any, Resolution]:
        """Decide how a request is signed. Raises what the decision raises; nothing is signed yet."""
        access, region = signing.access, signing_region(context, self.request_signer)
        # What S3 would have to refuse first is asked for now.
        exact = signing.sent_once
        return (yield from self.resolve(signing.operation, access, region, caller, flow, signing.min_lifetime, exact))

    def _finish(self, context: dict[str, Any], signing: SigningRequest, caller: Caller, resolution: Resolution) -> None:
        """Count and report what was decided, raise it where it is a refusal, and have the request signed so."""
        bucket = context["s3_redirect"]["params"]["Bucket"]
        region = signing_region(context, self.request_signer)
        masked = caller.state.masked_key
        self._report_and_raise(signing.operation, signing.access, signing.settings, region, resolution)
        if resolution.outcome == "fallback":
            if signing.operation in PROBES and not signing.sent_once:
                context[FALLBACK] = (caller, bucket, resolution, masked)
            else:
                self.runtime.notices.fallback(bucket, resolution, masked)
        if resolution.stored is not None:
            self._sign_with(resolution.stored, resolution.source == "cache", context, signing, caller)
        elif resolution.denial is not None and resolution.denial.provisional:
            context[ATTEMPT] = Attempt(None, None, True, signing, caller)

    def resolve(
        self,
        operation: str,
        access: RequiredAccess,
        region: str,
        caller: Caller,
        flow: FlowContext,
        min_lifetime: float = 0,
        exact: bool = False,
    ) -> Generator[Step, Any, Resolution]:
        """Decide on a request that S3 Access Grants covers."""
        if access.target is None or access.permission is None:
            return refused(Denial("two buckets", sentence(access.reason)), operation, flow.config.raises_on_denial)
        try:
            request = GrantRequest(operation, access.permission, access.target, region, min_lifetime)
            return (yield from Resolver(caller.state, request, flow, exact).decide())
        except ServiceFailure:
            self.runtime.counters.add["failed"]()
            raise

    def _report_and_raise(
        self,
        operation: str,
        access: RequiredAccess,
        settings: Settings,
        region: str | None,
        resolution: Resolution,
    ) -> None:
        """Count and report a decision, and raise where it is a refusal."""
        runtime = self.runtime
        hit = resolution.stored is not None and resolution.source == "cache"
        runtime.counters.add["cache_hits" if hit else resolution.outcome]()
        runtime.report(settings, operation, access, region, resolution)
        if resolution.error is not None:
            runtime.notices.refusal(resolution)
            raise resolution.error

    def _sign_with(
        self,
        stored: StoredCredentials,
        from_cache: bool,
        context: dict[str, Any],
        signing: SigningRequest,
        caller: Caller,
    ) -> None:
        """Have a request signed with these credentials, and leave in its context how it was."""
        if signing.min_lifetime:
            now = self.runtime.clock.wall()
            self.runtime.notices.early_end(signing.operation, stored, signing.min_lifetime, now)
        credentials = self.request_credentials(stored)
        context["signing"] = {**context.get("signing", NOTHING), "request_credentials": credentials}
        context[ATTEMPT] = Attempt(stored, credentials, from_cache, signing, caller)

    def _recoverable_attempt(self, request_dict: dict[str, Any], operation: str) -> Attempt | None:
        """Return how a request was signed that S3 has refused; None where there is nothing to mend."""
        attempt = self._last_attempt(request_dict["context"], operation)
        return None if attempt is None or attempt.signing.recovered else attempt

    def _recover(
        self, attempt: Attempt, response: tuple[Any, dict[str, Any]], request_dict: dict[str, Any], flow: FlowContext
    ) -> Generator[Step, Any, int | None]:
        """Renew the credentials or find a grant; return 0 where the request is worth sending again."""
        signing, status = attempt.signing, response[0].status_code
        permission, target, *_ = signing.access
        if permission is None or target is None:
            return None
        region = signing_region(request_dict["context"], self.request_signer)
        request = GrantRequest(signing.operation, permission, target, region)
        # S3 has answered already. The program is not kept from that for two minutes.
        resolver = Resolver(attempt.caller.state, request, flow, exact=True, is_patient=False)
        stored = attempt.stored
        if stored is None:
            worth = status == 403 and (yield from self._finds_grant(resolver, flow))
        elif says_not_accepted(response) or self._takes_expiry_recheck(attempt, stored, response, request_dict, region):
            text = "S3 did not accept the credentials of %r; they are renewed"
            flow.log.note(logging.INFO, text, str(stored.scope))
            yield from resolver.withdraw(stored)
            worth = True
        else:
            worth = status == 403 and attempt.from_cache and (yield from resolver.nearer_grant(stored))
            if status == 403 and not worth and signing.access.hint is not None:
                self.runtime.notices.copy_refused(signing.operation, stored, signing.access.hint)
        # botocore rewinds to the very beginning, which is not where the program's file stood.
        if not worth or signing.body_start or not rewound(request_dict.get("body")):
            return None
        request_dict["context"][ATTEMPT] = attempt.again()
        self.runtime.counters.add["recovered"]()
        return 0

    def _finds_grant(self, resolver: Resolver, flow: FlowContext) -> Generator[Step, Any, bool]:
        """After a 403 to the caller, whose request was concluded to have no grant: ask about just this target."""
        try:
            found, _source = yield from resolver.find()
        except ServiceFailure as failure:
            # No reason to hide S3's own 403.
            flow.log.note(logging.WARNING, "S3 refused the caller, and a grant could not be looked for: %s", failure)
            return False
        return isinstance(found, StoredCredentials)

    def _takes_expiry_recheck(
        self,
        attempt: Attempt,
        stored: StoredCredentials,
        response: tuple[Any, dict[str, Any]],
        request_dict: dict[str, Any],
        region: str,
    ) -> bool:
        """Tell whether S3's bare 400 to a HEAD may mean credentials that have ended, and note that it is acted upon.

        S3 also answers 400 to a HEAD signed for the wrong region, and names the right one: that is the redirector's
        business. Where renewed credentials get 400 too, they are not the reason, and that settles it for the scope.
        """
        http = response[0]
        if request_dict["method"] != "HEAD" or http.status_code != 400 or not attempt.from_cache:
            return False
        if http.headers.get("x-amz-bucket-region", region) != region:
            return False
        half_of_life = (stored.expires_at - stored.vended_at) / 2
        if self.runtime.clock.wall() - stored.vended_at < min(MIN_SUSPECT_AGE, half_of_life):
            return False
        now = self.runtime.clock.monotonic()
        return attempt.caller.state.take_recheck(stored.permission, stored.scope, "bare 400", now)

    def probed_folder(self, operation: str, context: Mapping[str, Any], settings: Settings) -> Target | None:
        """Return within what a grant must lie for a refusal to be answered from it; None where S3's answer stands."""
        redirect = context.get("s3_redirect")
        if redirect is None or "Bucket" not in redirect["params"] or settings.config.probes != "grants":
            return None
        # Whatever is left alone as a HeadBucket (unsigned, for another S3, signed by something else) is no probe.
        signer = self.request_signer
        access = self.required_access(context, "HeadBucket", signer.signature_version, signer, settings)
        return None if access.target is None else probed_folder(operation, redirect["params"])

    def folder_to_answer_for(self, operation: str, context: Mapping[str, Any], settings: Settings) -> Target | None:
        """Return the folder of a probe that may not be sent as the caller."""
        return self.probed_folder(operation, context, settings) if settings.config.raises_on_denial else None

    def refused_folder(
        self, http: Any, parsed: Mapping[str, Any], operation: str, context: dict[str, Any], settings: Settings
    ) -> Target | None:
        """Return the folder of a probe that S3 has refused to the caller for want of permission.

        Else the WARNING of its fallback, which waited for S3's answer, is logged.
        """
        code = parsed.get("Error", {}).get("Code")
        folder = None
        if http.status_code == 403 and code in FOR_WANT_OF_PERMISSION:
            folder = self.probed_folder(operation, context, settings)
        if folder is None:
            self._warn_of_fallback(context)
        return folder

    def _warn_of_fallback(self, context: dict[str, Any]) -> None:
        fallback = context.pop(FALLBACK, None)
        if fallback is not None:
            _caller, *warning = fallback
            self.runtime.notices.fallback(*warning)

    def _replace_refusal(
        self,
        http: Any,
        parsed: dict[str, Any],
        operation: str,
        folder: Target,
        context: dict[str, Any],
        caller: Caller,
        flow: FlowContext,
    ) -> Generator[Step, Any, None]:
        """Put the answer from a grant in place of S3's refusal, if there is such a grant.

        ``caller`` is who the client would sign as now; a covered request was signed as the one in its context.
        """
        caller = context.get(FALLBACK, (caller,))[0]
        grant = None
        if not caller.is_vended:
            grant = yield from self._implying_grant(operation, folder, context, caller, flow)
        if grant is None:
            self._warn_of_fallback(context)
            return
        metadata = parsed.get("ResponseMetadata", {})
        http.status_code, answer = probe_answer(operation, grant)
        parsed.clear()
        parsed.update(answer, ResponseMetadata={**metadata, "HTTPStatusCode": http.status_code})

    def _answer_ahead(
        self, url: str, operation: str, folder: Target, context: dict[str, Any], caller: Caller, flow: FlowContext
    ) -> Generator[Step, Any, tuple[AWSResponse, dict[str, Any]] | None]:
        """Answer a probe that may not be sent as the caller; None where it is granted or refused, as any request."""
        if caller.is_vended:
            return None
        signer, settings = self.request_signer, self.runtime.settings
        access = self.required_access(context, operation, signer.signature_version, signer, settings)
        region = signing_region(context, signer)
        # What is vended or refused here ``before-sign`` finds among what is remembered.
        resolution = yield from self.resolve(operation, access, region, caller, flow)
        if resolution.outcome != "denied":
            context[AHEAD] = resolution.source
            return None
        grant = yield from self._implying_grant(operation, folder, context, caller, flow)
        if grant is None:
            return None
        status, answer = probe_answer(operation, grant)
        headers = {"x-amz-bucket-region": grant.region} if status == 200 else {}
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers, "RetryAttempts": 0}
        return self.empty_response(url, status, headers), {**answer, "ResponseMetadata": metadata}

    def _implying_grant(
        self, operation: str, folder: Target, context: Mapping[str, Any], caller: Caller, flow: FlowContext
    ) -> Generator[Step, Any, HeldGrant | None]:
        """Return the grant from which a probe is answered, counted and reported; None where there is none."""
        runtime, signer = self.runtime, self.request_signer
        region = signing_region(context, signer)
        try:
            grant = yield from implying_grant(caller.state, folder, operation, region, flow)
        except ServiceFailure as failure:
            # No reason to hide S3's own 403.
            text = "S3 refused the caller %s, and a grant within %r could not be looked for: %s"
            flow.log.note(logging.WARNING, text, operation, str(folder), failure)
            return None
        if grant is not None:
            settings = runtime.settings
            access = self.required_access(context, operation, signer.signature_version, signer, settings)
            runtime.counters.add["implied"]()
            runtime.report(settings, operation, access, region, implied(grant, folder))
        return grant

    def _read(self, call: ControlCall, response: Mapping[str, Any] | str, caller: Caller) -> Any:
        """Read the response of a control call."""
        reply = reply_of(call, response)
        if isinstance(call, CallerAccount) and is_account(reply):
            caller.learn(reply)
        if isinstance(call, GetDataAccess):
            self.runtime.counters.add["vended"]()
        return reply

    def _api_call(self, call: ControlCall, caller: Caller, flow: FlowContext) -> ApiCall:
        """Return the call of a botocore client that performs a control call."""
        self.runtime.counters.add["control_calls"]()
        return api_call_for(call, flow.config, self.caller_credentials(caller))

    def caller_credentials(self, caller: Caller) -> Any:
        """Return what an internal client's signer takes for the caller."""
        return caller.credentials


def probe_answer(operation: str, grant: HeldGrant) -> tuple[int, dict[str, Any]]:
    """Return the status and the parsed response, but for its metadata, of a probe that is answered from a grant."""
    if operation == "HeadObject":
        return 404, {"Error": {"Code": "404", "Message": "Not Found"}}
    if operation == "HeadBucket":
        return 200, {"BucketRegion": grant.region, "AccessPointAlias": False}
    # As S3 says it: us-east-1 has no name there.
    return 200, {"LocationConstraint": None if grant.region == "us-east-1" else grant.region}


def signing_region(context: Mapping[str, Any], signer: Any) -> str:
    """Return the region a request is signed for: its own, else the client's."""
    region: str | None = context.get("signing", NOTHING).get("region") or signer.region_name
    return "us-east-1" if region is None else PSEUDO_REGIONS.get(region, region)


def says_not_accepted(response: tuple[Any, dict[str, Any]]) -> bool:
    """Tell whether S3 refused the credentials as such."""
    return response[1].get("Error", {}).get("Code") in NOT_ACCEPTED


def start_of(body: Any) -> int:
    """Return where a file-like body is read from; 0 where it can't tell."""
    # botocore's wrapper for checksums in a trailer has no position of its own.
    tell = getattr(getattr(body, "_raw", body), "tell", None)
    try:
        position = tell() if tell is not None else 0
    except Exception:  # noqa: BLE001  as below
        return 0
    if inspect.iscoroutine(position):
        position.close()
        return 0
    return int(position)


def rewound(body: Any) -> bool:
    """Rewind a body as botocore will; where that fails, S3's refusal tells more than the failure to send again."""
    if body is None or isinstance(body, (bytes, bytearray, str)):
        return True
    try:
        sought = body.seek(0)
    except Exception:  # noqa: BLE001  whatever the program's file raises, S3's answer is what the program should see
        return False
    if inspect.iscoroutine(sought):
        # An asynchronous file: botocore, aiobotocore's too, would not wait for it.
        sought.close()
        return False
    return True
