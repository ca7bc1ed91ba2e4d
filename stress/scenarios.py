"""Random scenarios of grants: a provider that has served many requests grants what a fresh one grants.

What a provider remembers (denials, lists of grants, instances, credentials) saves calls. It must never take a grant
away. A scenario has two accounts, buckets, instances, locations, grants, policies and a list of requests, all made from
a seed. One provider answers all requests in order by ``explain``, another one signs them for a caller without any right
of its own. Where either denies a request, a fresh provider is asked for that request alone, and must deny it too.

Run ``python -m stress.scenarios --count 1000 --seed 0``. A scenario that fails is printed with its requests, and
``--count 1 --seed N`` runs it again. The exit code is 1 if a scenario failed.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

import access_grants_provider
from access_grants_provider.testing import Identity, LocalAccessGrants, mock_access_grants

OWN, OTHER = "111111111111", "222222222222"
HOME, ABROAD = "us-east-1", "eu-west-1"
OPERATIONS = {"GetObject": "READ", "PutObject": "WRITE", "ListObjectsV2": "READ"}
SHARED = {
    "nothing": (),
    "all": ("GetDataAccess", "ListCallerAccessGrants", "GetAccessGrantsInstanceForPrefix"),
    "all but ListCallerAccessGrants": ("GetDataAccess", "GetAccessGrantsInstanceForPrefix"),
}
# Folders, names, and names that begin like a folder or like another name. The first ones are in few locations.
KEYS = ("README", "x", "xy", "c/x", "a", "a/", "a/x", "a/xy", "a/b/x", "a/b/xy", "a/bc/x", "ab", "ab/x", "b/x", "c/d/x")
OUTSIDE = 4


@dataclass(frozen=True)
class Bucket:
    """A bucket, the account that owns it, and its region."""

    name: str
    owner: str
    region: str


@dataclass(frozen=True)
class Grant:
    """A grant to the caller, in the instance of an account and region. A scope without a star is one object."""

    account: str
    region: str
    scope: str
    permission: str

    def covers(self, request: Request) -> bool:
        """Whether this grant covers what the request touches."""
        if OPERATIONS[request.operation] not in self.permission:
            return False
        if not self.scope.endswith("*"):
            return request.target == self.scope
        return request.target.startswith(self.scope.rstrip("*"))


@dataclass(frozen=True)
class Request:
    """An S3 request. `key` is the prefix of a listing."""

    operation: str
    bucket: str
    key: str

    @property
    def target(self) -> str:
        """What the request touches, as an ``s3://`` URI."""
        return f"s3://{self.bucket}/{self.key}" + ("*" if self.operation == "ListObjectsV2" else "")

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the request, as boto3 takes them."""
        return {"Bucket": self.bucket, ("Prefix" if self.operation == "ListObjectsV2" else "Key"): self.key}

    def __str__(self) -> str:
        return f"{self.operation} {self.target}"


@dataclass(frozen=True)
class Scenario:
    """What there is, what the caller may do, and what it asks for in which order."""

    seed: int
    find_instance_by: str
    shared: str
    may_list: bool
    may_find: bool
    buckets: tuple[Bucket, ...]
    instances: tuple[tuple[str, str], ...]
    locations: tuple[tuple[str, str, str], ...]
    grants: tuple[Grant, ...]
    requests: tuple[Request, ...]

    def may_be_granted(self, request: Request, way: str) -> bool:
        """Whether a grant covers this request, in an instance that the caller may use.

        For a request that is sent it is the instance of the bucket's owner: the sessions of others have no right there.
        """
        owner = next(bucket.owner for bucket in self.buckets if bucket.name == request.bucket)
        accounts = {OWN, OTHER} if SHARED[self.shared] else {OWN}
        accounts &= {owner} if way == "sent" else accounts
        return any(grant.account in accounts and grant.covers(request) for grant in self.grants)

    def __str__(self) -> str:
        lines = [
            f"scenario {self.seed}: the caller is of account {OWN}; instances are found by {self.find_instance_by}",
            f"  the other account shares its instance: {self.shared}",
            f"  the caller may call ListCallerAccessGrants: {self.may_list}",
            f"  the caller may call GetAccessGrantsInstanceForPrefix: {self.may_find}",
            *(f"  bucket {bucket.name} of {bucket.owner} in {bucket.region}" for bucket in self.buckets),
            *(f"  instance of {account} in {region}" for account, region in self.instances),
            *(f"  location {scope} of {account} in {region}" for account, region, scope in self.locations),
            *(f"  grant {it.permission} on {it.scope} of {it.account} in {it.region}" for it in self.grants),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Violation:
    """A request that one provider was denied and a fresh one is granted."""

    scenario: Scenario
    way: str
    index: int
    reason: str

    def __str__(self) -> str:
        asked = self.scenario.requests[: self.index + 1]
        lines = [str(self.scenario), f"  asked in this order ({self.way}):", *(f"    {request}" for request in asked)]
        return "\n".join([*lines, f"  the last one was denied ({self.reason}); a fresh provider is granted it"])


@dataclass
class Result:
    """The counts of decisions by way and outcome, and what is wrong with them."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Add the counts and violations of another scenario."""
        self.counts.update(other.counts)
        self.violations.extend(other.violations)

    def __str__(self) -> str:
        counts = {
            way: ", ".join(f"{self.counts[way, outcome]} {outcome}" for outcome in ("granted", "denied"))
            for way in ("explain", "sent")
        }
        wrong = Counter(violation.way for violation in self.violations)
        return "; ".join(f"{way}: {text}, {wrong[way]} of them wrongly" for way, text in counts.items())


