"""Whether all was right: each S3 request as the service recorded it, against the rules written down anew.

Nothing of the package is used here. A rule is applied to the whole time a call took, so no guess about clocks or the
order of things is needed: what was in doubt at some moment of it (a grant given meanwhile, a cover ended) allows both.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from access_grants_provider.testing.records import RecordedRequest

from .journal import Event
from .scenario import BUCKET, BY_NAME, LIFE_SECONDS, SERVES, ZONES, Work
from .service import Fault

ALWAYS = float("-inf")
# A broken answer that somebody else waited for may have been sent just before a call began.
BROKEN_SECONDS = 2.0
REFUSED = {"ClientError:AccessDenied", "ClientError:403"}
BY_NATURE = {"ServiceFailure", "MalformedAnswer"}

Certain = Literal["yes", "no", "in doubt"]


@dataclass
class Findings:
    """What the oracle found: ``wrong`` in sentences, ``counts`` of what was looked at."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Rules:
    """What was right when."""

    def __init__(self, events: Iterable[Event], faults: Iterable[Fault]) -> None:
        self._grants: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self._fresh: dict[tuple[str, str, int], list[Event]] = defaultdict(list)
        self._retired: dict[tuple[str, str, int], Event] = {}
        self._broken: dict[str | None, list[float]] = defaultdict(list)
        for event in sorted(events, key=lambda one: one.began):
            if event.kind == "fresh":
                self._fresh[event.person, event.side, event.generation].append(event)
            elif event.kind == "retired":
                self._retired[event.person, event.side, event.generation] = event
            else:
                self._grants[event.person, event.about].append(event)
        for fault in faults:
            if fault.broken:
                self._broken[fault.name].append(fault.time)

    def covered(self, work: Work) -> Certain:
        """Tell whether the client was registered."""
        retired = self._retired.get((work.person, work.side, work.generation))
        if retired is None or retired.began > work.ended:
            return "yes"
        return "no" if retired.ended <= work.began else "in doubt"

    def granted(self, work: Work) -> Certain:
        """Tell whether a grant answered the call; what a provider remembers may be as old as its last ``clear()``."""
        granted, _ = ZONES[work.zone]
        if granted is None or work.permission not in SERVES[granted]:
            return "no"
        if work.zone != "moving":
            return "yes"
        fresh = [
            event.began for event in self._fresh[work.person, work.side, work.generation] if event.ended <= work.began
        ]
        if self._held(work, fresh[-1] if fresh else ALWAYS):
            return "yes"
        return "no" if self._missing(work) else "in doubt"

    def _held(self, work: Work, since: float) -> bool:
        before = [event for event in self._grants[work.person, work.prefix] if event.ended <= since]
        meanwhile = [e for e in self._grants[work.person, work.prefix] if e.ended > since and e.began <= work.ended]
        return bool(before) and before[-1].kind == "granted" and not meanwhile

    def _missing(self, work: Work) -> bool:
        # What was vended before a grant was taken lives on.
        since = work.began - LIFE_SECONDS
        before = [event for event in self._grants[work.person, work.prefix] if event.ended <= since]
        meanwhile = [e for e in self._grants[work.person, work.prefix] if e.ended > since and e.began <= work.ended]
        return (not before or before[-1].kind == "revoked") and not meanwhile

    def broken(self, work: Work) -> bool:
        """Tell whether Access Grants answered this person with something unreadable while the call was made."""
        return any(work.began - BROKEN_SECONDS <= time <= work.ended for time in self._broken[work.person])


def scope_of(work: Work) -> str:
    """Return the scope of the one grant that may sign a call."""
    return f"s3://{BUCKET}/{work.prefix}" + ("" if work.zone == "object" else "*")


