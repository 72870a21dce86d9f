"""The registry of transports: names without imports, and one import on first use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runagent._config.parsers import TRANSPORT_GROUPS
from runagent._errors import ConfigurationError, PluginError, RunAgentError
from runagent._internal.foreign import is_passing, let_signals_through
from runagent._internal.locks import ForkSafeLock
from runagent._internal.suggestions import nearest
from runagent._plugins.installed import TRANSPORTS, Installed, Plugin, installed, normal_name
from runagent._plugins.loading import Loader, load
from runagent._plugins.validation import as_transport, validate_transport
from runagent._version import __version__
from runagent.capabilities import Declaration, api_version_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pluggy

    from runagent._plugins.registration import Registration
    from runagent.transports._async_transport import AnyTransport, RegisterTransport
    from runagent.transports._base import Transport

__all__ = [
    "BUILT_IN",
    "TransportRegistry",
    "create_plugin_manager",
    "default_registry",
    "has_other_meaning",
    "register_transport",
]

_logger = logging.getLogger("runagent.plugins")

_ALL = frozenset({"invoke", "resume", "heartbeats", "structured", "tools", "reasoning", "reuse"})


def _built_in(name: str, kind: str, capabilities: frozenset[str]) -> Plugin:
    target = f"runagent.transports._{name}:{kind}"
    return Plugin(TRANSPORTS, name, "runagent", __version__, target, Declaration(1, capabilities))


# Schemes that users write for a transport; no transport may take such a name.
_MEANT = {
    "http": "'sse' or 'chunked'",
    "https": "'sse' or 'chunked'",
    "ws": "'websocket'",
    "wss": "'websocket'",
}
BUILT_IN: Mapping[str, Plugin] = {
    "chunked": _built_in("chunked", "ChunkedTransport", _ALL),
    "sse": _built_in("sse", "SSETransport", _ALL),
    "websocket": _built_in("websocket", "WebSocketTransport", _ALL - {"resume", "reuse"}),
}


def create_plugin_manager(register: RegisterTransport) -> pluggy.PluginManager:
    """Make a manager that knows our hooks and hands ``register`` to every plugin that comes."""
    import pluggy

    from runagent._plugins import hookspecs

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.hook.runagent_register_transports.call_historic(kwargs={"register": register})
    return manager


class _Own:
    """A transport that the program itself has registered."""

    def __init__(self, offered: AnyTransport) -> None:
        self.offered = offered
        self.transport = as_transport(offered)
        self.registrations = 0


class TransportRegistry:
    """Finds transports by name. Safe for threads; each plugin is imported once, on first use.

    Args:
        plugins: What is installed; by default what the process shares.
    """

    def __init__(self, plugins: Installed | None = None) -> None:
        self._installed = plugins or installed()
        self._loader = Loader()
        self._lock = ForkSafeLock()
        self._own: dict[str, _Own] = {}
        self._transports: dict[str, Transport] = {}  # installed ones, by the names they were asked for

    def register(self, transport: AnyTransport) -> Registration:
        """Take a transport that the program itself offers, until the handle is closed.

        Raises:
            ConfigurationError: It is none, or its name is taken.
        """
        name = validate_transport(transport)
        if _is_reserved(name):
            raise ConfigurationError(f"the name {name!r} has a meaning already; take another")
        with self._lock:
            own = self._own.get(name) or _Own(transport)
            if own.offered is not transport:
                raise ConfigurationError(f"there is another transport named {name!r} already")
            self._own[name] = own
            own.registrations += 1
        from runagent._plugins.registration import Registration  # most programs register nothing

        return Registration(lambda: self._take_back(name, own))

    def _take_back(self, name: str, own: _Own) -> None:
        with self._lock:
            own.registrations -= 1
            if not own.registrations:
                del self._own[name]

    def get(self, name: str) -> Transport:
        """Return the transport of a name, importing its plugin if need be.

        Args:
            name: A transport's name, or ``distribution:name`` if several have it.

        Raises:
            ConfigurationError: No transport, or more than one, has this name; the message lists them.
            PluginError: The plugin that brings it does not work.
        """
        if own := self._own.get(name):
            return own.transport
        transport = self._transports.get(name)
        if transport is None:
            transport = self._transports.setdefault(name, self.load(self._find(name)))
        return transport

    def check(self, names: Iterable[str]) -> None:
        """Check that every name has a transport, without importing one.

        Raises:
            ConfigurationError: As for `get`.
        """
        for name in names:
            if name not in self._own and name not in self._transports:
                self._find(name)

    def load(self, plugin: Plugin) -> Transport:
        """Import a transport, once.

        Raises:
            PluginError: It does not work; the same again at every further call.
            OSError: Its import could not read something; the next call tries again, as after a MemoryError.
        """
        transport: Transport = self._loader.once(plugin.qualified_name, lambda: self._load(plugin))
        return transport

    def seconds(self, plugin: Plugin) -> float | None:
        """Return how long it took to load, if it has been loaded."""
        return self._loader.seconds.get(plugin.qualified_name)

    def installed(self) -> list[Plugin]:
        """List every transport that is installed, by name, without importing any."""
        found = [*BUILT_IN.values(), *self._installed.all_of(TRANSPORTS)]
        return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution))

    def status(self, plugin: Plugin) -> str:
        """Return in one word, without importing it, whether a transport can be chosen.

        ``built-in`` and ``ready`` can; ``clash`` and ``reserved`` (its name is another's) only by their
        qualified names; ``disabled`` and ``incompatible`` (its version is unknown) not at all.
        """
        if BUILT_IN.get(plugin.name) is plugin:
            return "built-in"
        if self._installed.is_disabled(plugin):
            return "disabled"
        if plugin.declaration is not None and api_version_fault(plugin.declaration.api_version):
            return "incompatible"
        if _is_reserved(plugin.name):
            return "reserved"
        same = [other for other in self._installed.enabled(TRANSPORTS) if other.name == plugin.name]
        return "clash" if len(same) > 1 else "ready"

    # Finding

    def _find(self, name: str) -> Plugin:
        meant = TRANSPORT_GROUPS.get(name, (name,))
        if len(meant) == 1 and meant[0] in BUILT_IN:
            return BUILT_IN[meant[0]]
        if right := _MEANT.get(name.lower()):
            hint = f"did you mean {right}? The scheme belongs to base_url"
            raise ConfigurationError(f"unknown transport {name!r}; {hint}", code="UNKNOWN_TRANSPORT")
        distribution, _, plain = name.rpartition(":")
        found = [plugin for plugin in self._installed.enabled(TRANSPORTS) if plugin.name == plain]
        if distribution:
            found = [plugin for plugin in found if plugin.distribution == normal_name(distribution)]
        if not found:
            raise self._unknown(name)
        if len(found) > 1:
            names = " or ".join(repr(plugin.qualified_name) for plugin in found)
            raise ConfigurationError(
                f"several installed distributions bring a transport {name!r}; choose {names}",
                code="AMBIGUOUS_TRANSPORT",
            )
        return found[0]

    def _unknown(self, name: str) -> ConfigurationError:
        plugins = self._installed.all_of(TRANSPORTS)
        if any(name in (plugin.name, plugin.qualified_name) for plugin in plugins):
            hint = "; RUNAGENT_DISABLE_PLUGINS switches it off"
        else:
            known = sorted({*BUILT_IN, *self._own, *(plugin.name for plugin in plugins)})
            shown = {each: repr(each) for each in (*known, *TRANSPORT_GROUPS)}
            hint = nearest(name.lower(), shown, f"; there are: {', '.join(known)}; or install one")
        return ConfigurationError(f"unknown transport {name!r}{hint}", code="UNKNOWN_TRANSPORT")

    # Loading

    def _load(self, plugin: Plugin) -> Transport:
        declared = plugin.declaration
        if declared is not None and (fault := api_version_fault(declared.api_version)):
            raise _broken(plugin, fault)
        try:
            transport = as_transport(self._offered_by(plugin))
        except PluginError:
            raise
        except RunAgentError as exc:
            raise _broken(plugin, exc.message) from exc
        except Exception as exc:  # whatever a third party's import may raise
            let_signals_through(exc)
            if isinstance(exc, OSError) or is_passing(exc):
                exc.add_note(f"while the transport {plugin.name!r} of {plugin.source} was loaded")
                raise
            raise _broken(plugin, repr(exc)) from exc
        self._compare(plugin, transport)
        return transport

    def _offered_by(self, plugin: Plugin) -> AnyTransport:
        """Import the plugin and have its hook register what it offers."""
        if plugin.entry is None:
            return _import_built_in(plugin)
        offers: dict[str, AnyTransport] = {}

        def register(transport: AnyTransport) -> None:
            name = validate_transport(transport)
            if offers.setdefault(name, transport) is not transport:
                raise ConfigurationError(f"it registers two transports named {name!r}")

        manager = create_plugin_manager(register)
        offered = load(plugin)
        manager.register(offered, plugin.qualified_name)
        manager.check_pending()
        if plugin.name not in offers:
            raise ConfigurationError(_lacks(plugin, offers, manager.get_hookcallers(offered)))
        return offers[plugin.name]

    def _compare(self, plugin: Plugin, transport: Transport) -> None:
        """Compare the metadata with the transport, which decides."""
        fault = declaration_fault(plugin, transport)
        if fault is not None and self._installed.strict:
            raise _broken(plugin, fault)
        if fault is not None:
            _logger.warning("the transport %r of %s: %s", plugin.name, plugin.source, fault)


def declaration_fault(plugin: Plugin, transport: Transport) -> str | None:
    """Report differences between a transport's metadata and the transport itself."""
    declared = plugin.declaration
    if declared is None or declared == Declaration(transport.api_version, frozenset(transport.capabilities)):
        return None
    attributes = ".".join([f"v{transport.api_version}", *sorted(transport.capabilities)])
    right = f"runagent.capabilities:{attributes}"
    return f"its metadata declares something else than it does; the right entry point is {right}"


def _import_built_in(plugin: Plugin) -> Transport:
    """Import a built-in one, which no hook has to offer: most processes do without pluggy."""
    from importlib import import_module

    module, _, kind = plugin.target.partition(":")
    transport: Transport = getattr(import_module(module), kind)()
    return transport


def _broken(plugin: Plugin, fault: str) -> PluginError:
    return PluginError(
        f"the transport {plugin.name!r} of {plugin.source} cannot be loaded: {fault}",
        plugin=plugin.qualified_name,
    )


def _lacks(plugin: Plugin, offers: Mapping[str, AnyTransport], hooks: object) -> str:
    """Describe why what a plugin refers to offers no transport of its name."""
    if offers:
        names = " and ".join(map(repr, offers))
        why = f"it offers {names}: the entry point's name has to be the transport's"
    elif hooks:
        why = "its hook registers none"
    else:
        why = "it has no function runagent_register_transports that is marked with runagent.hookimpl"
    return f"{plugin.target} offers no transport {plugin.name!r}; {why}"


def _is_reserved(name: str) -> bool:
    return name in BUILT_IN or has_other_meaning(name)


def has_other_meaning(name: str) -> bool:
    """Whether a name means something other than a transport of that name, built in or not."""
    return name.lower() in TRANSPORT_GROUPS or name.lower() in _MEANT


_default: TransportRegistry | None = None
_default_lock = ForkSafeLock()


def default_registry() -> TransportRegistry:
    """Return the registry that all clients of the process share."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                _default = TransportRegistry()
    return _default


def register_transport(transport: AnyTransport) -> Registration:
    """Make a transport known to all clients of the process by its name, without a package around it.

    Args:
        transport: Chosen by its ``name`` from then on, as an installed one is.

    Returns:
        A handle: ``close()`` or ``with`` ends it. The transport may be registered again, and then stays until
        each handle is closed.

    Raises:
        ConfigurationError: It is no transport, it was written for another version of the interface, or its
            name is taken.
    """
    return default_registry().register(transport)
