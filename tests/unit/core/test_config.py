"""The options: what is allowed, what an error says, and which source wins."""

from __future__ import annotations

import dataclasses
import functools
import pickle
from typing import Any

import pytest

from access_grants_provider.core.config import NAMES, AccessGrantsConfig, load, misspelt_settings
from access_grants_provider.exceptions import ConfigurationError


def on_decision(decision: object) -> None: ...


DEFAULTS = {
    "fallback": "denied",
    "account_id": None,
    "duration_seconds": None,
    "privilege": "Default",
    "audit_context": None,
    "endpoint_url": None,
    "timeout_seconds": 20.0,
    "probes": "grants",
    "prefetch": None,
    "cache": "memory",
    "on_decision": None,
}

GOOD: list[tuple[str, Any]] = [
    ("fallback", "denied"),
    ("fallback", "always"),
    ("fallback", "never"),
    ("account_id", "012345678901"),
    ("duration_seconds", 900),
    ("duration_seconds", 43200),
    ("privilege", "Default"),
    ("privilege", "Minimal"),
    ("audit_context", "x"),
    ("audit_context", "x" * 2048),
    ("endpoint_url", "https://vpce-1.s3-control.eu-west-1.vpce.amazonaws.com"),
    ("endpoint_url", "http://127.0.0.1:5000"),
    ("endpoint_url", "http://[::1]:5000/"),
    ("timeout_seconds", 1),
    ("timeout_seconds", 0.5 + 1),
    ("timeout_seconds", 300),
    ("probes", "grants"),
    ("probes", "s3"),
    ("prefetch", "s3://sales/emea/"),
    ("prefetch", "READ s3://in/a/ s3://in/b/ READWRITE s3://out/"),
    ("cache", "memory"),
    ("cache", "disk"),
]

FALLBACKS = "one of 'denied', 'always', 'never'"
PRIVILEGES = "one of 'Default', 'Minimal'"
DIGITS = "a text of 12 digits"
SECONDS = "a whole number of seconds from 900 to 43200"
CONTEXT = "a text of 1 to 2048 characters"
TIMEOUT = "a number of seconds from 1 to 300"
LISTENER = "a callable that takes one Decision, and no coroutine function"
URL = "a URL such as 'https://host' or 'http://host:port'"

TARGETS = "s3:// URIs separated by spaces, with READ, WRITE or READWRITE before those it is for"
BAD_TEXTS = [
    ("fallback", "Never", FALLBACKS),
    ("fallback", "true", FALLBACKS),
    ("account_id", "1234", DIGITS),
    ("account_id", "1234567890123", DIGITS),
    ("account_id", "12345678901x", DIGITS),
    ("account_id", "١٢٣٤٥٦٧٨٩٠١٢", DIGITS),
    ("account_id", "123456789012\n", DIGITS),
    ("duration_seconds", "899", SECONDS),
    ("duration_seconds", "43201", SECONDS),
    ("duration_seconds", "-900", SECONDS),
    ("duration_seconds", "1h", SECONDS),
    ("duration_seconds", "900.0", SECONDS),
    ("duration_seconds", "٩٠٠", SECONDS),
    ("privilege", "minimal", PRIVILEGES),
    ("audit_context", "x" * 2049, CONTEXT),
    ("endpoint_url", "host:5000", URL),
    ("endpoint_url", "ftp://host", URL),
    ("endpoint_url", "https://", URL),
    ("endpoint_url", "http://host:port", URL),
    ("endpoint_url", "http://host:99999", URL),
    ("endpoint_url", "http://[::1", URL),
    ("timeout_seconds", "0", TIMEOUT),
    ("timeout_seconds", "0.99", TIMEOUT),
    ("timeout_seconds", "301", TIMEOUT),
    ("timeout_seconds", "1e1", TIMEOUT),
    ("timeout_seconds", "nan", TIMEOUT),
    ("timeout_seconds", "inf", TIMEOUT),
    ("timeout_seconds", "20s", TIMEOUT),
    ("probes", "S3", "one of 'grants', 's3'"),
    ("prefetch", "READ", TARGETS),
    ("prefetch", "sales/emea", TARGETS),
    ("cache", "tape", "one of 'memory', 'disk'"),
]
NUMBERS = ("duration_seconds", "timeout_seconds")


