"""Dialects that other distributions bring, through a hook."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from runagent_testing._internal.log import log_failure
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing.dialects._base import Dialect, check_dialect

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import pluggy

__all__ = ["GROUP", "installed_dialects"]

__tracebackhide__ = is_ours

GROUP = "runagent_testing.dialects"


_PASSING = (OSError, MemoryError)  # faults that may be gone at the next attempt


class _IncompleteError(Exception):
    """Prevents the list of dialects from being cached, because a passing fault has hidden some."""


def installed_dialects() -> tuple[Dialect, ...]:
    """Load the plugins of the entry-point group ``runagent_testing.dialects``, by name; once per process.

    A plugin that fails is logged and left out; it is tried again later if an OSError or MemoryError was the
    reason. If there is no free file descriptor, plugins are looked for again later.
    """
    try:
        return _loaded()
    except _IncompleteError as exc:
        found: tuple[Dialect, ...] = exc.args
        return found


@functools.cache
def _loaded() -> tuple[Dialect, ...]:
    entries = _entries()
    found: list[Dialect] = []
    manager = _plugin_manager(found)
    complete = True
    for entry in entries:
        if manager.has_plugin(entry.value):  # installed twice
            continue
        before = len(found)
        try:
            _load(manager, entry)
            if len(found) == before:
                raise TypeError("it offers no dialect")
        except Exception as exc:  # noqa: BLE001 - a third party's import may raise anything
            complete = complete and not isinstance(exc, _PASSING)
            log_failure(f"the dialect {entry.name} ({entry.value}) cannot be used", exc)
    if not complete:
        raise _IncompleteError(*found)
    return tuple(found)


def _entries() -> list[EntryPoint]:
    try:
        # Without a free descriptor this raises; importlib.metadata finds nothing then, and remembers it.
        os.close(os.open(os.devnull, os.O_RDONLY))
        from importlib.metadata import entry_points  # slow to import, and built-in dialects need no scan

        found = entry_points(group=GROUP)
    except _PASSING as exc:
        log_failure("installed dialects cannot be looked for", exc)
        raise _IncompleteError from exc
    return sorted(found, key=lambda entry: (entry.name, entry.value))


def _plugin_manager(found: list[Dialect]) -> pluggy.PluginManager:
    import pluggy

    from runagent_testing.dialects import _hookspecs as hookspecs

    def register(dialect: Dialect) -> None:
        found.append(check_dialect(dialect))

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.hook.runagent_testing_register_dialects.call_historic(kwargs={"register": register})
    return manager


def _load(manager: pluggy.PluginManager, entry: EntryPoint) -> None:
    manager.register(entry.load(), entry.value)
    manager.check_pending()
