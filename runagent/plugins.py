"""The registry of transports: names without imports, and one import on first use."""

from __future__ import annotations

import difflib
import importlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent._version import __version__
from runagent.config import TRANSPORT_GROUPS
from runagent.errors import ConfigurationError, PluginError
from runagent.locks import ForkSafeLock
from runagent.transports.checks import as_transport, validate_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib.metadata import EntryPoint

    import pluggy

    from runagent.hookspecs import RegisterTransport
    from runagent.transports.base import Transport
    from runagent.transports.checks import AnyTransport

__all__ = [
    "BUILT_IN",
    "TransportInfo",
    "TransportRegistry",
    "create_plugin_manager",
    "default_registry",
    "register_transport",
]

GROUP = "runagent.transports"
BUILT_IN: Mapping[str, str] = {
    "chunked": "runagent.transports.chunked",
    "sse": "runagent.transports.sse",
    "websocket": "runagent.transports.websocket",
}


@dataclass(frozen=True, slots=True)
class TransportInfo:
    """What is known of a transport without importing it.

    Attributes:
        name: The word in the configuration that chooses it.
        distribution: The installed distribution that brings it.
        version: That distribution's version.
        target: The module, or the object in it, that registers the transport.
    """

    name: str
    distribution: str
    version: str
    target: str

    @property
    def qualified_name(self) -> str:
        """``distribution:name``, which tells two transports of one name apart."""
        return f"{self.distribution}:{self.name}"


def create_plugin_manager(register: RegisterTransport) -> pluggy.PluginManager:
    """Make a manager that knows our hooks and hands ``register`` to every plugin that comes."""
    import pluggy

    from runagent import hookspecs

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.hook.runagent_register_transports.call_historic(kwargs={"register": register})
    return manager