async def on_decision_later(decision: object) -> None: ...


class Later:
    async def __call__(self, decision: object) -> None: ...


BAD_ARGUMENTS: list[tuple[str, Any, str]] = [
    *((name, value, allowed) for name, value, allowed in BAD_TEXTS if name not in NUMBERS),
    ("prefetch", "", TARGETS),
    ("prefetch", ["s3://sales/emea/"], TARGETS),
    ("fallback", None, FALLBACKS),
    ("fallback", ["never"], FALLBACKS),
    ("fallback", True, FALLBACKS),
    ("account_id", 123456789012, DIGITS),
    ("account_id", "", DIGITS),
    ("duration_seconds", 899, SECONDS),
    ("duration_seconds", 43201, SECONDS),
    ("duration_seconds", 0, SECONDS),
    ("duration_seconds", 3600.0, SECONDS),
    ("duration_seconds", "3600", SECONDS),
    ("duration_seconds", True, SECONDS),
    ("privilege", None, PRIVILEGES),
    ("audit_context", "", CONTEXT),
    ("audit_context", b"job", CONTEXT),
    ("endpoint_url", "", URL),
    ("endpoint_url", 5000, URL),
    ("cache", None, "one of 'memory', 'disk'"),
    ("timeout_seconds", 0, TIMEOUT),
    ("timeout_seconds", 300.5, TIMEOUT),
    ("timeout_seconds", "20", TIMEOUT),
    ("timeout_seconds", True, TIMEOUT),
    ("timeout_seconds", None, TIMEOUT),
    ("timeout_seconds", float("nan"), TIMEOUT),
    ("timeout_seconds", float("inf"), TIMEOUT),
    ("on_decision", "print", LISTENER),
    # Nothing would await what it returns.
    ("on_decision", on_decision_later, LISTENER),
    ("on_decision", functools.partial(on_decision_later), LISTENER),
    ("on_decision", Later(), LISTENER),
    ("on_decision", Later().__call__, LISTENER),
]


def loaded(
    options: dict[str, Any] | None = None,
    *,
    config: AccessGrantsConfig | None = None,
    environ: dict[str, str] | None = None,
    profile: dict[str, Any] | None = None,
) -> AccessGrantsConfig:
    return load(options or {}, config=config, environ=environ or {}, profile=profile or {})


def as_variable(name: str) -> str:
    return f"S3_ACCESS_GRANTS_{name.upper()}"


def test_without_any_source_the_defaults_hold() -> None:
    assert dataclasses.asdict(loaded()) == DEFAULTS
    assert loaded() == AccessGrantsConfig()


def test_the_options_are_those_of_the_design() -> None:
    assert list(DEFAULTS) == list(NAMES)


