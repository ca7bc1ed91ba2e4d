"""The options, their bounds and where they come from.

Each option is looked for in the arguments, then in the environment (``S3_ACCESS_GRANTS_FALLBACK``, …), then
in the nested section ``s3_access_grants`` of the AWS profile; then its default holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

from ..exceptions import ConfigurationError
from .results import Decision

__all__ = ["CACHE_FOLDER_VARIABLE", "ENVIRONMENT_PREFIX", "PROFILE_SECTION", "AccessGrantsConfig", "load"]

ENVIRONMENT_PREFIX = "S3_ACCESS_GRANTS_"
PROFILE_SECTION = "s3_access_grants"
# A place on this machine and no option: it has no argument, and is read where the cache on disk is made.
CACHE_FOLDER_VARIABLE = ENVIRONMENT_PREFIX + "CACHE_FOLDER"

Fallback = Literal["denied", "always", "never"]
Privilege = Literal["Default", "Minimal"]
Cache = Literal["memory", "disk"]
Listener = Callable[[Decision], object]

# Bounds of the S3 Control API model:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetDataAccess.html
MIN_DURATION_SECONDS, MAX_DURATION_SECONDS = 900, 43200
MAX_AUDIT_CONTEXT = 2048

CHOICES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "fallback": (("denied", "always", "never"), "one of 'denied', 'always', 'never'"),
    "privilege": (("Default", "Minimal"), "one of 'Default', 'Minimal'"),
    "cache": (("memory", "disk"), "one of 'memory', 'disk'"),
}


@dataclass(frozen=True, init=False)
class AccessGrantsConfig:
    """The options of one provider, checked. Every wrong value raises :class:`ConfigurationError`.

    ``fallback``: ``"denied"`` signs with the caller's own credentials where no grant allows the request,
    ``"always"`` also where Access Grants fails or can't be reached, ``"never"`` raises instead.
    ``account_id``: 12 digits, the account of the Access Grants instance; None finds it out per bucket.
    ``duration_seconds``: 900 to 43200; None leaves it to the service (3600).
    ``privilege``: ``"Default"`` (credentials for the grant's scope) or ``"Minimal"`` (for the target only).
    ``audit_context``: text of at most 2048 characters for CloudTrail.
    ``endpoint_url``: where S3 Control answers (a VPC endpoint, a local server); None is AWS.
    ``cache``: ``"memory"``.
    ``on_decision``: called with the :class:`Decision` on each request, in the thread that makes it.
    """

    fallback: Fallback = "denied"
    account_id: str | None = None
    duration_seconds: int | None = None
    privilege: Privilege = "Default"
    audit_context: str | None = None
    endpoint_url: str | None = None
    cache: Cache = "memory"
    on_decision: Listener | None = None

    def __init__(
        self,
        *,
        fallback: Fallback = "denied",
        account_id: str | None = None,
        duration_seconds: int | None = None,
        privilege: Privilege = "Default",
        audit_context: str | None = None,
        endpoint_url: str | None = None,
        cache: Cache = "memory",
        on_decision: Listener | None = None,
        **unknown: NoReturn,
    ) -> None:
        """Check and freeze the options."""
        name: str
        value: object
        for name, value in unknown.items():
            raise ConfigurationError(f"unknown option {name}={value!r}; the options are {', '.join(NAMES)}")
        given = locals()
        for name in NAMES:
            object.__setattr__(self, name, given[name])
        self._check()

    def _check(self) -> None:
        for name, (choices, allowed) in CHOICES.items():
            if getattr(self, name) not in choices:
                raise _refused(name, getattr(self, name), allowed)
        if self.account_id is not None and not (
            isinstance(self.account_id, str) and re.fullmatch(r"[0-9]{12}", self.account_id)
        ):
            raise _refused("account_id", self.account_id, "a text of 12 digits")
        if self.duration_seconds is not None and (
            type(self.duration_seconds) is not int
            or not MIN_DURATION_SECONDS <= self.duration_seconds <= MAX_DURATION_SECONDS
        ):
            raise _refused(
                "duration_seconds",
                self.duration_seconds,
                f"a whole number of seconds from {MIN_DURATION_SECONDS} to {MAX_DURATION_SECONDS}",
            )
        if self.audit_context is not None and not (
            isinstance(self.audit_context, str) and 0 < len(self.audit_context) <= MAX_AUDIT_CONTEXT
        ):
            raise _refused("audit_context", self.audit_context, f"a text of 1 to {MAX_AUDIT_CONTEXT} characters")
        if self.endpoint_url is not None and not _is_url(self.endpoint_url):
            raise _refused("endpoint_url", self.endpoint_url, "a URL such as 'https://host' or 'http://host:port'")
        if self.on_decision is not None and not callable(self.on_decision):
            raise _refused("on_decision", self.on_decision, "a callable that takes one Decision")


# A name or an address, without user and password: those would end up in errors and logs.
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")

NAMES = tuple(field.name for field in fields(AccessGrantsConfig))


def load(
    options: Mapping[str, Any],
    *,
    config: AccessGrantsConfig | None,
    environ: Mapping[str, str],
    profile: Mapping[str, Any],
) -> AccessGrantsConfig:
    """Merge the sources into one configuration.

    ``options`` are keyword arguments; ``config``, if given, is a complete set of arguments, so that neither
    ``environ`` nor ``profile`` (the profile's settings, with the nested section still in it) is read.
    Raises :class:`ConfigurationError` naming the option, the value, where it stands and what is allowed.
    """
    if config is not None:
        if not isinstance(config, AccessGrantsConfig):
            raise ConfigurationError(f"config={config!r} is not an AccessGrantsConfig")
        return AccessGrantsConfig(**{name: getattr(config, name) for name in NAMES} | dict(options))
    merged: dict[str, Any] = {}
    merged.update(_from_profile(profile))
    merged.update(_from_environment(environ))
    merged.update(options)
    return AccessGrantsConfig(**merged)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    settings = {
        variable: value
        for variable, value in environ.items()
        if variable.startswith(ENVIRONMENT_PREFIX) and variable != CACHE_FOLDER_VARIABLE and value
    }
    return {
        name: value
        for variable, text in settings.items()
        for name, value in [_from_text(variable.removeprefix(ENVIRONMENT_PREFIX).lower(), text, variable)]
    }


def _from_profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    section = profile.get(PROFILE_SECTION)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise ConfigurationError(
            f"{PROFILE_SECTION}={section!r} in the AWS profile is not a nested section: "
            "put each option on an indented line of its own below it"
        )
    return {
        name: value
        for option, text in section.items()
        for name, value in [_from_text(option, text, f"{PROFILE_SECTION}.{option} in the AWS profile")]
    }


def _from_text(name: str, text: str, where: str) -> tuple[str, Any]:
    """Turn an option's text into its value, and check it alone so that an error can say where it stands."""
    if name not in NAMES or name == "on_decision":
        allowed = ", ".join(known for known in NAMES if known != "on_decision")
        raise ConfigurationError(f"{where}: unknown option {name!r}; the options are {allowed}")
    value: Any = text
    if name == "duration_seconds" and re.fullmatch(r"[0-9]+", text):
        value = int(text)
    try:
        AccessGrantsConfig(**{name: value})
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return name, value


def _is_url(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.netloc if port is None else parts.netloc.removesuffix(f":{port}")
    return parts.scheme in ("http", "https") and HOST.fullmatch(host) is not None


def _refused(name: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{name}={value!r} is not allowed; it must be {allowed}")
