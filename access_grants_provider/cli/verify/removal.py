"""Removes what a journal names, the last first. What is gone already is no error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..error_text import in_one_line
from ..settings import Failure
from .account import Account
from .journal import Entry, Journal
from .plan import TAG
from .waiter import Waiter

__all__ = ["remove"]

GONE = frozenset({
    "AccessGrantsInstanceNotExists", "AccessGrantsInstanceNotExistsError", "NoSuchAccessGrantError",
    "NoSuchAccessGrantsLocationError", "NoSuchBucket", "NoSuchEntity", "NoSuchUpload",
})  # fmt: skip
# What is answered while AWS has not yet noticed what was removed before.
UNNOTICED = frozenset({
    "AccessGrantsInstanceNotEmptyError", "AccessGrantsLocationNotEmptyError", "BucketNotEmpty",
    "ConcurrentModification", "DeleteConflict", "OperationAborted",
})  # fmt: skip
SECONDS = 60.0


def remove(account: Account, journal: Journal, say: Callable[[str], None]) -> list[str]:
    """Remove everything, and return a line for each thing that could not be removed."""
    waiter = Waiter(say, lambda: None)
    left = []
    done = []
    for entry in reversed(journal.entries):
        if entry in done:
            continue
        done.append(entry)
        what = _described(entry)
        say(f"removing {what}")
        try:
            waiter.until(f"removing {what}", lambda entry=entry: _gone(account, entry), UNNOTICED, SECONDS)  # type: ignore[misc]
        except (ClientError, BotoCoreError, Failure) as error:
            left.append(f"{what}: {in_one_line(error)}")
    return left


def _gone(account: Account, entry: Entry) -> bool:
    _unless_gone(REMOVERS[entry["kind"]], account, entry)
    return True


def _unless_gone(call: Callable[..., Any], *args: Any, **given: Any) -> None:
    """Make a call, and take it for success where what it is about does not exist. A list may show what is gone."""
    try:
        call(*args, **given)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in GONE:
            raise


def _described(entry: Entry) -> str:
    if entry["kind"] == "grant":
        return f"the grants to {_name_of(entry['grantee'])}"
    if entry["kind"] == "instance":
        return "the S3 Access Grants instance"
    return f"the {entry['kind']} {entry.get('name') or entry.get('scope')}"


def _name_of(grantee: str) -> str:
    return grantee.rpartition("/")[2] if grantee.startswith("arn:") else "the user of the directory"


def _remove_role(account: Account, entry: Entry) -> None:
    name = entry["name"]
    for policy in account.iam.list_role_policies(RoleName=name)["PolicyNames"]:
        _unless_gone(account.iam.delete_role_policy, RoleName=name, PolicyName=policy)
    account.iam.delete_role(RoleName=name)


def _remove_bucket(account: Account, entry: Entry) -> None:
    s3 = account.client("s3", region=entry["region"])
    # Bucket names are taken world-wide: one of another account is not ours.
    own = {"Bucket": entry["name"], "ExpectedBucketOwner": account.id}
    for upload in _listed(s3, "list_multipart_uploads", "Uploads", own):
        _unless_gone(s3.abort_multipart_upload, Key=upload["Key"], UploadId=upload["UploadId"], **own)
    for kind in ("Versions", "DeleteMarkers"):
        for version in _listed(s3, "list_object_versions", kind, own):
            s3.delete_object(Key=version["Key"], VersionId=version["VersionId"], **own)
    s3.delete_bucket(**own)


def _remove_instance(account: Account, entry: Entry) -> None:
    arn = f"arn:{account.partition}:s3:{account.region}:{account.id}:access-grants/default"
    account.control.get_access_grants_instance(AccountId=account.id)
    tags = account.control.list_tags_for_resource(AccountId=account.id, ResourceArn=arn)["Tags"]
    # The process may have ended before its own instance existed, and somebody else may have created one since.
    if {"Key": TAG, "Value": entry["run"]} not in tags:
        raise Failure("It does not have the tag of this run, so it may be somebody else's")
    account.control.delete_access_grants_instance(AccountId=account.id)


def _remove_location(account: Account, entry: Entry) -> None:
    # Also those that were not listed yet when the grants were removed: each try looks again.
    _remove_grants(account, {**entry, "scope": entry["scope"].rstrip("*")})
    given = {"LocationScope": entry["scope"]}
    for location in _all(account, account.control.list_access_grants_locations, "AccessGrantsLocationsList", given):
        # AWS may write a scope with or without its slash or star.
        if location["LocationScope"].rstrip("/*") == entry["scope"].rstrip("/*"):
            delete = account.control.delete_access_grants_location
            _unless_gone(delete, AccountId=account.id, AccessGrantsLocationId=location["AccessGrantsLocationId"])


def _remove_grants(account: Account, entry: Entry) -> None:
    kind = "IAM" if entry["grantee"].startswith("arn:") else "DIRECTORY_USER"
    given = {"GranteeType": kind, "GranteeIdentifier": entry["grantee"]}
    for grant in _all(account, account.control.list_access_grants, "AccessGrantsList", given):
        # Whatever the service lists: the instance may hold grants of others.
        if grant["GrantScope"].startswith(entry["scope"]):
            delete = account.control.delete_access_grant
            _unless_gone(delete, AccountId=account.id, AccessGrantId=grant["AccessGrantId"])


def _all(account: Account, operation: Callable[..., Any], name: str, given: dict[str, str]) -> list[dict[str, Any]]:
    """Return the items of all pages: botocore has no paginator for these in older versions."""
    page = operation(AccountId=account.id, **given)
    items = list(page[name])
    while page.get("NextToken"):
        page = operation(AccountId=account.id, NextToken=page["NextToken"], **given)
        items += page[name]
    return items


def _listed(client: Any, operation: str, name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    # A list, because what is listed is removed.
    return [item for page in client.get_paginator(operation).paginate(**given) for item in page.get(name, [])]


REMOVERS: dict[str, Callable[[Account, Entry], None]] = {
    "role": _remove_role,
    "bucket": _remove_bucket,
    "instance": _remove_instance,
    "location": _remove_location,
    "grant": _remove_grants,
}