def examine(
    works: Iterable[Work], records: Iterable[RecordedRequest], events: Iterable[Event], faults: Iterable[Fault]
) -> Findings:
    """Compare what the service saw with what was right."""
    findings, rules = Findings(), Rules(events, faults)
    seen: dict[str, list[RecordedRequest]] = defaultdict(list)
    for record in records:
        if record.is_control_call:
            findings.counts[record.operation] += 1
            findings.counts["vends"] += record.operation == "GetDataAccess" and record.status == 200
            if record.signer not in BY_NAME:
                findings.wrong.append(f"{record.operation} was signed by {record.signer}, who is none of the people")
            continue
        found = re.search(r" soak/(\S+)", record.user_agent)
        seen[found[1] if found else "nobody"].append(record)
    for work in works:
        _examine_call(work, seen.pop(work.id, []), rules, findings)
    for name, strays in seen.items():
        findings.wrong.append(f"{len(strays)} requests of {name}, who is not in the journal: {strays[0]}")
    return findings


def _examine_call(work: Work, records: list[RecordedRequest], rules: Rules, findings: Findings) -> None:
    person, counts = BY_NAME[work.person], findings.counts
    covered, granted, broken = rules.covered(work), rules.granted(work), rules.broken(work)
    by_grant = covered != "no" and granted != "no"
    by_caller = covered != "yes" or (granted != "yes" and person.fallback != "never")
    by_caller = by_caller or (broken and person.fallback == "always")
    counts["calls"] += 1
    counts["calls of which one signer alone was right"] += by_grant != by_caller
    late = False
    for record in records:
        counts["requests"] += 1
        counts["by a grant" if record.signer == "grant" else "by the caller"] += 1
        if record.signer == "grant":
            late_now, complaint = _examine_credential(work, record, covered)
            late = late or late_now
            counts["arrived after the end of what signed them in time"] += late_now
            complaint = complaint or ("" if by_grant else "a grant signed it, and none was right")
        else:
            wrong_one = record.signer != work.person
            complaint = f"{record.signer} signed it" if wrong_one else "" if by_caller else "the caller signed it"
        if complaint:
            findings.wrong.append(f"{complaint}: {_told(work, covered, granted, broken)}; {record}")
    if work.ending not in _right_endings(work, by_grant, by_caller, covered, granted, broken, late):
        told = _told(work, covered, granted, broken)
        findings.wrong.append(f"it ended with {work.ending} {work.message!r}: {told}; {records[-1:]}")
    counts[f"ended with {work.ending}"] += work.ending != "ok"


def _examine_credential(work: Work, record: RecordedRequest, covered: Certain) -> tuple[bool, str]:
    """Return whether a request arrived late, and what is wrong with the credential that signed it."""
    # Both are whole seconds, so to have been signed within the second of the end is to have been signed after it.
    expired = record.expires_at is None or record.signed_at is None or record.signed_at >= record.expires_at
    # Where the cover ended between two attempts, botocore sends the second with what the first was signed with.
    if expired and covered != "in doubt":
        return False, f"an expired credential signed it (at {record.signed_at}, ended at {record.expires_at})"
    if record.principal != work.person:
        return False, f"a credential vended to {record.principal} signed it"
    if record.scope != scope_of(work) or work.permission not in SERVES[record.permission or ""]:
        return False, f"a credential that does not cover it signed it ({record.permission} on {record.scope})"
    if record.status == 403:
        return False, "S3 refused the credential that signed it"
    return record.status == 400 and record.expires_at is not None and record.time >= record.expires_at, ""


def _right_endings(
    work: Work, by_grant: bool, by_caller: bool, covered: Certain, granted: Certain, broken: bool, late: bool
) -> set[str]:
    person, (_, own) = BY_NAME[work.person], ZONES[work.zone]
    right: set[str] = set()
    if by_grant:
        right.add("ok")
    if by_caller:
        right |= {"ok"} if own is not None and work.permission in SERVES[own] else REFUSED
    if covered != "no":
        if person.fallback == "never" and granted != "yes":
            right.add("AccessDenied")
        if broken and person.fallback != "always":
            right |= BY_NATURE
    if covered == "in doubt":
        right |= {"ClientError:ExpiredToken", "ClientError:400"}
    if late and work.method == "head_object":
        # Its answer has no body, so what S3 says of the credential is a guess, which is made sixteen times.
        right.add("ClientError:400")
    return right


def _told(work: Work, covered: Certain, granted: Certain, broken: bool) -> str:
    return f"covered {covered}, granted {granted}, broken answer {broken}, {work}"
