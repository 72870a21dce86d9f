"""``runagent doctor``: what this installation is made of, its settings, and what is wrong with it.

Nothing is sent anywhere. Every plugin is imported, each for itself, so that a broken one is reported and the
others still are.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from runagent._address.proxy import proxy_for
from runagent._cli.console import in_columns
from runagent._config.file import writers
from runagent._config.settings import file_exposures, load_settings, misspelt_variables
from runagent._errors import ConfigurationError, PluginError
from runagent._internal import clock
from runagent._internal.foreign import let_signals_through
from runagent._plugins.installed import OBSERVERS, Installed, Plugin
from runagent._plugins.observers import Observers
from runagent._plugins.registry import TransportRegistry, declaration_fault
from runagent._redact import escape_controls, redact_url
from runagent._version import __version__
from runagent.capabilities import api_version_fault

if TYPE_CHECKING:
    import argparse

    from runagent._cli.console import Console
    from runagent._config.settings import Settings

__all__ = ["doctor"]

_LIBRARIES = ("httptools", "msgspec", "pluggy", "sniffio", "truststore", "websockets", "trio")
_USABLE = frozenset({"built-in", "ok", "disabled"})
_REASONS = {
    "clash": "another distribution brings this name too; choose it by its distribution, or switch one off",
    "reserved": "its name is that of a built-in transport, or has another meaning, which wins",
}

Facts = dict[str, Any]


def doctor(arguments: argparse.Namespace, console: Console) -> int:
    """Print what there is, and return 1 if something is wrong with it."""
    facts = examine()
    if arguments.json:
        console.line(json.dumps(facts, ensure_ascii=False))
    else:
        for line in _lines(facts):
            console.line(line)
    return 1 if facts["problems"] else 0


def examine() -> Facts:
    """Collect everything, secrets left out; what is wrong ends up in ``problems``."""
    problems = [
        f"environment: {escape_controls(name)} is not a variable of runagent; did you mean {meant}?"
        for name, meant in misspelt_variables().items()
    ]
    settings = _settings(problems)
    plugins = Installed()
    registry = TransportRegistry(plugins)
    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints at its import is not our output
        found = [*_transports(registry), *_observers(plugins)]
    for plugin in found:
        if plugin["status"] not in _USABLE:
            reason = plugin["error"] or _REASONS[plugin["status"]]
            problems.append(f"{plugin['kind']} {plugin['name']} of {plugin['distribution']}: {reason}")
    if settings is not None:
        _check_choice(registry, settings, problems)
    return {
        "runagent": __version__,
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "platform": platform.platform(),
        "libraries": _libraries(problems),
        "settings": [] if settings is None else _shown(settings),
        "tls": _tls(problems),
        "proxy": None if settings is None else _proxy(settings, problems),
        "plugins": found,
        "problems": problems,
    }


def _settings(problems: list[str]) -> Settings | None:
    try:
        problems += [f"configuration: {problem}" for problem in file_exposures()]
        return load_settings({})
    except ConfigurationError as exc:
        problems.append(f"configuration: {exc}")
        return None


def _shown(settings: Settings) -> list[Facts]:
    """Return each setting with its source; what may be a secret, or hold one, is only shown to be set."""

    def value_of(name: str) -> Any:
        value: Any = settings.base_url if name == "api_url" else getattr(settings, name)
        if name == "api_key":
            return "not set" if value is None else "set (hidden)"
        if name == "proxy" and value:
            return redact_url(value).strip("'")
        if name == "transport_options":
            return sorted(value)
        return list(value) if isinstance(value, tuple) else value

    def plain(value: Any) -> Any:
        return value if isinstance(value, bool | int | float | str | list | None) else str(value)

    return [
        {"name": name, "value": plain(value_of(name)), "source": source}
        for name, source in settings.sources.items()
    ]


def _libraries(problems: list[str]) -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
            if name != "trio":  # only users of that loop need it
                problems.append(f"the library {name} is not installed; install runagent again")
    return found


def _tls(problems: list[str]) -> Facts:
    try:
        import ssl

        from runagent._net.tls import default_context

        default_context(())
    except ConfigurationError as exc:
        problems.append(f"TLS: {exc}")
        return {"library": None, "trust": None}
    except (ImportError, OSError) as exc:  # a Python without OpenSSL, or a trust store that cannot be read
        problems.append(f"TLS does not work: {exc!r}")
        return {"library": None, "trust": None}
    own = {name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ}
    for name, path in own.items():
        if os.name == "posix" and (why := writers(path, os.stat(path))):  # noqa: PTH116  # pathlib is slow
            problems.append(f"TLS: {name} names {path}, which {why}")
    return {"library": ssl.OPENSSL_VERSION, "trust": "the system's trust store", **own}


def _proxy(settings: Settings, problems: list[str]) -> Facts:
    """Describe by which way the configured address is reached."""
    try:
        proxy = proxy_for(settings.base_url.origin, settings.proxy)
    except ConfigurationError as exc:
        problems.append(f"proxy: {exc}")
        return {"for": str(settings.base_url.origin), "through": None}
    return {
        "for": str(settings.base_url.origin),
        "through": None if proxy is None else f"{proxy.host}:{proxy.port}",
        "authenticated": proxy is not None and proxy.authorization is not None,
    }


def _transports(registry: TransportRegistry) -> list[Facts]:
    return [_transport(registry, plugin) for plugin in registry.installed()]


def _transport(registry: TransportRegistry, plugin: Plugin) -> Facts:
    status, error, api_version, capabilities = registry.status(plugin), None, None, None
    if status == "incompatible" and plugin.declaration is not None:
        api_version, error = plugin.declaration.api_version, api_version_fault(plugin.declaration.api_version)
    elif status != "disabled":
        try:
            transport = registry.load(plugin)
        except (PluginError, OSError, MemoryError, SystemExit) as exc:
            let_signals_through(exc)
            status, error = "broken", _why(exc)
        else:
            api_version, capabilities = transport.api_version, sorted(transport.capabilities)
            error = declaration_fault(plugin, transport)
            if status == "ready":
                status = "ok" if error is None else "misdeclared"
    row = _row("transport", plugin, status, error, registry.seconds(plugin))
    return row | {"api_version": api_version, "capabilities": capabilities}


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"its import raises {error!r}"


def _observers(plugins: Installed) -> list[Facts]:
    observers = Observers(plugins)
    rows = []
    for plugin in plugins.all_of(OBSERVERS):
        status, error, seconds = "disabled", None, None
        if not plugins.is_disabled(plugin):
            begin = clock.now()
            try:
                observers.load(plugin)
            except (PluginError, OSError, MemoryError, SystemExit) as exc:
                let_signals_through(exc)
                status, error = "broken", _why(exc)
            else:
                status = "ok"
            seconds = clock.now() - begin
        rows.append(_row("observer", plugin, status, error, seconds))
    return rows


def _row(kind: str, plugin: Plugin, status: str, error: str | None, seconds: float | None) -> Facts:
    return {
        "kind": kind,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": status,
        "error": error,
        "import_seconds": None if seconds is None else round(seconds, 4),
    }


def _check_choice(registry: TransportRegistry, settings: Settings, problems: list[str]) -> None:
    try:
        registry.check(settings.transport)
    except ConfigurationError as exc:
        problems.append(f"transport, from {settings.sources['transport']}: {exc}")


# What is printed


def _lines(facts: Facts) -> list[str]:
    python, tls, proxy = facts["python"], facts["tls"], facts["proxy"]
    libraries = ", ".join(f"{name} {version or 'missing'}" for name, version in facts["libraries"].items())
    lines = [
        f"runagent   {facts['runagent']}",
        f"python     {python['version']} ({python['implementation']}), {python['executable']}",
        f"platform   {facts['platform']}",
        f"libraries  {libraries}",
        f"tls        {', '.join(map(str, filter(None, tls.values()))) or 'does not work'}",
    ]
    if proxy is not None:
        lines.append(f"proxy      {proxy['through'] or 'none'} for {proxy['for']}")
    for title, row in (("settings", _setting_row), ("plugins", _plugin_row)):
        lines += ["", title, *(f"  {line}" for line in in_columns([row(fact) for fact in facts[title]]))]
    if facts["problems"]:
        return [*lines, "", "problems", *(f"  {problem}" for problem in facts["problems"])]
    return [*lines, "", "nothing is wrong"]


def _setting_row(setting: Facts) -> tuple[str, ...]:
    return setting["name"], _text(setting["value"]), f"({setting['source']})"


def _plugin_row(plugin: Facts) -> tuple[str, ...]:
    seconds, api_version = plugin["import_seconds"], plugin.get("api_version")
    return (
        plugin["kind"],
        plugin["name"],
        f"{plugin['distribution']} {plugin['version']}",
        f"transport API {api_version}" if api_version is not None else "",
        f"{seconds:.3f} s" if seconds is not None else "",
        plugin["status"],
    )


def _text(value: Any) -> str:
    if value is None or value in ("", []):
        return "-"
    return ", ".join(value) if isinstance(value, list) else str(value)
