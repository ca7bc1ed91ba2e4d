"""The last findings of ``access-grants doctor``: what lets the programs of this environment use grants unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from access_grants_provider.adapters.libraries import NATIVE_LIBRARIES, NativeLibrary
from access_grants_provider.core.config import misspelt_settings
from access_grants_provider.core.service_errors import one_line

from .connection import Connection
from .environment import PLUGINS, loads_plugin
from .findings import Finding

__all__ = ["switches"]

PACKAGE = "access_grants_provider"
OFFICIAL = "aws_s3_access_grants_boto3_plugin"
EXPORT = f"export {PLUGINS}=access-grants={PACKAGE}"
AWS_CLI = f"{PACKAGE}.awscli"


def switches(connection: Connection) -> Iterator[Finding]:
    """Yield what decides it: the plugin variable, the AWS CLI's plugin, the settings, the libraries installed."""
    yield _autoload(os.environ)
    yield _aws_cli(connection.session.full_config.get("plugins", {}))
    for sentence in misspelt_settings(os.environ, connection.session.get_scoped_config()):
        yield Finding("settings", "note", one_line(sentence))
    yield from _config_file(os.environ)
    for library in NATIVE_LIBRARIES:
        if _is_installed(library.module):
            yield Finding(library.name, "note", _ways(library))


def _autoload(environ: Mapping[str, str]) -> Finding:
    value = environ.get(PLUGINS, "")
    quoted = one_line(f"{PLUGINS} is {value!r}")
    modules = [entry.partition("=")[2].strip() for entry in value.split(",")]
    official = any(module.partition(".")[0] == OFFICIAL for module in modules)
    if loads_plugin(environ) and official:
        return Finding(
            "autoload",
            "note",
            f"{quoted}, which names two packages for S3 Access Grants. {OFFICIAL} signs the requests that a grant "
            "allows, and this package leaves those alone. For the others both call S3 Access Grants",
            f"Take out the entry with {OFFICIAL}: {EXPORT}",
        )
    if loads_plugin(environ):
        return Finding("autoload", "on", f"{quoted}. It covers the boto3 programs of this environment")
    if official:
        return Finding("autoload", "off", f"{quoted}. That is another package for S3 Access Grants", EXPORT)
    return Finding("autoload", "off", _why_off(environ, value, quoted), EXPORT)


def _why_off(environ: Mapping[str, str], value: str, quoted: str) -> str:
    """Say why botocore does not load this package, and name what looks as if it was meant to make it do so."""
    if not value:
        stem = PLUGINS.partition("_")[0]
        candidates = [name for name in environ if name.upper().startswith(stem) and name != PLUGINS]
        nearest = get_close_matches(PLUGINS, candidates, n=1)
        return f"{PLUGINS} is not set{f'. {nearest[0]} is, and botocore does not read it' if nearest else ''}"
    for entry in value.split(","):
        name, separator, module = (part.strip() for part in entry.partition("="))
        if not separator and get_close_matches(PACKAGE, [name]):
            return f"{quoted}. botocore skips {one_line(repr(name))}, which has not the form NAME=MODULE"
        if get_close_matches(PACKAGE, [module.partition(".")[0]]):
            return f"{quoted}. Did you mean {PACKAGE} by {one_line(repr(module))}?"
    return f"{quoted}. It does not name {PACKAGE}"


def _aws_cli(plugins: Mapping[str, str]) -> Finding:
    if AWS_CLI in plugins.values():
        v2 = "" if "cli_legacy_plugin_path" in plugins else ". Version 2 also needs cli_legacy_plugin_path there"
        return Finding("AWS CLI", "on", f"[plugins] in the AWS config names {AWS_CLI}{v2}")
    nearest = get_close_matches(AWS_CLI, plugins.values(), n=1)
    meant = f". Did you mean that by {nearest[0]!r}?" if nearest else ""
    hint = f"Put access-grants = {AWS_CLI} there"
    return Finding("AWS CLI", "off", one_line(f"[plugins] in the AWS config does not name {AWS_CLI}{meant}"), hint)


def _config_file(environ: Mapping[str, str]) -> Iterator[Finding]:
    name = environ.get("AWS_CONFIG_FILE")
    if name and not Path(name).expanduser().is_file():
        found = f"AWS_CONFIG_FILE is {name}, which is no file. So no profile is read, and no option in a profile"
        yield Finding("AWS config", "note", one_line(found), "unset AWS_CONFIG_FILE")
    elif name:
        yield Finding("AWS config", "note", one_line(f"AWS_CONFIG_FILE is {name}. ~/.aws/config is not read"))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _ways(library: NativeLibrary) -> str:
    ways = {
        "adapter": f"{PACKAGE}.adapters.{library.adapter}",
        "exec": "access-grants exec",
        "variable": f"its {library.variable} with {PLUGINS}",
    }
    return f"signs S3 requests itself. Use {' or '.join(ways[way] for way in library.ways)}"
