"""The driver for botocore: the decisions on the requests of one S3 client, performed in the thread that makes them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel

from ..core.flow_context import CALLS_LOGGER, FlowContext
from ..core.io_requests import ON_DISK, Pause, Step, TimedCall, WaitFor
from ..core.scopes import Permission, Target
from ..exceptions import AccessGrantsError, ConfigurationError
from .api_calls import reply_of_error, response_of
from .caller import Caller
from .client_hook import ATTEMPT, ClientHook, signing_region
from .crt_transfers import ClassicTransfers
from .internal_clients import time_limit
from .legacy_signer import honour_request_credentials
from .runtime import Runtime, Settings

if TYPE_CHECKING:
    from ..core.decision import Decision
    from ..core.io_requests import CallerGrant
    from ..core.vended_credentials import VendedCredentials

__all__ = ["SyncClientHook"]

Returned = TypeVar("Returned")

logger = logging.getLogger(CALLS_LOGGER)


class _Deciding(threading.local):
    """How many decisions this thread is in the middle of: more than one where an interruption makes a request."""

    depth = 0


_deciding = _Deciding()


class _NoBody:
    """The body of a response that nobody sent."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """Yield nothing."""
        return iter(())


def _not_prefetched(permission: Permission, target: Target, error: Exception) -> None:
    logger.warning("S3 Access Grants: %s on %r was not prefetched: %s", permission, str(target), error)


class SyncClientHook(ClientHook):
    """Hooked into a client of botocore."""

    def __init__(self, runtime: Runtime, client: BaseClient) -> None:
        super().__init__(runtime, client)
        honour_request_credentials(client)
        self._transfers = ClassicTransfers(client, runtime.notices.inform)

    def attach(self) -> None:
        """Start to see the client's requests, those of its transfers too."""
        super().attach()
        self._transfers.attach()

    def detach(self) -> None:
        """Stop intercepting the client's requests and transfers."""
        super().detach()
        self._transfers.detach()

    # Each names all parameters of its event that there are: what is not named takes a dict to collect.

    def before_sign(
        self,
        request: AWSRequest,
        operation_name: str,
        signature_version: Any,
        request_signer: Any,
        signing_name: object = None,
        region_name: object = None,
        event_name: object = None,
        **_: object,
    ) -> None:
        """Handle ``before-sign.s3``; see :class:`ClientHook`."""
        if self._sign_straight(request, operation_name, signature_version, request_signer):
            return
        context = request.context
        signing = self._signing_request(request, operation_name, signature_version, request_signer)
        if signing is None:
            return
        caller = self.caller_at_once(request_signer, signing.settings)
        if self._sign_warm(context, signing, caller) or self._leaves_vended_alone(signing, caller):
            return
        resolution = self._remembered_denial(signing, caller)
        if resolution is None:
            flow = self._flow(signing.settings)
            resolution = self._run(self._sign_cold(context, signing, caller, flow), caller, flow, signing.settings)
        self._finish(context, signing, caller, resolution)

    def needs_retry(
        self,
        response: tuple[Any, dict[str, Any]] | None,
        request_dict: dict[str, Any],
        operation: OperationModel,
        endpoint: object = None,
        attempts: object = None,
        caught_exception: object = None,
        event_name: object = None,
        **_: object,
    ) -> int | None:
        """Handle ``needs-retry.s3``; see :class:`ClientHook`."""
        if ATTEMPT not in request_dict["context"] or response is None or response[0].status_code < 400:
            return None
        attempt = self._recoverable_attempt(request_dict, operation.name)
        if attempt is None:
            return None
        settings = attempt.signing.settings
        flow = self._flow(settings)
        return self._run(self._recover(attempt, response, request_dict, flow), attempt.caller, flow, settings)

    def before_call(
        self, model: OperationModel, params: dict[str, Any], context: dict[str, Any], **_: object
    ) -> tuple[Any, dict[str, Any]] | None:
        """Handle ``before-call.s3`` of a probe; see :class:`ClientHook`."""
        settings = self.runtime.settings
        folder = self.folder_to_answer_for(model.name, context, settings)
        if folder is None:
            return None
        caller = self.caller_at_once(self.request_signer, settings)
        flow = self._flow(settings)
        steps = self._answer_ahead(params["url"], model.name, folder, context, caller, flow)
        return self._run(steps, caller, flow, settings)

    def after_call(
        self, http_response: Any, parsed: dict[str, Any], model: OperationModel, context: dict[str, Any], **_: object
    ) -> None:
        """Handle ``after-call.s3`` of a probe; see :class:`ClientHook`."""
        settings = self.runtime.settings
        folder = self.refused_folder(http_response, parsed, model.name, context, settings)
        if folder is None:
            return
        caller = self.caller_at_once(self.request_signer, settings)
        flow = self._flow(settings)
        steps = self._replace_refusal(http_response, parsed, model.name, folder, context, caller, flow)
        self._run(steps, caller, flow, settings)

    def empty_response(self, url: str, status: int, headers: Mapping[str, str]) -> AWSResponse:
        """Return an HTTP response without a body, for a request that is not sent."""
        return AWSResponse(url, status, HTTPHeaders.from_dict(dict(headers)), _NoBody())

    def explain(self, operation: str, params: dict[str, Any]) -> Decision:
        """Decide on a request that is not made; see :meth:`AccessGrantsProvider.explain`."""
        # On demand, as below: a program that only makes requests does without, and the import takes 3 ms.
        from .queries import ExplainQuery

        query = ExplainQuery(self, self.runtime.settings, operation, params)
        return query.at_once() or self._answer(query)

    def credentials(self, target: Target, permission: Permission, min_lifetime: float) -> VendedCredentials:
        """Return credentials for a target; see :meth:`AccessGrantsProvider.credentials`."""
        from .queries import CredentialsQuery

        query = CredentialsQuery(self, self.runtime.settings, target, permission, min_lifetime)
        credentials: VendedCredentials = self._answer(query)
        return credentials

    def prefetch(self, wanted: Sequence[tuple[Permission, Target]]) -> None:
        """Vend credentials in a thread of its own; see :meth:`AccessGrantsProvider.prefetch`."""
        # What the new thread would hold a lock for is done now: in a process that is forked meanwhile, nobody would
        # ever give it back. That is the import and, where the caller's credentials are refreshed, botocore's lock.
        from .queries import CredentialsQuery

        settings = self.runtime.settings
        try:
            caller = self.caller_at_once(self.request_signer, settings)
        except Exception as error:  # noqa: BLE001  whatever a program's credentials raise, its requests will meet
            for permission, target in wanted:
                _not_prefetched(permission, target, error)
            return

        def vend() -> None:
            for permission, target in wanted:
                if self.runtime.closed or self.runtime.settings is not settings:
                    return
                flow = self._flow(settings)
                try:
                    query = CredentialsQuery(self, settings, target, permission, 0)
                    self._run(query.steps(caller, flow), caller, flow, settings)
                except (AccessGrantsError, BotoCoreError, ClientError) as error:
                    _not_prefetched(permission, target, error)

        # A daemon: a program that ends meanwhile does not wait for it.
        thread = threading.Thread(target=vend, name="access-grants-prefetch", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system gives no more threads, or the interpreter ends: the requests get what they need by themselves.
            logger.debug("S3 Access Grants: nothing is prefetched: no thread could be started")

    def grants(self, target: Target | None) -> Iterator[CallerGrant]:
        """Yield the caller's grants; see :meth:`AccessGrantsProvider.grants`."""
        from ..core.caller_grants import caller_grants
        from .queries import check_askable

        settings = self.runtime.settings
        check_askable(self, settings, target)
        caller, flow = self.caller_at_once(self.request_signer, settings), self._flow(settings)

        def run(steps: Generator[Step, Any, Returned]) -> Returned:
            return self._run(steps, caller, flow, settings)

        return caller_grants(run, caller.state, target, signing_region({}, self.request_signer), flow)

    def _answer(self, query: Any) -> Any:
        caller, flow = self.caller_at_once(self.request_signer, query.settings), self._flow(query.settings)
        return self._run(query.steps(caller, flow), caller, flow, query.settings)

    def _flow(self, settings: Settings) -> FlowContext:
        return self.runtime.flow_context(settings, may_wait=_deciding.depth == 0)

    def caller_at_once(self, signer: Any, settings: Settings) -> Caller:
        """Return whoever the client would sign as right now."""
        credentials = signer._credentials
        frozen = credentials.get_frozen_credentials()
        return self._callers.known(frozen, settings.states) or self._callers.get_or_create(
            credentials, frozen, credentials.get_frozen_credentials(), settings.states
        )

    def _run(
        self, steps: Generator[Step, Any, Returned], caller: Caller, flow: FlowContext, settings: Settings
    ) -> Returned:
        """Drive a generator of the core: perform its steps in this thread, send it the answers."""
        _deciding.depth += 1
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._perform(step, caller, flow, settings)
                except Exception as error:  # noqa: BLE001, PERF203  the generator judges it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            returned: Returned = done.value
            return returned
        finally:
            try:
                # After an interrupt too: it ends the call that others wait for.
                steps.close()
            finally:
                _deciding.depth -= 1
                flow.log.flush()

    def _perform(self, step: Step, caller: Caller, flow: FlowContext, settings: Settings) -> Any:
        if isinstance(step, WaitFor):
            return step.call.wait(step.seconds)
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        if isinstance(step, ON_DISK):
            return settings.disk and settings.disk.perform(step, caller)
        if not isinstance(step, TimedCall):
            raise ConfigurationError(f"{step!r} is no step of a decision")
        api_call = self._api_call(step.call, caller, flow)
        seconds = time_limit(step.seconds, flow.config.timeout_seconds)
        url = self.shape.endpoint_url(api_call.service, flow.config)
        client = self.runtime.clients.get(
            api_call.service, api_call.region, self.shape, url, seconds, flow.may_wait, self.loader
        )
        with self.runtime.observed(step.call, api_call):
            try:
                # In this very thread: it may hold a lock, of a logging handler say, that botocore's own log needs. So
                # the client's time-outs are the bound. They hold for each read: an endpoint may drip bytes for longer.
                response = response_of(client, api_call)
            except ClientError as error:
                return reply_of_error(step.call, error)
            return self._read(step.call, response, caller)
