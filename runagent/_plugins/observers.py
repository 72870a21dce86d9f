"""What is installed or registered to observe runs: it makes an object for each call.

An observer cannot end a run. What it raises is logged, and it is asked nothing more about that call.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from runagent._errors import PluginError
from runagent._internal.foreign import is_passing, let_signals_through
from runagent._internal.locks import ForkSafeLock
from runagent._internal.suggestions import most_like
from runagent._plugins.installed import OBSERVERS, Installed, Plugin, installed
from runagent._plugins.loading import load

if TYPE_CHECKING:
    import pluggy

    from runagent._call import AgentCall
    from runagent._plugins.call_observers import CallObservers, Source
    from runagent._plugins.registration import Registration

__all__ = ["Observers", "default_observers", "register_observer"]

_logger = logging.getLogger("runagent.plugins")

_HOOK = "runagent_observe_call"
_METHOD = "observe_call"


class Observers:
    """The observers of a process. Safe for threads.

    Args:
        plugins: What is installed; by default what the process shares.
    """

    def __init__(self, plugins: Installed | None = None) -> None:
        self._installed = plugins or installed()
        self._lock = ForkSafeLock()
        self._manager: pluggy.PluginManager | None = None
        self._loaded = False
        self._judged: set[str] = (
            set()
        )  # those that were loaded, or do not work: a first call may be cut short
        self._sources: tuple[Source, ...] = ()
        self._own: list[object] = []  # what the program itself has registered, once for each open handle

    def register(self, observer: object) -> Registration:
        """Take an observer that the program itself offers, until the handle is closed.

        Raises:
            PluginError: It has no method ``observe_call``.
        """
        name = getattr(observer, "__name__", None) or f"{type(observer).__name__} at {id(observer):#x}"
        with self._lock:
            if not any(source.observer is observer for source in self._sources):
                self._add(observer, name, _method_of(observer, name))
            self._own.append(observer)
        from runagent._plugins.registration import Registration  # most programs register nothing

        return Registration(lambda: self._take_back(observer))

    def _take_back(self, observer: object) -> None:
        with self._lock:
            # By identity: an observer may compare as it likes.
            del self._own[next(i for i, own in enumerate(self._own) if own is observer)]
            if not any(own is observer for own in self._own):
                self._sources = tuple(each for each in self._sources if each.observer is not observer)

    def loaded(self) -> Observers | None:
        """Load what is installed, at the first call; return self if anyone observes, or else None.

        Raises:
            PluginError: An observer does not work, and ``RUNAGENT_STRICT_PLUGINS`` wants to know.
            OSError: See `load`.
        """
        if not self._loaded:
            with self._lock:
                if not self._loaded:
                    for plugin in self._installed.enabled(OBSERVERS):
                        if not self._is_judged(plugin.qualified_name):
                            self._load(plugin)
                            self._judged.add(plugin.qualified_name)
                    self._loaded = True
        return self if self._sources else None

    def _is_judged(self, name: str) -> bool:
        return name in self._judged or (self._manager is not None and self._manager.has_plugin(name))

    def load(self, plugin: Plugin) -> None:
        """Import an observer and see whether it could be asked.

        Raises:
            PluginError: It could not.
            OSError: The machine lacks something at the moment, as with a MemoryError: this proves nothing.
        """
        try:
            self._add_plugin(load(plugin), plugin.qualified_name)
        except PluginError:
            raise
        except Exception as exc:  # whatever a third party's import may raise
            let_signals_through(exc)
            if is_passing(exc):
                exc.add_note(f"while the observer {plugin.name!r} of {plugin.source} was loaded")
                raise
            raise PluginError(
                f"the observer {plugin.name!r} of {plugin.source} cannot be loaded: {exc!r}",
                plugin=plugin.qualified_name,
            ) from exc

    def _load(self, plugin: Plugin) -> None:
        try:
            self.load(plugin)
        except PluginError as exc:
            if self._installed.strict:
                raise
            _logger.warning("%s; calls go on without it", exc)

    def observe(self, call: AgentCall) -> CallObservers | None:
        """Ask for an observer of a call; None if nobody observes it."""
        from runagent._plugins.call_observers import CallObservers, ask  # most runs have none

        made = [
            (source.name, observer) for source in self._sources if (observer := ask(source, call)) is not None
        ]
        return CallObservers(made) if made else None

    # Registering

    def _add_plugin(self, plugin: object, name: str) -> None:
        import pluggy

        from runagent._plugins import hookspecs

        if (manager := self._manager) is None:
            manager = pluggy.PluginManager(hookspecs.PROJECT)
            manager.add_hookspecs(hookspecs)
            self._manager = manager
        try:
            manager.register(plugin, name)
            manager.check_pending()
            self._add(plugin, name, _implementation(manager, plugin, name))
        except BaseException as exc:
            if manager.is_registered(plugin):
                manager.unregister(plugin)
            if isinstance(exc, pluggy.PluginValidationError):
                raise _unusable(name, exc) from exc
            raise

    def _add(self, observer: object, name: str, function: Any) -> None:
        # Only a process with observers needs them.
        import inspect

        from runagent._plugins.call_observers import Source

        if inspect.iscoroutinefunction(function):
            raise _unusable(name, "it has to be a plain function without await")
        self._sources = (*self._sources, Source(name, observer, function))


def _method_of(observer: object, name: str) -> Any:
    """Return the method by which an object observes calls.

    Raises:
        PluginError: It has none, or is a class of which an object has to be made.
    """
    if isinstance(observer, type):
        raise PluginError(
            f"the observer {name} cannot be used: it is a class; make an object of it", plugin=name
        )
    method = getattr(observer, _METHOD, None)
    if callable(method):
        return method
    near = most_like(_METHOD, dir(observer))
    hint = f"; is {near!r} meant to be it?" if near else ""
    raise PluginError(
        f"the observer {name} cannot be used: it has no method {_METHOD}(call){hint}", plugin=name
    )


def _unusable(name: str, fault: object) -> PluginError:
    return PluginError(f"the observer {name} cannot be used: {fault}", plugin=name)


def _implementation(manager: pluggy.PluginManager, plugin: object, name: str) -> Any:
    """Return what a plugin has for the hook, without pluggy around it.

    Raises:
        PluginError: It has nothing, or wraps others.
    """
    found = [impl for impl in getattr(manager.hook, _HOOK).get_hookimpls() if impl.plugin is plugin]
    if not found:
        raise _unusable(name, f"it implements no {_HOOK}")
    (impl,) = found
    if impl.wrapper or impl.hookwrapper:
        raise _unusable(name, "its hook wraps no other")
    return impl.function if impl.argnames else lambda _call: impl.function()


_default: Observers | None = None
_default_lock = ForkSafeLock()


def default_observers() -> Observers:
    """Return the observers that all clients of the process share."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                _default = Observers()
    return _default


def register_observer(observer: object) -> Registration:
    """Have an object or module observe all calls of the process, without a package around it.

    Args:
        observer: Has a method ``observe_call(call)``, which returns an observer of that call or None; see
            `CallObserver`.

    Returns:
        A handle: after ``close()`` or the end of ``with`` the observer is asked nothing more. It may be
        registered again, is asked once all the same, and stays until each handle is closed.

    Raises:
        PluginError: It has no such method.
    """
    return default_observers().register(observer)