@pytest.mark.parametrize(("name", "value"), [*GOOD, ("on_decision", on_decision)])
def test_a_good_value_is_taken_from_an_argument(name: str, value: object) -> None:
    assert getattr(AccessGrantsConfig(**{name: value}), name) == value  # type: ignore[arg-type]
    assert getattr(loaded({name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_a_good_value_is_taken_from_the_environment(name: str, value: object) -> None:
    assert loaded(environ={as_variable(name): str(value)}) == AccessGrantsConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_a_good_value_is_taken_from_the_profile(name: str, value: object) -> None:
    taken = loaded(profile={"region": "eu-west-1", "s3_access_grants": {name: str(value)}})
    assert taken == AccessGrantsConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD_ARGUMENTS)
def test_a_bad_argument_is_named_with_its_value_and_what_is_allowed(name: str, value: object, allowed: str) -> None:
    for make in (lambda: AccessGrantsConfig(**{name: value}), lambda: loaded({name: value})):  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError) as error:
            make()
        assert str(error.value) == f"{name}={value!r} is not allowed; it must be {allowed}"


@pytest.mark.parametrize(("name", "text", "allowed"), BAD_TEXTS)
def test_a_bad_variable_is_named_with_its_value_and_what_is_allowed(name: str, text: str, allowed: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(environ={as_variable(name): text})
    where = as_variable(name)
    value: Any = text
    if name == "duration_seconds" and text.isascii() and text.isdigit():
        value = int(text)
    elif name == "timeout_seconds" and text.replace(".", "").isdigit():
        value = float(text)
    assert str(error.value) == f"{where}: {name}={value!r} is not allowed; it must be {allowed}"


@pytest.mark.parametrize(("name", "text", "allowed"), BAD_TEXTS)
def test_a_bad_line_of_the_profile_is_named_with_its_value_and_what_is_allowed(
    name: str, text: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(profile={"s3_access_grants": {name: text}})
    said = str(error.value)
    assert said.startswith(f"s3_access_grants.{name} in the AWS profile: {name}=")
    assert text in said or repr(text) in said
    assert said.endswith(f"is not allowed; it must be {allowed}")


def test_an_unknown_argument_is_named_with_the_options_there_are() -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded({"falback": "never"})
    assert "falback='never'; did you mean 'fallback'?" in str(error.value)
    assert all(name in str(error.value) for name in NAMES)


def test_an_unknown_option_of_the_configuration_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="falback"):
        AccessGrantsConfig(falback="never")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("sources", "where"),
    [
        ({"environ": {"S3_ACCESS_GRANTS_FALBACK": "never"}}, "S3_ACCESS_GRANTS_FALBACK"),
        ({"profile": {"s3_access_grants": {"falback": "never"}}}, "s3_access_grants.falback in the AWS profile"),
    ],
)
def test_an_unknown_option_elsewhere_is_named_with_where_it_stands(sources: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(**sources)
    assert str(error.value).startswith(f"{where}: unknown option 'falback'; did you mean 'fallback'?")
    assert "The options are fallback, account_id" in str(error.value)


@pytest.mark.parametrize(
    "sources",
    [
        {"environ": {"S3_ACCESS_GRANTS_ON_DECISION": "print"}},
        {"profile": {"s3_access_grants": {"on_decision": "print"}}},
    ],
)
def test_a_callable_can_not_be_written_down(sources: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(**sources)
    assert "on_decision" not in str(error.value).partition("The options are")[2]


def test_a_section_that_is_not_nested_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="indented line") as error:
        loaded(profile={"s3_access_grants": "fallback=never"})
    assert "'fallback=never'" in str(error.value)


def test_the_order_is_argument_environment_profile_default() -> None:
    environ = {"S3_ACCESS_GRANTS_FALLBACK": "always", "S3_ACCESS_GRANTS_DURATION_SECONDS": "1000"}
    section = {"fallback": "never", "duration_seconds": "2000", "privilege": "Minimal"}
    merged = loaded({"duration_seconds": 3000}, environ=environ, profile={"s3_access_grants": section})
    assert merged == AccessGrantsConfig(duration_seconds=3000, fallback="always", privilege="Minimal")


def test_none_as_an_argument_asks_for_the_default_in_spite_of_the_environment() -> None:
    assert loaded({"account_id": None}, environ={"S3_ACCESS_GRANTS_ACCOUNT_ID": "111122223333"}).account_id is None


def test_an_empty_variable_counts_as_not_set() -> None:
    assert loaded(environ={"S3_ACCESS_GRANTS_ACCOUNT_ID": "", "S3_ACCESS_GRANTS_FALLBACK": ""}) == AccessGrantsConfig()


def test_other_variables_and_settings_are_nobody_s_business() -> None:
    environ = {"S3_ACCESS_GRANT": "x", "AWS_REGION": "eu-west-1", "MY_S3_ACCESS_GRANTS_FALLBACK": "x"}
    assert loaded(environ=environ, profile={"s3": {"addressing_style": "path"}}) == AccessGrantsConfig()


def test_a_given_configuration_replaces_environment_and_profile() -> None:
    given = AccessGrantsConfig(fallback="never")
    environ, profile = {"S3_ACCESS_GRANTS_FALLBACK": "nonsense"}, {"s3_access_grants": "nonsense"}
    assert loaded(config=given, environ=environ, profile=profile) == given
    assert loaded({"privilege": "Minimal"}, config=given) == AccessGrantsConfig(fallback="never", privilege="Minimal")
    with pytest.raises(ConfigurationError, match="privilege='all'"):
        loaded({"privilege": "all"}, config=given)


def test_a_configuration_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is not an AccessGrantsConfig"):
        loaded(config={"fallback": "never"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fallback", "raises", "continues"), [("denied", False, False), ("always", False, True), ("never", True, False)]
)
def test_what_a_fallback_means_is_said_in_one_place(fallback: Any, raises: bool, continues: bool) -> None:
    config = AccessGrantsConfig(fallback=fallback)
    assert (config.raises_on_denial, config.continues_on_failure) == (raises, continues)


@pytest.mark.parametrize("listener", [print, lambda decision: None, functools.partial(print), [].append, None])
def test_whatever_can_be_called_may_be_told_of_decisions(listener: Any) -> None:
    assert AccessGrantsConfig(on_decision=listener).on_decision is listener


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("S3_ACCESS_GRANT_FALLBACK", "S3_ACCESS_GRANTS_FALLBACK"),
        ("S3_ACCESS_GRANTSFALLBACK", "S3_ACCESS_GRANTS_FALLBACK"),
        ("S3_ACCESS_GRANT_CACHE_FOLDER", "S3_ACCESS_GRANTS_CACHE_FOLDER"),
        ("S3_ACCESS_GRANT_TIMEOUT", "S3_ACCESS_GRANTS_TIMEOUT_SECONDS"),
    ],
)
def test_a_variable_with_a_misspelt_prefix_is_named_with_the_right_one(variable: str, meant: str) -> None:
    (sentence,) = misspelt_settings({variable: "never"}, {})
    assert sentence == f"The environment variable {variable} is not read; did you mean {meant!r}?"
    # The value may be somebody's secret.
    assert "never" not in sentence


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("s3_access_grants_fallback", "an indented line 'fallback = …'"),
        ("s3_access_grant_fallback", "an indented line for each option"),
        ("s3_access_grants_colour", "an indented line for each option"),
    ],
)
def test_a_key_of_the_profile_beside_the_section_is_named_with_the_line_to_write(key: str, line: str) -> None:
    (sentence,) = misspelt_settings({}, {key: "never", "region": "eu-west-1"})
    assert sentence == f"The key {key} of the AWS profile is not read. Write {line} below 's3_access_grants ='"


