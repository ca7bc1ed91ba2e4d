"""``access-grants serve``: runs the local S3 Access Grants in the foreground."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import click

from .environment import isolated_environment
from .interrupts import exit_on_interrupt
from .local_environment import LocalEnvironment, bypass_proxy
from .settings import Failure, Misuse
from .shell_syntax import SHELLS

__all__ = ["serve"]

USER, ADMIN = "developer", "admin"
# How a file of variables is named, and how a shell loads it.
SUFFIXES = {"env": "env", "powershell": "ps1", "fish": "fish"}
# How soon the command notices a signal.
SIGNAL_SECONDS = 0.1
LOAD = {"env": ".", "powershell": ".", "fish": "source"}


class Granted(NamedTuple):
    """A grant of the command line."""

    user: str
    permission: str
    scope: str

    def __str__(self) -> str:
        return f"{self.user} may {self.permission} {self.scope}."


@click.command(short_help="Run a local S3 Access Grants for your tests.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="NUMBER",
    show_default="a free one",
    help="Port to listen on.",
)
@click.option(
    "--bucket",
    "buckets",
    metavar="NAME",
    multiple=True,
    help="Create this bucket. Can be repeated. The buckets of --put and --grant are created as well.",
)
@click.option(
    "--put",
    "objects",
    type=(click.Path(exists=True, dir_okay=False), str),
    metavar="FILE S3_URI",
    multiple=True,
    help="Store a file as an object, under its own name where S3_URI ends in a slash. Can be repeated.",
)
@click.option(
    "--user",
    "users",
    metavar="NAME",
    multiple=True,
    help="Create this user. Can be repeated. The variables on stdout are those of the first.",
)
@click.option(
    "--grant",
    "granted",
    metavar="[USER=]PERMISSION SCOPE",
    nargs=2,
    multiple=True,
    help="Grant READ, WRITE or READWRITE on s3://bucket/prefix* to a user, by default to the first. Can be repeated. "
    "Without --grant: READWRITE on each bucket.",
)
@click.option(
    "--admin-env",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the variables of an administrator to a file: of a caller who may do everything, also create grants.",
)
@click.option(
    "--env-dir",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Write the variables of each user to a file of this folder. Needed for a second user.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(SHELLS)),
    default="env",
    show_default=True,
    help="Shell syntax of the variables.",
)
def serve(form: str, admin_env: str | None, env_dir: str | None, port: int, **options: Any) -> None:
    """Run a local S3, S3 Access Grants and STS on this machine until Ctrl-C or SIGTERM. No AWS account is needed.

    Prints the environment variables with which a program in another shell finds the service, signs as the user, and
    uses the user's grants: botocore loads this package by them, so a boto3 program needs no change. The service
    denies what no grant allows. Its buckets and grants are lost when it ends.

    \b
    Examples:
      access-grants serve --bucket sales --port 9000
      access-grants serve --put q3.csv s3://sales/emea/ --grant READ 's3://sales/emea/*' > local.env
      access-grants serve --user alice --user bob --grant bob=READ 's3://sales/*' --env-dir users
      access-grants serve --bucket sales --admin-env admin.env > local.env

    Then, in another shell, after the second example:

    \b
      . ./local.env
      access-grants doctor s3://sales/emea/
      python -c 'import boto3; boto3.client("s3").download_file("sales", "emea/q3.csv", "copy.csv")'
    """
    users = options["users"] or (USER,)
    grants = _grants(users, options["granted"], options["buckets"], options["objects"])
    if len(users) > 1 and env_dir is None:
        raise Misuse("More than one user needs --env-dir, the folder for the variables of each.")
    bypass = bypass_proxy(os.environ)
    # moto reads the environment when it is imported.
    with isolated_environment():
        with exit_on_interrupt():
            from access_grants_provider.testing import AccessGrantsServer

        stopped = _on_signals()
        server = AccessGrantsServer(port=port)
        try:
            server.start()
        except OSError as error:
            raise Failure(f"Port {port} can't be used: {error.strerror}", "Give another --port") from None
        try:
            _set_up(server, users, grants, options["buckets"], options["objects"])
            environment = LocalEnvironment(server, form, bypass)
            if admin_env is not None:
                _write(Path(admin_env), environment.of_admin())
            for name in users if env_dir is not None else ():
                path = Path(str(env_dir), f"{name}.{SUFFIXES[form]}")
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, environment.of_user(server.identity(name)))
            click.echo(environment.of_user(server.identity(users[0])))
            click.echo(f"Serving at {server.url}. Press Ctrl-C to stop.", err=True)
            click.echo(_next_steps(form, users[0], grants, env_dir), err=True)
            while not stopped:
                time.sleep(SIGNAL_SECONDS)
        finally:
            server.stop()


def _grants(
    users: tuple[str, ...],
    granted: tuple[tuple[str, str], ...],
    buckets: tuple[str, ...],
    objects: tuple[tuple[str, str], ...],
) -> list[Granted]:
    """Return the grants that were named, or READWRITE on each bucket for the first user."""
    if ADMIN in users:
        raise Misuse(f"{ADMIN!r} is the administrator. Give --admin-env FILE for the administrator's variables.")
    if not granted:
        names = dict.fromkeys([*buckets, *(_bucket_of(uri) for _, uri in objects)])
        return [Granted(users[0], "READWRITE", f"s3://{name}/*") for name in names]
    grants = []
    for permission, scope in granted:
        user, separator, named = permission.rpartition("=")
        if separator and user not in users:
            raise Misuse(f"There is no user {user!r} for {permission} {scope}. Give --user {user}.")
        grants.append(Granted(user if separator else users[0], named.upper(), scope))
    return grants


def _set_up(
    server: Any,
    users: tuple[str, ...],
    grants: list[Granted],
    buckets: tuple[str, ...],
    objects: tuple[tuple[str, str], ...],
) -> None:
    """Create the users, the buckets, the objects and the grants."""
    named = [
        *buckets,
        *(_bucket_of(uri) for _, uri in objects),
        *(_bucket_of(grant.scope, "s3://bucket/prefix*") for grant in grants),
    ]
    for name in dict.fromkeys(named):
        _create_bucket(server, name)
    try:
        for name in users:
            server.identity(name)
        for file, uri in objects:
            server.put(f"{uri}{Path(file).name}" if uri.endswith("/") else uri, Path(file).read_bytes())
        for grant in grants:
            server.grant(server.identity(grant.user), grant.scope, grant.permission)
    except ValueError as error:
        raise Misuse(str(error)) from None


def _bucket_of(uri: str, form: str = "s3://bucket/key") -> str:
    if not uri.startswith("s3://"):
        raise Misuse(f"{uri!r} is not an S3 URI. Write {form}.")
    return uri.removeprefix("s3://").partition("/")[0].rstrip("*")


def _create_bucket(server: Any, bucket: str) -> None:
    try:
        server.bucket(bucket)
    except ValueError:
        rule = "A bucket name has 3 to 63 lower-case letters, digits, dots and hyphens."
        raise Misuse(f"{bucket!r} is not a bucket name. {rule}") from None


def _write(path: Path, text: str) -> None:
    """Write variables to a file that its owner alone can read: they hold a secret key, if only a local one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")


def _next_steps(form: str, user: str, grants: list[Granted], env_dir: str | None) -> str:
    """Return the lines that say who may do what, and what to run now."""
    if not grants:
        return "There is no bucket and no grant yet. Give --bucket, --put or --grant, or --admin-env to create them."
    file = Path(env_dir, f"{user}.{SUFFIXES[form]}") if env_dir is not None else Path(f"local.{SUFFIXES[form]}")
    source = "" if env_dir is not None else ", with the lines from stdout in the file"
    target = next((grant.scope for grant in grants if grant.user == user), grants[0].scope).rstrip("*")
    steps = [f"{LOAD[form]} {file if file.is_absolute() else f'./{file}'}", f"access-grants doctor {target}"]
    return "\n".join([*map(str, grants), f"Next, in another shell{source}:", *(f"  {step}" for step in steps)])


def _on_signals() -> list[int]:
    """Return a list that Ctrl-C and SIGTERM add to. A signal that is ignored, as in a shell's background, stays so.

    No ``Event``: the handler runs in the thread that waits, and would need the lock that this thread may just hold.
    """
    stopped: list[int] = []
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _frame: stopped.append(number))
    return stopped
