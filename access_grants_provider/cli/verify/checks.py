"""What this package assumes of AWS, each assumption with a check of it. The most consequential come first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from typing import Any, NamedTuple

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from .account import Keys
from .creation import GRANTS
from .redaction import redacted
from .report import Report, Result, Verdict
from .scene import Scene
from .seen import Expected, Seen, see, seen_in

__all__ = ["CHECKS", "Check", "run_check", "run_checks"]

# For how long a grant that was given or taken is waited for.
COUNTS_SECONDS = 120.0
POLL_SECONDS = 0.5
# How many calls are under way at once under --load, and how long after their end credentials are tried.
CALLS_AT_ONCE = 32
MARGIN_SECONDS = 5.0
NO_IAM = "a local service: it gives IAM's policies no effect"


class Check(NamedTuple):
    """One assumption: its id, the assumption as a sentence, what is expected, and the calls that show it.

    ``unless`` returns why the check can't run here.
    """

    id: str
    assumption: str
    expected: Expected
    observe: Callable[[Scene], Seen]
    unless: Callable[[Scene], str | None]


CHECKS: list[Check] = []

Observe = Callable[[Scene], Seen]


def _check(
    name: str,
    assumption: str,
    answers: str,
    words: str = "",
    unless: Callable[[Scene], str | None] = lambda _: None,
) -> Callable[[Observe], Observe]:
    """Add a check. ``answers``: a code and its status, or several of these, as in ``AccessDenied 403``."""
    parts = answers.split()
    expected = Expected(tuple(zip(parts[::2], map(int, parts[1::2]), strict=True)), words)

    def add(observe: Observe) -> Observe:
        CHECKS.append(Check(name, assumption, expected, observe, unless))
        return observe

    return add


def run_checks(scene: Scene) -> Report:
    """Run all checks."""
    return Report(scene.account, [run_check(scene, check) for check in CHECKS])


def run_check(scene: Scene, check: Check) -> Result:
    """Run one check."""
    reason = check.unless(scene)
    if reason is not None:
        scene.waiter.step(f"{check.id}: skipped")
        return Result(check.id, check.assumption, str(check.expected), None, "skipped", reason)
    scene.waiter.step(check.id)
    try:
        seen = check.observe(scene)
        is_seen = True
    except (ClientError, BotoCoreError) as error:
        # A call that only leads to the one that counts. Its code may be the expected one by chance.
        seen = seen_in(error)
        seen = seen._replace(message=f"{getattr(error, 'operation_name', 'a call')} before the check: {seen.message}")
        is_seen = False
    seen = redacted(seen, scene.account, scene.names)
    verdict: Verdict = "as assumed" if is_seen and check.expected.fits(seen) else "differs"
    return Result(check.id, check.assumption, str(check.expected), seen, verdict)


def _on_a_local_service(scene: Scene) -> str | None:
    return NO_IAM if scene.account.is_local else None


def _without_annotations(scene: Scene) -> str | None:
    from botocore import __version__

    known = "PutObjectAnnotation" in scene.account.s3.meta.service_model.operation_names
    return None if known else f"botocore {__version__} has no annotations; 1.43.31 has"


def _without_load(scene: Scene) -> str | None:
    return None if scene.extras.load else "only with --load"


def _without_time(scene: Scene) -> str | None:
    return None if scene.extras.is_long else "only with --long: it takes 15 minutes"


def _without_directory(scene: Scene) -> str | None:
    if scene.extras.sso_keys is None:
        return "only with --sso-profile and --sso-user"
    return None if scene.account.has_directory() else "the instance is associated with no IAM Identity Center instance"


def _scope(answer: dict[str, Any]) -> str:
    return f"MatchedGrantTarget {answer['MatchedGrantTarget']}"


def _vend(scene: Scene, path: str, permission: str = "READ", **more: Any) -> Seen:
    given = {"AccountId": scene.account.id, "Target": scene.uri(path), "Permission": permission}
    return see(scene.grantee.get_data_access, _scope, **given, **more)


def _get(scene: Scene, s3: Any, key: str) -> Seen:
    return see(s3.get_object, Bucket=scene.names.bucket, Key=key)


# How GetDataAccess says no


@_check(
    "no-grant",
    "Without a grant GetDataAccess answers AccessDenied in words of its own.",
    "AccessDenied 403", "You do not have READ permissions",
)  # fmt: skip
def _no_grant(scene: Scene) -> Seen:
    return _vend(scene, "out/x", TargetType="Object")


@_check(
    "not-allowed",
    "A caller who may not call GetDataAccess gets AccessDenied in IAM's words.",
    "AccessDenied 403", "is not authorized to perform: s3:GetDataAccess",
    _on_a_local_service,
)  # fmt: skip
def _not_allowed(scene: Scene) -> Seen:
    given = {"AccountId": scene.account.id, "Target": scene.uri("in/*"), "Permission": "READ"}
    return see(scene.nobody.get_data_access, _scope, **given)


@_check(
    "too-long",
    "A duration that the location's role does not allow is refused as such, and not as a denial.",
    "StsValidationError 400 InvalidRequest 400",
)  # fmt: skip
def _too_long(scene: Scene) -> Seen:
    return _vend(scene, "in/*", DurationSeconds=7200)


@_check(
    "read-plus-write",
    "A READ and a WRITE grant on one scope do not answer a READWRITE request.",
    "AccessDenied 403", "You do not have READWRITE permissions",
)  # fmt: skip
def _read_plus_write(scene: Scene) -> Seen:
    return _vend(scene, "both/*", "READWRITE")


# Which instance is found


@_check(
    "instance-of-bare-bucket",
    "GetAccessGrantsInstanceForPrefix answers by account and region, also for a bucket in no location.",
    "OK 200",
)  # fmt: skip
def _instance_of_bare_bucket(scene: Scene) -> Seen:
    return _instance_for(scene, f"s3://{scene.names.bare_bucket}/x")


@_check(
    "instance-of-far-bucket",
    "GetAccessGrantsInstanceForPrefix names no instance for a bucket of another region.",
    "AccessGrantsInstanceNotExistsError 404",
)  # fmt: skip
def _instance_of_far_bucket(scene: Scene) -> Seen:
    return _instance_for(scene, f"s3://{scene.names.far_bucket}/x")


def _instance_for(scene: Scene, prefix: str) -> Seen:
    return see(
        scene.grantee.get_access_grants_instance_for_prefix,
        lambda answer: str(answer["AccessGrantsInstanceArn"]),
        AccountId=scene.account.id,
        S3Prefix=prefix,
    )


@_check(
    "all-instances-grant",
    "InstanceScope=ALL finds a grant in the caller's own instance.",
    "OK 200",
)
def _all_instances_grant(scene: Scene) -> Seen:
    return _vend(scene, "in/*", InstanceScope="ALL")


@_check(
    "all-instances-none",
    "InstanceScope=ALL without a grant answers AccessDenied or AccessGrantsInstanceNotExistsError.",
    "AccessDenied 403 AccessGrantsInstanceNotExistsError 404",
)
def _all_instances_none(scene: Scene) -> Seen:
    return _vend(scene, "out/x", TargetType="Object", InstanceScope="ALL")


@_check(
    "list-everything",
    "ListCallerAccessGrants with GrantScope=s3:// lists all grants of the caller.",
    "OK 200", "all grants",
)  # fmt: skip
def _list_everything(scene: Scene) -> Seen:
    def missing(answer: dict[str, Any]) -> str:
        listed = {(entry["GrantScope"], entry["Permission"]) for entry in answer["CallerAccessGrantsList"]}
        absent = [f"{permission} {path}" for path, permission in GRANTS if (scene.uri(path), permission) not in listed]
        return f"without {', '.join(absent)}" if absent else "all grants"

    return see(scene.grantee.list_caller_access_grants, missing, AccountId=scene.account.id, GrantScope="s3://")


# What the credentials of a grant cover


@_check("granted", "A grant on in/* covers an object in it.", "OK 200")
def _granted(scene: Scene) -> Seen:
    return _get(scene, scene.granted_s3("in/a", "READ", TargetType="Object"), "in/a")


@_check(
    "outside",
    "Outside of its scope S3 refuses the session of a grant, and names the session's policy.",
    "AccessDenied 403", "session policy",
)  # fmt: skip
def _outside(scene: Scene) -> Seen:
    return _get(scene, scene.granted_s3("in/*", "READ"), "out/x")


@_check("minimal-scope", "With privilege Minimal the target itself is matched.", "OK 200", "/in/a")
def _minimal_scope(scene: Scene) -> Seen:
    return _vend(scene, "in/a", TargetType="Object", Privilege="Minimal")


@_check("minimal-target", "Under privilege Minimal the target can be read.", "OK 200")
def _minimal_target(scene: Scene) -> Seen:
    return _get(scene, _minimal(scene, "in/a"), "in/a")


@_check("minimal-beside", "Under privilege Minimal nothing beside the target can be read.", "AccessDenied 403")
def _minimal_beside(scene: Scene) -> Seen:
    return _get(scene, _minimal(scene, "in/a"), "in/b")


@_check(
    "minimal-star",
    "Under privilege Minimal a star at the end of a key is a character, and no pattern.",
    "AccessDenied 403",
)  # fmt: skip
def _minimal_star(scene: Scene) -> Seen:
    return _get(scene, _minimal(scene, "in/k*"), "in/kx")


def _minimal(scene: Scene, key: str) -> Any:
    return scene.granted_s3(key, "READ", TargetType="Object", Privilege="Minimal")


@_check(
    "nested-nearest",
    "Of two grants the one nearest to the target is matched, also where it belongs to a nested location.",
    "OK 200", "/nest/inner/*",
)  # fmt: skip
def _nested_nearest(scene: Scene) -> Seen:
    return _vend(scene, "nest/inner/a", TargetType="Object")


@_check(
    "nested-outer",
    "What the role of the wider location may not read is refused under the wider grant.",
    "AccessDenied 403", "",
    _on_a_local_service,
)  # fmt: skip
def _nested_outer(scene: Scene) -> Seen:
    return _get(scene, scene.granted_s3("nest/*", "READ"), "nest/inner/a")


@_check("nested-inner", "It can be read under the grant of the nested location.", "OK 200")
def _nested_inner(scene: Scene) -> Seen:
    return _get(scene, scene.granted_s3("nest/inner/a", "READ", TargetType="Object"), "nest/inner/a")


@_check("attributes", "GetObjectAttributes needs no more than READ.", "OK 200")
def _attributes(scene: Scene) -> Seen:
    s3 = scene.granted_s3("in/*", "READ")
    return see(s3.get_object_attributes, Bucket=scene.names.bucket, Key="in/a", ObjectAttributes=["ETag", "ObjectSize"])


@_check("tagging", "The session of a grant may not set tags.", "AccessDenied 403")
def _tagging(scene: Scene) -> Seen:
    s3 = scene.granted_s3("w/*", "WRITE")
    return see(s3.put_object, Bucket=scene.names.bucket, Key="w/t", Body=b"", Tagging="colour=red")


@_check("copy", "CopyObject within a READWRITE grant needs no more.", "OK 200")
def _copy(scene: Scene) -> Seen:
    return _copied(scene, "rw/plain")


@_check("copy-tagged", "The session of a grant may not copy an object that has tags.", "AccessDenied 403")
def _copy_tagged(scene: Scene) -> Seen:
    return _copied(scene, "rw/tagged")


@_check("copy-new-tags", "It may not give a copy other tags either.", "AccessDenied 403")
def _copy_new_tags(scene: Scene) -> Seen:
    return _copied(scene, "rw/plain", TaggingDirective="REPLACE", Tagging="colour=red")


@_check(
    "copy-annotated",
    "The session of a grant may not copy an object that has annotations.",
    "AccessDenied 403", "", _without_annotations,
)  # fmt: skip
def _copy_annotated(scene: Scene) -> Seen:
    return _copied(scene, _annotated(scene))


@_check(
    "copy-excluding",
    "With AnnotationDirective=EXCLUDE it may.",
    "OK 200", "", _without_annotations,
)  # fmt: skip
def _copy_excluding(scene: Scene) -> Seen:
    return _copied(scene, _annotated(scene), AnnotationDirective="EXCLUDE")


def _annotated(scene: Scene) -> str:
    note = {"Bucket": scene.names.bucket, "Key": "rw/annotated", "AnnotationName": "note"}
    scene.account.s3.put_object_annotation(**note, AnnotationPayload=b"agp-verify")
    return note["Key"]


def _copied(scene: Scene, key: str, **more: str) -> Seen:
    bucket = scene.names.bucket
    copy: dict[str, Any] = {"Bucket": bucket, "Key": "rw/copy", "CopySource": {"Bucket": bucket, "Key": key}, **more}
    return see(partial(scene.granted_s3("rw/*", "READWRITE").copy_object, **copy))


@_check(
    "upload-of-two",
    "One identity creates a multipart upload with tags; a grant uploads its parts and completes it.",
    "OK 200",
)  # fmt: skip
def _upload_of_two(scene: Scene) -> Seen:
    upload = {"Bucket": scene.names.bucket, "Key": "rw/upload"}
    upload["UploadId"] = scene.account.s3.create_multipart_upload(**upload, Tagging="colour=red")["UploadId"]
    s3 = scene.granted_s3("rw/*", "READWRITE")
    part = s3.upload_part(PartNumber=1, Body=b"x", **upload)
    parts: dict[str, Any] = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return see(partial(s3.complete_multipart_upload, MultipartUpload=parts, **upload))


# What is asked around a granted folder, by a caller who has nothing but the grant


@_check("head-folder", "HeadObject of the granted folder's bare name is refused, and not answered 404.", "403 403")
def _head_folder(scene: Scene) -> Seen:
    return see(scene.grantee_s3.head_object, Bucket=scene.names.bucket, Key="in")


@_check("bucket-location", "GetBucketLocation is refused.", "AccessDenied 403")
def _bucket_location(scene: Scene) -> Seen:
    return see(scene.grantee_s3.get_bucket_location, Bucket=scene.names.bucket)


@_check(
    "head-bucket", "HeadBucket is refused, and names the bucket's region.", "403 403", "x-amz-bucket-region: REGION"
)
def _head_bucket(scene: Scene) -> Seen:
    return see(scene.grantee_s3.head_bucket, Bucket=scene.names.bucket)


@_check(
    "head-far-bucket",
    "HeadBucket of a bucket elsewhere names that region, whatever the caller may do.",
    "403 403", "x-amz-bucket-region: OTHER-REGION",
)  # fmt: skip
def _head_far_bucket(scene: Scene) -> Seen:
    # botocore goes to the region that the first answer names, and asks again there.
    return see(scene.grantee_s3.head_bucket, Bucket=scene.names.far_bucket)


# How grants are written


@_check(
    "star-object",
    "No grant can be given on an object whose key ends in a star.",
    "InvalidAccessGrant 400 InvalidRequest 400",
)  # fmt: skip
def _star_object(scene: Scene) -> Seen:
    return see(
        scene.create_grant, _grant_scope, sub_prefix=f"{scene.slash}star/k*", permission="READ", S3PrefixType="Object"
    )


@_check(
    "leading-slash",
    "Below a bucket, S3SubPrefix may begin with the slash after the bucket's name.",
    "OK 200", "agp-verify-RUN/slash/*",
)  # fmt: skip
def _leading_slash(scene: Scene) -> Seen:
    return see(scene.create_grant, _grant_scope, sub_prefix="/slash/*", permission="READ")


@_check(
    "no-slash",
    "Below a bucket, S3SubPrefix may also be written without it.",
    "OK 200", "agp-verify-RUN/bare/*",
)  # fmt: skip
def _no_slash(scene: Scene) -> Seen:
    return see(scene.create_grant, _grant_scope, sub_prefix="bare/*", permission="READ")


def _grant_scope(answer: dict[str, Any]) -> str:
    return f"GrantScope {answer['GrantScope']}"


# How soon


@_check("grant-counts", f"A new grant counts within {COUNTS_SECONDS:.0f} s.", "OK 200")
def _grant_counts(scene: Scene) -> Seen:
    scene.create_grant(f"{scene.slash}soon/*", "READ")
    return _polled(scene.grantee, scene, "soon/*", before="AccessDenied")


@_check("revocation-counts", f"A deleted grant is denied within {COUNTS_SECONDS:.0f} s.", "AccessDenied 403")
def _revocation_counts(scene: Scene) -> Seen:
    grant = scene.create_grant(f"{scene.slash}brief/*", "READ")["AccessGrantId"]
    given = _polled(scene.grantee, scene, "brief/*", before="AccessDenied")
    scene.account.control.delete_access_grant(AccountId=scene.account.id, AccessGrantId=grant)
    return _polled(scene.grantee, scene, "brief/*", before="OK") if given.code == "OK" else given


def _polled(client: Any, scene: Scene, path: str, before: str) -> Seen:
    """Ask for a grant until the answer is another than ``before``, for a bounded time; return the last one."""
    started = scene.waiter.now()
    given = {"AccountId": scene.account.id, "Target": scene.uri(path), "Permission": "READ"}
    call = partial(client.get_data_access, **given)
    while True:
        seen = see(call, _scope)
        seconds = scene.waiter.now() - started
        if seen.code != before or seconds >= COUNTS_SECONDS:
            return seen._replace(seconds=round(seconds, 1))
        scene.waiter.pause(POLL_SECONDS)


# Presigned URLs


@_check("presigned", "A URL that was presigned with a grant can be fetched.", "OK 200")
def _presigned(scene: Scene) -> Seen:
    return _fetched(_url(scene, seconds=60))


@_check("presigned-end", "After its end, a presigned URL is refused as AccessDenied.", "AccessDenied 403", "expired")
def _presigned_end(scene: Scene) -> Seen:
    url = _url(scene, seconds=1)
    scene.waiter.pause(3.0)
    return _fetched(url)


@_check(
    "presigned-keys-end",
    "A presigned URL ends with the credentials that signed it, also before its own end.",
    "ExpiredToken 400", "", _without_time,
)  # fmt: skip
def _presigned_keys_end(scene: Scene) -> Seen:
    keys = scene.get_data_access("in/*", "READ", DurationSeconds=900)["Credentials"]
    url = _presigned_with(scene, keys, seconds=12 * 3600)
    left = keys["Expiration"] - datetime.now(timezone.utc)
    scene.waiter.wait("waiting for the end of the credentials", left.total_seconds() + MARGIN_SECONDS)
    return _fetched(url)


def _url(scene: Scene, seconds: int) -> str:
    return _presigned_with(scene, scene.get_data_access("in/*", "READ")["Credentials"], seconds)


def _presigned_with(scene: Scene, keys: Keys, seconds: int) -> str:
    given = {"Bucket": scene.names.bucket, "Key": "in/a"}
    url: str = scene.account.client("s3", keys).generate_presigned_url("get_object", given, ExpiresIn=seconds)
    return url


def _fetched(url: str) -> Seen:
    answer = URLLib3Session(proxies=get_environ_proxies(url)).send(AWSRequest("GET", url).prepare())
    if answer.status_code == 200:
        return Seen("OK", 200)
    code, message = (_element(answer.text, name) for name in ("Code", "Message"))
    return Seen(code, answer.status_code, message)


def _element(text: str, name: str) -> str:
    return text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]


# Who asks, and how often. The last one may have the account throttled for a while.


@_check(
    "sso-identity",
    "The credentials of `aws sso login` carry no identity context: a grant to their user does not answer.",
    "AccessDenied 403", "You do not have READ permissions", _without_directory,
)  # fmt: skip
def _sso_identity(scene: Scene) -> Seen:
    scene.create_grant(f"{scene.slash}sso/*", "READ", user=scene.extras.sso_user)
    client = scene.account.client("s3control", scene.extras.sso_keys)
    # Denied to the end: else the grant might only not count yet.
    return _polled(client, scene, "sso/*", before="AccessDenied")


@_check(
    "throttling",
    "GetDataAccess refuses no call of many at once, or with a code that this package takes for throttling.",
    "SlowDown 503 Throttling 400 ThrottlingException 400 RequestLimitExceeded 503 TooManyRequestsException 429 OK 200",
    "", _without_load,
)  # fmt: skip
def _throttling(scene: Scene) -> Seen:
    options: dict[str, Any] = {
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "max_pool_connections": CALLS_AT_ONCE,
    }
    client = scene.account.client("s3control", scene.grantee_keys, **options)
    given = {"AccountId": scene.account.id, "Target": scene.uri("in/*"), "Permission": "READ"}
    call = partial(client.get_data_access, **given)
    started, sent, load = scene.waiter.now(), 0, scene.extras.load
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        while sent < load:
            scene.waiter.check_interrupt()
            count = min(CALLS_AT_ONCE, load - sent)
            answers = list(pool.map(lambda _: see(call), range(count)))
            sent += count
            seen = next((answer for answer in answers if answer.code != "OK"), answers[0])
            if seen.code != "OK":
                break
    seconds = round(scene.waiter.now() - started, 1)
    return seen._replace(message=f"{sent} calls. {seen.message}".rstrip(), seconds=seconds)
