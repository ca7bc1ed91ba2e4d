"""What a fault of a control call does to the S3 request it is made for: written once, run by ``test_faults.py``.

``python -m tools.docs docs/faults.md`` writes the page from it. Rules are read from the
top, the first that fits counts; ``*`` fits everything and ``|`` stands between names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

CALLS = (
    "GetDataAccess",
    "GetCallerIdentity",
    "GetAccessGrantsInstanceForPrefix",
    "ListCallerAccessGrants",
    "HeadBucket",
)
# Only a "no" leads to these. So they are tried on somebody whose grant was taken away, or who never had one.
AFTER_A_NO = ("GetAccessGrantsInstanceForPrefix", "ListCallerAccessGrants", "HeadBucket")
STATES = ("cold", "warm", "advisory", "mandatory")
FALLBACKS = ("denied", "always", "never")

FIELDS = {
    "GetDataAccess": ("Credentials", "SecretAccessKey", "SessionToken", "Expiration", "MatchedGrantTarget"),
    "GetCallerIdentity": ("Account",),
    "GetAccessGrantsInstanceForPrefix": ("AccessGrantsInstanceArn",),
    "ListCallerAccessGrants": ("GrantScope", "Permission"),
    "HeadBucket": (),
}
WITHIN_A_BODY = ("cut off", "half a document", "not XML", "empty answer", "no content")

FAULTS = {
    "500": "InternalError, status 500",
    "503": "ServiceUnavailable, status 503",
    "SlowDown": "SlowDown, status 503",
    "429": "TooManyRequestsException, status 429",
    "timeout": "no answer within the client's read time-out",
    "refused": "the connection is refused",
    "reset": "the connection is reset in the middle of the answer",
    "cut off": "the connection ends in the middle of the answer",
    "half a document": "an answer of the right length that is half of the XML",
    "not XML": "200 with a page for people",
    "no content": "200 with XML that has nothing of what was asked",
    "empty answer": "200 with no byte",
    "missing field": "200 without one of the fields that are needed, each in turn",
    "clock behind": "this machine's clock is an hour late, so the signature is refused",
    "clock ahead": "this machine's clock is an hour early, so the signature is refused",
    "ended already": "credentials whose Expiration was an hour ago",
    "403 no grant": "AccessDenied, in the words of Access Grants",
    "403 IAM": "AccessDenied, in the words of IAM",
    "404": "AccessGrantsInstanceNotExistsError",
    "404 elsewhere": "404 of a server that knows nothing of it",
}

# What a fault amounts to.
EFFECTS = {
    "fails": "`ServiceFailure`",
    "no answer": "`Unreachable`",
    "nonsense": "`MalformedAnswer`",
    "not accepted": "`CallerCredentialsError`",
    "no grant": "no grant (`AccessDenied`)",
    "no permission": "the caller may not ask (`PermissionMissing`)",
    "no instance": "no instance (`NoInstance`)",
    "no matter": "nothing: the answer is only a hint, and what Access Grants said stands",
}
FAILURES = ("fails", "no answer", "nonsense", "not accepted")

FAULT_RULES = (
    # Where to ask a second time, and which keys need no call: the request is decided without.
    ("HeadBucket|ListCallerAccessGrants", "*", "no matter"),
    ("*", "500|503|SlowDown|429", "fails"),
    ("*", "timeout|refused|reset", "no answer"),
    # botocore does not compare a body's length with what was promised, and its parser stumbles; aiohttp does.
    ("*", "cut off", "nonsense"),
    ("*", "half a document|not XML|no content|empty answer|missing field|ended already", "nonsense"),
    ("*", "clock behind|clock ahead", "not accepted"),
    ("GetDataAccess", "403 no grant", "no grant"),
    ("GetDataAccess", "403 IAM", "no permission"),
    ("GetDataAccess", "404", "no instance"),
    # Who may not look the instance up has it asked for in the caller's own account.
    ("GetAccessGrantsInstanceForPrefix", "403 no grant|403 IAM", "no matter"),
    ("GetAccessGrantsInstanceForPrefix", "404", "no matter"),
    # The protocol of STS has no error without a document.
    ("GetCallerIdentity", "404 elsewhere", "nonsense"),
    ("*", "403 no grant|403 IAM|404|404 elsewhere", "fails"),
)

# How often the call is made before it counts as failed, where each pause is the longest that full jitter gives.
ATTEMPT_RULES = (
    # Nothing depends on the list of grants, so no request waits for a second try.
    ("ListCallerAccessGrants", "*", "*", 1),
    # An error of HeadBucket names the region too.
    ("HeadBucket", "500|503|SlowDown|429", "*", 1),
    ("*", "500", "*", 3),
    # After three pauses of 0.5 s and six that are half of the time waited, which is 17.1 s then, 8.5 s more do not fit
    # into the 20 s of `timeout_seconds`.
    ("*", "503|SlowDown|429", "always", 10),
    # After these 8.5 s, nine times 10 s, and 4.4 s: two minutes.
    ("*", "503|SlowDown|429", "*", 21),
    ("*", "refused|reset", "*", 3),
    ("*", "*", "*", 1),
)
# The same in words, of the faults that are tried again.
AGAIN = {
    "500": "three attempts",
    "503|SlowDown|429": 'for two minutes; under `fallback="always"` within `timeout_seconds`',
    "refused|reset": "three attempts",
}

OUTCOMES = {
    "held": "signed with the credentials that are held; the call is not made",
    "renewed": "signed with new credentials; the call is not made",
    "kept": "signed with the credentials that are held, and a WARNING with the cause",
    "own": "signed as the caller, and a WARNING with the cause",
    "raised": "raised, and nothing is sent to S3",
}

# Effect, state, fallback. "not made": the state needs no such call.
OUTCOME_RULES = (
    ("*", "warm", "*", "held"),
    ("not made", "*", "*", "renewed"),
    ("*", "advisory", "*", "kept"),
    ("|".join(FAILURES), "*", "always", "own"),
    ("|".join(FAILURES), "*", "*", "raised"),
    ("*", "*", "never", "raised"),
    ("*", "*", "*", "own"),
)

LEFT_OUT = {
    "an answer to HEAD has no body": lambda call, fault: call == "HeadBucket" and fault in WITHIN_A_BODY,
    "it has no field of its own": lambda call, fault: fault == "missing field" and not FIELDS[call],
    "it gives no credentials": lambda call, fault: fault == "ended already" and call != "GetDataAccess",
    "it is not asked of an instance": lambda call, fault: (
        fault == "404" and call in ("GetCallerIdentity", "HeadBucket")
    ),
}


class Cell(NamedTuple):
    """One request: ``call`` is struck by ``fault`` (and lacks ``field``), in a state, under an option."""

    call: str
    fault: str
    field: str | None
    state: str
    fallback: str


class Expected(NamedTuple):
    """``effect`` is what the fault amounts to; ``made`` tells whether the call is made at all."""

    effect: str
    made: bool
    outcome: str


def left_out(call: str, fault: str) -> str | None:
    """Say why a fault can't befall a call; None where it can."""
    return next((why for why, holds in LEFT_OUT.items() if holds(call, fault)), None)


