"""Settings, limits and environment variables, read from the code."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from runagent import RunAgentClient, Timeouts
from runagent._config import settings as config
from runagent._limits import Limits
from runagent_testing._standalone.options import OPTIONS as FAKE_OPTIONS
from runagent_testing._standalone.options import SCRIPTS
from tests.docs.reference.docstrings import parse, table

__all__ = ["OTHER_VARIABLES", "environment", "limits", "settings"]

# Variables that are no setting of a client and no option of runagent-fake.
OTHER_VARIABLES = {
    "RUNAGENT_CONFIG": "The configuration file, in the place of `~/.runagent/config.json`.",
    "RUNAGENT_DISABLE_PLUGINS": "Distributions and entry points not to load, with commas, or `all`.",
    "RUNAGENT_STRICT_PLUGINS": "`1`: a plugin that cannot be loaded, or has wrong metadata, is an error.",
    "RUNAGENT_BASE_URL": "As `RUNAGENT_API_URL`, if that is unset: its name in the published package.",
    "RUNAGENT_FAKE_SCRIPTS": "Script files of `runagent-fake serve`, separated as in `PATH`.",
    "SSL_CERT_FILE": "Authorities to trust, as a PEM file, in the place of the system's.",
    "SSL_CERT_DIR": "Authorities to trust, as a folder of hashed PEM files.",
    "SSLKEYLOGFILE": "A file to which the keys of TLS connections are written, for Wireshark and the like.",
    "HTTP_PROXY": "The proxy for `http://` addresses; `http_proxy` comes first. Not read in CGI programs.",
    "HTTPS_PROXY": "The proxy for `https://` addresses; `https_proxy` comes first.",
    "ALL_PROXY": "The proxy for both, if the one for the scheme is unset; `all_proxy` comes first.",
    "NO_PROXY": "Hosts, domains and networks to ask without a proxy, with commas; `no_proxy` comes first.",
    "NO_COLOR": "If set, `runagent-fake` writes its log without colors.",
    "TERM": "With `dumb`, or unset, the command `runagent` shows no progress on a terminal.",
}

_SETTINGS = """\
The arguments of a client, and the other places that each value may come from. An argument is stronger than a
variable, and that is stronger than the file; see [configuration](../configuration.md)."""
_LIMITS = """\
Bounds of what a peer may make the client hold or do; a run that passes one ends in a `StreamLimitError`.
Each is set by the key of its name in `transport_options`. Time limits are among the
[settings](settings.md#timeouts)."""


def settings() -> str:
    """Return the page of settings: arguments of clients, of calls, and time limits."""
    about = parse(inspect.getdoc(RunAgentClient.__init__)).sections.get("Args", {})
    return "\n\n".join(
        [
            "# Settings",
            _SETTINGS,
            "## Arguments of a client",
            table(("argument", "default", "about"), _arguments(about)),
            "## Variables and keys of the file",
            table(("setting", "variable", "key in the file"), _places()),
            "## Arguments of a call",
            "Of `run_generic_stream`, `run_generic` and `run_generic_with_metadata`.",
            table(("argument", "default", "about"), _call_arguments()),
            "## `Timeouts`",
            "Seconds, or None for no limit.",
            table(("limit", "default", "about"), _fields(Timeouts)),
        ]
    )


def _arguments(about: dict[str, str]) -> list[tuple[str, ...]]:
    defaults = msgspec.structs.asdict(config.Settings())
    rows: list[tuple[str, ...]] = []
    for name, parameter in inspect.signature(RunAgentClient).parameters.items():
        default = _value(defaults.get(name, parameter.default))
        rows.append((f"`{name}`", default, about.get(name, "")))
    return rows


def _places() -> list[tuple[str, ...]]:
    """Return the settings that need no argument."""
    options = (option for option in config._OPTIONS if option.environment or option.file_key)
    return [(_code(each.argument), _code(each.environment), _code(each.file_key)) for each in options]


def _value(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, tuple):
        value = list(value)
    shown = str(value) if type(value).__name__ == "BaseURL" else repr(value)
    return f"`{'{}' if shown.startswith('mappingproxy') else shown}`"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _call_arguments() -> list[tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for method in (
        RunAgentClient.run_generic_stream,
        RunAgentClient.run_generic,
        RunAgentClient.run_generic_with_metadata,
    ):
        about = parse(inspect.getdoc(method)).sections.get("Args", {})
        for name, parameter in inspect.signature(method).parameters.items():
            if name != "self" and (name not in rows or not rows[name][-1]):
                rows[name] = (f"`{name}`", _value(parameter.default), about.get(name, ""))
    return list(rows.values())


def _fields(kind: type) -> list[tuple[str, ...]]:
    about = parse(kind.__doc__).sections["Attributes"]
    defaults = msgspec.structs.asdict(kind())
    return [(f"`{name}`", _value(default), about[name]) for name, default in defaults.items()]


def limits() -> str:
    """Return the page of limits."""
    return "\n\n".join(
        [
            "# Limits",
            _LIMITS,
            table(("limit", "default", "about"), _fields(Limits)),
        ]
    )


def environment() -> str:
    """Return the page of environment variables."""
    rows = [
        (f"`{option.environment}`", f"The setting `{option.argument}`; see [settings](settings.md).")
        for option in config._OPTIONS
        if option.environment
    ]
    fake = [(f"`{option.variable}`", f"`{option.flag}`: {option.help}") for option in FAKE_OPTIONS]
    others = [(f"`{name}`", about) for name, about in OTHER_VARIABLES.items() if name != SCRIPTS]
    fake.insert(0, (f"`{SCRIPTS}`", OTHER_VARIABLES[SCRIPTS]))
    return "\n\n".join(
        [
            "# Environment variables",
            "An empty variable counts as unset.",
            "## Settings of clients",
            table(("variable", "gives"), rows),
            "## Other variables that are read",
            table(("variable", "means"), others),
            "## Options of `runagent-fake serve`",
            table(("variable", "option"), fake),
        ]
    )
