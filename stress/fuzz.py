"""A coverage-guided run over the two parsers that read foreign text: of a grant's scope, and of a ``CopySource``.

Run ``python -m stress.fuzz --seconds 30`` with the extra ``fuzz`` (atheris, which has wheels for Linux alone, and
not for every Python). What is found is printed with the bytes that lead to it, and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

MAX_BYTES = 2_100  # a target takes 2,000 characters at most, a key 1,024 bytes
SEEDS = (
    "s3://b/p*",
    "s3://b*",
    "s3://b/k",
    "s3://b/**",
    "/b/k%2Fx?versionId=1",
    "b/k+%20?versionId=null",
    "arn:aws:s3",
)


def check_scope(text: str) -> None:
    """Hold the parser of scopes to what a scope is, said in another way."""
    from access_grants_provider.core.scopes import GrantScope, MalformedScope

    try:
        scope = GrantScope.parse(text)
    except MalformedScope:
        return
    rest = text[len("s3://") :]
    assert text.startswith("s3://"), "read without its scheme"
    assert scope.bucket, "no bucket"
    assert not set("/*") & set(scope.bucket), "a bucket that reaches further than its name"
    assert rest.startswith(scope.bucket), "another bucket"
    assert rest[len(scope.bucket) :].startswith(("/", "*")), "a part of the bucket's name"
    assert scope.is_prefix == text.endswith("*"), "a prefix without a star, or a key with one"
    assert rest[len(scope.bucket) :].removeprefix("/").rstrip("*") == scope.key, "another key"
    assert scope.is_prefix or scope.key, "neither a key nor a prefix"
    assert GrantScope.parse(str(scope)) == scope, "it does not come back from its own text"
    assert scope.covers(scope), "it does not hold itself"
    longer = GrantScope(scope.bucket, scope.key + "x", False)
    assert scope.covers(longer) == scope.is_prefix, "a key that it should not hold, or should"
    assert not scope.covers(GrantScope(scope.bucket + "x", scope.key, False)), "a key of another bucket"


def check_copy_source(text: str) -> None:
    """Hold the parser of copy sources to the local service's, which reads the header of the request itself."""
    from botocore.handlers import handle_copy_source_param

    from access_grants_provider.core.operations import copy_source
    from access_grants_provider.testing.http_messages import copy_source as as_the_service_reads_it

    params: dict[str, Any] = {"CopySource": text}
    try:
        handle_copy_source_param(params)
    except UnicodeEncodeError:
        return  # half of a surrogate pair: botocore can't send it
    bucket, key = copy_source(params["CopySource"])
    assert "/" not in bucket or bucket.startswith("arn:"), "a bucket with a slash"
    try:
        *served, _ = as_the_service_reads_it(params["CopySource"])
    except ValueError:
        return
    assert bucket.startswith("arn:") or [bucket, key] == served, f"S3 copies {served}, and we ask for {[bucket, key]}"


def check(data: bytes) -> None:
    """Run both checks on one input."""
    text = data.decode("utf-8", "surrogateescape")
    check_scope(text)
    check_scope("s3://" + text)
    check_copy_source(text)


def main() -> int:
    """Run the fuzzer from the seeds on; it ends the process itself."""
    parser = argparse.ArgumentParser(prog="python -m stress.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=30, help="how long (default: 30)")
    given = parser.parse_args()
    try:
        import atheris
    except ImportError:
        version = ".".join(map(str, sys.version_info[:2]))
        print(
            f"atheris is not installed: pip install 'access-grants-provider[fuzz]'. It has wheels for Linux alone; if "
            f"there is none for Python {version} on {sys.platform}, run this with another Python",
            file=sys.stderr,
        )
        return 2
    with atheris.instrument_imports(include=["access_grants_provider"]):
        import access_grants_provider.core.operations
        import access_grants_provider.core.scopes  # noqa: F401
    folder = Path(tempfile.mkdtemp(prefix="access-grants-fuzz-"))
    for number, seed in enumerate(SEEDS):
        (folder / str(number)).write_bytes(seed.encode())
    options = [f"-max_total_time={given.seconds}", f"-max_len={MAX_BYTES}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/found-", str(folder)], check)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