def struck() -> Iterator[tuple[str, str, str | None]]:
    """Yield each call with each fault that can befall it; the missing fields one by one."""
    for call in CALLS:
        for fault in FAULTS:
            if left_out(call, fault) is None:
                for field in FIELDS[call] if fault == "missing field" else (None,):
                    yield call, fault, field


def stand_ins() -> set[tuple[str, str, str | None]]:
    """Return the faults that the fast lane runs: of each call, one for each rule, and one time-out.

    The first that fits, but no time-out where another fault stands for the same rule, as that is waited for.
    """
    chosen: dict[tuple[str, tuple[str, ...]], tuple[str, str, str | None]] = {}
    for call, fault, field in struck():
        if fault != "timeout":
            chosen.setdefault((call, rule_of(call, fault)), (call, fault, field))
    return {*chosen.values(), ("GetDataAccess", "timeout", None)}


def rule_of(call: str, fault: str) -> tuple[str, ...]:
    """Return the line of ``FAULT_RULES`` that says what a fault of a call amounts to."""
    return _rule(FAULT_RULES, call, fault)


def states(call: str, fault: str) -> list[str]:
    """Return the states in which a fault of a call is tried.

    Where the call is not made one fault is like another: that is tried with two, one quick and one slow.
    """
    idle = ("warm", "advisory", "mandatory") if call == "GetCallerIdentity" else ("warm",)
    return [state for state in STATES if state not in idle or fault in ("500", "timeout")]


def cells(call: str, fault: str, field: str | None) -> list[Cell]:
    """Return the cells of one fault of one call."""
    return [Cell(call, fault, field, state, fallback) for state in states(call, fault) for fallback in FALLBACKS]


def expected(cell: Cell, counts_bytes: bool) -> Expected:
    """Return what shall happen in a cell.

    ``counts_bytes``: the HTTP client notices that a body is shorter than promised (aiohttp, botocore 1.39).
    """
    effect: str = _first(FAULT_RULES, cell.call, cell.fault)
    if cell.fault == "cut off" and effect == "nonsense" and counts_bytes:
        effect = "no answer"
    # The caller's account is remembered along with the credentials.
    made = cell.state == "cold" or (cell.state != "warm" and cell.call != "GetCallerIdentity")
    if not made and cell.call not in AFTER_A_NO:
        outcome = _first(OUTCOME_RULES, "not made", cell.state, cell.fallback)
    else:
        if not made:
            effect = "no matter"
        outcome = _first(OUTCOME_RULES, effect, cell.state, cell.fallback)
    return Expected("no grant" if effect == "no matter" else effect, made, outcome)