def make_scenario(seed: int) -> Scenario:
    """The scenario of this seed."""
    rng = random.Random(seed)
    buckets = tuple(
        Bucket(name, rng.choices([OWN, OTHER], [2, 3])[0], rng.choices([HOME, ABROAD], [6, 1])[0])
        for name in rng.sample(["data", "sales", "sales-old"], rng.choice([1, 1, 2, 3]))
    )
    instances = _make_instances(rng, buckets)
    locations = [entry for instance in instances for entry in _make_locations(rng, instance, buckets)]
    grants = [grant for location in locations for grant in _make_grants(rng, location, buckets)]
    requests = _make_requests(rng, buckets, grants)
    return Scenario(
        seed,
        rng.choices(["account", "location"], [2, 3])[0],
        rng.choices(list(SHARED), [1, 5, 4])[0],
        rng.random() < 0.7,
        rng.random() < 0.85,
        buckets,
        instances,
        tuple(locations),
        tuple(dict.fromkeys(grants)),
        tuple(requests),
    )


def check(scenario: Scenario, ask_always: bool = False) -> Result:
    """Let one provider serve the requests by ``explain``, another one send them, and compare with fresh ones.

    A fresh provider costs ten times what a request costs, so it is asked only about requests that were denied and may
    be granted. With ``ask_always`` it is asked about all, which checks that rule too.
    """
    result = Result()
    with mock_access_grants(account_id=OWN, region=HOME) as service:
        caller = _build(scenario, service)
        for way in ("explain", "sent"):
            with _provider(service, caller, way) as asked:
                for index, request in enumerate(scenario.requests):
                    reason = _ask(service, asked, way, request)
                    result.counts[way, "denied" if reason else "granted"] += 1
                    possible = scenario.may_be_granted(request, way)
                    if ask_always or (reason and possible):
                        granted = _fresh_is_granted(service, caller, way, request)
                        assert possible or not granted, f"scenario {scenario.seed}: what grants {request}?"
                        if reason and granted:
                            result.violations.append(Violation(scenario, way, index, reason))
    return result


def _fresh_is_granted(service: LocalAccessGrants, caller: Identity, way: str, request: Request) -> bool:
    # What explain() says counts for both ways; that S3 carries the request out is asked for besides, as an instance may
    # grant access to another account's bucket, and its sessions have none.
    for asked_way in ("explain", "sent") if way == "sent" else ("explain",):
        with _provider(service, caller, asked_way) as fresh:
            if _ask(service, fresh, asked_way, request):
                return False
    return True


@contextmanager
def _provider(service: LocalAccessGrants, caller: Identity, way: str) -> Iterator[Any]:
    """A new provider, for a new session of the caller with keys of its own; an S3 client if requests are to be sent."""
    session = service.session(service.rotate(caller))
    provider = access_grants_provider.register(session, fallback="never" if way == "explain" else "denied")
    try:
        yield provider if way == "explain" else session.client("s3")
    finally:
        provider.unregister()


def _ask(service: LocalAccessGrants, asked: Any, way: str, request: Request) -> str:
    """Why the request is denied; nothing if it is granted."""
    return _explain(asked, request) if way == "explain" else _send(service, asked, request)


def _explain(provider: Any, request: Request) -> str:
    """Why the provider denies the request; nothing if it grants it."""
    decision = provider.explain(request.operation, **request.params)
    return "" if decision.outcome == "granted" else f"{decision.outcome}: {decision.reason}"


def _send(service: LocalAccessGrants, s3: Any, request: Request) -> str:
    """How the request was signed and answered in the end; nothing if a grant signed it and S3 carried it out."""
    service.forget_requests()
    body = {"Body": b"x"} if request.operation == "PutObject" else {}
    with suppress(ClientError):  # the record says what happened
        getattr(s3, _METHODS[request.operation])(**request.params, **body)
    last = [record for record in service.s3_requests() if record.operation == request.operation][-1]
    return "" if (last.signer, last.status) == ("grant", 200) else f"signed by {last.signer}, status {last.status}"


_METHODS = {"GetObject": "get_object", "PutObject": "put_object", "ListObjectsV2": "list_objects_v2"}


