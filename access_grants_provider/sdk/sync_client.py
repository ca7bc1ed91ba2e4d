"""The botocore edge: the decisions on the requests of one S3 client, performed in the thread that makes the request."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, TypeVar

from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from ..core.caller_grants import caller_grants
from ..core.io_requests import ON_DISK, CallerGrant, Step, Wait
from ..core.resolver import Verdict
from ..core.results import Decision
from ..core.scopes import Permission, Target
from ..provider import AccessGrantsProvider
from .answers import VendedCredentials, decision_of
from .api_calls import answer_of_error, response_of
from .attempts import signing_region
from .caller import Requester
from .client_hook import ClientHook
from .crt_transfers import ClassicTransfers
from .legacy_signer import honour_request_credentials

__all__ = ["ThreadsHook"]

Returned = TypeVar("Returned")


class ThreadsHook(ClientHook):
    """Hooked into a client of botocore."""

    def __init__(self, provider: AccessGrantsProvider, client: BaseClient) -> None:
        super().__init__(provider, client)
        honour_request_credentials(client)
        self._transfers = ClassicTransfers(client, provider.notices.once)

    def attach(self) -> None:
        """Start to see the client's requests, those of its transfers too."""
        super().attach()
        self._transfers.attach()

    def detach(self) -> None:
        """Stop to."""
        super().detach()
        self._transfers.detach()

    def before_sign(
        self, request: AWSRequest, operation_name: str, signature_version: Any, request_signer: Any, **_: object
    ) -> None:
        """Handle ``before-sign.s3``; see :class:`ClientHook`."""
        context = request.context
        wanted = self._wanted(context, operation_name, signature_version, request_signer)
        if wanted is not None:
            requester = self._requester_of(request_signer)
            if not self._sign_warm(context, wanted, requester, request_signer):
                self._run(self._sign_cold(context, wanted, requester, request_signer), requester)

    def needs_retry(
        self, response: tuple[Any, dict[str, Any]] | None, request_dict: dict[str, Any], operation: Any, **_: object
    ) -> int | None:
        """Handle ``needs-retry.s3``; see :class:`ClientHook`."""
        attempt = self._refused(response, request_dict)
        if attempt is None or response is None:
            return None
        return self._run(self._recover(attempt, response, request_dict, operation.name), attempt.requester)

    def explain(self, operation: str, params: dict[str, Any]) -> Decision:
        """Decide on a request that is not made; see :meth:`AccessGrantsProvider.explain`."""
        name, access = self._imagined(operation, params)
        if access.permission is None:
            return decision_of(name, access, None, Verdict("unsupported", reason=access.reason))
        requester = self._requester_of(self._signer)
        return self._run(self._explain(name, access, requester), requester)

    def credentials(self, target: Target, permission: Permission) -> VendedCredentials:
        """Return credentials for a target; see :meth:`AccessGrantsProvider.credentials`."""
        self._check_askable(target)
        requester = self._requester_of(self._signer)
        return self._run(self._credentials(target, permission, requester), requester)

    def grants(self, target: Target | None) -> Iterator[CallerGrant]:
        """Yield the caller's grants; see :meth:`AccessGrantsProvider.grants`."""
        self._check_askable(target)
        requester = self._requester_of(self._signer)

        def run(steps: Generator[Step, Any, Returned]) -> Returned:
            return self._run(steps, requester)

        return caller_grants(run, requester.memory, target, signing_region({}, self._signer), self._rules())

    def _requester_of(self, signer: Any) -> Requester:
        """Return whoever the client would sign as right now."""
        credentials = signer._credentials
        frozen = credentials.get_frozen_credentials()
        return self._requesters.known(frozen) or self._requesters.meet(
            credentials, frozen, credentials.get_frozen_credentials()
        )

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
        if isinstance(step, ON_DISK):
            return self._processes().perform(step, requester)
        call = self._call(step, requester)
        client = self.provider.clients.get(call.service, call.region, self._shape, self.provider.config)
        with self.provider.observed(step, call):
            try:
                response = response_of(client, call)
            except ClientError as error:
                return answer_of_error(step, error)
            return self._answer(step, response)
