"""The pytest plugin of ``other_suites.py``: S3 Access Grants beside whatever S3 a test suite brings, and a record.

The suites fake S3 themselves and sign with keys of their own invention. Nothing of that is touched: this answers the
package's own calls to S3 Access Grants and STS, for any key, and notes each request that botocore sends. So S3's
answers are the suite's own in all runs, and what differs can only come from the signatures and the calls.

The calls are answered before they are sent, on botocore's ``before-send``, so that no stub of a suite sees them. With
``OTHER_SUITES_SERVER=1`` an HTTP server answers them, named in ``S3_ACCESS_GRANTS_ENDPOINT_URL``, for suites whose S3
is a server and for asynchronous clients, whose answers can't be made up on that event. With ``OTHER_SUITES_STUBBED=1``
the HeadBucket that looks up a bucket's region is answered here too, for there is no S3 that would.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from _pytest.runner import runtestprotocol
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.credentials import Credentials
from botocore.handlers import BUILTIN_HANDLERS
from moto.iam.models import get_account_id_from

import access_grants_provider
from access_grants_provider import AccessGrantsProvider
from access_grants_provider.testing import s3control_xml, sts
from access_grants_provider.testing.dispatch import claim_of, service_of
from access_grants_provider.testing.errors import Refusal, error_response
from access_grants_provider.testing.http_messages import Request, Response, bucket_and_key, text_of
from access_grants_provider.testing.http_server import HttpServer
from access_grants_provider.testing.records import PROVIDER_USER_AGENT
from access_grants_provider.testing.scopes import parse_scope

PERMISSION = "READWRITE"
LIFETIME = 3600


class Record:
    """What the tests did: their results, the control calls during each, and who signed the S3 requests.

    ``loaded`` counts the S3 clients that the package is in; ``load_errors`` says why it is not in others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.test = ""
        self.results: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.calls: dict[str, list[str]] = {}
        self.signed: Counter[str] = Counter()
        self.loaded = 0
        self.load_errors: list[str] = []

    def call(self, what: str) -> None:
        """Note a control call."""
        with self._lock:
            self.calls.setdefault(self.test, []).append(what)

    def request(self, signed_with: str) -> None:
        """Note an S3 request."""
        with self._lock:
            self.signed[signed_with] += 1

    def write(self, path: Path) -> None:
        """Write it all down as JSON."""
        with self._lock:
            names = ("results", "reasons", "calls", "signed", "loaded", "load_errors")
            path.write_text(json.dumps({name: getattr(self, name) for name in names}), encoding="utf-8")


class Grants:
    """Decides for every caller alike: one grant, READWRITE on everything, or none at all."""

    def __init__(self, granted: bool, record: Record, clock: Callable[[], float] = time.time) -> None:
        self.granted = granted
        self.record = record
        # Taken as a default, it stays the real clock in tests that freeze time: AWS would not stand still for them.
        self._clock = clock
        self.keys: set[str] = set()

    def answer(self, request: Request) -> Response | None:
        """Answer a call to S3 Access Grants or STS; None if it is none."""
        operation = s3control_xml.find_operation(request)
        claim = claim_of(request)
        caller = claim.access_key_id if claim is not None else ""
        account_id = get_account_id_from(caller)
        if operation is None:
            if service_of(request) != "sts":
                return None
            self.record.call(f"GetCallerIdentity by {caller}")
            arn = f"arn:aws:iam::{account_id}:user/somebody"
            return sts.answer({"Arn": arn, "UserId": "somebody", "Account": account_id})
        parameters = s3control_xml.parse_parameters(operation, request)
        asked = parameters.get("Target") or parameters.get("S3Prefix") or parameters.get("GrantScope") or ""
        self.record.call(" ".join(filter(None, (operation.name, parameters.get("Permission"), asked, "by", caller))))
        region = claim.region if claim is not None else "us-east-1"
        instance = f"arn:aws:s3:{region}:{account_id}:access-grants/default"
        try:
            return s3control_xml.success(operation, self._result(operation.name, parameters, instance))
        except Refusal as refusal:
            return error_response(refusal, "s3control", request.method)

    def _result(self, operation: str, parameters: dict[str, Any], instance: str) -> dict[str, Any]:
        if operation == "GetAccessGrantsInstanceForPrefix":
            return {"AccessGrantsInstanceArn": instance, "AccessGrantsInstanceId": "default"}
        if operation == "ListCallerAccessGrants":
            bucket = parse_scope(parameters["GrantScope"]).bucket
            grant = {"Permission": PERMISSION, "GrantScope": f"s3://{bucket}/*", "ApplicationArn": "NA"}
            return {"CallerAccessGrantsList": [grant] if self.granted else []}
        if operation != "GetDataAccess":
            raise Refusal("NotImplemented", f"{operation} was not expected of the package", status=501)
        target, permission = parameters["Target"], parameters["Permission"]
        if not self.granted:
            # XML has no control characters, and keys have.
            shown = "".join(letter if letter.isprintable() else "?" for letter in target)
            wording = f"You do not have {permission} permissions to the requested S3 Prefix: {shown}"
            raise Refusal("AccessDenied", wording)
        key, secret, token = session_keys()
        self.keys.add(key)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": secret,
                "SessionToken": token,
                "Expiration": datetime.fromtimestamp(int(self._clock()) + LIFETIME, timezone.utc),
            },
            "MatchedGrantTarget": f"s3://{parse_scope(target).bucket}/*",
            "MatchedInstanceArn": instance,
        }


