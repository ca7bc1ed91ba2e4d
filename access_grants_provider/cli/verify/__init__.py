"""``access-grants verify``: checks on a real AWS account what this package assumes of S3 Access Grants."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..interrupts import deferred_interrupt, exit_on_interrupt
from ..settings import Failure, Misuse, Settings, aws_options, json_option

if TYPE_CHECKING:
    from .extras import Extras
    from .journal import Journal
    from .report import Report

__all__ = ["verify"]

CODE_COULD_NOT_RUN = 2


class CouldNotRun(Failure):
    """Ends the command with exit code 2."""

    exit_code = CODE_COULD_NOT_RUN


@click.command(short_help="Check on AWS what this package assumes.")
@click.option("--yes", is_flag=True, help="Create what the plan says, run the checks, remove everything.")
@click.option(
    "--use-existing",
    is_flag=True,
    help="Run in the account's own S3 Access Grants instance, if there is one. It is neither changed nor deleted.",
)
@click.option(
    "--journal",
    "journal_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    show_default="agp-verify-….jsonl in the current folder",
    help="File for what is created; deleted once everything is removed.",
)
@click.option(
    "--clean",
    "clean_file",
    type=click.Path(dir_okay=False),
    metavar="JOURNAL",
    help="Run no check: remove what the run of this journal has left.",
)
@click.option(
    "--record",
    "record_file",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write the results to a file as JSON. It holds no account id and no key.",
)
@click.option(
    "--load",
    type=click.IntRange(min=1),
    metavar="CALLS",
    help="Also send up to this many GetDataAccess calls as fast as they go, to see whether AWS throttles them. "
    "It may throttle others of the account meanwhile.",
)
@click.option("--long", "is_long", is_flag=True, help="Also wait for the end of credentials, for 15 minutes.")
@click.option(
    "--sso-profile",
    metavar="NAME",
    help="Also check the credentials of this profile, which you have signed in with `aws sso login`. "
    "It needs --use-existing, and an instance that is associated with IAM Identity Center.",
)
@click.option("--sso-user", metavar="UUID", help="The user of --sso-profile, by the id in the directory.")
@json_option
@aws_options
@click.pass_context
def verify(
    ctx: click.Context,
    yes: bool,
    use_existing: bool,
    journal_file: str | None,
    clean_file: str | None,
    record_file: str | None,
    load: int | None,
    is_long: bool,
    sso_profile: str | None,
    sso_user: str | None,
    as_json: bool,
) -> None:
    """Check against AWS what this package assumes of S3 Access Grants, in an account of your own.

    Without --yes it prints the plan, creates nothing and makes no call: what it would create in --region, under which
    names, and the IAM policy you need. With --yes it creates buckets, roles, an S3 Access Grants instance and grants,
    runs the checks, and removes everything, also after a failure and after Ctrl-C. It takes a few minutes and costs
    less than a cent. If the process is killed, --clean removes the rest.

    It refuses to run where the account has an S3 Access Grants instance in the region, unless --use-existing is given.

    The exit code is 0 if everything is as assumed, 1 if something differs, 2 if the checks could not run or were not
    to run (no --yes).

    \b
    Examples:
      access-grants verify --region us-east-1
      access-grants verify --region us-east-1 --yes --record verified.json
      access-grants verify --clean agp-verify-0a1b2c3d.jsonl
    """
    settings: Settings = ctx.obj
    if clean_file is not None:
        _clean(settings, Path(clean_file))
        return
    if settings.region is None:
        raise Misuse("Give --region: in which region the checks are to run.")
    if (sso_profile is None) != (sso_user is None):
        raise Misuse("Give --sso-profile and --sso-user together.")
    with exit_on_interrupt():
        from .extras import Extras
        from .plan import Names, plan

    if not yes:
        click.echo(plan(Names(None), settings.region))
        click.echo("Nothing was created. Give --yes to run the checks.", err=True)
        ctx.exit(CODE_COULD_NOT_RUN)
    names = Names.new()
    path = Path(journal_file or f"{names.run}.jsonl")
    with _ends_with_code_2():
        extras = Extras(load or 0, is_long, _keys_of(sso_profile), sso_user or "")
        report, is_removed = _run(settings, settings.region, names, path, use_existing, extras)
    report.show(as_json, colored=ctx.color is not False)
    if record_file is not None:
        with _ends_with_code_2():
            Path(record_file).write_text(report.as_json() + "\n", encoding="utf-8")
    if not is_removed:
        ctx.exit(CODE_COULD_NOT_RUN)
    ctx.exit(0 if report.is_as_assumed else 1)


def _keys_of(profile: str | None) -> dict[str, Any] | None:
    """Return the credentials of a profile, as STS would give them."""
    if profile is None:
        return None
    from botocore.session import Session

    credentials = Session(profile=profile).get_credentials()
    if credentials is None:
        raise CouldNotRun(f"The profile {profile} has no credentials", f"Sign in: aws sso login --profile {profile}")
    keys = credentials.get_frozen_credentials()
    return {"AccessKeyId": keys.access_key, "SecretAccessKey": keys.secret_key, "SessionToken": keys.token}


def _run(
    settings: Settings, region: str, names: Any, path: Path, use_existing: bool, extras: Extras
) -> tuple[Report, bool]:
    """Create, check, and remove, whatever happens in between. Return also whether nothing is left."""
    with exit_on_interrupt():
        from ..connection import open_session
        from .account import Account
        from .checks import run_checks
        from .creation import create
        from .journal import Journal
        from .waiter import Waiter

    session, _ = open_session(settings)
    account = Account(session, region, settings.endpoint_url)
    if account.has_instance() and not use_existing:
        raise CouldNotRun(
            f"This account has an S3 Access Grants instance in {region}",
            "Take another region, or give --use-existing to run in that instance without changing it. "
            "If an earlier run has left it, give --clean and the journal of that run",
        )
    journal = Journal.create(path, account=account.id, region=region, run=names.run)
    try:
        with _terminable(), deferred_interrupt() as check_interrupt:
            waiter = Waiter(_say, check_interrupt)
            _say(f"{names.run}: what is created is in {path}")
            scene = create(account, names, journal, waiter, extras)
            report = run_checks(scene)
            check_interrupt()
    except BaseException:
        _remove(account, journal)
        raise
    return report, _remove(account, journal)


def _clean(settings: Settings, path: Path) -> None:
    with exit_on_interrupt():
        from ..connection import open_session
        from .account import Account
        from .journal import Journal

    with _ends_with_code_2():
        journal = Journal.read(path)
        session, _ = open_session(settings)
        account = Account(session, journal.region, settings.endpoint_url)
        if account.id != journal.account:
            raise CouldNotRun(
                "The journal is of another AWS account than your credentials", "Give the --profile of the run"
            )
        if not _remove(account, journal):
            raise CouldNotRun("Not everything could be removed")


def _remove(account: Any, journal: Journal) -> bool:
    """Remove what the journal names, and the journal if nothing is left. Tell whether nothing is left."""
    from .removal import remove

    hint = f"Remove the rest with: access-grants verify --clean {journal.path}"
    try:
        left = remove(account, journal, _say)
    except BaseException:
        click.echo(hint, err=True)
        raise
    for line in left:
        click.echo(f"Left: {line}", err=True)
    if left:
        click.echo(hint, err=True)
        return False
    journal.delete()
    _say("everything is removed")
    return True


def _say(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that what was created is removed."""
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    except ValueError:  # not in the main thread, which gets the signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _ends_with_code_2() -> Iterator[None]:
    """End expected failures with exit code 2: exit code 1 says that AWS differs from what is assumed."""
    from ..error_text import KNOWN, in_one_line

    try:
        yield
    except CouldNotRun:
        raise
    except (Failure, *KNOWN) as error:
        raise CouldNotRun(in_one_line(error)) from None
