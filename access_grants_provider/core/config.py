"""The options, their bounds and where they come from.

Each option is looked for in the arguments, then in the environment (``S3_ACCESS_GRANTS_FALLBACK``, …), then
in the nested section ``s3_access_grants`` of the AWS profile; then its default holds.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ..exceptions import ConfigurationError
from .scopes import targets_of

if TYPE_CHECKING:
    from .decision import Decision

__all__ = [
    "CACHE_FOLDER_VARIABLE",
    "ENVIRONMENT_PREFIX",
    "PROFILE_SECTION",
    "AccessGrantsConfig",
    "load",
    "misspelt_settings",
]

ENVIRONMENT_PREFIX = "S3_ACCESS_GRANTS_"
PROFILE_SECTION = "s3_access_grants"
VARIABLE_STEM, PROFILE_STEM = "S3_ACCESS_GRANT", "s3_access_grant"
# A place on this machine and no option: it has no argument, and is read where the cache on disk is made.
CACHE_FOLDER_VARIABLE = ENVIRONMENT_PREFIX + "CACHE_FOLDER"

Fallback = Literal["denied", "always", "never"]
Privilege = Literal["Default", "Minimal"]
Cache = Literal["memory", "disk"]
Probes = Literal["grants", "s3"]
Listener = Callable[["Decision"], object]

# Bounds of the S3 Control API model:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetDataAccess.html
MIN_DURATION_SECONDS, MAX_DURATION_SECONDS = 900, 43200
MAX_AUDIT_CONTEXT = 2048

MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 1, 300


@dataclass(frozen=True, kw_only=True)
class AccessGrantsConfig:
    """The options of one provider, checked. Every wrong name or value raises :class:`ConfigurationError`.

    ``fallback``: ``"denied"`` signs with the caller's own credentials where no grant allows the request,
    ``"always"`` also where Access Grants fails or can't be reached, ``"never"`` raises instead.
    ``account_id``: 12 digits, the account of the Access Grants instance; None finds it out per bucket.
    ``duration_seconds``: 900 to 43200; None leaves it to the service (3600).
    ``privilege``: ``"Default"`` (credentials for the grant's scope) or ``"Minimal"`` (for the target only).
    ``audit_context``: text of at most 2048 characters for CloudTrail.
    ``endpoint_url``: where S3 Control answers (a VPC endpoint, a local server); None is AWS.
    ``timeout_seconds``: 1 to 300, how long the control calls of one decision may take together, 20 unless given. What
    the service's rate limit costs comes on top: two minutes at most, or this long again if that is more.
    ``probes``: ``"grants"`` answers HeadObject of a folder's name, HeadBucket and GetBucketLocation from a grant within
    that folder or bucket where S3 refuses them to the caller, ``"s3"`` leaves S3's answer as it is.
    ``prefetch``: what to vend in the background as soon as the first client is made, as ``s3://`` URIs separated by
    spaces, a permission before those it is for: ``"s3://sales/emea/ READWRITE s3://out/"``. READ unless given.
    ``cache``: ``"memory"``, or ``"disk"``, shared by the processes of one user on one machine.
    ``on_decision``: called with the :class:`Decision` on each request, in the thread that makes it. No coroutine.
    """

    fallback: Fallback = "denied"
    account_id: str | None = None
    duration_seconds: int | None = None
    privilege: Privilege = "Default"
    audit_context: str | None = None
    endpoint_url: str | None = None
    timeout_seconds: float = 20.0
    probes: Probes = "grants"
    prefetch: str | None = None
    cache: Cache = "memory"
    on_decision: Listener | None = None

    def __new__(cls, **options: Any) -> AccessGrantsConfig:
        """Refuse unknown names with this package's error, before ``__init__`` would raise a TypeError."""
        for name, value in options.items():
            if name not in NAMES:
                raise ConfigurationError(f"unknown option {name}={value!r}{_did_you_mean(name)}", hint=ALL_OPTIONS)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, (is_allowed, allowed) in RULES.items():
            value = getattr(self, name)
            if not is_allowed(value):
                raise ConfigurationError(f"{name}={value!r} is not allowed; it must be {allowed}")

    def place_of(self, name: str) -> str:
        """Return where an option was set, for people: ``"the environment variable S3_ACCESS_GRANTS_FALLBACK"``."""
        places: Mapping[str, str] = self.__dict__.get("_places", {})
        return places.get(name, "the program")

    @property
    def raises_on_denial(self) -> bool:
        """Whether a request that no grant allows is refused rather than signed as the caller."""
        return self.fallback == "never"

    @property
    def continues_on_failure(self) -> bool:
        """Whether a request is signed as the caller where Access Grants fails."""
        return self.fallback == "always"


# A name or an address, without user and password: those would end up in errors and logs.
HOST = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"


def _is_url(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    if parts.query or parts.fragment:
        return False
    host = parts.netloc if port is None else parts.netloc.removesuffix(f":{port}")
    return parts.scheme in ("http", "https") and re.fullmatch(HOST, host) is not None


def _is_number(value: object, low: float, high: float, *kinds: type) -> bool:
    # type(): a bool is an int.
    return type(value) in kinds and low <= value <= high  # type: ignore[operator]


def _are_targets(value: object) -> bool:
    try:
        return value is None or (isinstance(value, str) and bool(targets_of(value)))
    except ConfigurationError:
        return False


def _is_listener(value: object) -> bool:
    """Tell whether something can be called and is no coroutine function, whose result nothing would await."""
    # Of a functools.partial the function, of an object the method behind its call.
    functions = (value, getattr(value, "func", None), getattr(value, "__call__", None))  # noqa: B004
    return callable(value) and not any(inspect.iscoroutinefunction(function) for function in functions)


# Each option's rule: whether a value is allowed, and what is.
RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "fallback": (lambda value: value in ("denied", "always", "never"), "one of 'denied', 'always', 'never'"),
    "account_id": (
        lambda value: value is None or (isinstance(value, str) and bool(re.fullmatch(r"[0-9]{12}", value))),
        "a text of 12 digits",
    ),
    "duration_seconds": (
        lambda value: value is None or _is_number(value, MIN_DURATION_SECONDS, MAX_DURATION_SECONDS, int),
        f"a whole number of seconds from {MIN_DURATION_SECONDS} to {MAX_DURATION_SECONDS}",
    ),
    "privilege": (lambda value: value in ("Default", "Minimal"), "one of 'Default', 'Minimal'"),
    "audit_context": (
        lambda value: value is None or (isinstance(value, str) and 0 < len(value) <= MAX_AUDIT_CONTEXT),
        f"a text of 1 to {MAX_AUDIT_CONTEXT} characters",
    ),
    "endpoint_url": (
        lambda value: value is None or _is_url(value),
        "a URL such as 'https://host' or 'http://host:port'",
    ),
    "timeout_seconds": (
        lambda value: _is_number(value, MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, int, float),
        f"a number of seconds from {MIN_TIMEOUT_SECONDS} to {MAX_TIMEOUT_SECONDS}",
    ),
    "probes": (lambda value: value in ("grants", "s3"), "one of 'grants', 's3'"),
    "prefetch": (_are_targets, "s3:// URIs separated by spaces, with READ, WRITE or READWRITE before those it is for"),
    "cache": (lambda value: value in ("memory", "disk"), "one of 'memory', 'disk'"),
    "on_decision": (
        lambda value: value is None or _is_listener(value),
        "a callable that takes one Decision, and no coroutine function",
    ),
}
NAMES = tuple(RULES)
# Those that can be written down.
TEXT_NAMES = tuple(name for name in NAMES if name != "on_decision")
ALL_OPTIONS = f"The options are {', '.join(NAMES)}"
NUMBERS: Mapping[str, tuple[str, Callable[[str], float]]] = {
    "duration_seconds": (r"[0-9]+", int),
    "timeout_seconds": (r"[0-9]+(\.[0-9]+)?", float),
}


def load(
    options: Mapping[str, Any],
    *,
    config: AccessGrantsConfig | None,
    environ: Mapping[str, str],
    profile: Mapping[str, Any],
    profile_place: str = "the AWS profile",
) -> AccessGrantsConfig:
    """Merge the sources into one configuration.

    ``options`` are keyword arguments; ``config``, if given, is a complete set of arguments, so that neither
    ``environ`` nor ``profile`` (the profile's settings, with the nested section still in it) is read.
    ``profile_place`` names the profile and its file in errors.
    Raises :class:`ConfigurationError` naming the option, the value, where it stands and what is allowed.
    """
    if config is not None:
        if not isinstance(config, AccessGrantsConfig):
            raise ConfigurationError(f"config={config!r} is not an AccessGrantsConfig")
        return AccessGrantsConfig(**{name: getattr(config, name) for name in NAMES} | dict(options))
    from_profile, from_environment = _from_profile(profile, profile_place), _from_environment(environ)
    loaded = AccessGrantsConfig(**{**from_profile, **from_environment, **options})
    places = dict.fromkeys(from_profile, profile_place)
    places |= {name: f"the environment variable {ENVIRONMENT_PREFIX}{name.upper()}" for name in from_environment}
    # No field: where an option was set is no part of what two configurations are compared by.
    loaded.__dict__["_places"] = {name: place for name, place in places.items() if name not in options}
    return loaded


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


def _from_profile(profile: Mapping[str, Any], place: str) -> dict[str, Any]:
    section = profile.get(PROFILE_SECTION)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise ConfigurationError(
            f"{PROFILE_SECTION}={section!r} in {place} is not a nested section: "
            "put each option on an indented line of its own below it"
        )
    return {
        name: value
        for option, text in section.items()
        for name, value in [_from_text(option, text, f"{PROFILE_SECTION}.{option} in {place}")]
    }


def _from_text(name: str, text: str, where: str) -> tuple[str, Any]:
    """Turn an option's text into its value, and check it alone so that an error can say where it stands."""
    if name not in TEXT_NAMES:
        options = f"The options are {', '.join(TEXT_NAMES)}"
        raise ConfigurationError(f"{where}: unknown option {name!r}{_did_you_mean(name)}", hint=options)
    value: Any = text
    form, read = NUMBERS.get(name, ("", float))
    if form and re.fullmatch(form, text):
        value = read(text)
    try:
        AccessGrantsConfig(**{name: value})
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return name, value


def _did_you_mean(name: str, known: Iterable[str] = NAMES) -> str:
    # Needed for a mistake alone; importing it takes a millisecond.
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def misspelt_settings(
    environ: Mapping[str, str], profile: Mapping[str, Any], place: str = "the AWS profile"
) -> list[str]:
    """Return a sentence for each setting that looks as if it was meant for this package and is read by nobody.

    That is a variable ``S3_ACCESS_GRANT…`` with a misspelt prefix, and a key of the profile beside the section.
    """
    variables = [ENVIRONMENT_PREFIX + name.upper() for name in TEXT_NAMES] + [CACHE_FOLDER_VARIABLE]
    sentences = [
        f"The environment variable {name} is not read{_did_you_mean(name, variables)}"
        for name in environ
        if name.startswith(VARIABLE_STEM) and not name.startswith(ENVIRONMENT_PREFIX)
    ]
    for key in profile:
        if key.startswith(PROFILE_STEM) and key != PROFILE_SECTION:
            option = key.removeprefix(PROFILE_SECTION).strip("_")
            meant = f"an indented line '{option} = …'" if option in TEXT_NAMES else "an indented line for each option"
            sentences.append(f"The key {key} of {place} is not read. Write {meant} below '{PROFILE_SECTION} ='")
    return sentences
