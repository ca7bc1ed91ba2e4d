"""The aiobotocore edge: the decisions on the requests of one S3 client, performed in the task that makes the request.

The calls to S3 Control, STS and S3 go through the HTTP session of the S3 client that they are made for: it belongs to
the same event loop, has the same proxies, certificates and time-outs, is opened and closed by whoever made the client,
and so is never left open by us. Rests on ``AioBaseClient``, ``AioSession`` and ``create_nested_client`` of aiobotocore
2.24.0, on trio with its ``HttpxSession``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from aiobotocore.utils import create_nested_client
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from ..core.caller_state import Flight
from ..core.io_requests import ON_DISK, Guard, Guarded, Rules, Step, Wait
from ..core.resolver import Verdict
from ..core.results import Decision
from ..core.scopes import Permission, Target
from ..exceptions import ConfigurationError
from ..provider import AccessGrantsProvider
from .answers import VendedCredentials, decision_of
from .api_calls import NOBODY, PARSER_ERRORS, Call, answer_of_error, hook_internal_client
from .caller import Requester
from .client_hook import ClientHook
from .internal_clients import prepare_session

if TYPE_CHECKING:
    from .disk_steps import Processes

__all__ = ["TasksHook"]

Returned = TypeVar("Returned")


class TasksHook(ClientHook):
    """Hooked into a client of aiobotocore."""

    asynchronous = True

    def __init__(self, provider: AccessGrantsProvider, client: BaseClient) -> None:
        super().__init__(provider, client)
        private: Any = client
        self._endpoint: Any = private._endpoint
        self._clients: dict[tuple[str, str, str | None], Any] = {}
        self._making: Any = None

    async def before_sign(
        self, request: AWSRequest, operation_name: str, signature_version: Any, request_signer: Any, **_: object
    ) -> None:
        """Handle ``before-sign.s3``; see :class:`ClientHook`."""
        context = request.context
        wanted = self._wanted(context, operation_name, signature_version, request_signer)
        if wanted is not None:
            requester = await self._requester_of(request_signer)
            if not self._sign_warm(context, wanted, requester, request_signer):
                await self._run(self._sign_cold(context, wanted, requester, request_signer), requester)

    def needs_retry(
        self, response: tuple[Any, dict[str, Any]] | None, request_dict: dict[str, Any], operation: Any, **_: object
    ) -> Coroutine[Any, Any, int | None] | None:
        """Handle ``needs-retry.s3``; see :class:`ClientHook`. aiobotocore awaits what is awaitable."""
        attempt = self._refused(response, request_dict)
        if attempt is None or response is None:
            return None
        return self._run(self._recover(attempt, response, request_dict, operation.name), attempt.requester)

    async def explain(self, operation: str, params: dict[str, Any]) -> Decision:
        """Decide on a request that is not made; see :meth:`AccessGrantsProvider.explain_async`."""
        name, access = self._imagined(operation, params)
        if access.permission is None:
            return decision_of(name, access, None, Verdict("unsupported", reason=access.reason))
        requester = await self._requester_of(self._signer)
        return await self._run(self._explain(name, access, requester), requester)

    async def credentials(self, target: Target, permission: Permission) -> VendedCredentials:
        """Return credentials for a target; see :meth:`AccessGrantsProvider.credentials_async`."""
        self._check_askable(target)
        requester = await self._requester_of(self._signer)
        return await self._run(self._credentials(target, permission, requester), requester)

    def _signs(self, vended_signer: Any) -> AioCredentials:
        return AioCredentials(vended_signer.access_key, vended_signer.secret_key, vended_signer.token)

    def _rules(self) -> Rules:
        running = _running()
        return self.provider.rules._replace(who=running.task, lane=running.loop)

    async def _requester_of(self, signer: Any) -> Requester:
        """Return whoever the client would sign as right now."""
        credentials = signer._credentials
        frozen = await credentials.get_frozen_credentials()
        return self._requesters.known(frozen) or self._requesters.meet(
            credentials, frozen, await credentials.get_frozen_credentials()
        )

    async def _run(self, steps: Generator[Step, Any, Returned], requester: Requester) -> Returned:
        """Drive a generator of the core: perform what it asks for in this task, send it the answers."""
        try:
            if not self.provider.clients.has_read_model:
                await _running().in_thread(self.provider.clients.read_model)
            step = next(steps)
            while True:
                try:
                    answer = await self._perform(step, requester)
                except Exception as error:  # noqa: BLE001, PERF203  the generator judges it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            returned: Returned = done.value
            return returned
        finally:
            # After a cancellation too: it ends the flight that others wait for, and one of them takes over.
            steps.close()

    async def _perform(self, step: Step, requester: Requester) -> Any:
        if isinstance(step, Wait):
            # To be cancelled here does nothing to the flight.
            await _landing(step.flight)
            return None
        if isinstance(step, ON_DISK):
            return await self._perform_on_disk(step, requester)
        call = self._call(step, requester)
        client = await self._client(call)
        with self.provider.observed(step, call):
            try:
                response = await getattr(client, call.method)(**call.parameters)
            except ClientError as error:
                return answer_of_error(step, error)
            except BotoCoreError:
                raise
            except PARSER_ERRORS:
                response = None
            return self._answer(step, response)

    async def _perform_on_disk(self, step: Step, requester: Requester) -> Any:
        processes = self._processes()
        if isinstance(step, Guard):
            return await self._guard(processes, step, requester)
        return await _running().in_thread(lambda: processes.perform(step, requester))

    async def _guard(self, processes: Processes, step: Guard, requester: Requester) -> Guarded:
        """Wait for a lock in this task. In threads, of which asyncio has few, all might wait for what needs one."""
        running, waited, started = _running(), False, time.monotonic()
        while True:
            guarded = await self._try_lock(processes, step._replace(patient=False), requester)
            waited = waited or guarded.waited
            if guarded.lock is not None or not (guarded.waited and step.patient):
                return guarded._replace(waited=waited)
            if time.monotonic() - started >= processes.lock_seconds:
                processes.waited_in_vain(processes.lock_seconds)
                return guarded
            await running.pause(processes.poll_seconds)

    async def _try_lock(self, processes: Processes, step: Guard, requester: Requester) -> Guarded:
        answers: list[Guarded] = []
        abandoned = False

        def let_go() -> None:
            # By pop(), of the two threads that may come here one gets the answer.
            with contextlib.suppress(IndexError):
                lock = answers.pop().lock
                if lock is not None:
                    lock.release()

        def attempt() -> Guarded:
            answer: Guarded = processes.perform(step, requester)
            answers.append(answer)
            if abandoned:
                let_go()
            return answer

        try:
            guarded: Guarded = await _running().in_thread(attempt)
        except BaseException:
            # Cancelled: the thread goes on by itself, or is done already, and nobody takes the lock that it got.
            abandoned = True
            let_go()
            raise
        return guarded

    async def _client(self, call: Call) -> Any:
        """Return the client for a call, made on the first need."""
        if getattr(self._endpoint.http_session, "_sessions", ()) is None:
            raise ConfigurationError(
                "the S3 client is closed, or its 'async with' block was not entered yet: "
                "make requests, explain_async() and credentials_async() within it"
            )
        key = (call.service, call.region, self._shape.endpoint_url(call.service, self.provider.config))
        client = self._clients.get(key)
        if client is None:
            running = _running()
            self._making = self._making or running.lock()
            async with self._making:
                client = self._clients.get(key)
                if client is None:
                    # In a thread: a session and a client take 30 ms of reading and compiling models.
                    client = await running.in_thread(lambda: asyncio.run(self._make_client(*key)))
                    client._endpoint.http_session = self._endpoint.http_session
                    hook_internal_client(client)
                    self._clients[key] = client
        return client

    async def _make_client(self, service: str, region: str, endpoint_url: str | None) -> Any:
        config = self._shape.config(AioConfig, http_session_cls=type(self._endpoint.http_session))
        place = {"region_name": region, "endpoint_url": endpoint_url, "verify": self._shape.verify}
        # It leaves its block without a request made through an HTTP session of its own.
        async with create_nested_client(self._new_session(), service, config=config, **place, **NOBODY) as client:
            return client

    def _new_session(self) -> AioSession:
        """Return one for one client alone: the thread of a cancelled task may still be making another, in its own."""
        return prepare_session(AioSession(profile=self.provider.profile), self.loader)


class _OnAsyncio:
    """What runs, and how it waits, on asyncio (also under anyio)."""

    def __init__(self) -> None:
        self.loop: Any = asyncio.get_running_loop()

    def task(self) -> object:
        return asyncio.current_task()

    def lock(self) -> Any:
        return asyncio.Lock()

    def event(self) -> Any:
        return asyncio.Event()

    def soon(self, work: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(work)

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(work)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _OnTrio:
    """The same on trio, where aiobotocore runs with ``HttpxSession``."""

    def __init__(self) -> None:
        import trio

        self._trio = trio
        self.loop: Any = trio.lowlevel.current_trio_token()

    def task(self) -> object:
        return self._trio.lowlevel.current_task()

    def lock(self) -> Any:
        return self._trio.Lock()

    def event(self) -> Any:
        return self._trio.Event()

    def soon(self, work: Callable[[], object]) -> None:
        self.loop.run_sync_soon(work)

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        return await self._trio.to_thread.run_sync(work)

    async def pause(self, seconds: float) -> None:
        await self._trio.sleep(seconds)


def _running() -> _OnAsyncio | _OnTrio:
    try:
        return _OnAsyncio()
    except RuntimeError:
        return _OnTrio()


async def _landing(flight: Flight) -> None:
    """Wait in this task until a flight is over."""
    running = _running()
    landed = running.event()

    def tell(_: object) -> None:
        # Its leader ends it in this thread, but for one that is collected as garbage in another, or after its loop was
        # closed, which both loops say with a RuntimeError.
        with contextlib.suppress(RuntimeError):
            running.soon(landed.set)

    flight.done.add_done_callback(tell)
    await landed.wait()
