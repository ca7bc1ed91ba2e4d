"""The resource policy of an Access Grants instance: what other accounts may call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from .errors import Refusal
from .identities import Identity

_ELEMENTS = frozenset({"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})


def check_policy(text: str) -> None:
    """Raise Refusal for what AWS refuses, and 501 for what is right but not known here."""
    try:
        statements = _statements(json.loads(text))
        readable = all(isinstance(entry, dict) for entry in statements)
    except (ValueError, AttributeError, TypeError):
        readable, statements = False, []
    if not readable or any(entry.get("Effect") not in ("Allow", "Deny") for entry in statements):
        raise Refusal("InvalidResourcePolicy", "The specified Resource Policy is invalid")
    for statement in statements:
        for element in statement.keys() - _ELEMENTS:
            raise _unknown(f"element {element}")
        for operator, wanted in statement.get("Condition", {}).items():
            if operator not in _OPERATORS:
                raise _unknown(f"condition operator {operator}")
            for key in wanted.keys() - _KEYS.keys():
                raise _unknown(f"condition key {key}")


def allows(text: str | None, identity: Identity, action: str, resource: str) -> bool:
    """Whether the policy lets an identity of another account call `action` on the instance of this ARN."""
    if text is None:
        return False
    effects = {
        statement["Effect"]
        for statement in _statements(json.loads(text))
        if _applies(statement, identity, action, resource)
    }
    return effects == {"Allow"}


def with_statement(text: str | None, statement: Mapping[str, Any]) -> str:
    """The policy with one more statement."""
    policy = json.loads(text) if text else {"Version": "2012-10-17", "Statement": []}
    return json.dumps({**policy, "Statement": [*_statements(policy), statement]})


def _statements(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = policy.get("Statement")
    if not isinstance(found, (list, dict)):
        raise TypeError("a policy has statements")
    return list(found) if isinstance(found, list) else [found]


def _applies(statement: Mapping[str, Any], identity: Identity, action: str, resource: str) -> bool:
    return (
        _names_principal(statement.get("Principal", {}), identity)
        # IAM compares actions without regard to case, and everything else with it.
        and _like(action.lower(), [entry.lower() for entry in _listed(statement.get("Action", []))])
        and _like(resource, _listed(statement.get("Resource", [])))
        and all(
            _OPERATORS[operator](_KEYS[key](identity), _listed(values))
            for operator, wanted in statement.get("Condition", {}).items()
            for key, values in wanted.items()
        )
    )


def _names_principal(principal: Any, identity: Identity) -> bool:
    named = _listed(principal if isinstance(principal, str) else principal.get("AWS", []))
    return not {
        *identity.grantees,
        identity.account_id,
        f"arn:aws:iam::{identity.account_id}:root",
        "*",
    }.isdisjoint(named)


def _like(value: str, patterns: list[str]) -> bool:
    # IAM knows the wildcards "*" and "?" alone; fnmatch would take "[" for one too.
    return any(fnmatchcase(value, pattern.replace("[", "[[]")) for pattern in patterns)


def _equals(value: str, wanted: list[str]) -> bool:
    return value in wanted


_KEYS: dict[str, Callable[[Identity], str]] = {
    "aws:PrincipalAccount": lambda identity: identity.account_id,
    # A session has the ARN of its role here.
    "aws:PrincipalArn": lambda identity: identity.grantees[-1],
    "aws:userid": lambda identity: identity.user_id,
}
_OPERATORS: dict[str, Callable[[str, list[str]], bool]] = {
    "StringEquals": _equals,
    "StringNotEquals": lambda value, wanted: not _equals(value, wanted),
    "StringLike": _like,
    "StringNotLike": lambda value, wanted: not _like(value, wanted),
    # ArnEquals takes wildcards as ArnLike does.
    "ArnEquals": _like,
    "ArnLike": _like,
    "ArnNotEquals": lambda value, wanted: not _like(value, wanted),
    "ArnNotLike": lambda value, wanted: not _like(value, wanted),
}


def _unknown(what: str) -> Refusal:
    return Refusal("NotImplemented", f"The local S3 Access Grants do not know the {what}", status=501)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
