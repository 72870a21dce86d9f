"""Observers: hooks that see, and may amend, each call. None is asked per chunk.

An observer is a guest: whatever it raises is logged once, it is asked nothing more, and the run goes on.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import traceback
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import msgspec

from runagent._address.url import validate_headers
from runagent._call import AgentCall
from runagent._errors import PluginError
from runagent._internal.foreign import is_passing, let_signals_through
from runagent._internal.jsoninput import copy_input, copy_input_object, read_entrypoint_tag
from runagent._internal.locks import ForkSafeLock
from runagent._plugins.installed import OBSERVERS, Installed, Plugin, installed
from runagent._plugins.loading import load
from runagent._plugins.registration import Registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pluggy

    from runagent._report import RunReport

__all__ = ["CHANGEABLE", "HOOKS", "Observers", "default_observers", "register_observer"]

_logger = logging.getLogger("runagent.plugins")

CHANGEABLE = frozenset({"args", "entrypoint_tag", "headers", "input"})
HOOKS = ("runagent_prepare_call", "runagent_call_started", "runagent_call_finished")


class _Hook(msgspec.Struct, frozen=True):
    """What one observer does at one hook."""

    observer: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def ask(self, **facts: Any) -> Any:
        return self.function(*(facts[name] for name in self.arguments))


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
        self._hooks: Mapping[str, Sequence[_Hook]] = {}
        self._own: list[object] = []  # what the program itself has registered, once for each open handle

    def register(self, observer: object) -> Registration:
        """Take an observer that the program itself offers, until the handle is closed.

        Raises:
            PluginError: It implements none of the hooks, or an unknown one.
        """
        name = getattr(observer, "__name__", None) or f"{type(observer).__name__} at {id(observer):#x}"
        with self._lock:
            if self._manager is None or not self._manager.is_registered(observer):
                self._add(observer, name)
            self._own.append(observer)
        return Registration(lambda: self._take_back(observer))

    def _take_back(self, observer: object) -> None:
        with self._lock:
            # By identity: an observer may compare as it likes.
            del self._own[next(i for i, own in enumerate(self._own) if own is observer)]
            if self._manager is None or any(own is observer for own in self._own):
                return
            if self._manager.is_registered(observer):  # one that has failed is not
                self._manager.unregister(observer)
                self._collect(self._manager)

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
        return self if self._hooks else None

    def _is_judged(self, name: str) -> bool:
        return name in self._judged or (self._manager is not None and self._manager.has_plugin(name))

    def load(self, plugin: Plugin) -> None:
        """Import an observer and see whether it could be asked.

        Raises:
            PluginError: It could not.
            OSError: The machine lacks something at the moment, as with a MemoryError: this proves nothing.
        """
        try:
            self._add(load(plugin), plugin.qualified_name)
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

    # The hooks

    def prepare(self, call: AgentCall) -> AgentCall:
        """Let each observer change the call, one after the other."""
        for hook in self._hooks.get("runagent_prepare_call", ()):
            with self._guard(hook.observer):
                changed = hook.ask(call=call)
                call = call if changed is None else _checked(call, changed)
        return call

    def started(self, call: AgentCall) -> None:
        """Report that a call begins."""
        for hook in self._hooks.get("runagent_call_started", ()):
            with self._guard(hook.observer):
                hook.ask(call=call)

    def finished(self, call: AgentCall, report: RunReport) -> None:
        """Report that a call is over."""
        for hook in self._hooks.get("runagent_call_finished", ()):
            with self._guard(hook.observer):
                hook.ask(call=call, report=report)

    @contextlib.contextmanager
    def _guard(self, observer: str) -> Iterator[None]:
        try:
            yield
        except Exception as exc:  # noqa: BLE001  # a guest: whatever it raises, the run goes on
            let_signals_through(exc)
            # As text: a traceback, also one in a log record, would hold the stream and all it holds.
            text = "".join(traceback.format_exception(exc)).rstrip()
            exc.__traceback__ = None
            with self._lock:
                if self._manager is None or not self._manager.has_plugin(observer):
                    return  # another thread has met the same fault
                self._manager.unregister(name=observer)
                self._collect(self._manager)
            _logger.warning("the observer %s failed and is switched off\n%s", observer, text)

    # Registering

    def _add(self, observer: object, name: str) -> None:
        import pluggy

        from runagent._plugins import hookspecs

        if (manager := self._manager) is None:
            manager = pluggy.PluginManager(hookspecs.PROJECT)
            manager.add_hookspecs(hookspecs)
            self._manager = manager
        try:
            manager.register(observer, name)
            manager.check_pending()
            if fault := _fault(manager, observer):
                raise PluginError(f"the observer {name} cannot be used: {fault}", plugin=name)
            self._collect(manager)
        except BaseException as exc:
            if manager.is_registered(observer):
                manager.unregister(observer)
            if isinstance(exc, pluggy.PluginValidationError):
                raise PluginError(f"the observer {name} cannot be used: {exc}", plugin=name) from exc
            raise

    def _collect(self, manager: pluggy.PluginManager) -> None:
        """Note who does what, in the order in which pluggy would ask."""
        hooks = {}
        for name in HOOKS:
            found = reversed(getattr(manager.hook, name).get_hookimpls())
            if mine := tuple(_Hook(impl.plugin_name, impl.function, impl.argnames) for impl in found):
                hooks[name] = mine
        self._hooks = hooks


def _fault(manager: pluggy.PluginManager, observer: object) -> str | None:
    callers = manager.get_hookcallers(observer) or []
    mine = [impl for caller in callers if caller.name in HOOKS for impl in caller.get_hookimpls()]
    mine = [impl for impl in mine if impl.plugin is observer]
    if not mine:
        return f"it implements none of {', '.join(HOOKS)}"
    if any(impl.wrapper or impl.hookwrapper for impl in mine):
        return "a hook of an observer wraps no other"
    if any(inspect.iscoroutinefunction(impl.function) for impl in mine):
        return "its hooks have to be plain functions without await"
    return None


def _checked(call: AgentCall, changed: object) -> AgentCall:
    """Return what an observer has made of a call.

    Raises:
        TypeError: It is no call.
        ValueError: It changes what is not an observer's to change.
        RunAgentError: Its header fields or its input could not be sent.
    """
    if not isinstance(changed, AgentCall):
        raise TypeError(f"runagent_prepare_call returned {changed!r} instead of an AgentCall or None")
    for name in (field.name for field in fields(AgentCall) if field.name not in CHANGEABLE):
        if getattr(changed, name) != getattr(call, name):
            allowed = ", ".join(sorted(CHANGEABLE))
            raise ValueError(f"runagent_prepare_call changed {name}; it may change {allowed}")
    return replace(
        changed,
        headers=validate_headers(dict(changed.headers)),
        entrypoint_tag=read_entrypoint_tag(changed.entrypoint_tag),
        input=copy_input_object(changed.input, "input"),
        args=tuple(copy_input(changed.args, "args")),
    )


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
        observer: Implements some of ``runagent_prepare_call``, ``runagent_call_started`` and
            ``runagent_call_finished``, each marked with ``hookimpl``.

    Returns:
        A handle: after ``close()`` or the end of ``with`` the observer is asked nothing more. It may be
        registered again, is asked once all the same, and stays until each handle is closed.

    Raises:
        PluginError: It implements none of them, or an unknown one.
    """
    return default_observers().register(observer)