def session_keys() -> tuple[str, str, str]:
    """Return a key id, a secret and a token of the lengths that AWS's have."""
    return "ASIAGRANT" + secrets.token_hex(8).upper()[:11], secrets.token_hex(20), secrets.token_hex(160)


class Watch:
    """Sees every request that botocore and aiobotocore are about to send in this process.

    ``answers_calls``: the package's control calls are answered here. ``answers_heads``: its HeadBucket too.
    """

    def __init__(self, grants: Grants, answers_calls: bool, answers_heads: bool) -> None:
        self._grants = grants
        self._answers_calls = answers_calls
        self._answers_heads = answers_heads

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        """Handle ``before-send``: answer a call of the package, note a request to S3."""
        response = self._response(_as_sent(request))
        if response is None:
            return None
        headers: Any = response.headers
        return AWSResponse(request.url, response.status, headers, RawBody(response.body))

    def _response(self, request: Request) -> Response | None:
        is_ours = PROVIDER_USER_AGENT in request.header("user-agent")
        is_head = is_ours and request.method == "HEAD" and service_of(request) == "s3"
        if is_head:
            return self._head(request)
        if is_ours:
            return self._grants.answer(request) if self._answers_calls else None
        if service_of(request) == "s3" and s3control_xml.find_operation(request) is None:
            claim = claim_of(request)
            by_grant = claim is not None and claim.access_key_id in self._grants.keys
            self._grants.record.request("a grant" if by_grant else "nobody" if claim is None else "the caller")
        return None

    def _head(self, request: Request) -> Response | None:
        claim = claim_of(request)
        caller = claim.access_key_id if claim is not None else "nobody"
        self._grants.record.call(f"HeadBucket {bucket_and_key(request)[0]} by {caller}")
        if not self._answers_heads:
            return None
        return Response(200, {"x-amz-bucket-region": claim.region if claim is not None else "us-east-1"})


class RawBody(BytesIO):
    """A response's body, as botocore reads it off urllib3."""

    def stream(self, **_: object) -> Generator[bytes, None, None]:
        """Yield what is left."""
        if rest := self.read():
            yield rest


def _as_sent(request: AWSPreparedRequest) -> Request:
    parts = urlsplit(request.url)
    headers = {name.lower(): text_of(value) for name, value in request.headers.items()}
    body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
    host = headers.get("host", parts.netloc)
    return Request(request.method, parts.scheme, host, parts.path or "/", parts.query, headers, body)


class ErrorLog(logging.Handler):
    """Collects what is logged at ERROR."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self._messages.append(record.getMessage())


class Loader:
    """Loads the package into S3 clients and notes each failure: botocore hides what a plugin raises.

    Without that, a package that can't be loaded would change no result. ``initialize``: the package's function, or
    :func:`resign`.
    """

    def __init__(self, initialize: Callable[[Any], None], record: Record) -> None:
        self._initialize = initialize
        self._record = record

    def initialize_client_plugin(self, client: Any) -> None:
        """Load it into one client, as botocore asks for."""
        if not (isinstance(client, BaseClient) and client.meta.service_model.service_name == "s3"):
            return
        errors = self._record.load_errors
        log, handler = logging.getLogger("access_grants_provider"), ErrorLog(errors)
        log.addHandler(handler)
        try:
            self._initialize(client)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            log.removeHandler(handler)
        self._record.loaded += 1

    def load_into_every_client(self, elsewhere: str | None = None) -> None:
        """Have botocore load it, also in tests that put an environment of their own in place of ``os.environ``.

        ``elsewhere``: the module that botocore loads in processes which the tests start.
        """
        module: Any = ModuleType("other_suites_loader")
        module.initialize_client_plugin = self.initialize_client_plugin
        sys.modules[module.__name__] = module
        inherited = f"other-suites={elsewhere}"
        if elsewhere is not None:
            os.environ["BOTOCORE_EXPERIMENTAL__PLUGINS"] = inherited
        sessions: Any = botocore.session
        original = sessions.get_botocore_plugins

        def plugins() -> str:
            named: str | None = original()
            # A test that sets the variable itself is about something else.
            return named if named and named != inherited else f"other-suites={module.__name__}"

        sessions.get_botocore_plugins = plugins


def resign(client: Any) -> None:
    """Sign the S3 requests of a client with another key: what is loaded in the runs ``resigned``.

    It does no more than that, so a test that it changes is about the caller's key. Requests that are signed by hand
    have no parameters in their context and are left alone, as the package has to leave them.
    """
    credentials = Credentials(*session_keys())
    client.meta.events.register_last("before-sign.s3", Resigner(client._request_signer, credentials))


class Resigner:
    """Handles ``before-sign.s3``: the request gets these credentials, unless it has some or needs none."""

    def __init__(self, request_signer: Any, credentials: Credentials) -> None:
        self._request_signer = request_signer
        self._credentials = credentials

    def __call__(self, request: AWSRequest, signature_version: Any, **_: object) -> None:
        """Put the credentials into the request's context."""
        signing = request.context.get("signing", {})
        is_foreign = signature_version is botocore.UNSIGNED or signature_version.startswith(("v4-s3express", "bearer"))
        if is_foreign or self._request_signer._credentials is None or "s3_redirect" not in request.context:
            return
        if "request_credentials" not in signing and "identity_cache" not in signing:
            request.context["signing"] = {**signing, "request_credentials": self._credentials}


