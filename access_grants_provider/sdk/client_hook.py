"""What is hooked into one S3 client, but for the I/O: which credentials each of its requests gets.

Rests on the events ``before-sign.s3`` (for each attempt, presigned URL and presigned POST) and ``needs-retry.s3``, and
on ``RequestSigner.sign``, which honours ``request.context["signing"]["request_credentials"]`` (botocore 1.34.70).
``threads.py`` and ``aio.py`` drive the generators here, with threads or with tasks.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore
from botocore.client import BaseClient
from botocore.handlers import handle_copy_source_param

from ..core.caller_state import Denial
from ..core.credential_cache import Vended
from ..core.cross_process import withdrawn
from ..core.io_requests import Ask, Rules, Step, Vend
from ..core.operations import Access, access_of, access_of_post, unsupported_bucket
from ..core.resolver import Verdict, decide, denied, find, nearer_grant, refused
from ..core.results import Decision
from ..core.scopes import Permission, Target
from ..core.service_errors import UnreadableAnswer
from ..exceptions import ConfigurationError, ServiceFailure
from ..provider import AccessGrantsProvider
from .answers import VendedCredentials, decision_of
from .api_calls import Call, ClientShape, answer_of, call_for
from .attempts import ATTEMPT, NOTHING, Attempt, may_say_expired, rewound, says_expired, signing_region, start_clean
from .caller import Requester, Requesters
from .presign_expiry import PresignedUrls, lasting_of

if TYPE_CHECKING:
    from .disk_steps import Processes

__all__ = ["ClientHook", "Wanted"]

logger = logging.getLogger(__name__)
# Signatures that no grant's credentials can make: S3 Express sessions, multi-Region access points, bearer tokens.
FOREIGN_SIGNATURES = ("v4-s3express", "v4a", "bearer")


class Wanted(NamedTuple):
    """What a request needs; ``recovered`` if it was sent again because S3 refused it.

    ``lasting``: for how many seconds a presigned one shall be good.
    """

    operation: str
    access: Access
    recovered: bool
    lasting: float = 0


class ClientHook:
    """Sees each request of one S3 client before it is signed, and each answer before a retry."""

    asynchronous = False

    def __init__(self, provider: AccessGrantsProvider, client: BaseClient) -> None:
        self.provider = provider
        self._events: Any = client.meta.events
        private: Any = client
        self._signer: Any = private._request_signer
        self._shape = ClientShape.of(client)
        self._operations: Mapping[str, str] = client.meta.method_to_api_mapping
        self._requesters = Requesters(provider)
        self._presigned = PresignedUrls(client)
        self.loader: object = getattr(client, "_loader", None)

    def attach(self) -> None:
        """Start to see the client's requests."""
        self._presigned.attach()
        self._events.register_last("before-sign.s3", self.before_sign)
        self._events.register_first("needs-retry.s3", self.needs_retry)

    def detach(self) -> None:
        """Stop."""
        self._presigned.detach()
        self._events.unregister("before-sign.s3", self.before_sign)
        self._events.unregister("needs-retry.s3", self.needs_retry)

    def belongs_to(self, events: object) -> bool:
        """Tell whether it is hooked into the client with this emitter."""
        return self._events is events

    def before_sign(self, *args: Any, **kwargs: Any) -> Any:
        """Handle ``before-sign.s3``: put the grant's credentials into the request's signing context, or nothing."""
        raise NotImplementedError

    def needs_retry(self, *args: Any, **kwargs: Any) -> Any:
        """Handle ``needs-retry.s3``: 0 sends the request again at once, None leaves that to botocore."""
        raise NotImplementedError

    def _rules(self) -> Rules:
        """Return the provider's rules, as they hold for what runs now."""
        return self.provider.rules

    def _signs(self, vended_signer: Any) -> Any:
        """Return what the client's signer takes for these credentials."""
        return vended_signer

    def _wanted(self, context: dict[str, Any], operation: str, signature: Any, signer: Any) -> Wanted | None:
        """Say what a request needs; None where it is left alone."""
        recovered = start_clean(context) if ATTEMPT in context else False
        access = self._access(context, operation, signature, signer)
        if access.permission is None:
            self.provider.count("unsupported")
            self.provider.report(operation, access, None, Verdict("unsupported", reason=access.reason))
            return None
        return Wanted(operation, access, recovered, lasting_of(context, signature))

    def _sign_warm(self, context: dict[str, Any], wanted: Wanted, requester: Requester, signer: Any) -> bool:
        """Take the straight path: nothing to ask. False where there is something to ask."""
        permission, target, _reason = wanted.access
        if target is None or permission is None:
            return False
        provider = self.provider
        now = provider.rules.clock()
        vended = requester.memory.warm(permission, target, now)
        if vended is None or (wanted.lasting and not vended.lasts(wanted.lasting, now)):
            return False
        if provider.reports():
            self._settle(wanted, signing_region(context, signer), Verdict("granted", vended, "cache"), requester)
        else:
            provider.count("cache_hits")
        self._sign_with(vended, True, context, wanted, requester)
        return True

    def _sign_cold(
        self, context: dict[str, Any], wanted: Wanted, requester: Requester, signer: Any
    ) -> Generator[Step, Any, None]:
        """Decide how a request is signed, and have it signed so. Raises what the decision raises."""
        region = signing_region(context, signer)
        verdict = yield from self._decide(wanted.operation, wanted.access, region, requester, wanted.lasting)
        self._settle(wanted, region, verdict, requester, context["s3_redirect"]["params"]["Bucket"])
        if verdict.vended is not None:
            self._sign_with(verdict.vended, verdict.source == "cache", context, wanted, requester)

    def _sign_with(
        self, vended: Vended, from_cache: bool, context: dict[str, Any], wanted: Wanted, requester: Requester
    ) -> None:
        """Have a request signed with these credentials, and leave in its context how it was."""
        if wanted.lasting:
            self.provider.notices.early_end(wanted.operation, vended, wanted.lasting, self.provider.rules.clock())
        credentials = self._signs(vended.signer)
        context["signing"] = {**context.get("signing", NOTHING), "request_credentials": credentials}
        context[ATTEMPT] = Attempt(vended, credentials, from_cache, wanted.access, requester, wanted.recovered)

    def _refused(self, response: tuple[Any, dict[str, Any]] | None, request_dict: dict[str, Any]) -> Attempt | None:
        """Return how a request was signed that S3 has refused; None where there is nothing to mend."""
        if response is None or response[0].status_code < 400:
            return None
        attempt: Attempt | None = request_dict["context"].get(ATTEMPT)
        return None if attempt is None or attempt.recovered else attempt

    def _recover(
        self, attempt: Attempt, response: tuple[Any, dict[str, Any]], request_dict: dict[str, Any], operation: str
    ) -> Generator[Step, Any, int | None]:
        """Renew the credentials or find a nearer grant; return 0 where the request is worth sending again."""
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
            yield from withdrawn(attempt.vended, self._rules())
        elif response[0].status_code == 403 and attempt.from_cache:
            ask = Ask(operation, permission, target, region)
            if not (yield from nearer_grant(memory, ask, attempt.vended, self._rules())):
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

    def _imagined(self, operation: str, params: dict[str, Any]) -> tuple[str, Access]:
        """Return the operation's name and what it needs, for a request that is not made."""
        name = self._operations.get(operation, operation)
        if name not in self._operations.values():
            raise ConfigurationError(f"operation={operation!r} is unknown; S3 has 'get_object', or 'GetObject'")
        for parameter in ("Bucket", "Key", "Prefix"):
            if not isinstance(params.get(parameter, ""), str):
                raise ConfigurationError(f"{parameter}={params[parameter]!r} is not allowed; it must be a text")
        # As botocore does before they reach a request's context.
        params = dict(params)
        handle_copy_source_param(params)
        context = {"s3_redirect": {"params": params}}
        try:
            return name, self._access(context, name, self._signer.signature_version, self._signer)
        except KeyError as error:
            raise ConfigurationError(f"operation={operation!r} needs the parameter {error.args[0]!r}") from None

    def _explain(self, name: str, access: Access, requester: Requester) -> Generator[Step, Any, Decision]:
        region = signing_region({}, self._signer)
        return decision_of(name, access, region, (yield from self._decide(name, access, region, requester)))

    def _check_askable(self, target: Target | None) -> None:
        """Raise where the client can't ask for this target's credentials, or for anything at all."""
        if self._signer._credentials is None:
            raise ConfigurationError("the client has no credentials of its own to ask S3 Access Grants with")
        reason = self._not_aws()
        if target is not None and unsupported_bucket(target.bucket):
            reason = reason or "it is not a general purpose bucket"
        if reason is not None:
            about = "" if target is None else f" for bucket {target.bucket!r}"
            raise ConfigurationError(f"no credentials{about}: {reason}")

    def _credentials(
        self, target: Target, permission: Permission, requester: Requester
    ) -> Generator[Step, Any, VendedCredentials]:
        ask = Ask("GetDataAccess", permission, target, signing_region({}, self._signer))
        found, _ = yield from find(requester.memory, ask, self._rules())
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

    def _decide(
        self, operation: str, access: Access, region: str, requester: Requester, lasting: float = 0
    ) -> Generator[Step, Any, Verdict]:
        if access.target is None or access.permission is None:
            return refused(Denial("two buckets", access.reason or ""), operation, self.provider.config)
        try:
            ask = Ask(operation, access.permission, access.target, region, lasting)
            return (yield from decide(requester.memory, ask, self._rules()))
        except ServiceFailure:
            self.provider.count("failed")
            raise

    def _settle(self, wanted: Wanted, region: str, verdict: Verdict, requester: Requester, bucket: str = "") -> None:
        """Count and report a decision, and raise where it is a refusal."""
        provider = self.provider
        provider.count("cache_hits" if verdict.vended is not None and verdict.source == "cache" else verdict.outcome)
        provider.report(wanted.operation, wanted.access, region, verdict, bucket, requester.memory.label)
        if verdict.error is not None:
            raise verdict.error

    def _processes(self) -> Processes:
        """Return what performs the steps on disk."""
        processes = self.provider.processes
        if processes is None:
            raise ConfigurationError("the options were changed in the middle of a request; make it again")
        return processes

    def _call(self, step: Step, requester: Requester) -> Call:
        """Return the call that performs a step."""
        self.provider.count("control_calls")
        return call_for(step, self.provider.config, self._signs(requester.signer))

    def _answer(self, step: Step, response: Mapping[str, Any] | None) -> Any:
        """Read the response of a step's call; None stands for one that botocore can't parse."""
        if response is None:
            # Raised out here, so that nothing leads to the parser's error: it quotes the answer, credentials and all.
            raise UnreadableAnswer
        if isinstance(step, Vend):
            self.provider.count("vended")
        return answer_of(step, response)
