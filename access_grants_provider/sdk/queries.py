"""What is asked without a request: explain, credentials, grants. Written once for both drivers."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timezone
from typing import Any

from botocore.handlers import handle_copy_source_param

from ..core.credential_cache import StoredCredentials
from ..core.decision import Decision
from ..core.flow_context import FlowContext
from ..core.io_requests import GrantRequest, Step
from ..core.operations import RequiredAccess, unsupported_bucket
from ..core.probes import implied, implying_grant
from ..core.resolver import Resolution, Resolver, decision_of, facts_of
from ..core.scopes import Permission, Target
from ..core.service_errors import Denial, denied
from ..core.vended_credentials import VendedCredentials
from ..exceptions import ConfigurationError, ServiceFailure
from .caller import Caller, handed_out
from .client_hook import VENDED_SESSION, ClientHook, signing_region
from .runtime import Settings

__all__ = ["CredentialsQuery", "ExplainQuery", "check_askable"]


class ExplainQuery:
    """How a request would be signed that is not made. Raises :class:`ConfigurationError` where it can't be one."""

    def __init__(self, hook: ClientHook, settings: Settings, operation: str, params: dict[str, Any]) -> None:
        self._hook = hook
        self.settings = settings
        self._operation = _operation_name(hook, operation)
        # As botocore does before they reach a request's context.
        params = dict(params)
        handle_copy_source_param(params)
        context = {"s3_redirect": {"params": params}}
        self._access = _access_for_query(hook, settings, self._operation, operation, context)
        self._folder = hook.probed_folder(self._operation, context, settings)

    def at_once(self) -> Decision | None:
        """Return the decision where S3 Access Grants has no say in it."""
        if self._access.permission is not None or self._folder is not None:
            return None
        return decision_of(self._operation, self._access, None, Resolution("unsupported", reason=self._access.reason))

    def steps(self, caller: Caller, flow: FlowContext) -> Generator[Step, Any, Decision]:
        """Decide, as for the request itself after everything that S3's answer may bring about."""
        if caller.is_vended:
            access = RequiredAccess(None, None, VENDED_SESSION)
            return decision_of(self._operation, access, None, Resolution("unsupported", reason=VENDED_SESSION))
        region = signing_region({}, self._hook.request_signer)
        if self._access.permission is None:
            resolution = Resolution("unsupported", reason=self._access.reason)
        else:
            resolution = yield from self._hook.resolve(self._operation, self._access, region, caller, flow, exact=True)
        if self._folder is not None and resolution.outcome != "granted":
            try:
                grant = yield from implying_grant(caller.state, self._folder, self._operation, region, flow)
            except ServiceFailure:
                # As for the request: S3's own answer stands.
                grant = None
            resolution = resolution if grant is None else implied(grant, self._folder)
        return decision_of(self._operation, self._access, region, resolution)


class CredentialsQuery:
    """Credentials for a target, for ``min_lifetime`` seconds at least where that can be had."""

    def __init__(
        self, hook: ClientHook, settings: Settings, target: Target, permission: Permission, min_lifetime: float
    ) -> None:
        check_askable(hook, settings, target)
        self._hook = hook
        self.settings = settings
        self._wanted = (permission, target, min_lifetime)

    def steps(self, caller: Caller, flow: FlowContext) -> Generator[Step, Any, VendedCredentials]:
        """Get them. Raises :class:`AccessDenied` where no grant covers the target, whatever ``fallback`` says."""
        permission, target, min_lifetime = self._wanted
        if caller.is_vended:
            raise ConfigurationError(f"There are no credentials for {str(target)!r}: {VENDED_SESSION}")
        region = signing_region({}, self._hook.request_signer)
        request = GrantRequest("GetDataAccess", permission, target, region, min_lifetime)
        found, _ = yield from Resolver(caller.state, request, flow, exact=True).find()
        if isinstance(found, Denial):
            raise denied(found, request.operation, **facts_of(caller.state, permission, target))
        return _frozen(found)


def check_askable(hook: ClientHook, settings: Settings, target: Target | None) -> None:
    """Raise where the client can't ask for this target's credentials, or for anything at all."""
    if hook.request_signer._credentials is None:
        raise ConfigurationError(
            "The client has no credentials of its own to call S3 Access Grants with",
            hint="Sign in, or set a profile or keys",
        )
    reason = foreign = hook.foreign_endpoint(settings)
    if target is not None and unsupported_bucket(target.bucket):
        reason = reason or "it is not a general purpose bucket"
    if reason is not None:
        about = "" if target is None else f" for bucket {target.bucket!r}"
        elsewhere = "Set endpoint_url (S3_ACCESS_GRANTS_ENDPOINT_URL) if S3 Access Grants answers elsewhere"
        hint = elsewhere if reason == foreign else None
        raise ConfigurationError(f"There are no credentials{about}: {reason}", hint=hint)


def _frozen(stored: StoredCredentials) -> VendedCredentials:
    keys = stored.credentials
    handed_out.add(keys.access_key)
    return VendedCredentials(
        keys.access_key,
        keys.secret_key,
        keys.token,
        datetime.fromtimestamp(stored.expires_at, timezone.utc),
        str(stored.scope),
        stored.permission,
        stored.region,
    )


def _operation_name(hook: ClientHook, operation: str) -> str:
    name = hook.operations.get(operation, operation)
    if name not in hook.operations.values():
        raise ConfigurationError(f"operation={operation!r} is unknown; S3 has 'get_object', or 'GetObject'")
    return name


def _access_for_query(
    hook: ClientHook, settings: Settings, name: str, operation: str, context: dict[str, Any]
) -> RequiredAccess:
    """Return what a request needs that is not made."""
    params = context["s3_redirect"]["params"]
    for parameter in ("Bucket", "Key", "Prefix"):
        if not isinstance(params.get(parameter, ""), str):
            raise ConfigurationError(f"{parameter}={params[parameter]!r} is not allowed; it must be a text")
    signer = hook.request_signer
    try:
        return hook.required_access(context, name, signer.signature_version, signer, settings)
    except KeyError as error:
        raise ConfigurationError(
            f"operation={operation!r} needs the parameter {error.args[0]!r}",
            hint=_same_but_for_case(error.args[0], params),
        ) from None


def _same_but_for_case(missing: str, params: Mapping[str, Any]) -> str | None:
    near = [name for name in params if name.lower().replace("_", "") == missing.lower()]
    return f"Write {missing}= in place of {near[0]}=" if near else None
