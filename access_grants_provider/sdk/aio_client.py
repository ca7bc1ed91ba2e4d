"""The driver for aiobotocore: the decisions on the requests of one S3 client, performed in the task that makes them.

The calls to S3 Control, STS and S3 go through the HTTP session of the S3 client that they are made for: it belongs to
the same event loop, has the same proxies and certificates, is opened and closed by whoever made the client, and so is
never left open by us. Rests on ``AioBaseClient``, ``AioSession`` and ``create_nested_client`` of aiobotocore 2.24.0, on
trio with its ``HttpxSession``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Mapping
from typing import Any, TypeVar

from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from aiobotocore.utils import create_nested_client
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel

from ..core.credential_cache import StoredCredentials
from ..core.decision import Decision
from ..core.flow_context import FlowContext
from ..core.io_requests import ON_DISK, Pause, Step, TimedCall, WaitFor
from ..core.scopes import Permission, Target
from ..core.single_flight import SingleFlight
from ..core.vended_credentials import VendedCredentials
from ..exceptions import ConfigurationError
from .api_calls import NOBODY, PARSER_ERRORS, ApiCall, hook_internal_client, reply_of_error, web_page_in
from .async_backend import Backend, running_backend
from .caller import Caller
from .client_hook import ATTEMPT, ClientHook
from .internal_clients import WAIT_SECONDS, prepare_session
from .queries import CredentialsQuery, ExplainQuery
from .runtime import Runtime, Settings
from .unpicklable_credentials import UnpicklableCredentials, refuse_pickling

__all__ = ["AioClientHook"]

Returned = TypeVar("Returned")


class _NoBody:
    """The body of a response that nobody sent."""

    async def read(self, *_: object) -> bytes:
        """Return nothing."""
        return b""


class AioClientHook(ClientHook):
    """Hooked into a client of aiobotocore."""

    asynchronous = True
    unchanging_credentials = AioCredentials

    def __init__(self, runtime: Runtime, client: BaseClient) -> None:
        super().__init__(runtime, client)
        private: Any = client
        self._endpoint: Any = private._endpoint
        self._clients: dict[tuple[str, str, str | None], Any] = {}
        self._making = SingleFlight()

    # Each names all parameters of its event that there are: what is not named takes a dict to collect. aiobotocore
    # awaits what is awaitable, so a request that takes the straight path needs no coroutine.

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
    ) -> Coroutine[Any, Any, None] | None:
        """Handle ``before-sign.s3``; see :class:`ClientHook`."""
        signed = self._sign_straight(request, operation_name, signature_version, request_signer)
        if signed:
            return None
        return self._before_sign(request, operation_name, signature_version, request_signer, signed)

    async def _before_sign(
        self,
        request: AWSRequest,
        operation_name: str,
        signature_version: Any,
        request_signer: Any,
        signed: bool | None,
    ) -> None:
        context = request.context
        if signed is None:
            caller = await self._caller_of(request_signer, self.runtime.settings)
            if self._sign_straight(request, operation_name, signature_version, request_signer, caller):
                return
        signing = self._signing_request(request, operation_name, signature_version, request_signer)
        if signing is None:
            return
        caller = await self._caller_of(request_signer, signing.settings)
        if self._sign_warm(context, signing, caller) or self._leaves_vended_alone(signing, caller):
            return
        resolution = self._remembered_denial(signing, caller)
        if resolution is None:
            backend = running_backend()
            flow = self._flow(signing.settings, backend)
            steps = self._sign_cold(context, signing, caller, flow)
            resolution = await self._run(steps, caller, flow, signing.settings, backend)
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
    ) -> Coroutine[Any, Any, int | None] | None:
        """Handle ``needs-retry.s3``; see :class:`ClientHook`."""
        if ATTEMPT not in request_dict["context"] or response is None or response[0].status_code < 400:
            return None
        attempt = self._recoverable_attempt(request_dict, operation.name)
        if attempt is None:
            return None

        async def recover(attempt: Any, response: Any) -> int | None:
            settings, backend = attempt.signing.settings, running_backend()
            flow = self._flow(settings, backend)
            steps = self._recover(attempt, response, request_dict, flow)
            return await self._run(steps, attempt.caller, flow, settings, backend)

        return recover(attempt, response)

    async def before_call(
        self, model: OperationModel, params: dict[str, Any], context: dict[str, Any], **_: object
    ) -> tuple[Any, dict[str, Any]] | None:
        """Handle ``before-call.s3`` of a probe; see :class:`ClientHook`."""
        settings = self.runtime.settings
        folder = self.folder_to_answer_for(model.name, context, settings)
        if folder is None:
            return None
        caller, backend = await self._caller_of(self.request_signer, settings), running_backend()
        flow = self._flow(settings, backend)
        steps = self._answer_ahead(params["url"], model.name, folder, context, caller, flow)
        return await self._run(steps, caller, flow, settings, backend)

    async def after_call(
        self, http_response: Any, parsed: dict[str, Any], model: OperationModel, context: dict[str, Any], **_: object
    ) -> None:
        """Handle ``after-call.s3`` of a probe; see :class:`ClientHook`."""
        settings = self.runtime.settings
        folder = self.refused_folder(http_response, parsed, model.name, context, settings)
        if folder is None:
            return
        caller, backend = await self._caller_of(self.request_signer, settings), running_backend()
        flow = self._flow(settings, backend)
        steps = self._replace_refusal(http_response, parsed, model.name, folder, context, caller, flow)
        await self._run(steps, caller, flow, settings, backend)

    def empty_response(self, url: str, status: int, headers: Mapping[str, str]) -> AWSResponse:
        """Return an HTTP response without a body, for a request that is not sent."""
        response: AWSResponse = AioAWSResponse(url, status, HTTPHeaders.from_dict(dict(headers)), _NoBody())
        return response

    async def explain(self, operation: str, params: dict[str, Any]) -> Decision:
        """Decide on a request that is not made; see :meth:`AccessGrantsProvider.explain_async`."""
        query = ExplainQuery(self, self.runtime.settings, operation, params)
        decision: Decision = query.at_once() or await self._answer(query)
        return decision

    async def credentials(self, target: Target, permission: Permission, min_lifetime: float) -> VendedCredentials:
        """Return credentials for a target; see :meth:`AccessGrantsProvider.credentials_async`."""
        query = CredentialsQuery(self, self.runtime.settings, target, permission, min_lifetime)
        answer: VendedCredentials = await self._answer(query)
        return answer

    def request_credentials(self, stored: StoredCredentials) -> AioCredentials:
        """Return what the client's signer takes for these credentials."""
        credentials: AioCredentials = stored.credentials.awaitable or _awaitable(stored.credentials)
        return credentials

    def caller_credentials(self, caller: Caller) -> AioCredentials:
        """Return what an internal client's signer takes for the caller."""
        return _awaitable(caller.credentials)

    async def _answer(self, query: Any) -> Any:
        backend = running_backend()
        caller = await self._caller_of(self.request_signer, query.settings)
        flow = self._flow(query.settings, backend)
        return await self._run(query.steps(caller, flow), caller, flow, query.settings, backend)

    def _flow(self, settings: Settings, backend: Backend) -> FlowContext:
        return self.runtime.flow_context(settings, event_loop=backend.loop)

    def caller_at_once(self, signer: Any, settings: Settings) -> None:
        """Return None: the credentials are awaited."""

    async def _caller_of(self, signer: Any, settings: Settings) -> Caller:
        """Return whoever the client would sign as right now."""
        credentials = signer._credentials
        frozen = await credentials.get_frozen_credentials()
        return self._callers.known(frozen, settings.states) or self._callers.get_or_create(
            credentials, frozen, await credentials.get_frozen_credentials(), settings.states
        )

    async def _run(
        self,
        steps: Generator[Step, Any, Returned],
        caller: Caller,
        flow: FlowContext,
        settings: Settings,
        backend: Backend,
    ) -> Returned:
        """Drive a generator of the core: perform its steps in this task, send it the answers."""
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._perform(step, caller, flow, settings, backend)
                except Exception as error:  # noqa: BLE001, PERF203  the generator judges it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            returned: Returned = done.value
            return returned
        finally:
            try:
                # After a cancellation too: it ends the call that others wait for, and one of them takes over.
                steps.close()
            finally:
                flow.log.flush()

    async def _perform(
        self, step: Step, caller: Caller, flow: FlowContext, settings: Settings, backend: Backend
    ) -> Any:
        if isinstance(step, WaitFor):
            # To be cancelled here does nothing to the call.
            await backend.wait(step.call.on_end, step.seconds)
            return step.call.ended
        if isinstance(step, Pause):
            return await backend.pause(step.seconds)
        if isinstance(step, ON_DISK):
            disk = settings.disk
            return disk and await backend.in_thread(lambda: disk.perform(step, caller))
        if not isinstance(step, TimedCall):
            raise ConfigurationError(f"{step!r} is no step of a decision")
        api_call = self._api_call(step.call, caller, flow)
        client = await self._client(api_call, flow, backend)
        with self.runtime.observed(step.call, api_call):
            try:
                response = await backend.within(step.seconds, _response_of(client, api_call))
            except ClientError as error:
                return reply_of_error(step.call, error)
            return self._read(step.call, response, caller)

    async def _client(self, call: ApiCall, flow: FlowContext, backend: Backend) -> Any:
        """Return the client for a call, made on the first need."""
        if getattr(self._endpoint.http_session, "_sessions", ()) is None:
            raise ConfigurationError(
                "The S3 client is closed, or its 'async with' block was not entered yet",
                hint="Make requests, explain_async() and credentials_async() within it",
            )
        key = (call.service, call.region, self.shape.endpoint_url(call.service, flow.config))
        client: Any = self._clients.get(key)
        if client is not None:
            return client
        with self._making.own_call() as mine:
            other = self._making.join_or_start((backend.loop, *key), mine)
            if other is not mine:
                await backend.wait(other.on_end, WAIT_SECONDS)
            client = self._clients.get(key)
            if client is None:
                # In a thread: a session and a client take 30 ms of reading and compiling models.
                client = await backend.in_thread(lambda: asyncio.run(self._make_client(*key)))
                client._endpoint.http_session = self._endpoint.http_session
                hook_internal_client(client)
                self._clients[key] = client
        return client

    async def _make_client(self, service: str, region: str, endpoint_url: str | None) -> Any:
        config = self.shape.config(AioConfig, http_session_cls=type(self._endpoint.http_session))
        place = {"region_name": region, "endpoint_url": endpoint_url, "verify": self.shape.verify}
        # Of its own: the thread of a cancelled task may still be making another client.
        session = prepare_session(AioSession(profile=self.runtime.profile), self.loader)
        # It leaves its block without a request made through an HTTP session of its own.
        async with create_nested_client(session, service, config=config, **place, **NOBODY) as client:
            return client


class _AioCredentials(AioCredentials):  # type: ignore[misc]
    """Credentials that aiobotocore awaits and nobody can pickle."""

    __reduce_ex__ = refuse_pickling

    def __init__(self, credentials: UnpicklableCredentials) -> None:
        super().__init__(credentials.access_key, credentials.secret_key, credentials.token)
        self._frozen = credentials.get_frozen_credentials()

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self._frozen


def _awaitable(credentials: UnpicklableCredentials) -> AioCredentials:
    credentials.awaitable = made = _AioCredentials(credentials)
    return made


async def _response_of(client: Any, call: ApiCall) -> Mapping[str, Any] | str:
    """Make a call in this task; as :func:`.api_calls.response_of`."""
    try:
        response: Mapping[str, Any] = await getattr(client, call.method)(**call.parameters)
    except (BotoCoreError, ClientError):
        raise
    except PARSER_ERRORS as error:
        return web_page_in(error, client)
    return response