class TransportRegistry:
    """Finds transports by name. Safe for threads; each plugin is imported once, on first use."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._lock = ForkSafeLock()
        self._transports: dict[str, Transport] = {}  # by the names they were asked for
        self._own: dict[str, AnyTransport] = {}  # those that the program itself has registered
        self._plugins: dict[str, dict[str, AnyTransport]] = {}  # what each loaded plugin offers
        self._offers = self._own  # where `register` puts what it is given
        self._manager: pluggy.PluginManager | None = None

    def register(self, transport: AnyTransport) -> None:
        """Take a transport that a plugin, or the program itself, offers.

        Raises:
            ConfigurationError: It is none, or its name is taken.
        """
        name = validate_transport(transport)
        with self._lock:
            if self._offers is self._own and (name in BUILT_IN or name in TRANSPORT_GROUPS):
                raise ConfigurationError(f"the name {name!r} has a meaning already; take another")
            if self._offers.setdefault(name, transport) is not transport:
                raise ConfigurationError(f"there is another transport named {name!r} already")

    def get(self, name: str) -> Transport:
        """Return the transport of a name, importing its plugin if need be.

        Args:
            name: A transport's name, or ``distribution:name`` where several have it.

        Raises:
            ConfigurationError: No transport, or more than one, has this name; the message lists them.
            PluginError: The plugin that brings it does not work.
        """
        with self._lock:
            transport = self._transports.get(name)
            if transport is None:
                transport = self._transports[name] = as_transport(self._own.get(name) or self._load(name))
            return transport

    def check(self, names: Iterable[str]) -> None:
        """Check that every name has a transport, without importing one.

        Raises:
            ConfigurationError: As for `get`.
        """
        for name in names:
            if name not in BUILT_IN and name not in self._own and name not in self._transports:
                self._find(name)

    def installed(self) -> list[TransportInfo]:
        """List what is installed, by name, without importing any of it."""
        ours = [TransportInfo(name, "runagent", __version__, target) for name, target in BUILT_IN.items()]
        return sorted(
            [*ours, *(_info(e) for e in self._entry_points())], key=lambda t: (t.name, t.distribution)
        )

    def _load(self, name: str) -> AnyTransport:
        if name in BUILT_IN:
            return self._offered_by(BUILT_IN[name], lambda: importlib.import_module(BUILT_IN[name]))[name]
        entry = self._find(name)
        info = _info(entry)
        try:
            offered = self._offered_by(f"{info.distribution}:{info.target}", entry.load)
        except Exception as exc:  # whatever a third party's import may raise
            raise PluginError(
                f"the transport {name!r} of {info.distribution} {info.version} cannot be loaded: {exc!r}",
                plugin=info.qualified_name,
            ) from exc
        if info.name not in offered:
            raise PluginError(
                f"the plugin {info.target} of {info.distribution} {info.version}"
                f" offers no transport {info.name!r}",
                plugin=info.qualified_name,
            )
        return offered[info.name]

    def _offered_by(self, plugin: str, load: Callable[[], Any]) -> dict[str, AnyTransport]:
        """Load a plugin, once, and have its hook register what it offers."""
        if plugin not in self._plugins:
            manager = self._manager = self._manager or create_plugin_manager(self.register)
            offers: dict[str, AnyTransport] = {}
            self._offers = offers
            try:
                manager.register(load(), plugin)
                manager.check_pending()
            except BaseException:
                if manager.has_plugin(plugin):
                    manager.unregister(name=plugin)
                raise
            finally:
                self._offers = self._own
            self._plugins[plugin] = offers
        return self._plugins[plugin]

    def _find(self, name: str) -> EntryPoint:
        distribution, _, plain = name.rpartition(":")
        found = [e for e in self._entry_points() if e.name == plain]
        if distribution:
            found = [e for e in found if _info(e).distribution == _normal(distribution)]
        if not found:
            raise self._unknown(name)
        if len(found) > 1:
            names = " or ".join(repr(_info(e).qualified_name) for e in found)
            raise ConfigurationError(
                f"several installed distributions bring a transport {name!r}; choose {names}"
            )
        return found[0]

    def _unknown(self, name: str) -> ConfigurationError:
        known = sorted({*BUILT_IN, *self._own, *(e.name for e in self._entry_points())})
        near = difflib.get_close_matches(name, [*known, "auto"], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
        return ConfigurationError(f"unknown transport {name!r}; {hint}", code="UNKNOWN_TRANSPORT")

    def _entry_points(self) -> list[EntryPoint]:
        """Return the entry points of third parties; one installed twice (editable and not) counts once."""
        disabled = {
            _normal(n) for n in self._environ.get("RUNAGENT_DISABLE_PLUGINS", "").split(",") if n.strip()
        }
        if "all" in disabled:
            return []
        from importlib.metadata import entry_points  # slow to import, and built-in transports need no scan

        unique: dict[tuple[str, str, str], EntryPoint] = {}
        for entry in entry_points(group=GROUP):
            info = _info(entry)
            if info.name not in BUILT_IN and not disabled & {_normal(info.name), info.distribution}:
                unique.setdefault((info.distribution, info.name, info.target), entry)
        return list(unique.values())


def _info(entry: EntryPoint) -> TransportInfo:
    distribution: Any = entry.dist
    name, version = (distribution.name, distribution.version) if distribution else ("unknown", "0")
    return TransportInfo(entry.name, _normal(name), version, entry.value)


def _normal(name: str) -> str:
    """Normalise a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


_default: TransportRegistry | None = None
_default_lock = ForkSafeLock()


def default_registry() -> TransportRegistry:
    """Return the registry that all clients of the process share."""
    global _default
    with _default_lock:
        if _default is None:
            _default = TransportRegistry()
        return _default


def register_transport(transport: AnyTransport) -> None:
    """Make a transport known to all clients of the process by its name, without a package around it.

    Doing so again with the same object changes nothing.

    Args:
        transport: Chosen by its ``name`` from then on, as an installed one is.

    Raises:
        ConfigurationError: It is no transport, it was written for another version of the seam, or its
            name is taken.
    """
    default_registry().register(transport)
