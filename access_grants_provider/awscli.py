"""The AWS CLI edge: a plugin that has ``aws s3`` and ``aws s3api`` sign with S3 Access Grants credentials.

Two lines in the AWS configuration file load it (version 2 wants a third, ``cli_legacy_plugin_path``, the folder this
package lies in)::

    [plugins]
    access-grants = access_grants_provider.awscli

Rests on the CLI's plugin contract, ``awscli_initialize(event_hooks)``, and on its event ``session-initialized``, when
the profile is known. Nothing is imported but botocore, which is whichever the CLI has; the CLI itself is looked up
among the loaded modules, for importing it would exchange botocore in a process that is not the CLI.
"""

from __future__ import annotations

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, NoReturn

from botocore.exceptions import ProfileNotFound
from botocore.hooks import BaseEventHooks
from botocore.session import Session

from .core.config import PROFILE_SECTION, AccessGrantsConfig, load
from .core.flow_context import REFUSED
from .exceptions import ConfigurationError
from .registration import register

__all__ = ["DEFAULTS", "awscli_initialize"]

# What holds in the CLI where neither environment nor profile say otherwise: options as a profile has them, as texts.
# Each command is a process of its own.
DEFAULTS: Mapping[str, str] = {"cache": "disk"}

ROOT = "access_grants_provider"
CREATING = "creating-client-class.s3"
# The subcommands that version 2 may leave to its CRT transfer client.
TRANSFERS = ("cp", "mv", "rm", "sync")

logger = logging.getLogger(__name__)


def awscli_initialize(event_hooks: BaseEventHooks) -> None:
    """Have the S3 clients of this run of the AWS CLI covered, with the options of environment and profile.

    ``event_hooks`` is the emitter of the CLI's session. A wrong option fails the commands that make an S3 client, with
    one line and the CLI's own exit code (v1: 255, v2: 253), and no other command.
    """
    event_hooks.register("session-initialized", _cover)


def _cover(session: Session, parsed_args: Namespace, **_: object) -> None:
    """Handle ``session-initialized``: register the session with its options."""
    _show_log(debug=bool(getattr(parsed_args, "debug", False)))
    try:
        settings: dict[str, Any] = session.get_scoped_config()
    except ProfileNotFound:
        # The command makes it, or the CLI will say that it is missing.
        settings = {}
    try:
        config = load({}, config=None, environ=os.environ, profile=_with_defaults(settings))
        register(session, config=config)
    except ConfigurationError as error:
        session.register(CREATING, _Refusal(str(error)))
        return
    if _is_version_2():
        for transfer in TRANSFERS:
            session.register(f"before-building-argument-table-parser.s3.{transfer}", _Transfer(config, settings))


def _with_defaults(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    section = settings.get(PROFILE_SECTION, {})
    if not isinstance(section, Mapping):
        # load() says what is wrong with it.
        return settings
    return {**settings, PROFILE_SECTION: {**DEFAULTS, **section}}


class _Refusal:
    """Raises what is wrong with the options once an S3 client is made."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __call__(self, **_: object) -> NoReturn:
        raise _error(f"access-grants: {self._message}")


class _Transfer:
    """Handles the start of a transfer in version 2: its CRT client signs in C, where no event is sent."""

    def __init__(self, config: AccessGrantsConfig, settings: Mapping[str, Any]) -> None:
        self._config = config
        self._settings = settings

    def __call__(self, **_: object) -> None:
        if not _takes_crt(self._settings):
            return
        problem = (
            "the CRT transfer client of the AWS CLI signs by itself, as the caller and never with a grant; "
            "set preferred_transfer_client = classic in the s3 section of the profile"
        )
        if self._config.fallback == "never":
            raise _error(f"access-grants: {problem}")
        logger.warning("%s", problem)


def _takes_crt(settings: Mapping[str, Any]) -> bool:
    """Tell whether the CLI takes its CRT client: where it is told to, and by itself on some EC2 instances."""
    section = settings.get("s3")
    preferred = section.get("preferred_transfer_client", "auto") if isinstance(section, Mapping) else "auto"
    if preferred != "auto":
        return bool(preferred == "crt")
    crt = sys.modules.get("awscrt.s3")
    return crt is not None and bool(crt.is_optimized_for_system())


def _is_version_2() -> bool:
    return str(getattr(sys.modules.get("awscli"), "__version__", "")).startswith("2.")


def _error(message: str) -> Exception:
    """Return the error that version 2 answers with its exit code for wrong configuration; version 1 has none."""
    exceptions = sys.modules.get("awscli.customizations.exceptions")
    kind: type[Exception] = getattr(exceptions, "ConfigurationError", ConfigurationError)
    return kind(message)


class _OnOneLine(logging.Formatter):
    """The form of what is shown without --debug."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message after the plugin's name."""
        message = " ".join(record.getMessage().split())
        return f"access-grants: {message.removeprefix('S3 Access Grants: ')}"


def _show_log(debug: bool) -> None:
    """Show this package's warnings on stderr, and under --debug everything, in the form of the CLI's own log."""
    handler = logging.StreamHandler()
    handler.set_name(ROOT)
    if debug:
        handler.setFormatter(logging.Formatter("%(asctime)s - %(threadName)s - %(name)s - %(levelname)s - %(message)s"))
    else:
        handler.setFormatter(_OnOneLine())
    # The command ends with the error, which says the same.
    handler.addFilter(lambda record: record.msg != REFUSED)
    root = logging.getLogger(ROOT)
    root.setLevel(logging.DEBUG if debug else logging.WARNING)
    # The CLI begins anew where it prompts for what is missing.
    for earlier in [one for one in root.handlers if one.get_name() == ROOT]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    # Shown by this handler, and by no other.
    root.propagate = False