def test_what_is_spelt_right_or_meant_for_others_is_not_named() -> None:
    environ = {
        "S3_ACCESS_GRANTS_FALLBACK": "never",
        "S3_ACCESS_GRANTS_CACHE_FOLDER": "/x",
        "S3_ENDPOINT": "x",
        "AWS_REGION": "x",
    }
    assert misspelt_settings(environ, {"s3_access_grants": {"fallback": "never"}, "s3": {}, "region": "x"}) == []


def test_a_configuration_is_frozen_and_a_value() -> None:
    config = AccessGrantsConfig(fallback="never")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.fallback = "always"  # type: ignore[misc]
    assert config == AccessGrantsConfig(fallback="never")
    assert len({config, AccessGrantsConfig(fallback="never")}) == 1
    assert pickle.loads(pickle.dumps(config)) == config


def test_an_option_knows_where_it_was_set_and_an_error_names_the_profile() -> None:
    place = "the AWS profile 'work' (~/.aws/config)"
    section = {"s3_access_grants": {"fallback": "never", "account_id": "111122223333"}}
    config = load(
        {"cache": "memory"}, config=None, environ={as_variable("account_id"): "444455556666"}, profile=section,
        profile_place=place,
    )  # fmt: skip
    assert config.place_of("fallback") == place
    assert config.place_of("account_id") == "the environment variable S3_ACCESS_GRANTS_ACCOUNT_ID"
    assert config.place_of("cache") == "the program"
    wrong = {"s3_access_grants": {"fallback": "sometimes"}}
    with pytest.raises(ConfigurationError, match=r"^s3_access_grants.fallback in the AWS profile 'work' \(~/.aws/"):
        load({}, config=None, environ={}, profile=wrong, profile_place=place)