def _build(scenario: Scenario, service: LocalAccessGrants) -> Identity:
    """Make all that the scenario has; the caller is returned."""
    caller = service.identity("caller")
    service.find_instance_by = scenario.find_instance_by  # type: ignore[assignment]
    for bucket in scenario.buckets:
        service.bucket(bucket.name, bucket.region, account_id=bucket.owner)
    for account, region in scenario.instances:
        service.instance(account, region)
        if account == OTHER and SHARED[scenario.shared]:
            service.share(OWN, region, OTHER, [f"s3:{action}" for action in SHARED[scenario.shared]])
    for account, region, scope in scenario.locations:
        service.location(scope, region=region, account_id=account)
    for grant in scenario.grants:
        service.grant(caller, grant.scope, grant.permission, grant.region, account_id=grant.account)
    rights = {"ListCallerAccessGrants": scenario.may_list, "GetAccessGrantsInstanceForPrefix": scenario.may_find}
    for action, may in rights.items():
        if not may:
            service.forbid(caller, f"s3:{action}")
    for bucket_name, key in {(request.bucket, request.key) for request in scenario.requests}:
        if key:
            service.put(f"s3://{bucket_name}/{key}", b"x")
    return caller


def _make_instances(rng: random.Random, buckets: tuple[Bucket, ...]) -> tuple[tuple[str, str], ...]:
    regions = sorted({HOME, *(bucket.region for bucket in buckets)})
    owners = {(bucket.owner, bucket.region) for bucket in buckets}
    places = [(account, region) for account in (OWN, OTHER) for region in regions]
    return tuple(place for place in places if rng.random() < (0.9 if place in owners else 0.4))


def _make_locations(
    rng: random.Random, instance: tuple[str, str], buckets: tuple[Bucket, ...]
) -> list[tuple[str, str, str]]:
    account, region = instance
    scopes = ["s3://"] if rng.random() < 0.15 else []
    for bucket in buckets:
        # A location and its data share a region. An account may register a bucket of another one, though in vain.
        if bucket.region == region and (bucket.owner == account or rng.random() < 0.12):
            choices = ["", "/a/*", "/a*", "/a/b*", "/b/*", "/c/d/*"]
            scopes += [f"s3://{bucket.name}{end}" for end in rng.sample(choices, rng.randint(1, 3))]
    return [(account, region, scope) for scope in scopes]


def _make_grants(rng: random.Random, location: tuple[str, str, str], buckets: tuple[Bucket, ...]) -> list[Grant]:
    account, region, scope = location
    nearby = [bucket for bucket in buckets if bucket.region == region]
    if not nearby:
        return []
    grants = []
    for _ in range(rng.randint(0, 2)):
        start = scope.rstrip("*")
        if scope == "s3://":
            start += rng.choice(nearby).name
        if "/" not in start.removeprefix("s3://"):
            start += "/"
        text = start + rng.choice(["*", "*", "a/*", "a*", "b/*", "b*", "x*", "x", "xy", "a/x", "README"])
        grants.append(Grant(account, region, text, rng.choice(["READ", "WRITE", "READWRITE"])))
    return grants


def _make_requests(rng: random.Random, buckets: tuple[Bucket, ...], grants: list[Grant]) -> list[Request]:
    count = rng.randint(8, 20)
    inside = rng.randint(3, count - 3) if grants else 0
    requests = [_make_request_inside(rng, rng.choice(grants)) for _ in range(inside)]
    requests += [_make_request_anywhere(rng, buckets) for _ in range(count - inside)]
    rng.shuffle(requests)
    if rng.random() < 0.5:
        # Programs often look round before they work: what is denied first is what memory can get wrong.
        requests.sort(key=lambda request: any(grant.covers(request) for grant in grants))
    return requests


def _make_request_anywhere(rng: random.Random, buckets: tuple[Bucket, ...]) -> Request:
    operation = rng.choice(list(OPERATIONS))
    keys = [*KEYS, ""] if operation == "ListObjectsV2" else KEYS
    return Request(operation, rng.choice(buckets).name, rng.choice([*keys, *keys[:OUTSIDE]]))


def _make_request_inside(rng: random.Random, grant: Grant) -> Request:
    """A request for something inside the grant, mostly one that its permission allows."""
    operation = rng.choice([name for name, permission in OPERATIONS.items() if permission in grant.permission])
    if rng.random() < 0.2:
        operation = rng.choice(list(OPERATIONS))
    bucket, _, key = grant.scope.removeprefix("s3://").partition("/")
    key = key.rstrip("*") + (rng.choice(["x", "xy", "a/x", "b/x"]) if grant.scope.endswith("*") else "")
    return Request(operation, bucket, key)


def _forget_settings() -> None:
    """Take every setting of AWS and of this package out of the process's environment."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO", "S3_ACCESS_GRANTS_")):
            del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def main() -> int:
    """Check as many scenarios as asked for, and print what is wrong and how many decisions there were."""
    parser = argparse.ArgumentParser(prog="python -m stress.scenarios", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="how many scenarios (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first one; the others follow it")
    parser.add_argument("--ask-always", action="store_true", help="ask a fresh provider about granted requests too")
    given = parser.parse_args()
    _forget_settings()
    logging.getLogger("access_grants_provider").setLevel(logging.CRITICAL)
    start, total = time.monotonic(), Result()
    for seed in range(given.seed, given.seed + given.count):
        result = check(make_scenario(seed), given.ask_always)
        for violation in result.violations:
            print(violation, end="\n\n", flush=True)
        total.add(result)
    print(f"{given.count} scenarios in {time.monotonic() - start:.0f} s. {total}")
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