def attempts(cell: Cell, counts_bytes: bool) -> int:
    """Return how often the call is made in a cell where it is made at all, with pauses of the longest time."""
    # What notices that a body is too short says so as of a connection that was reset.
    fault = "reset" if cell.fault == "cut off" and counts_bytes else cell.fault
    number: int = _first(ATTEMPT_RULES, cell.call, fault, cell.fallback)
    return number


def _first(rules: tuple[tuple[Any, ...], ...], *place: str) -> Any:
    return _rule(rules, *place)[-1]


def _rule(rules: tuple[tuple[Any, ...], ...], *place: str) -> tuple[Any, ...]:
    for rule in rules:
        if all(pattern == "*" or name in pattern.split("|") for pattern, name in zip(rule[:-1], place, strict=True)):
            return rule
    raise LookupError(f"no rule for {place}")


def counted(counts: Mapping[str, int]) -> list[str]:
    """Say how many cells were run over each edge, and what was left out for which reason."""
    if not counts:
        return []
    size = len(STATES) * len(FALLBACKS)
    lines = [f"faults: {number} cells over {edge}" for edge, number in counts.items()]
    for why, holds in LEFT_OUT.items():
        number = sum(holds(call, fault) for call in CALLS for fault in FAULTS) * size
        lines.append(f"faults: {number} cells left out, for {why}")
    idle = sum(len(STATES) - len(states(call, fault)) for call, fault, _ in struck()) * len(FALLBACKS)
    return [*lines, f"faults: {idle} cells left out, for the call is not made, which 500 and timeout prove"]


def page() -> str:
    """Return docs/faults.md."""
    number = sum(len(cells(*one)) for one in struck())
    lines = [
        "# When a call to AWS fails",
        "",
        "What happens to an S3 request when a call fails that is made for it. Each cell of these tables is run by",
        "`tests/functional/test_faults.py` against the local S3 Access Grants over HTTP, over botocore and over",
        f"aiobotocore: {number} cells each. The page is written by `python -m tools.docs`.",
        "",
        "Of every cell the record of the service shows: no request was signed with somebody else's credentials or with",
        "credentials that had ended, and nothing came from half an answer. The calls of one request together take no",
        "longer than `timeout_seconds` (20), and two minutes more where the service limits its rate. What is raised,",
        "and the WARNING, name the call, the region, the target, the caller and what to do; `__cause__` is the error",
        "of botocore, where there was one. After the fault the request is granted again.",
        "",
        "## What a fault amounts to",
        "",
        *_table(
            ["fault", *(f"`{call}`" for call in CALLS), "tried again"],
            (
                [f"{name}: {text}", *(_amounts(call, name) for call in CALLS), _tried_again(name)]
                for name, text in FAULTS.items()
            ),
        ),
        "",
        "–: it does not happen, since",
        *(f"{why}{end}" for why, end in zip(LEFT_OUT, [*[";"] * (len(LEFT_OUT) - 1), "."], strict=True)),
        "",
        "Nothing: what Access Grants said stands, for the call is only a hint where else to ask, or which keys need",
        "not be asked for. `GetAccessGrantsInstanceForPrefix` is asked only after a no. A body that is cut off is",
        "`MalformedAnswer` with botocore. With aiobotocore and with an old botocore (1.39) it is `Unreachable`, after",
        "three attempts. An error of `HeadBucket` that names the bucket's region is answer enough, and not tried",
        "again. `ListCallerAccessGrants` is called once, for no decision depends on it.",
        "",
        "Where a call is not made (warm; GetCallerIdentity after the first), 500 and timeout are tried for all faults.",
        "",
        "## What becomes of the request",
        "",
        *_table(
            ["when", *(f'`fallback="{one}"`' for one in FALLBACKS)],
            (
                [text, *(OUTCOMES[_first(OUTCOME_RULES, effect, state, one)] for one in FALLBACKS)]
                for text, effect, state in ROWS
            ),
        ),
        "",
    ]
    return "\n".join(lines)


ROWS = (
    ("credentials are held and are good", "fails", "warm"),
    ("they end soon (advisory window), and the call fails or says no", "fails", "advisory"),
    ("there are none, or they end now (mandatory window), and the call fails", "fails", "cold"),
    ("the same, and Access Grants says no", "no grant", "cold"),
    ("credentials are renewed, and the call is not needed for that", "not made", "mandatory"),
)


def _amounts(call: str, fault: str) -> str:
    return "–" if left_out(call, fault) else EFFECTS[_first(FAULT_RULES, call, fault)].partition(":")[0]


def _tried_again(fault: str) -> str:
    return next((text for faults, text in AGAIN.items() if fault in faults.split("|")), "no")


def _table(head: list[str], rows: Iterator[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]
