"""The pytest plugin of ``other_suites.py``: S3 Access Grants beside whatever S3 a test suite brings, and a record.

The suites fake S3 themselves with moto and sign with keys of their own invention. Nothing of that is touched: this
answers the calls to S3 Access Grants and STS alone, for any key, and notes each request that botocore sends. So S3's
answers are the suite's own in all runs, and what differs can only come from the signatures and the calls.

Synchronous calls to AWS hosts are answered before they are sent, on botocore's ``before-send``, where moto answers too.
With ``OTHER_SUITES_ENDPOINT=1`` there is an HTTP server besides, named in ``S3_ACCESS_GRANTS_ENDPOINT_URL``, for suites
whose S3 is a server and for asynchronous clients, whose answers can't be made up on that event.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from _pytest.runner import runtestprotocol
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.handlers import BUILTIN_HANDLERS
from moto.core.botocore_stubber import MockRawResponse
from moto.iam.models import get_account_id_from

from access_grants_provider.sdk.api_calls import is_aws_host
from access_grants_provider.testing import control, sts
from access_grants_provider.testing.dispatch import claim_of, service_of
from access_grants_provider.testing.errors import Refusal, error_response
from access_grants_provider.testing.http_messages import Request, Response, bucket_and_key, text_of
from access_grants_provider.testing.http_server import HttpServer
from access_grants_provider.testing.records import PROVIDER_USER_AGENT
from access_grants_provider.testing.scopes import parse_scope

EVERYTHING = "READWRITE"
LIFETIME = 3600


class Record:
    """What the tests did: their results, the control calls during each, and who signed the S3 requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.test = ""
        self.results: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.calls: dict[str, list[str]] = {}
        self.signed: Counter[str] = Counter()

    def call(self, what: str) -> None:
        """Note a control call."""
        with self._lock:
            self.calls.setdefault(self.test, []).append(what)

    def request(self, signer: str) -> None:
        """Note an S3 request."""
        with self._lock:
            self.signed[signer] += 1

    def write(self, path: Path) -> None:
        """Write it all down as JSON."""
        with self._lock:
            names = ("results", "reasons", "calls", "signed")
            path.write_text(json.dumps({name: getattr(self, name) for name in names}), encoding="utf-8")


class Grants:
    """Decides for whoever asks: one grant, READWRITE on everything, or none at all."""

    def __init__(self, granted: bool, record: Record, clock: Callable[[], float] = time.time) -> None:
        self.granted = granted
        self.record = record
        # Taken as a default, it stays the real clock in tests that freeze time: AWS would not stand still for them.
        self._clock = clock
        self.keys: set[str] = set()

    def answer(self, request: Request) -> Response | None:
        """Answer a call to S3 Access Grants or STS; None if it is none."""
        operation = control.find_operation(request)
        claim = claim_of(request)
        caller = claim.access_key_id if claim is not None else ""
        account_id = get_account_id_from(caller)
        if operation is None:
            if service_of(request) != "sts" or PROVIDER_USER_AGENT not in request.header("user-agent"):
                return None
            self.record.call(f"GetCallerIdentity by {caller}")
            arn = f"arn:aws:iam::{account_id}:user/somebody"
            return sts.answer({"Arn": arn, "UserId": "somebody", "Account": account_id})
        parameters = control.parse_parameters(operation, request)
        asked = parameters.get("Target") or parameters.get("S3Prefix") or parameters.get("GrantScope") or ""
        self.record.call(" ".join(filter(None, (operation.name, parameters.get("Permission"), asked, "by", caller))))
        region = claim.region if claim is not None else "us-east-1"
        instance = f"arn:aws:s3:{region}:{account_id}:access-grants/default"
        try:
            return control.success(operation, self._result(operation.name, parameters, instance))
        except Refusal as refusal:
            return error_response(refusal, "s3control", request.method)

    def _result(self, operation: str, parameters: dict[str, Any], instance: str) -> dict[str, Any]:
        if operation == "GetAccessGrantsInstanceForPrefix":
            return {"AccessGrantsInstanceArn": instance, "AccessGrantsInstanceId": "default"}
        if operation == "ListCallerAccessGrants":
            bucket = parse_scope(parameters["GrantScope"]).bucket
            grant = {"Permission": EVERYTHING, "GrantScope": f"s3://{bucket}/*", "ApplicationArn": "NA"}
            return {"CallerAccessGrantsList": [grant] if self.granted else []}
        if operation != "GetDataAccess":
            raise Refusal("NotImplemented", f"{operation} was not expected of the package", status=501)
        target, permission = parameters["Target"], parameters["Permission"]
        if not self.granted:
            # XML has no control characters, and keys have.
            shown = "".join(letter if letter.isprintable() else "?" for letter in target)
            wording = f"You do not have {permission} permissions to the requested S3 Prefix: {shown}"
            raise Refusal("AccessDenied", wording)
        key = "ASIAGRANT" + secrets.token_hex(8).upper()[:11]
        self.keys.add(key)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": secrets.token_hex(20),
                "SessionToken": secrets.token_hex(160),
                "Expiration": datetime.fromtimestamp(int(self._clock()) + LIFETIME, timezone.utc),
            },
            "MatchedGrantTarget": f"s3://{parse_scope(target).bucket}/*",
            "MatchedInstanceArn": instance,
        }