class Providers:
    """Every provider of the process. Those that autoload makes belong to nobody, so nobody could clear them."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[AccessGrantsProvider] = weakref.WeakSet()

    def watch(self) -> None:
        """Begin to note the providers that are made."""
        provider_class: Any = AccessGrantsProvider
        made, original = self._made, provider_class.__init__

        def initialize(provider: AccessGrantsProvider, *args: Any, **kwargs: Any) -> None:
            original(provider, *args, **kwargs)
            made.add(provider)

        provider_class.__init__ = initialize

    def clear(self) -> None:
        """Have all of them forget everything."""
        for provider in list(self._made):
            provider.clear()


class Plugin:
    """Wires the grants into one run of pytest, and writes the record at its end."""

    def __init__(self, variant: str, warm: bool, report: Path) -> None:
        self.record = Record()
        self.grants = Grants(variant == "granted", self.record)
        self.warm = warm
        self.report = report
        self.providers = Providers()
        self._server: HttpServer | None = None

    def serve(self) -> None:
        """Answer the control calls over HTTP."""
        self._server = HttpServer(("127.0.0.1", 0), lambda request, _: self.grants.answer(request) or Response(404))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        host, port = self._server.server_address[:2]
        os.environ["S3_ACCESS_GRANTS_ENDPOINT_URL"] = f"http://{host!s}:{port}"

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Generator[None, Any, None]:
        """Start each test cold; in a warm run, run it once before."""
        self.providers.clear()
        if self.warm:
            self.record.test = "before " + item.nodeid
            # The test's own fixtures end, those of its class and module stay.
            runtestprotocol(item, log=False, nextitem=item.parent)
        self.record.test = item.nodeid
        yield

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a test's result: the worst of its phases."""
        known = self.record.results.get(report.nodeid)
        if report.failed:
            result = "failed" if report.when == "call" else "error"
            self.record.reasons.setdefault(report.nodeid, _reason(report))
        else:
            result = "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome
        if known in (None, "passed"):
            self.record.results[report.nodeid] = result

    def pytest_unconfigure(self) -> None:
        """Write the record."""
        self.record.write(self.report)
        if self._server is not None:
            self._server.shutdown()
            # The suite may leave connections open, whose threads would never end.
            self._server.hang_up()
            self._server.server_close()


def _reason(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(crash.message if crash is not None else report.longrepr).strip().splitlines()
    return lines[0] if lines else ""


def pytest_configure(config: Any) -> None:
    """Begin, before any test has made a client."""
    variant, report = os.environ.get("OTHER_SUITES_VARIANT"), os.environ.get("OTHER_SUITES_REPORT")
    if variant is None or report is None:
        return
    plugin = Plugin(variant, bool(os.environ.get("OTHER_SUITES_WARM")), Path(report))
    serves = bool(os.environ.get("OTHER_SUITES_SERVER"))
    # Reads S3 Control's model before a test puts something else in place of what reads it.
    s3control_xml.find_operation(Request("GET", "https", "localhost", "/"))
    watch = Watch(plugin.grants, answers_calls=not serves, answers_heads=bool(os.environ.get("OTHER_SUITES_STUBBED")))
    BUILTIN_HANDLERS.insert(0, ("before-send", watch))
    plugin.providers.watch()
    if variant == "resigned":
        Loader(resign, plugin.record).load_into_every_client()
    elif variant != "without":
        initialize = access_grants_provider.initialize_client_plugin
        Loader(initialize, plugin.record).load_into_every_client("access_grants_provider")
        if serves:
            plugin.serve()
    config.pluginmanager.register(plugin, "other-suites-run")