class Watch:
    """Sees every request that botocore and aiobotocore are about to send in this process."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        """Handle ``before-send``: answer a control call to an AWS host, note a request to S3."""
        parts = urlsplit(request.url)
        headers = {name.lower(): text_of(value) for name, value in request.headers.items()}
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        host = headers.get("host", parts.netloc)
        seen = Request(request.method, parts.scheme, host, parts.path or "/", parts.query, headers, body)
        if not _is_control(seen):
            self._note(seen)
            return None
        if not is_aws_host(seen.hostname):
            return None
        response = self._grants.answer(seen)
        if response is None:
            return None
        return AWSResponse(request.url, response.status, response.headers, MockRawResponse(response.body))

    def _note(self, request: Request) -> None:
        claim = claim_of(request)
        if service_of(request) != "s3":
            return
        if PROVIDER_USER_AGENT in request.header("user-agent"):
            caller = claim.access_key_id if claim is not None else "nobody"
            self._grants.record.call(f"HeadBucket {bucket_and_key(request)[0]} by {caller}")
        elif claim is None:
            self._grants.record.request("nobody")
        else:
            self._grants.record.request("a grant" if claim.access_key_id in self._grants.keys else "the caller")


def _is_control(request: Request) -> bool:
    return control.find_operation(request) is not None or service_of(request) == "sts"


class Plugin:
    """Wires the grants into one run of pytest, and writes the record at its end."""

    def __init__(self, mode: str, report: Path) -> None:
        self.record = Record()
        self.covered = mode != "without"
        self.grants = Grants(mode.startswith("granted"), self.record)
        self.warm = mode.endswith("-warm")
        self.report = report
        self._server: HttpServer | None = None

    def serve(self) -> None:
        """Answer the control calls over HTTP too."""
        self._server = HttpServer(("127.0.0.1", 0), lambda request, _: self.grants.answer(request) or Response(404))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        host, port = self._server.server_address[:2]
        os.environ["S3_ACCESS_GRANTS_ENDPOINT_URL"] = f"http://{host!s}:{port}"

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Generator[None, Any, None]:
        """Start each test cold; in a warm run, run it once before."""
        self._forget()
        if self.warm:
            self.record.test = "before " + item.nodeid
            runtestprotocol(item, log=False, nextitem=item)
        self.record.test = item.nodeid
        yield

    def _forget(self) -> None:
        if self.covered:
            # What autoload registered has no public handle, for it belongs to nobody.
            from access_grants_provider.registration import _registry

            for provider in list(_registry.autoloaded.values()):
                provider.clear()

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


def _plugins() -> Iterator[Plugin]:
    mode, report = os.environ.get("OTHER_SUITES_MODE"), os.environ.get("OTHER_SUITES_REPORT")
    if mode is not None and report is not None:
        yield Plugin(mode, Path(report))


def pytest_configure(config: Any) -> None:
    """Begin, before any test has made a client."""
    for plugin in _plugins():
        BUILTIN_HANDLERS.insert(0, ("before-send", Watch(plugin.grants)))
        if plugin.covered and os.environ.get("OTHER_SUITES_ENDPOINT"):
            plugin.serve()
        config.pluginmanager.register(plugin, "other-suites-run")
